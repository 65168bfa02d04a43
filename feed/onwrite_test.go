package feed_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/feed/bitfield"
	"github.com/go-hypercore/hypercore/store"
)

// witness notes what OnWrite is shown and refuses some of it.
type witness struct {
	t      *testing.T
	f      *feed.Feed
	shown  []uint64
	refuse func(i uint64) bool
}

var errRefused = errors.New("refused by the test")

func (w *witness) onWrite(i uint64, b []byte) error {
	w.shown = append(w.shown, i)
	if !bytes.Equal(b, block(i)) {
		w.t.Errorf("block %d is shown as %q", i, b)
	}
	if w.f.Has(i) {
		w.t.Errorf("block %d is here before it is shown", i)
	}
	if i > 0 && w.f.Has(i-1) {
		if _, err := w.f.Local(i - 1); err != nil {
			w.t.Errorf("reading while block %d is shown: %v", i, err)
		}
	}
	if w.refuse != nil && w.refuse(i) {
		return errRefused
	}
	return nil
}

func openSeen(t *testing.T, o feed.Options) *witness {
	w := &witness{t: t}
	o.OnWrite = w.onWrite
	w.f = open(t, store.Memory(), o)
	return w
}

// TestOnWriteAppend: appended blocks are shown once, in order, and a refused one keeps its whole
// batch out.
func TestOnWriteAppend(t *testing.T) {
	ctx := context.Background()
	for _, d := range []feed.Durability{feed.AnnounceDurable, feed.AppendDurable, feed.NoSync} {
		t.Run(fmt.Sprint(d), func(t *testing.T) {
			w := openSeen(t, feed.Options{Durability: d})
			add := func(n uint64) error {
				var batch [][]byte
				for i := range n {
					batch = append(batch, block(w.f.Len()+i))
				}
				_, err := w.f.Append(ctx, batch...)
				return err
			}
			if err := errors.Join(add(1), add(3)); err != nil {
				t.Fatal(err)
			}
			w.refuse = func(i uint64) bool { return i == 5 }
			if err := add(3); !errors.Is(err, errRefused) || w.f.Len() != 4 {
				t.Fatalf("%v, length %d", err, w.f.Len())
			}
			w.refuse = nil
			if err := add(3); err != nil {
				t.Fatal(err)
			}
			if want := []uint64{0, 1, 2, 3, 4, 5, 4, 5, 6}; !slices.Equal(w.shown, want) {
				t.Errorf("shown %v, expected %v", w.shown, want)
			}
			if r, err := w.f.Audit(ctx, feed.AuditOptions{}); err != nil || len(r.Problems) > 0 {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

// TestOnWriteApply: of what a peer sends the blocks that are missing are shown, and from the first
// one that is refused on nothing is stored.
func TestOnWriteApply(t *testing.T) {
	ctx := context.Background()
	src := open2(t, 77, 20)
	w := openSeen(t, feed.Options{Key: src.Key(), Sparse: true})
	remote := new(bitfield.Bits)
	run := func(start, n uint64) feed.Proof {
		first, last := w.f.DigestRun(start, n)
		return proveRun(t, src, start, n, first, last, remote)
	}
	transfer(t, src, w.f, 3)
	if n, err := w.f.Apply(ctx, []feed.Proof{run(0, 6)}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if want := []uint64{3, 0, 1, 2, 4, 5}; !slices.Equal(w.shown, want) {
		t.Fatalf("shown %v, expected %v", w.shown, want)
	}

	w.shown, w.refuse = nil, func(i uint64) bool { return i == 12 }
	batch := []feed.Proof{run(6, 4), run(10, 4), run(14, 6)}
	if n, err := w.f.Apply(ctx, batch); n != 1 || !errors.Is(err, errRefused) || errors.Is(err, feed.ErrInvalidProof) {
		t.Fatalf("%d, %v", n, err)
	}
	if want := []uint64{6, 7, 8, 9, 10, 11, 12}; !slices.Equal(w.shown, want) {
		t.Errorf("shown %v, expected %v", w.shown, want)
	}
	for i := range uint64(20) {
		if w.f.Has(i) != (i < 12) {
			t.Errorf("block %d is here: %v", i, w.f.Has(i))
		}
	}

	w.refuse = nil
	if n, err := w.f.Apply(ctx, batch[1:]); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	for i := range uint64(20) {
		if b, err := w.f.Local(i); err != nil || !bytes.Equal(b, block(i)) {
			t.Errorf("block %d: %q, %v", i, b, err)
		}
	}
	if r, err := w.f.Audit(ctx, feed.AuditOptions{}); err != nil || len(r.Problems) > 0 {
		t.Errorf("%+v, %v", r, err)
	}
}
