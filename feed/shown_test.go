package feed_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/store"
	"github.com/go-hypercore/hypercore/store/storetest"
)

// listener is a Replicator that notes what it may announce.
type listener struct {
	fetcher
	mu    sync.Mutex
	heard []feed.Range
}

func (l *listener) Available(start, end uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard = append(l.heard, feed.Range{Start: start, End: end})
}

// take returns what was announced since the last call.
func (l *listener) take() []feed.Range {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.heard
	l.heard = nil
	return h
}

// syncs counts the syncs of a file.
func syncs(disk *storetest.Faulty, file string) (n int) {
	for _, o := range disk.Ops() {
		if o.Kind == storetest.Sync && o.File == file {
			n++
		}
	}
	return n
}

// shows checks that a peer sees and gets just these blocks of the first n.
func shows(t *testing.T, f *feed.Feed, n uint64, want ...uint64) {
	t.Helper()
	bits := f.Bitmap(nil, 0, (n+7)&^7)
	for i := range n {
		var p feed.Proof
		err := f.Prove(feed.ProofRequest{Index: i}, nil, &p)
		listed, served := bits[i/8]<<(i%8)&0x80 != 0, err == nil
		if w := slices.Contains(want, i); listed != w || served != w {
			t.Errorf("block %d is announced: %v, served: %v (%v), want %v", i, listed, served, err, w)
		}
	}
}

// TestReaderAnnouncesDurable: what a reader has downloaded can be read at once. It
// is announced and served when it is durable, which is soon if somebody listens.
func TestReaderAnnouncesDurable(t *testing.T) {
	src := history(t, "a", 20, 20)
	bubble.Test(t, func(t *testing.T) {
		ctx := context.Background()
		disk := storetest.NewFaulty(store.Memory())
		f := open(t, disk, feed.Options{Key: src.Key()})
		var l listener
		if _, err := f.Attach(&l); err != nil {
			t.Fatal(err)
		}
		transfer(t, src, f, 3)
		transfer(t, src, f, 4)
		transfer(t, src, f, 9)
		if !f.Has(9) {
			t.Error("block 9 cannot be read")
		}
		shows(t, f, 20)
		if h := l.take(); h != nil {
			t.Errorf("announced before a commit: %v", h)
		}
		if err := f.Clear(ctx, 4, 5); err != nil { // commits
			t.Fatal(err)
		}
		synctest.Wait()
		shows(t, f, 20, 3, 9)
		if h := l.take(); !slices.Equal(h, []feed.Range{{Start: 3, End: 4}, {Start: 9, End: 10}}) {
			t.Errorf("announced: %v", h)
		}

		// While nobody listens there is time; then there is none to lose.
		start := time.Now()
		transfer(t, src, f, 4)
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		shows(t, f, 20, 3, 9)
		f.SetAudience(true)
		synctest.Wait()
		shows(t, f, 20, 3, 4, 9)
		transfer(t, src, f, 5)
		time.Sleep(20 * time.Millisecond)
		synctest.Wait()
		shows(t, f, 20, 3, 4, 5, 9)
		if d := time.Since(start); d > 50*time.Millisecond {
			t.Errorf("it took %v", d)
		}
		if h := l.take(); !slices.Equal(h, []feed.Range{{Start: 4, End: 5}, {Start: 5, End: 6}}) {
			t.Errorf("announced: %v", h)
		}

		// A burst shares commits.
		before := syncs(disk, "data")
		for i := uint64(10); i < 20; i++ {
			transfer(t, src, f, i)
			time.Sleep(time.Millisecond)
		}
		time.Sleep(20 * time.Millisecond)
		shows(t, f, 20, 3, 4, 5, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19)
		if n := syncs(disk, "data") - before; n > 4 {
			t.Errorf("%d commits for 10 blocks", n)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestReaderAnnouncesAfterFailure: a commit that failed announces nothing, the one
// that succeeds everything.
func TestReaderAnnouncesAfterFailure(t *testing.T) {
	ctx := context.Background()
	src := history(t, "a", 20, 20)
	disk := storetest.NewFaulty(store.Memory())
	f := open(t, disk, feed.Options{Key: src.Key()})
	defer f.Close()
	transfer(t, src, f, 1)
	if err := f.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	var l listener
	if _, err := f.Attach(&l); err != nil {
		t.Fatal(err)
	}
	transfer(t, src, f, 2)
	transfer(t, src, f, 3)
	disk.Fail(storetest.Fault{Kinds: []storetest.Kind{storetest.Write}, File: "bitfield"})
	if err := f.Sync(ctx); !errors.Is(err, storetest.ErrInjected) {
		t.Fatal(err)
	}
	shows(t, f, 20, 1)
	if h := l.take(); h != nil {
		t.Errorf("announced: %v", h)
	}
	disk.Heal()
	if err := f.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	shows(t, f, 20, 1, 2, 3)
	if h := l.take(); !slices.Equal(h, []feed.Range{{Start: 2, End: 4}}) {
		t.Errorf("announced: %v", h)
	}
}
