package feed_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/store"
	"github.com/go-hypercore/hypercore/store/storetest"
)

// waitsMissing are waits for what a reader of 4 blocks does not have, of which only block
// 0 is here and peers announce one more.
func waitsMissing(ctx context.Context, f *feed.Feed) map[string]func() error {
	waits := waitsBeyond(ctx, f)
	waits["Get in it"] = func() error { _, err := f.Get(ctx, 2); return err }
	waits["Head"] = func() error { _, err := f.Head(ctx); return err }
	waits["Seek"] = func() error { _, _, err := f.Seek(ctx, 1000); return err }
	waits["Seek in it"] = func() error { _, _, err := f.Seek(ctx, f.ByteLen()-1); return err }
	waits["Download all"] = func() error { return f.Download(feed.Range{}).Wait(ctx) }
	return waits
}

// reader returns a reader of src that has block 0, and whose peers have one more than
// src.
func reader(t *testing.T, st store.Storage, src *feed.Feed) *feed.Feed {
	t.Helper()
	f := open(t, st, feed.Options{Key: src.Key()})
	a := &announcing{fetcher: &fetcher{src: src, dst: f}}
	a.n.Store(src.Len() + 1)
	if _, err := f.Attach(a); err != nil {
		t.Fatal(err)
	}
	transfer(t, src, f, 0)
	return f
}

// TestWaitStopped: who waits for what is not here hears that nothing comes any more,
// before and after; what is here can be read.
func TestWaitStopped(t *testing.T) {
	key, _, unsound := unsoundFeed(t, 2)
	for _, c := range []struct {
		name string
		make func(t *testing.T, disk *storetest.Faulty) *feed.Feed
		stop func(t *testing.T, f *feed.Feed, disk *storetest.Faulty)
		want error
	}{
		{
			"fork",
			func(t *testing.T, disk *storetest.Faulty) *feed.Feed {
				return reader(t, disk, history(t, "a", 0, 4))
			},
			func(t *testing.T, f *feed.Feed, _ *storetest.Faulty) {
				if err := f.Put(t.Context(), prove(t, history(t, "b", 0, 8), 1, 0)); !errors.Is(err, feed.ErrFork) {
					t.Error(err)
				}
			},
			feed.ErrFork,
		},
		{
			"unsound",
			func(t *testing.T, disk *storetest.Faulty) *feed.Feed {
				f := open(t, disk, feed.Options{Key: key})
				a := &announcing{fetcher: &fetcher{}}
				a.n.Store(5)
				if _, err := f.Attach(a); err != nil {
					t.Fatal(err)
				}
				if err := f.Put(t.Context(), unsound[0]); err != nil {
					t.Fatal(err)
				}
				return f
			},
			func(t *testing.T, f *feed.Feed, _ *storetest.Faulty) {
				if err := f.Put(t.Context(), unsound[3]); !errors.Is(err, feed.ErrUnsound) {
					t.Error(err)
				}
			},
			feed.ErrUnsound,
		},
		{
			"failed sync",
			func(t *testing.T, disk *storetest.Faulty) *feed.Feed {
				return reader(t, disk, history(t, "a", 0, 4))
			},
			func(t *testing.T, f *feed.Feed, disk *storetest.Faulty) {
				disk.Fail(storetest.Fault{Kinds: []storetest.Kind{storetest.Sync}, Err: syscall.EIO})
				if err := f.Sync(t.Context()); !errors.Is(err, syscall.EIO) {
					t.Error(err)
				}
			},
			syscall.EIO,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				disk := storetest.NewFaulty(store.Memory())
				f := c.make(t, disk)
				waits := waitsMissing(t.Context(), f)
				var wg sync.WaitGroup
				var waiting atomic.Int32
				for name, wait := range waits {
					waiting.Add(1)
					wg.Go(func() {
						if err := wait(); !errors.Is(err, c.want) {
							t.Errorf("%s: %v", name, err)
						}
						waiting.Add(-1)
					})
				}
				synctest.Wait()
				if n := waiting.Load(); int(n) != len(waits) {
					t.Errorf("%d of %d wait", n, len(waits))
				}
				c.stop(t, f, disk)
				synctest.Wait()
				if n := waiting.Load(); n > 0 {
					t.Errorf("%d still wait", n)
					f.Close()
				}
				wg.Wait()
				if !errors.Is(f.Stats().Err, c.want) {
					t.Error("Stats.Err:", f.Stats().Err)
				}
				for name, wait := range waits {
					if err := wait(); !errors.Is(err, c.want) {
						t.Errorf("%s afterwards: %v", name, err)
					}
				}
				if b, err := f.Get(t.Context(), 0); err != nil || len(b) == 0 {
					t.Errorf("Get of what is here: %q, %v", b, err)
				}
				if list, err := f.GetRange(t.Context(), 0, 1); err != nil || len(list) != 1 {
					t.Errorf("GetRange of what is here: %v", err)
				}
				if err := f.Download(feed.Range{End: 1}).Wait(t.Context()); err != nil {
					t.Error("Download of what is here:", err)
				}
				f.Close()
			})
		})
	}
}

// TestWaitFullDisk: what is tried again is waited for.
func TestWaitFullDisk(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		src := history(t, "a", 0, 4)
		disk := storetest.NewFaulty(store.Memory())
		f := reader(t, disk, src)
		got := make(chan error, 1)
		go func() { _, err := f.Get(t.Context(), 2); got <- err }()
		synctest.Wait()
		disk.Fail(storetest.Fault{Kinds: []storetest.Kind{storetest.Write}, Err: syscall.ENOSPC})
		if err := f.Sync(t.Context()); !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		synctest.Wait()
		select {
		case err := <-got:
			t.Fatal("it ended on a full disk:", err)
		default:
		}
		disk.Heal()
		if err := f.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		transfer(t, src, f, 2)
		if err := <-got; err != nil {
			t.Error(err)
		}
		shut(t, f)
	})
}

// TestWaitReadOnly: nothing comes to a feed that was opened to be read only, unless it
// parks and others may write it.
func TestWaitReadOnly(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		src := history(t, "a", 0, 4)
		st := store.Dir(t.TempDir())
		shut(t, reader(t, st, src))
		f := open(t, st, feed.Options{ReadOnly: true})
		waits := waitsMissing(t.Context(), f)
		delete(waits, "Seek") // there is no such byte, and nobody says so
		for name, wait := range waits {
			if err := wait(); !errors.Is(err, feed.ErrNotLocal) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, _, err := f.Seek(t.Context(), 1000); !errors.Is(err, feed.ErrOutOfBounds) {
			t.Error("Seek:", err)
		}
		if b, err := f.Get(t.Context(), 0); err != nil {
			t.Errorf("what is here: %q, %v", b, err)
		}
		shut(t, f)

		whole := store.Dir(t.TempDir())
		w := open(t, whole, feed.Options{})
		appendN(t, w, 3)
		shut(t, w)
		f = open(t, whole, feed.Options{ReadOnly: true})
		if _, err := f.Head(t.Context()); err != nil {
			t.Error("Head:", err)
		}
		if err := f.Download(feed.Range{}).Wait(t.Context()); err != nil {
			t.Error("Download of all that there is:", err)
		}
		shut(t, f)

		f = open(t, whole, feed.Options{ReadOnly: true, Lot: feed.NewLot(feed.LotOptions{})})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := f.Update(ctx, 4); !errors.Is(err, context.DeadlineExceeded) {
			t.Error("others may write it:", err)
		}
		shut(t, f)
	})
}
