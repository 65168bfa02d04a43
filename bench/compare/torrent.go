package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/anacrolix/generics"
	"github.com/anacrolix/torrent"
	"github.com/anacrolix/torrent/bencode"
	"github.com/anacrolix/torrent/metainfo"
	pp "github.com/anacrolix/torrent/peer_protocol"
	"github.com/anacrolix/torrent/storage"
	"golang.org/x/time/rate"
)

func init() { register("torrent", func() system { return &torrentSide{} }) }

// torrentSide is github.com/anacrolix/torrent with one seeder and one leecher,
// configured for speed on one machine: TCP only, no encryption or obfuscation,
// memory-mapped files, no limits, no DHT, trackers or exchange of peers; pieces
// of the size that was fastest. They are hashed with SHA-1 (version 1).
type torrentSide struct {
	client *torrent.Client
	store  storage.ClientImplCloser
}

const (
	torrentPiece = 1 * mib
	// torrentChunk is what clients ask for at once: BEP 3 says that they close
	// connections that ask for more than 16 KiB. Two clients of this kind can
	// agree on more: option chunk.
	torrentChunk = 16 * kib
)

func (t *torrentSide) Prepare(_ context.Context, r *request) error {
	info := metainfo.Info{PieceLength: int64(r.option("piece", torrentPiece))}
	if err := info.BuildFromFilePath(r.Data.File); err != nil {
		return err
	}
	var m metainfo.MetaInfo
	var err error
	if m.InfoBytes, err = bencode.Marshal(info); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(r.Dir, "torrent"))
	if err != nil {
		return err
	}
	defer f.Close()
	return m.Write(f)
}

// open starts a client over the files in dir, with the torrent added.
func (t *torrentSide) open(r *request, file, dir string, complete bool) (*torrent.Torrent, error) {
	m, err := metainfo.LoadFromFile(file)
	if err != nil {
		return nil, err
	}
	done := storage.NewMapPieceCompletion()
	info, err := m.UnmarshalInfo()
	if err != nil {
		return nil, err
	}
	for i := range info.NumPieces() {
		if err := done.Set(metainfo.PieceKey{InfoHash: m.HashInfoBytes(), Index: i}, generics.Some(complete)); err != nil {
			return nil, err
		}
	}
	t.store = storage.NewFileOpts(storage.NewFileClientOpts{
		ClientBaseDir: dir, PieceCompletion: done, UsePartFiles: generics.Some(false),
	})
	c := torrent.NewDefaultClientConfig()
	c.DefaultStorage = t.store
	c.SetListenAddr("127.0.0.1:0")
	c.Seed = complete
	c.DisableUTP, c.DisableIPv6, c.NoDHT, c.DisableTrackers, c.DisablePEX = true, true, true, true, true
	c.DisableWebtorrent, c.DisableWebseeds, c.NoDefaultPortForwarding = true, true, true
	c.HeaderObfuscationPolicy = torrent.HeaderObfuscationPolicy{Preferred: false, RequirePreferred: true}
	c.UploadRateLimiter = rate.NewLimiter(rate.Inf, 0)
	c.MaxAllocPeerRequestDataPerConn = 16 * mib
	c.MaxUnverifiedBytes = 0
	c.Slogger = slog.New(slog.DiscardHandler)
	if t.client, err = torrent.NewClient(c); err != nil {
		return nil, err
	}
	spec, err := torrent.TorrentSpecFromMetaInfoErr(m)
	if err != nil {
		return nil, err
	}
	spec.ChunkSize = pp.Integer(r.option("chunk", torrentChunk))
	spec.DisableInitialPieceCheck = true
	tor, _, err := t.client.AddTorrentSpec(spec)
	return tor, err
}

func (t *torrentSide) Serve(ctx context.Context, r *request) (string, error) {
	file := filepath.Join(r.Dir, "torrent")
	tor, err := t.open(r, file, filepath.Dir(r.Data.File), true)
	if err != nil {
		return "", err
	}
	for tor.BytesMissing() > 0 { // it has looked at what is complete
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	return fmt.Sprintf("127.0.0.1:%d %s", t.client.LocalPort(), file), nil
}

func (t *torrentSide) Fetch(ctx context.Context, r *request) (figures, error) {
	addr, file, _ := strings.Cut(r.Offer, " ")
	tor, err := t.open(r, file, r.Dir, false)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	tor.DownloadAll()
	tor.AddPeers([]torrent.PeerInfo{{Addr: torrent.StringAddr(addr), Source: torrent.PeerSourceDirect, Trusted: true}})
	select {
	case <-tor.Complete().On():
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return figures{
		"seconds": time.Since(start).Seconds(),
		"blocks":  float64(r.Data.Count), "bytes": float64(r.Data.bytes()),
	}, nil
}

func (t *torrentSide) Check(_ context.Context, r *request) (string, error) {
	if err := t.Close(); err != nil {
		return "", err
	}
	return fileSum(filepath.Join(r.Dir, filepath.Base(r.Data.File)), -1)
}

func (t *torrentSide) Close() error {
	if t.client == nil {
		return nil
	}
	t.client.Close()
	t.client = nil
	return t.store.Close()
}
