package feed_test

import (
	"slices"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/store"
)

// TestCompleted: each time that the last missing block comes is told, once.
func TestCompleted(t *testing.T) {
	ctx := t.Context()
	src := history(t, "a", 0, 5)
	f := open(t, store.Memory(), feed.Options{Key: src.Key(), Sparse: true})
	events := f.Watch(ctx)
	var got []uint64
	told := func() []uint64 {
		t.Helper()
		if err := f.Sync(ctx); err != nil {
			t.Fatal(err)
		}
		for {
			select {
			case e := <-events:
				if c, ok := e.(feed.Completed); ok {
					got = append(got, c.Length)
				}
				continue
			default:
			}
			return got
		}
	}
	for _, i := range []uint64{3, 0, 1, 4} {
		transfer(t, src, f, i)
	}
	if told() != nil {
		t.Fatal("with four of five blocks:", got)
	}
	transfer(t, src, f, 2)
	transfer(t, src, f, 2) // once more
	if !slices.Equal(told(), []uint64{5}) {
		t.Fatal("with all blocks:", got)
	}
	if err := f.Clear(ctx, 1, 3); err != nil {
		t.Fatal(err)
	}
	transfer(t, src, f, 1)
	if !slices.Equal(told(), []uint64{5}) {
		t.Fatal("with one of two that were cleared:", got)
	}
	transfer(t, src, f, 2)
	if _, err := src.Append(ctx, block(5), block(6)); err != nil {
		t.Fatal(err)
	}
	if err := src.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	transfer(t, src, f, 6)
	transfer(t, src, f, 5)
	if !slices.Equal(told(), []uint64{5, 5, 7}) {
		t.Fatal("after it has grown:", got)
	}
}

// TestRemoteLen: it is what the Replicator knows, and nothing without one.
func TestRemoteLen(t *testing.T) {
	src := history(t, "a", 0, 3)
	f := open(t, store.Memory(), feed.Options{Key: src.Key()})
	if n := f.RemoteLen(); n != 0 {
		t.Errorf("%d without a Replicator", n)
	}
	a := &announcing{fetcher: &fetcher{src: src, dst: f}}
	a.n.Store(3)
	detach, err := f.Attach(a)
	if err != nil {
		t.Fatal(err)
	}
	if n := f.RemoteLen(); n != 3 || f.Len() != 0 {
		t.Errorf("%d of 3 that are announced, %d proven", n, f.Len())
	}
	detach()
	if n := f.RemoteLen(); n != 0 {
		t.Errorf("%d when it is gone", n)
	}
}
