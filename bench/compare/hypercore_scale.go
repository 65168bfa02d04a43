package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node"
	"github.com/go-hypercore/hypercore/store"
)

// openLong opens a long feed and gets one block.
func (h *hypercoreSide) openLong(ctx context.Context, r *request) (figures, error) {
	before := resident()
	start := time.Now()
	f, err := feed.Open(ctx, h.dir(r, 0), feed.Options{MustExist: true})
	if err != nil {
		return nil, err
	}
	opened := time.Since(start)
	h.feeds = append(h.feeds, f)
	i := uint64(r.Data.Count) / 3
	got, err := f.Get(ctx, i)
	if err != nil {
		return nil, err
	}
	took := time.Since(start)
	more := processUsage().Memory - before
	if want, err := r.Data.block(int(i)); err != nil || !bytes.Equal(got, want) {
		return nil, errors.Join(err, fmt.Errorf("block %d of %d differs", i, f.Len()))
	}
	return figures{"ms": opened.Seconds() * 1e3, "get_us": (took - opened).Seconds() * 1e6, "more": more}, nil
}

// resident is the resident set of this process.
func resident() float64 {
	runtime.GC()
	debug.FreeOSMemory()
	rss, _ := statusField("self", "VmRSS")
	return rss
}

// openAll opens the feeds of the source without a node.
func (h *hypercoreSide) openAll(ctx context.Context, r *request) error {
	feeds, each := h.split(r)
	o := h.options(r)
	o.MustExist = true
	for i := range feeds {
		f, err := feed.Open(ctx, h.dir(r, i), o)
		if err != nil {
			return err
		}
		h.feeds = append(h.feeds, f)
		if f.Len() < uint64(each) {
			return fmt.Errorf("feed %d has %d blocks of %d", i, f.Len(), each)
		}
	}
	return nil
}

const (
	growTurns   = 100 // appends are timed in so many short stretches, each after one that is not
	growBatches = 2
)

// grow appends to feeds that have their length already. They keep what is
// appended: over the rounds they grow by little.
func (h *hypercoreSide) grow(ctx context.Context, r *request) (figures, error) {
	if err := h.openAll(ctx, r); err != nil {
		return nil, err
	}
	batch := make([][]byte, r.Batch)
	for i := range batch {
		batch[i] = make([]byte, r.Data.Block)
		batch[i][0] = byte(i)
	}
	var took time.Duration
	for turn := range growTurns {
		f := h.feeds[turn%len(h.feeds)]
		first, err := f.Append(ctx, batch...)
		if err != nil {
			return nil, err
		}
		start := time.Now()
		for range growBatches {
			if _, err := f.Append(ctx, batch...); err != nil {
				return nil, err
			}
		}
		took += time.Since(start)
		if want := first + (growBatches+1)*uint64(r.Batch); f.Len() != want {
			return nil, fmt.Errorf("length %d after appending, expected %d", f.Len(), want)
		}
	}
	n := float64(growTurns * growBatches * r.Batch)
	return figures{"seconds": took.Seconds(), "blocks": n, "bytes": n * float64(r.Data.Block)}, nil
}

// pick gets random blocks of one feed, twice as long as the limit; one in a thousand
// is compared.
func (h *hypercoreSide) pick(ctx context.Context, r *request) (figures, error) {
	if err := h.openAll(ctx, r); err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(r.Dir, "feed-0", "*"))
	if err := errors.Join(err, warm(append(files, r.Data.File)...)); err != nil {
		return nil, err
	}
	_, each := h.split(r)
	src := rand.New(rand.NewPCG(3, 4))
	get := func() (n int, seconds float64, err error) {
		start, end := time.Now(), r.deadline()
		for {
			i := src.IntN(each)
			b, err := h.feeds[0].Get(ctx, uint64(i))
			if err != nil {
				return 0, 0, err
			}
			if n%1024 == 0 {
				if want, err := r.Data.block(i); err != nil || !bytes.Equal(b, want) {
					return 0, 0, errors.Join(err, fmt.Errorf("block %d differs", i))
				}
			}
			if n++; n%256 == 0 && time.Now().After(end) {
				return n, time.Since(start).Seconds(), nil
			}
		}
	}
	n, seconds, err := get()
	if err != nil {
		return nil, err
	}
	more, moreSeconds, err := get()
	if err != nil {
		return nil, err
	}
	return figures{"seconds": seconds, "blocks": float64(n), "bytes": float64(n * r.Data.Block), "later": float64(more) / moreSeconds}, nil
}

// idle seeds all feeds and looks at what that holds when nothing happens.
func (h *hypercoreSide) idle(ctx context.Context, r *request) (figures, error) {
	before := resident()
	start := time.Now()
	if err := h.start(ctx, ""); err != nil {
		return nil, err
	}
	if err := errors.Join(h.open(ctx, r, nil), h.share(ctx, true)); err != nil {
		return nil, err
	}
	ready := time.Since(start)
	time.Sleep(2 * time.Second)
	more := resident() - before
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, err
	}
	// Every feed must still answer.
	for i, f := range h.feeds {
		if i%100 != 0 {
			continue
		}
		_, each := h.split(r)
		want, err := r.Data.block(i * each)
		if err != nil {
			return nil, err
		}
		if b, err := f.Get(ctx, 0); err != nil || !bytes.Equal(b, want) {
			return nil, errors.Join(err, fmt.Errorf("feed %d: its first block differs", i))
		}
	}
	out := figures{"each": more / float64(len(h.feeds)), "files": float64(len(fds)), "seconds": ready.Seconds()}
	out["request_ms"], out["worst_ms"], err = h.askIdle(ctx, r)
	return out, err
}

// askIdle connects another node and gets a block of feeds chosen at random. A
// request counts from the moment the reader shares the feed, which it has never
// heard of, to the verified block. It returns the median and the worst.
func (h *hypercoreSide) askIdle(ctx context.Context, r *request) (median, worst float64, err error) {
	const requests = 50
	_, each := h.split(r)
	reader := &hypercoreSide{}
	defer func() { err = errors.Join(err, reader.Close()) }()
	if err := reader.start(ctx, h.node.Addrs()[0].String()); err != nil {
		return 0, 0, err
	}
	src := rand.New(rand.NewPCG(5, 6))
	var ms []float64
	for range requests + 1 {
		i := src.IntN(len(h.feeds))
		block := src.IntN(each)
		f, err := reader.node.Open(ctx, store.Memory(), feed.Options{Key: h.feeds[i].Key(), Sparse: true})
		if err != nil {
			return 0, 0, err
		}
		start := time.Now()
		if _, err := reader.node.Share(ctx, f, node.JoinOptions{}); err != nil {
			return 0, 0, err
		}
		got, err := f.Get(ctx, uint64(block))
		took := time.Since(start)
		if err != nil {
			return 0, 0, err
		}
		if want, err := r.Data.block(i*each + block); err != nil || !bytes.Equal(got, want) {
			return 0, 0, errors.Join(err, fmt.Errorf("feed %d: block %d differs", i, block))
		}
		ms = append(ms, took.Seconds()*1e3)
		if err := reader.node.CloseFeed(f.Key()); err != nil {
			return 0, 0, err
		}
	}
	s := spreadOf(ms[1:]) // the first one waits for the connection
	return s.Median, s.Max, nil
}
