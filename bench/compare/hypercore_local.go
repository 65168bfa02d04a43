package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-hypercore/hypercore/feed"
)

// stamp is a block that begins with the time.
func stamp(size int) []byte {
	b := make([]byte, size)
	binary.LittleEndian.PutUint64(b, uint64(monotonic()))
	return b
}

// age is how long ago a block was stamped, in microseconds.
func age(b []byte) float64 {
	return float64(monotonic()-int64(binary.LittleEndian.Uint64(b))) / 1e3
}

// Work does append, get and read.
func (h *hypercoreSide) Work(ctx context.Context, r *request) (figures, error) {
	blocks, err := r.Data.blocks()
	if err != nil {
		return nil, err
	}
	if h.feed, err = feed.Open(ctx, h.dir(r), h.options(r)); err != nil {
		return nil, err
	}
	var n int
	start := time.Now()
	switch callers := r.option("callers", 1); {
	case r.Op == "append" && callers > 1:
		n, err = h.appendTogether(ctx, r, blocks, callers)
	case r.Op == "append":
		n, err = h.append(ctx, r, blocks)
	case r.Op == "get":
		n, err = h.get(ctx, r, blocks)
	case r.Op == "read":
		n, err = h.read(ctx, r, blocks)
	default:
		err = fmt.Errorf("hypercore does not know %q", r.Op)
	}
	if err != nil {
		return nil, err
	}
	f := figures{"seconds": time.Since(start).Seconds(), "blocks": float64(n), "bytes": float64(n) * float64(r.Data.Block)}
	if r.Op == "append" {
		if err := h.feed.Sync(ctx); err != nil {
			return nil, err
		}
		f["synced"] = time.Since(start).Seconds()
	}
	return f, nil
}

func (h *hypercoreSide) append(ctx context.Context, r *request, blocks [][]byte) (int, error) {
	end := r.deadline()
	n := 0
	for n < len(blocks) {
		batch := blocks[n:min(n+r.Batch, len(blocks))]
		if _, err := h.feed.Append(ctx, batch...); err != nil {
			return n, err
		}
		if n += len(batch); n%128 == 0 && time.Now().After(end) {
			break
		}
	}
	return n, nil
}

// appendTogether has many callers append the next block each.
func (h *hypercoreSide) appendTogether(ctx context.Context, r *request, blocks [][]byte, callers int) (int, error) {
	end := r.deadline()
	h.order = make([]uint64, len(blocks))
	errs := make([]error, callers)
	var next atomic.Int64
	var g sync.WaitGroup
	for c := range callers {
		g.Go(func() {
			for time.Now().Before(end) {
				i := int(next.Add(1)) - 1
				if i >= len(blocks) {
					return
				}
				if h.order[i], errs[c] = h.feed.Append(ctx, blocks[i]); errs[c] != nil {
					return
				}
			}
		})
	}
	g.Wait()
	return min(int(next.Load()), len(blocks)), errors.Join(errs...)
}

func (h *hypercoreSide) get(ctx context.Context, r *request, blocks [][]byte) (int, error) {
	end := r.deadline()
	src := rand.New(rand.NewPCG(1, 2))
	for n := 1; ; n++ {
		i := src.Uint64N(uint64(len(blocks)))
		b, err := h.feed.Get(ctx, i)
		if err != nil {
			return n, err
		}
		if !bytes.Equal(b, blocks[i]) {
			return n, fmt.Errorf("block %d differs", i)
		}
		if n%64 == 0 && time.Now().After(end) {
			return n, nil
		}
	}
}

func (h *hypercoreSide) read(ctx context.Context, r *request, blocks [][]byte) (int, error) {
	end := r.deadline()
	n := 0
	for b, err := range h.feed.Blocks(ctx, feed.ReadOptions{}) {
		if err != nil {
			return n, err
		}
		if !bytes.Equal(b.Data, blocks[n]) {
			return n, fmt.Errorf("block %d differs", n)
		}
		if n++; n%64 == 0 && time.Now().After(end) {
			break
		}
	}
	if n < len(blocks) && time.Now().Before(end) {
		return n, fmt.Errorf("%d of %d blocks", n, len(blocks))
	}
	return n, nil
}
