package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ipfs/boxo/bitswap"
	"github.com/ipfs/boxo/bitswap/network/bsnet"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	carstore "github.com/ipld/go-car/v2/blockstore"
	"github.com/libp2p/go-libp2p/core/host"
	mh "github.com/multiformats/go-multihash"
)

func init() { register("bitswap", func() system { return &bitswapSide{} }) }

// bitswapSide is boxo's bitswap over the same libp2p host as the limit, between
// one server and one client that knows every CID beforehand, so that no graph
// is walked. Blocks are raw leaves hashed with SHA-256. The store is a CAR
// file, which was as fast as or faster than flatfs, leveldb, pebble and badger;
// the client's is written in batches beside the transfer.
type bitswapSide struct {
	host     host.Host
	exchange *bitswap.Bitswap
	store    *carstore.ReadWrite
}

const (
	bitswapWindow  = 2048 // CIDs asked for at once …
	bitswapDepth   = 1    // … and how many such calls are under way
	bitswapBatch   = 128  // blocks written at once
	bitswapMessage = 256 * kib
	bitswapAhead   = 1 * mib // a server may have this much on the way to a peer
)

var bitswapHash = cid.NewPrefixV1(cid.Raw, mh.SHA2_256)

func (b *bitswapSide) openStore(dir string) (err error) {
	b.store, err = carstore.OpenReadWrite(filepath.Join(dir, "store.car"), nil, carstore.WriteAsCarV1(true), carstore.AllowDuplicatePuts(true))
	return err
}

func (b *bitswapSide) Prepare(ctx context.Context, r *request) error {
	if err := b.openStore(r.Dir); err != nil {
		return err
	}
	var cids []byte
	err := r.Data.eachBatch(128, func(data [][]byte) error {
		list := make([]blocks.Block, len(data))
		for i, d := range data {
			c, err := bitswapHash.Sum(d)
			if err != nil {
				return err
			}
			cids = append(cids, c.Bytes()...)
			if list[i], err = blocks.NewBlockWithCid(append([]byte(nil), d...), c); err != nil {
				return err
			}
		}
		return b.store.PutMany(ctx, list)
	})
	return errors.Join(err, b.Close(), os.WriteFile(filepath.Join(r.Dir, "cids"), cids, 0o644))
}

// readCids is the list that Prepare wrote.
func readCids(file string, n int) ([]cid.Cid, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	list := make([]cid.Cid, 0, n)
	for len(raw) > 0 {
		used, c, err := cid.CidFromBytes(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		list, raw = append(list, c), raw[used:]
	}
	if len(list) != n {
		return nil, fmt.Errorf("%s: %d CIDs of %d", file, len(list), n)
	}
	return list, nil
}

func (b *bitswapSide) open(ctx context.Context, r *request) (err error) {
	if err = b.openStore(r.Dir); err != nil {
		return err
	}
	if b.host, err = newHost(); err != nil {
		return err
	}
	net := bsnet.NewFromIpfsHost(b.host)
	b.exchange = bitswap.New(ctx, net, nil, b.store,
		bitswap.MaxOutstandingBytesPerPeer(r.option("ahead", bitswapAhead)),
		bitswap.WithTargetMessageSize(r.option("message", bitswapMessage)),
		bitswap.MaxQueuedWantlistEntriesPerPeer(1<<20),
		bitswap.WithoutDuplicatedBlockStats(),
		bitswap.SetSendDontHaves(false), bitswap.SetSimulateDontHavesOnTimeout(false),
		bitswap.RebroadcastDelay(time.Second), // wants sometimes get lost between two windows
	)
	net.Start(b.exchange)
	return nil
}

func (b *bitswapSide) Serve(ctx context.Context, r *request) (string, error) {
	if err := b.open(ctx, r); err != nil {
		return "", err
	}
	addr, err := offerOf(b.host)
	return addr + " " + filepath.Join(r.Dir, "cids"), err
}

func (b *bitswapSide) Fetch(ctx context.Context, r *request) (figures, error) {
	addr, file, _ := strings.Cut(r.Offer, " ")
	cids, err := readCids(file, r.Data.Count)
	if err != nil {
		return nil, err
	}
	if err := b.open(ctx, r); err != nil {
		return nil, err
	}
	start := time.Now()
	if _, err := dialOffer(ctx, b.host, addr); err != nil {
		return nil, err
	}
	toWrite, wrote := make(chan []blocks.Block, 16), make(chan error, 1)
	go func() {
		var err error
		for list := range toWrite {
			if err == nil {
				err = b.store.PutMany(ctx, list)
			}
		}
		wrote <- err
	}()
	n, err := b.fetchAll(ctx, r, cids, toWrite)
	close(toWrite)
	if err := errors.Join(err, <-wrote); err != nil {
		return nil, err
	}
	if n != r.Data.Count {
		return nil, fmt.Errorf("%d of %d blocks came", n, r.Data.Count)
	}
	return figures{
		"seconds": time.Since(start).Seconds(),
		"blocks":  float64(r.Data.Count), "bytes": float64(r.Data.bytes()),
	}, nil
}

// fetchAll asks for all blocks in one session, window by window.
func (b *bitswapSide) fetchAll(ctx context.Context, r *request, cids []cid.Cid, toWrite chan<- []blocks.Block) (n int, err error) {
	window, depth := r.option("window", bitswapWindow), r.option("depth", bitswapDepth)
	session := b.exchange.NewSession(ctx)
	var pending []<-chan blocks.Block
	var list []blocks.Block
	for len(cids) > 0 || len(pending) > 0 {
		if len(cids) > 0 && len(pending) < depth {
			w := cids[:min(window, len(cids))]
			cids = cids[len(w):]
			ch, err := session.GetBlocks(ctx, w)
			if err != nil {
				return n, err
			}
			pending = append(pending, ch)
			continue
		}
		for blk := range pending[0] {
			n++
			if list = append(list, blk); len(list) == bitswapBatch {
				toWrite <- list
				list = nil
			}
		}
		pending = pending[1:]
	}
	toWrite <- list
	return n, nil
}

func (b *bitswapSide) Check(ctx context.Context, r *request) (string, error) {
	if err := b.Close(); err != nil {
		return "", err
	}
	_, file, _ := strings.Cut(r.Offer, " ")
	cids, err := readCids(file, r.Data.Count)
	if err != nil {
		return "", err
	}
	if err := b.openStore(r.Dir); err != nil {
		return "", err
	}
	defer b.Close()
	h := sha256.New()
	for _, c := range cids {
		blk, err := b.store.Get(ctx, c)
		if err != nil {
			return "", err
		}
		h.Write(blk.RawData())
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func (b *bitswapSide) Close() error {
	var errs []error
	if b.exchange != nil {
		errs = append(errs, b.exchange.Close())
	}
	if b.host != nil {
		errs = append(errs, b.host.Close())
	}
	if b.store != nil {
		errs = append(errs, b.store.Finalize())
	}
	*b = bitswapSide{}
	return errors.Join(errs...)
}
