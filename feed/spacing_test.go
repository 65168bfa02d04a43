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

// slowSync is a storage in a bubble of testing/synctest on which each sync takes a
// while by its clock.
type slowSync struct{ store.Storage }

const syncTime = 10 * time.Millisecond

func (s slowSync) Open(name string, create bool) (store.File, error) {
	f, err := s.Storage.Open(name, create)
	if err == nil {
		f = slowFile{f}
	}
	return f, err
}

type slowFile struct{ store.File }

func (f slowFile) Sync() error {
	time.Sleep(syncTime)
	return f.File.Sync()
}

// TestAppendsLeaveTheDiskTime: what is appended during a commit leaves the disk alone
// for three times as long as that took, unless somebody waits for it.
func TestAppendsLeaveTheDiskTime(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		name string
		wait func(*feed.Feed)
		idle bool
	}{
		{"nobody waits", func(*feed.Feed) {}, true},
		{"peers wait", func(f *feed.Feed) { f.SetAudience(true) }, false},
		{"Sync waits", func(f *feed.Feed) { go f.Sync(ctx) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				f := open(t, slowSync{store.Memory()}, feed.Options{})
				defer f.Close()
				watch, stop := context.WithCancel(ctx)
				defer stop()
				events := f.Watch(watch)
				durable := func(length uint64) time.Time {
					for e := range events {
						if s, ok := e.(feed.Synced); ok && s.Length >= length {
							break
						}
					}
					return time.Now()
				}
				appendN(t, f, 1)
				durable(1)
				time.Sleep(time.Second) // of the bubble's clock: longer than that commit took
				start := time.Now()
				appendN(t, f, 1)
				synctest.Wait() // the first commit waits for the disk
				appendN(t, f, 1)
				first := durable(2)
				c.wait(f)
				second := durable(3)
				took := first.Sub(start)
				if took > 2*syncTime {
					t.Errorf("the first commit took %v: it did not begin at once", took)
				}
				if idle := second.Sub(first) - took; c.idle && idle < 2*took || !c.idle && idle > took/2 {
					t.Errorf("commits of %v, %v between them", took, idle)
				}
			})
		})
	}
}
