package feed_test

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/store"
)

// TestReadWhileClosing: who reads when the feed is closed gets the block or
// ErrClosed.
func TestReadWhileClosing(t *testing.T) {
	st := store.Dir(t.TempDir())
	const blocks = 64
	for range 20 {
		f := open(t, st, feed.Options{})
		if f.Len() == 0 {
			appendN(t, f, blocks)
		}
		var wg sync.WaitGroup
		var once sync.Once
		reading := make(chan struct{})
		for k := range 4 {
			wg.Go(func() {
				for i := uint64(k); ; i = (i + 7) % blocks {
					b, err := f.Local(i)
					once.Do(func() { close(reading) })
					if errors.Is(err, feed.ErrClosed) {
						return
					}
					if err != nil || !bytes.Equal(b, block(i)) {
						t.Errorf("block %d: %q, %v", i, b, err)
						return
					}
				}
			})
		}
		<-reading
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
	}
}

// TestCallsAfterClose: all of them fail with ErrClosed, also those that would have
// nothing to do or would be refused.
func TestCallsAfterClose(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	lot := feed.NewLot(feed.LotOptions{})
	for name, f := range map[string]*feed.Feed{
		"writer": open(t, store.Memory(), feed.Options{}),
		"empty":  open(t, store.Memory(), feed.Options{}),
		"clone":  open(t, store.Memory(), feed.Options{Key: feed.Key(keyFromSeed(65)[32:])}),
		"lot":    open(t, store.Dir(t.TempDir()), feed.Options{Lot: lot}),
		"parked": open(t, store.Dir(t.TempDir()), feed.Options{Lot: lot}),
	} {
		if f.Writable() && name != "empty" {
			appendN(t, f, 3)
			if err := f.Sync(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if name == "parked" {
			park(t, f)
		}
		all := f.Download(feed.Range{})
		reader := f.NewReader(ctx)
		shut(t, f)
		blocks := func(o feed.ReadOptions) func() error {
			return func() error {
				for _, err := range f.Blocks(ctx, o) {
					return err
				}
				return nil
			}
		}
		for call, fn := range map[string]func() error{
			"Append":          func() error { _, err := f.Append(ctx, nil); return err },
			"Append nothing":  func() error { _, err := f.Append(ctx); return err },
			"Apply":           func() error { _, err := f.Apply(ctx, []feed.Proof{{}}); return err },
			"Apply nothing":   func() error { _, err := f.Apply(ctx, nil); return err },
			"Attach":          func() error { _, err := f.Attach(nil); return err },
			"Audit":           func() error { _, err := f.Audit(ctx, feed.AuditOptions{}); return err },
			"BlockSize":       func() error { _, err := f.BlockSize(0); return err },
			"Blocks":          blocks(feed.ReadOptions{}),
			"Blocks at end":   blocks(feed.ReadOptions{Tail: true}),
			"Blocks back":     blocks(feed.ReadOptions{Reverse: true}),
			"Clear":           func() error { return f.Clear(ctx, 0, 1) },
			"Clear nothing":   func() error { return f.Clear(ctx, 0, 0) },
			"Download":        func() error { return f.Download(feed.Range{}).Wait(ctx) },
			"Download begun":  func() error { return all.Wait(ctx) },
			"Download one":    func() error { return f.Download(feed.Range{End: 1}).Wait(ctx) },
			"DownloadedBytes": func() error { _, err := f.DownloadedBytes(ctx, 0, 0); return err },
			"Finalize":        func() error { return f.Finalize(ctx) },
			"Get":             func() error { _, err := f.Get(ctx, 0); return err },
			"GetRange":        func() error { _, err := f.GetRange(ctx, 0, 1); return err },
			"GetRange none":   func() error { _, err := f.GetRange(ctx, 0, 0); return err },
			"Head":            func() error { _, err := f.Head(ctx); return err },
			"Local":           func() error { _, err := f.Local(0); return err },
			"Local far":       func() error { _, err := f.Local(1 << 40); return err },
			"Proof":           func() error { _, err := f.Proof(ctx, 0); return err },
			"Prove":           func() error { return f.Prove(feed.ProofRequest{}, nil, new(feed.Proof)) },
			"ProveRun":        func() error { return f.ProveRun(0, 1, 0, 0, nil, new(feed.Proof)) },
			"ReadBlocks none": func() error { _, _, err := f.ReadBlocks(nil, 0, 0, nil); return err },
			"Reader":          func() error { _, err := reader.Read(make([]byte, 1)); return err },
			"Reader.ReadAt":   func() error { _, err := reader.ReadAt(make([]byte, 1), 1<<40); return err },
			"Roots":           func() error { _, err := f.Roots(1); return err },
			"Seek":            func() error { _, _, err := f.Seek(ctx, 1<<40); return err },
			"Signature":       func() error { _, err := f.Signature(ctx, 0); return err },
			"Sync":            func() error { return f.Sync(ctx) },
			"TakeOver":        func() error { return f.TakeOver(ctx, true) },
			"Update":          func() error { return f.Update(ctx, 1) },
			"Verify":          func() error { return f.Verify(0, make([]byte, 64)) },
		} {
			if err := fn(); !errors.Is(err, feed.ErrClosed) {
				t.Errorf("%s, %s: %v", name, call, err)
			}
		}
	}
}

// TestCloseBesideFinalize: whoever finalizes a feed while it is closed does so or gets
// ErrClosed, and neither waits for the other.
func TestCloseBesideFinalize(t *testing.T) {
	for i := range 300 {
		st := store.Memory()
		f := open(t, st, feed.Options{Static: true})
		appendN(t, f, 1)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		var finalized error
		var wg sync.WaitGroup
		wg.Go(func() { finalized = f.Finalize(ctx) })
		wg.Go(func() {
			for range i % 64 * 64 {
				runtime.Gosched()
			}
			if err := f.Close(); err != nil {
				t.Errorf("closing: %v", err)
			}
		})
		wg.Wait()
		cancel()
		if finalized != nil && !errors.Is(finalized, feed.ErrClosed) {
			t.Fatalf("finalizing, in round %d: %v", i, finalized)
		}
		f, err := feed.Open(t.Context(), st, feed.Options{})
		if err == nil {
			err = f.Close()
		}
		if (finalized == nil) != (err == nil) { // one that is not finalized has to be opened otherwise
			t.Fatalf("finalizing, in round %d: %v; opened again: %v", i, finalized, err)
		}
	}
}
