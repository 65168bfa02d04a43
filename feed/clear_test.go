package feed_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/store"
	"github.com/go-hypercore/hypercore/store/storetest"
)

// punched returns how many bytes were given back.
func punched(disk *storetest.Faulty) (n int64) {
	for _, o := range disk.Ops() {
		if o.Kind == storetest.Punch {
			n += o.Size
		}
	}
	return n
}

// TestClearGivesBackAllThatItCleared: also if the context ends while the disk is slow.
func TestClearGivesBackAllThatItCleared(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		disk := storetest.NewFaulty(store.Memory())
		held := storetest.NewHeld(disk, "bitfield", storetest.Sync)
		f := open(t, held, feed.Options{})
		appendN(t, f, 9)
		if err := f.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cleared := make(chan error, 1)
		held.Hold()
		go func() { cleared <- f.Clear(ctx, 0, 9) }()
		<-held.Begun()
		cancel()
		synctest.Wait()
		if n := punched(disk); n != 0 {
			t.Errorf("%d bytes were given back before their bits were durable", n)
		}
		held.LetGo()
		if err := <-cleared; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if n := punched(disk); f.Downloaded(0, 0) != 0 || n != int64(f.ByteLen()) {
			t.Errorf("%d blocks are here, %d bytes of %d were given back", f.Downloaded(0, 0), n, f.ByteLen())
		}
		shut(t, f)
	})
}

// TestCloseWhileClearing: Close waits for a Clear that waits for a commit that comes
// after the one that is under way.
func TestCloseWhileClearing(t *testing.T) {
	disk := storetest.NewFaulty(store.Memory())
	held := storetest.NewHeld(disk, "journal", storetest.Sync)
	f := open(t, held, feed.Options{})
	appendN(t, f, 9)
	if err := f.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	held.Hold()
	if _, err := f.Append(t.Context(), block(9)); err != nil {
		t.Fatal(err)
	}
	<-held.Begun()
	events := f.Watch(t.Context())
	cleared, closed := make(chan error, 1), make(chan error, 1)
	go func() { cleared <- f.Clear(context.Background(), 0, 9) }()
	for e := range events {
		if _, ok := e.(feed.Cleared); ok {
			break
		}
	}
	go func() { closed <- f.Close() }()
	if err := f.Update(t.Context(), 99); !errors.Is(err, feed.ErrClosed) { // it has begun
		t.Fatal(err)
	}
	held.LetGo()
	if err := <-cleared; err != nil {
		t.Error("Clear:", err)
	}
	if err := <-closed; err != nil {
		t.Error("Close:", err)
	}
	if punched(disk) == 0 {
		t.Error("nothing was given back")
	}
}

// TestClearOneByOne: small blocks that are cleared one by one give back whole units of the
// disk, in whatever order.
func TestClearOneByOne(t *testing.T) {
	const n, unit = 1000, 4096
	forth := make([]uint64, n)
	for i := range forth {
		forth[i] = uint64(i)
	}
	back := slices.Clone(forth)
	slices.Reverse(back)
	mixed := slices.Clone(forth)
	rand.New(rand.NewPCG(1, 1)).Shuffle(n, func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
	for name, order := range map[string][]uint64{"forth": forth, "back": back, "mixed": mixed} {
		disk := storetest.NewFaulty(store.Memory())
		f := open(t, disk, feed.Options{Durability: feed.NoSync})
		for i := range uint64(n) {
			if _, err := f.Append(t.Context(), sized(i)); err != nil {
				t.Fatal(err)
			}
		}
		size := int64(f.ByteLen())
		for k, i := range order {
			if err := f.Clear(t.Context(), i, i+1); err != nil {
				t.Fatal(err)
			}
			for _, j := range order[k+1 : min(k+4, n)] {
				if b, err := f.Local(j); err != nil || !bytes.Equal(b, sized(j)) {
					t.Fatalf("%s: block %d after block %d was cleared: %d bytes, %v", name, j, i, len(b), err)
				}
			}
		}
		given := make([]bool, size/unit) // back
		for _, o := range disk.Ops() {
			if o.Kind == storetest.Punch {
				for u := (o.Off + unit - 1) / unit; u < (o.Off+o.Size)/unit && u < int64(len(given)); u++ {
					given[u] = true
				}
			}
		}
		if i := slices.Index(given, false); i >= 0 {
			t.Errorf("%s: unit %d of %d was not given back", name, i, len(given))
		}
		shut(t, f)
	}
}

// sized is block i of a feed whose blocks have different sizes, some none.
func sized(i uint64) []byte {
	return bytes.Repeat([]byte{byte(i), byte(i >> 8)}, int(i*7%13*i%301))
}

// TestClearLeavesNeighbours: what is cleared and comes back, in any order, beside what is
// pending and what was just appended, takes nothing with it.
func TestClearLeavesNeighbours(t *testing.T) {
	ctx := t.Context()
	r := rand.New(rand.NewPCG(2, 2))
	w := open(t, store.Memory(), feed.Options{Durability: feed.NoSync})
	f := open(t, store.Memory(), feed.Options{Key: w.Key(), Durability: feed.NoSync})
	for range testRounds(200) {
		for range 1 + r.IntN(8) {
			if _, err := w.Append(ctx, sized(w.Len())); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Sync(ctx); err != nil {
			t.Fatal(err)
		}
		for range r.IntN(12) {
			if i := uint64(r.IntN(int(w.Len()))); !f.Has(i) {
				transfer(t, w, f, i)
			}
			for _, i := range f.Demand().Links {
				if err := f.Put(ctx, hashProof(t, w, i)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if f.Len() > 0 {
			start := uint64(r.IntN(int(f.Len())))
			if err := f.Clear(ctx, start, start+1+uint64(r.IntN(10))); err != nil {
				t.Fatal(err)
			}
		}
		for i := f.NextLocal(0); i < f.Len(); i = f.NextLocal(i + 1) {
			if b, err := f.Local(i); err != nil || !bytes.Equal(b, sized(i)) {
				t.Fatalf("block %d of %d: %d bytes, %v", i, f.Len(), len(b), err)
			}
		}
	}
}

// TestKeepTheEnd: a sparse reader that downloads from a block on and clears what is before
// it keeps the end of a feed, as the comment at Clear says.
func TestKeepTheEnd(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		ctx := t.Context()
		src := history(t, "a", 0, 20)
		f := open(t, store.Memory(), feed.Options{Key: src.Key(), Sparse: true})
		x := fetch(t, src, f)
		d := f.Download(feed.Range{})
		synctest.Wait()
		if n := f.Downloaded(0, 0); n != 20 {
			t.Fatalf("%d of 20 blocks", n)
		}
		next := f.Download(feed.Range{Start: 15})
		defer next.Cancel()
		d.Cancel()
		if err := f.Clear(ctx, 0, 15); err != nil {
			t.Fatal(err)
		}
		if _, err := src.Append(ctx, block(20)); err != nil {
			t.Fatal(err)
		}
		if err := src.Sync(ctx); err != nil {
			t.Fatal(err)
		}
		x.DemandChanged() // a peer has more
		synctest.Wait()
		if !f.HasRange(15, 21) || f.Downloaded(0, 15) != 0 {
			t.Errorf("%d of the cleared blocks came back, %d of the last six are here", f.Downloaded(0, 15), f.Downloaded(15, 21))
		}
		if b, err := f.Get(ctx, 3); err != nil || len(b) == 0 { // one can be had
			t.Error(err)
		}
		if n := f.Downloaded(0, 15); n != 1 {
			t.Errorf("%d of the cleared blocks are here", n)
		}
		shut(t, f)
	})
}
