package protocol_test

import (
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/store"
)

// slowDisk is a storage whose syncs wait while it is locked.
type slowDisk struct {
	store.Storage
	free chan struct{} // closed: syncs go on
}

func (d *slowDisk) Open(name string, create bool) (store.File, error) {
	f, err := d.Storage.Open(name, create)
	if err != nil {
		return nil, err
	}
	return slowFile{f, d, name}, nil
}

type slowFile struct {
	store.File
	d    *slowDisk
	name string
}

func (f slowFile) Sync() error {
	if f.name == "data" {
		<-f.d.free
	}
	return f.File.Sync()
}

// TestSecondHand: a reader passes on what it has downloaded when it is on its
// disk, not before, and then at once.
func TestSecondHand(t *testing.T) {
	for _, d := range dialects {
		t.Run(d.name, func(t *testing.T) {
			const n = 300
			a, b, c := newSide(t, "a"), newSide(t, "b"), newSide(t, "c")
			f := a.create(n)
			disk := &slowDisk{store.Memory(), make(chan struct{})}
			g, err := feed.Open(ctx, disk, feed.Options{Key: f.Key()})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { g.Close() })
			b.add(g)
			h := c.clone(f.Key(), false)
			o := linkOptions{dialect: d.d, plain: d.plain, feedsB: []feed.Key{f.Key()}}
			connect(b, c, o)
			connect(a, b, o)
			download(t, g, 0, n)
			if got := h.Downloaded(0, 0); got > 0 {
				t.Errorf("%d blocks were passed on before they were durable", got)
			}
			close(disk.free)
			download(t, h, 0, n)
			same(t, h, 0, n)
		})
	}
}

// TestEndStored: a stream that is not live ends when what came is stored, and does
// not wait for company then.
func TestEndStored(t *testing.T) {
	for _, d := range dialects {
		t.Run(d.name, func(t *testing.T) {
			a, b := newSide(t, "a"), newSide(t, "b")
			f := a.create(300)
			g := b.clone(f.Key(), false)
			l := connect(a, b, linkOptions{dialect: d.d, plain: d.plain, feedsB: []feed.Key{f.Key()}, ends: true})
			for _, e := range []chan error{l.errA, l.errB} {
				if err := wait(t, "the end", e); err != nil {
					t.Error(err)
				}
			}
			if i := g.NextUnshown(0); i != 300 {
				t.Errorf("block %d is not durable", i)
			}
		})
	}
}
