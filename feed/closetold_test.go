package feed_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

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

// clearsWhenTold is a Replicator that changes the feed while it is told of something.
type clearsWhenTold struct {
	demands
	once        sync.Once
	begun, goOn chan struct{}
	clear       func() error
	got         chan error
}

func (x *clearsWhenTold) FeedClosed(error) {}
func (x *clearsWhenTold) DemandChanged() {
	x.once.Do(func() {
		close(x.begun)
		<-x.goOn
		x.got <- x.clear()
	})
}

// TestChangeWhileClosing: Close does not hold what a change of the feed waits for while it
// waits for a Replicator that makes one.
func TestChangeWhileClosing(t *testing.T) {
	st := store.Memory()
	f, err := feed.Open(t.Context(), st, feed.Options{}) // not to be closed by who cleans up
	if err != nil {
		t.Fatal(err)
	}
	appendN(t, f, 3)
	x := &clearsWhenTold{begun: make(chan struct{}), goOn: make(chan struct{}), got: make(chan error, 1)}
	x.clear = func() error { return f.Clear(context.Background(), 0, 1) }
	if _, err := f.Attach(x); err != nil {
		t.Fatal(err)
	}
	go f.Download(feed.Range{Start: 100})
	<-x.begun
	closed := make(chan error, 1)
	go func() { closed <- f.Close() }()
	for { // it waits for the Replicator soon after it has given the lock back
		g, err := feed.Open(t.Context(), st, feed.Options{})
		if err == nil {
			shut(t, g)
			break
		}
		if !errors.Is(err, feed.ErrLocked) {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	close(x.goOn)
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Close does not return")
	}
	if err := <-x.got; !errors.Is(err, feed.ErrClosed) {
		t.Error("Clear:", err)
	}
}

// slowSyncs is a storage whose syncs take a time.
type slowSyncs struct {
	store.Storage
	take *atomic.Int64
}

type slowSyncFile struct {
	store.File
	take *atomic.Int64
}

func (s slowSyncs) Open(name string, create bool) (store.File, error) {
	f, err := s.Storage.Open(name, create)
	if err != nil {
		return nil, err
	}
	return slowSyncFile{f, s.take}, nil
}

func (f slowSyncFile) Sync() error {
	time.Sleep(time.Duration(f.take.Load()))
	return f.File.Sync()
}

// TestCloseWhileGathering: Close does not wait for appends that would share a commit.
func TestCloseWhileGathering(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var take atomic.Int64
		f := open(t, slowSyncs{store.Memory(), &take}, feed.Options{Durability: feed.AppendDurable})
		take.Store(int64(time.Second))
		for range 2 {
			var wg sync.WaitGroup
			for i := range uint64(8) {
				wg.Go(func() { f.Append(t.Context(), block(i)) })
			}
			wg.Wait()
		}
		take.Store(0)
		go f.Append(t.Context(), block(0)) // which waits for seven more
		synctest.Wait()
		start := time.Now()
		shut(t, f)
		if d := time.Since(start); d > 0 {
			t.Errorf("Close took %v", d)
		}
	})
}
