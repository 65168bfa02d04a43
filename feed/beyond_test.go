package feed_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/store"
)

// waitsBeyond are waits for what a feed of two small blocks does not have.
func waitsBeyond(ctx context.Context, f *feed.Feed) map[string]func() error {
	blocks := func(o feed.ReadOptions) func() error {
		return func() error {
			for _, err := range f.Blocks(ctx, o) {
				if err != nil {
					return err
				}
			}
			return nil
		}
	}
	return map[string]func() error{
		"Get":      func() error { _, err := f.Get(ctx, 5); return err },
		"GetRange": func() error { _, err := f.GetRange(ctx, 0, 3); return err },
		"Update":   func() error { return f.Update(ctx, 5) },
		"Download": func() error { return f.Download(feed.Range{End: 10}).Wait(ctx) },
		"Live":     blocks(feed.ReadOptions{Live: true}),
		"End":      blocks(feed.ReadOptions{End: 3}),
	}
}

// TestWaitBeyondStatic: a wait for what cannot come ends when that turns out.
func TestWaitBeyondStatic(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		ctx := t.Context()
		f := open(t, store.Memory(), feed.Options{Static: true})
		appendN(t, f, 2)
		var clone *feed.Feed
		for _, c := range []struct {
			name  string
			f     func() *feed.Feed
			final func()
		}{
			{"finalized", func() *feed.Feed { return f }, func() {
				if err := f.Finalize(ctx); err != nil {
					t.Error(err)
				}
			}},
			{"downloaded", func() *feed.Feed {
				clone = open(t, store.Memory(), feed.Options{Key: f.Key()})
				return clone
			}, func() {
				transfer(t, f, clone, 1)
				transfer(t, f, clone, 0)
			}},
		} {
			f := c.f()
			waits := waitsBeyond(ctx, f)
			if !f.Writable() {
				waits["Seek"] = func() error { _, _, err := f.Seek(ctx, 1000); return err }
			}
			var wg sync.WaitGroup
			var waiting atomic.Int32
			for name, wait := range waits {
				waiting.Add(1)
				wg.Go(func() {
					if err := wait(); !errors.Is(err, feed.ErrOutOfBounds) {
						t.Errorf("%s, %s: %v", c.name, name, err)
					}
					waiting.Add(-1)
				})
			}
			synctest.Wait()
			if n := waiting.Load(); int(n) != len(waits) {
				t.Errorf("%s: %d of %d wait before the length is known", c.name, n, len(waits))
			}
			c.final()
			synctest.Wait()
			if n := waiting.Load(); n > 0 {
				t.Errorf("%s: %d still wait", c.name, n)
				f.Close()
			}
			wg.Wait()
			if d := f.Demand(); len(d.Blocks)+len(d.Seeks) > 0 || d.MinLen > 0 {
				t.Errorf("%s: Demand %+v", c.name, d)
			}
			for name, wait := range waits {
				if err := wait(); !errors.Is(err, feed.ErrOutOfBounds) {
					t.Errorf("%s, %s afterwards: %v", c.name, name, err)
				}
			}
		}
	})
}

// TestEmptyStatic: the key of an empty static feed says that it has no blocks.
func TestEmptyStatic(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		st := store.Memory()
		f := open(t, st, feed.Options{Static: true})
		if err := f.Finalize(t.Context()); err != nil {
			t.Fatal(err)
		}
		key := f.Key()
		check := func(name string, f *feed.Feed) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			waits := waitsBeyond(ctx, f)
			waits["Head"] = func() error { _, err := f.Head(ctx); return err }
			waits["Seek"] = func() error { _, _, err := f.Seek(ctx, 1); return err }
			for call, wait := range waits {
				if err := wait(); !errors.Is(err, feed.ErrOutOfBounds) {
					t.Errorf("%s, %s: %v", name, call, err)
				}
			}
		}
		check("finalized", f)
		shut(t, f)
		check("opened again", open(t, st, feed.Options{}))
		check("a clone", open(t, store.Memory(), feed.Options{Key: key}))
	})
}

// announcing is a Replicator with one peer, which fetches nothing.
type announcing struct {
	*fetcher
	n atomic.Uint64
}

func (a *announcing) DemandChanged()   {}
func (a *announcing) KnownLen() uint64 { return a.n.Load() }

// TestSeekBeyond: a byte beyond the end is waited for only while a peer may have it.
func TestSeekBeyond(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		ctx := t.Context()
		src := open(t, store.Memory(), feed.Options{})
		appendN(t, src, 2)
		if err := src.Sync(ctx); err != nil {
			t.Fatal(err)
		}
		short := src.ByteLen()
		for _, c := range []struct {
			name  string
			known uint64 // first
			then  func(dst *feed.Feed, a *announcing)
			want  error
		}{
			{"the length is known", 2, func(dst *feed.Feed, _ *announcing) { transfer(t, src, dst, 0) }, feed.ErrOutOfBounds},
			{"the peer leaves", 3, func(dst *feed.Feed, a *announcing) {
				transfer(t, src, dst, 0)
				synctest.Wait()
				if len(dst.Demand().Seeks) != 1 {
					t.Error("it does not wait for what the peer announces")
				}
				a.n.Store(0)
				dst.ReportPeer(feed.PeerEvent{Left: true})
			}, feed.ErrOutOfBounds},
			{"it is appended", 3, func(dst *feed.Feed, _ *announcing) {
				transfer(t, src, dst, 0)
				synctest.Wait()
				appendN(t, src, 1)
				if err := src.Sync(ctx); err != nil {
					t.Error(err)
				}
				transfer(t, src, dst, 2)
			}, nil},
		} {
			dst := open(t, store.Memory(), feed.Options{Key: src.Key(), Sparse: true})
			a := &announcing{fetcher: &fetcher{src: src, dst: dst}}
			a.n.Store(c.known)
			if _, err := dst.Attach(a); err != nil {
				t.Fatal(err)
			}
			var got error
			var wg sync.WaitGroup
			wg.Go(func() { _, _, got = dst.Seek(ctx, short) })
			synctest.Wait()
			c.then(dst, a)
			synctest.Wait()
			if n := len(dst.Demand().Seeks); n != 0 {
				t.Errorf("%s: it still waits", c.name)
			}
			shut(t, dst)
			wg.Wait()
			if !errors.Is(got, c.want) {
				t.Errorf("%s: %v, want %v", c.name, got, c.want)
			}
		}
		dst := open(t, store.Memory(), feed.Options{Key: src.Key(), Sparse: true})
		fetch(t, src, dst)
		if _, _, err := dst.Seek(ctx, 1e6); !errors.Is(err, feed.ErrOutOfBounds) {
			t.Errorf("a clone of which nothing was known: %v", err)
		}
	})
}
