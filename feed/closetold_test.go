package feed_test

import (
	"testing"
	"testing/synctest"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/store"
)

// slowTold is a Replicator that is slow to take a change of the demand in.
type slowTold struct {
	demands
	goOn   chan struct{}
	closed int
}

func (x *slowTold) DemandChanged()   { <-x.goOn }
func (x *slowTold) FeedClosed(error) { x.closed++ }

// TestClosedWhileTold: a Replicator that is being told of something when its feed is closed is told
// of that too, before Close returns.
func TestClosedWhileTold(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		src := history(t, "a", 3, 1)
		f := open(t, store.Memory(), feed.Options{Key: src.Key(), Sparse: true})
		x := &slowTold{goOn: make(chan struct{})}
		if _, err := f.Attach(x); err != nil {
			t.Fatal(err)
		}
		go f.Download(feed.Range{End: 3})
		synctest.Wait()
		closed := make(chan int, 1)
		go func() {
			f.Close()
			closed <- x.closed
		}()
		synctest.Wait()
		close(x.goOn)
		if n := <-closed; n != 1 {
			t.Errorf("FeedClosed was called %d times when Close had returned", n)
		}
		synctest.Wait()
		if x.closed != 1 {
			t.Errorf("FeedClosed was called %d times", x.closed)
		}
	})
}
