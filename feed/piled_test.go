package feed_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/store"
)

// TestPiledAppends: appends that come one by one have a signature each, as they have
// in hypercore 6, however long the disk takes. A burst shares one from the eighteenth
// on, as what hypercore 6 is given while it writes.
func TestPiledAppends(t *testing.T) {
	ctx := context.Background()
	const (
		burst, single = 100, 40
		pause         = syncTime / single
		blank         = burst - 17 - 1 // blocks of a burst that have none
	)
	type appends struct {
		n     int
		pause time.Duration // before each, by the bubble's clock
	}
	for _, c := range []struct {
		name  string
		steps []appends
		blank int
	}{
		{"one by one", []appends{{single, pause}}, 0},
		{"burst", []appends{{burst, 0}}, blank},
		{"burst, then one by one", []appends{{burst, 0}, {single, pause}}, blank},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				f := open(t, slowSync{store.Memory()}, feed.Options{})
				defer f.Close()
				appendN(t, f, 1)
				if err := f.Sync(ctx); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second) // of the bubble's clock: the next commit begins at once
				appendN(t, f, 1)
				synctest.Wait() // its commit waits for the disk
				for _, step := range c.steps {
					for range step.n {
						time.Sleep(step.pause)
						appendN(t, f, 1)
					}
				}
				if err := f.Sync(ctx); err != nil {
					t.Fatal(err)
				}
				audit(t, f) // each signature verifies
				blank := 0
				for i := range f.Len() {
					s, err := f.Signature(ctx, i)
					if err != nil {
						t.Fatal(err)
					}
					if s.Index != i {
						blank++
					}
				}
				if blank != c.blank {
					t.Errorf("%d of %d blocks have no signature, not %d", blank, f.Len(), c.blank)
				}
				// A reader takes what only the shared one proves.
				g := open(t, store.Memory(), feed.Options{Key: f.Key()})
				defer g.Close()
				for _, i := range []uint64{f.Len() / 2, f.Len() - 1, 0} {
					p, err := f.Proof(ctx, i)
					if err != nil {
						t.Fatal(err)
					}
					if _, err := g.Apply(ctx, []feed.Proof{p}); err != nil {
						t.Fatal(err)
					}
				}
				if g.Len() != f.Len() {
					t.Errorf("the reader has %d blocks of %d", g.Len(), f.Len())
				}
			})
		})
	}
}
