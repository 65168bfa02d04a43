package feed_test

import (
	"errors"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/store"
)

// TestRecheck: blocks whose bytes have changed, or are gone, are given up, and can be had again.
func TestRecheck(t *testing.T) {
	ctx := t.Context()
	st := store.Memory()
	f := open(t, st, feed.Options{})
	defer f.Close()
	const n, size = 40, 100
	for i := range n {
		b := make([]byte, size)
		b[0] = byte(i)
		if _, err := f.Append(ctx, b); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	proof, err := f.Proof(ctx, 7)
	if err != nil {
		t.Fatal(err)
	}
	if lost, err := f.Recheck(ctx, 0, n); lost != 0 || err != nil {
		t.Fatalf("of a whole feed: %d, %v", lost, err)
	}
	events := f.Watch(ctx)
	data, err := st.Open("data", false)
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	for _, i := range []int64{7, 8, 20} {
		if _, err := data.WriteAt([]byte{0xff}, i*size+3); err != nil {
			t.Fatal(err)
		}
	}
	if err := data.Truncate((n-2)*size + 1); err != nil { // the last two
		t.Fatal(err)
	}
	if lost, err := f.Recheck(ctx, 10, 15); lost != 0 || err != nil {
		t.Errorf("elsewhere: %d, %v", lost, err)
	}
	if lost, err := f.Recheck(ctx, 5, 1<<40); lost != 5 || err != nil {
		t.Errorf("%d lost, %v", lost, err)
	}
	for _, want := range []uint64{7, 8, 20, n - 2, n - 1} {
		if _, err := f.Local(want); !errors.Is(err, feed.ErrNotLocal) {
			t.Errorf("block %d: %v", want, err)
		}
		for e := range events {
			if l, ok := e.(feed.Lost); ok {
				if l.Index != want {
					t.Errorf("lost %d, want %d", l.Index, want)
				}
				break
			}
		}
	}
	if s := f.Stats(); s.Lost != 5 || s.Blocks != n-5 || s.Err != nil {
		t.Errorf("%+v", s)
	}
	if err := f.Put(ctx, proof); err != nil {
		t.Fatal(err)
	}
	if b, err := f.Local(7); err != nil || b[0] != 7 {
		t.Errorf("block 7, which came again: %v, %v", b, err)
	}
	if _, err := f.Append(ctx, []byte("goes on")); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	g := open(t, st, feed.Options{})
	defer g.Close()
	if got := g.Downloaded(0, n+1); got != n-3 {
		t.Errorf("%d blocks after it was opened again", got)
	}
}
