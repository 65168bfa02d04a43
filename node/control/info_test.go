package control_test

import (
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
