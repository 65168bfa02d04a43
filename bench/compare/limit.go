package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"golang.org/x/crypto/blake2b"
)

func init() { register("limit", func() system { return &limit{} }) }

// limit is the least that a hypercore over libp2p has to do with this hash: one
// stream over TCP, TLS and yamux; the sender reads the file; the receiver
// hashes each block with BLAKE2b-256, on as many goroutines as cores, and
// writes in goroutines beside them. It has no tree, no messages, no proofs.
type limit struct {
	host host.Host
	live liveLimit
}

const (
	limitProtocol = "/bench/limit"
	limitPiece    = 1 * mib // read from the stream and written to the file at once
	limitPieces   = 16      // in memory at the receiver
)

func (l *limit) Prepare(context.Context, *request) error { return nil }

func (l *limit) Serve(_ context.Context, r *request) (string, error) {
	h, err := newHost()
	if err != nil {
		return "", err
	}
	l.host = h
	name := r.Data.File
	h.SetStreamHandler(limitProtocol, func(s network.Stream) {
		defer s.Close()
		f, err := os.Open(name)
		if err != nil {
			s.Reset()
			return
		}
		defer f.Close()
		io.CopyBuffer(s, struct{ io.Reader }{f}, make([]byte, limitPiece))
	})
	return offerOf(h)
}

func (l *limit) Fetch(ctx context.Context, r *request) (figures, error) {
	h, err := newHost()
	if err != nil {
		return nil, err
	}
	l.host = h
	out, err := os.Create(filepath.Join(r.Dir, "data"))
	if err != nil {
		return nil, err
	}
	defer out.Close()
	start := time.Now()
	id, err := dialOffer(ctx, h, r.Offer)
	if err != nil {
		return nil, err
	}
	s, err := h.NewStream(ctx, id, limitProtocol)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if err := s.CloseWrite(); err != nil {
		return nil, err
	}
	if err := receive(s, out, r.Data); err != nil {
		return nil, err
	}
	took := time.Since(start)
	if err := datasync(out); err != nil {
		return nil, err
	}
	return figures{
		"seconds": took.Seconds(), "synced": time.Since(start).Seconds(),
		"blocks": float64(r.Data.Count), "bytes": float64(r.Data.bytes()),
	}, nil
}

// piece is a run of blocks on its way through hashing and writing.
type piece struct {
	buf  []byte
	n    int
	off  int64
	left atomic.Int32 // of hashing and writing
}

// receive reads the data set from src: one goroutine reads, as many as cores
// hash, as many write.
func receive(src io.Reader, out *os.File, d dataset) error {
	cores := runtime.GOMAXPROCS(0)
	size := max(1, limitPiece/d.Block) * d.Block
	free := make(chan *piece, limitPieces)
	for range limitPieces {
		free <- &piece{buf: make([]byte, size)}
	}
	toHash, toWrite := make(chan *piece, limitPieces), make(chan *piece, limitPieces)
	var workers sync.WaitGroup
	var failed atomic.Pointer[error]
	hashed := make([]byte, cores)
	for i := range cores {
		workers.Go(func() {
			for p := range toHash {
				for o := 0; o < p.n; o += d.Block {
					h := blake2b.Sum256(p.buf[o : o+d.Block])
					hashed[i] ^= h[0]
				}
				p.release(free)
			}
		})
		workers.Go(func() {
			for p := range toWrite {
				if _, err := out.WriteAt(p.buf[:p.n], p.off); err != nil {
					failed.CompareAndSwap(nil, &err)
				}
				p.release(free)
			}
		})
	}
	var err error
	for off, total := int64(0), d.bytes(); off < total && err == nil && failed.Load() == nil; {
		p := <-free
		p.n, p.off = int(min(int64(size), total-off)), off
		p.left.Store(2)
		if _, err = io.ReadFull(src, p.buf[:p.n]); err != nil {
			err = fmt.Errorf("at byte %d of %d: %w", off, total, err)
			break
		}
		toHash <- p
		toWrite <- p
		off += int64(p.n)
	}
	close(toHash)
	close(toWrite)
	workers.Wait()
	if e := failed.Load(); e != nil {
		return *e
	}
	return err
}

func (p *piece) release(free chan<- *piece) {
	if p.left.Add(-1) == 0 {
		free <- p
	}
}

func (l *limit) Check(_ context.Context, r *request) (string, error) {
	return fileSum(filepath.Join(r.Dir, "data"), -1)
}

func (l *limit) Close() error {
	if l.host == nil {
		return nil
	}
	return l.host.Close()
}
