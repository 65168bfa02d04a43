package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-hypercore/hypercore/feed"
)

// Work does append, get and read, and what hypercore_scale.go adds.
func (h *hypercoreSide) Work(ctx context.Context, r *request) (figures, error) {
	switch r.Op {
	case "open":
		return h.openLong(ctx, r)
	case "grow":
		return h.grow(ctx, r)
	case "pick":
		return h.pick(ctx, r)
	case "idle":
		return h.idle(ctx, r)
	}
	blocks, err := r.Data.blocks()
	if err != nil {
		return nil, err
	}
	f, err := feed.Open(ctx, h.dir(r, 0), h.options(r))
	if err != nil {
		return nil, err
	}
	h.feeds = append(h.feeds, f)
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
	out := figures{"seconds": time.Since(start).Seconds(), "blocks": float64(n), "bytes": float64(n) * float64(r.Data.Block)}
	if r.Op == "append" {
		if err := f.Sync(ctx); err != nil {
			return nil, err
		}
		out["synced"] = time.Since(start).Seconds()
	}
	return out, nil
}

func (h *hypercoreSide) append(ctx context.Context, r *request, blocks [][]byte) (int, error) {
	end := r.deadline()
	n := 0
	for n < len(blocks) {
		batch := blocks[n:min(n+r.Batch, len(blocks))]
		if _, err := h.feeds[0].Append(ctx, batch...); err != nil {
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
				if h.order[i], errs[c] = h.feeds[0].Append(ctx, blocks[i]); errs[c] != nil {
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
		b, err := h.feeds[0].Get(ctx, i)
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
	for b, err := range h.feeds[0].Blocks(ctx, feed.ReadOptions{}) {
		if err != nil {
			return n, err
		}
		if !bytes.Equal(b.Data, blocks[n]) {
			return n, fmt.Errorf("block %d differs", n)
		}
		if n++; n%64 == 0 && time.Now().After(end) {
			return n, nil
		}
	}
	if n != len(blocks) {
		return n, fmt.Errorf("%d of %d blocks", n, len(blocks))
	}
	return n, nil
}
