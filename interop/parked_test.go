package interop

import (
	"errors"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
)

// TestParked: while a feed is parked here npm opens its directory, appends and
// clears; while npm has it, a use here says that it is locked; after that the feed
// goes on from what npm left.
func TestParked(t *testing.T) {
	d := js(t)
	for _, v := range versions {
		t.Run(v, func(t *testing.T) {
			dir := t.TempDir()
			f := openGo(t, dir, feed.Options{Lot: feed.NewLot(feed.LotOptions{Look: -1})})
			generateGo(t, f, cleared, 40, 7)
			if err := f.Sync(ctx(t)); err != nil {
				t.Fatal(err)
			}
			for !f.Park(ctx(t)) { // the commit is just ending
			}
			n := d.open(t, v, dir, npmOpts{})
			n.generate(t, cleared, 30, 4)
			n.call(t, "clear", obj{"start": 3, "end": 9}, nil)
			// 6.22 takes no lock: it is noticed all the same.
			if _, err := f.Get(ctx(t), 20); v != "6.22" && !errors.Is(err, feed.ErrLocked) {
				t.Errorf("while npm has the directory: %v", err)
			}
			has := n.has(t)
			n.close(t)

			if _, err := f.Local(69); err != nil || f.Len() != 70 {
				t.Fatalf("block 69 of %d: %v", f.Len(), err)
			}
			clearedHere(t, f, has, digestGo(t, f))
			generateGo(t, f, cleared, 10, 3)
			sum := digestGo(t, f)
			for !f.Park(ctx(t)) {
			}
			n = d.open(t, v, dir, npmOpts{})
			if n.Length != 80 {
				t.Errorf("npm finds %d blocks, want 80", n.Length)
			}
			n.audit(t)
			n.verify(t)
			sameDigest(t, "npm", n.digest(t), sum)
			n.close(t)
		})
	}
}
