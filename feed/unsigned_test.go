package feed_test

import (
	"context"
	"errors"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/store"
)

// TestUnsignedStaysRefused: a directory from elsewhere whose newest signature is
// missing is not appended to, however often it is opened: nothing says that its
// tree is what was signed.
func TestUnsignedStaysRefused(t *testing.T) {
	ctx := context.Background()
	st := store.Memory()
	f := open(t, st, feed.Options{})
	appendN(t, f, 3)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	st.Remove("journal")
	sigs, err := st.ReadFile("signatures")
	if err != nil {
		t.Fatal(err)
	}
	if err := st.WriteFile("signatures", sigs[:len(sigs)-64]); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		f := open(t, st, feed.Options{})
		if f.Len() != 3 {
			t.Errorf("open %d: length %d", i, f.Len())
		}
		if _, err := f.Append(ctx, []byte("x")); !errors.Is(err, feed.ErrCorrupt) {
			t.Errorf("open %d: append: %v, want ErrCorrupt", i, err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	// With the signature it goes on.
	if err := st.WriteFile("signatures", sigs); err != nil {
		t.Fatal(err)
	}
	f = open(t, st, feed.Options{})
	appendN(t, f, 1)
	audit(t, f)
}
