package control_test

import (
	"slices"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node/control"
	"github.com/go-hypercore/hypercore/store"
)

// TestInfoUnwritable: a feed of one's own stays one's own where it can only be read, and
// it is said why it takes nothing.
func TestInfoUnwritable(t *testing.T) {
	st := store.Memory()
	for _, o := range []feed.Options{{}, {ReadOnly: true}} {
		f, err := feed.Open(t.Context(), st, o)
		if err != nil {
			t.Fatal(err)
		}
		if !o.ReadOnly {
			if _, err := f.Append(t.Context(), []byte("one")); err != nil {
				t.Fatal(err)
			}
		}
		l := control.NewLocal(control.OpenFeed{Feed: f}, f.Close)
		i, err := l.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		code := ""
		if o.ReadOnly {
			code = "unwritable"
		}
		if cause := i.ReadOnly(); !i.Writable || i.ReadOnlyCode != code || (cause != nil) != o.ReadOnly {
			t.Errorf("with %+v: %+v, %v", o, i, cause)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestInfoRuns: of a copy that is not whole it is said which blocks are here, some of them
// where they are many.
func TestInfoRuns(t *testing.T) {
	src, err := feed.Open(t.Context(), store.Memory(), feed.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	const n = 2 * (control.MaxRuns + 2)
	for range n {
		if _, err := src.Append(t.Context(), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	dst, err := feed.Open(t.Context(), store.Memory(), feed.Options{Key: src.Key(), Sparse: true})
	if err != nil {
		t.Fatal(err)
	}
	defer dst.Close()
	l := control.NewLocal(control.OpenFeed{Feed: dst}, nil)
	for have, i := range []uint64{3, 4, 9} {
		copyBlock(t, src, dst, i)
		if info, err := l.Info(t.Context()); err != nil || info.Downloaded != uint64(have+1) {
			t.Fatal(info, err)
		}
	}
	info, _ := l.Info(t.Context())
	if want := []feed.Span{{Start: 3, End: 5}, {Start: 9, End: 10}}; !slices.Equal(info.Runs, want) {
		t.Errorf("runs %v, want %v", info.Runs, want)
	}
	for i := uint64(1); i < n; i += 2 {
		copyBlock(t, src, dst, i)
	}
	if info, _ = l.Info(t.Context()); len(info.Runs) != control.MaxRuns {
		t.Errorf("%d runs", len(info.Runs))
	}
	if info, _ := control.NewLocal(control.OpenFeed{Feed: src}, nil).Info(t.Context()); info.Runs != nil {
		t.Errorf("runs of a whole feed: %v", info.Runs)
	}
}

func copyBlock(t *testing.T, src, dst *feed.Feed, i uint64) {
	t.Helper()
	p, err := src.Proof(t.Context(), i)
	if err == nil {
		_, err = dst.Apply(t.Context(), []feed.Proof{p})
	}
	if err != nil {
		t.Fatal(err)
	}
}
