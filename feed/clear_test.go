package feed_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/store"
	"github.com/go-hypercore/hypercore/store/storetest"
)

// punched returns how many bytes were given back.
func punched(disk *storetest.Faulty) (n int64) {
	for _, o := range disk.Ops() {
		if o.Kind == storetest.Punch {
			n += o.Size
		}
	}
	return n
}

// TestClearGivesBackAllThatItCleared: also if the context ends while the disk is slow.
func TestClearGivesBackAllThatItCleared(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		disk := storetest.NewFaulty(store.Memory())
		held := storetest.NewHeld(disk, "bitfield", storetest.Sync)
		f := open(t, held, feed.Options{})
		appendN(t, f, 9)
		if err := f.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cleared := make(chan error, 1)
		held.Hold()
		go func() { cleared <- f.Clear(ctx, 0, 9) }()
		<-held.Begun()
		cancel()
		synctest.Wait()
		if n := punched(disk); n != 0 {
			t.Errorf("%d bytes were given back before their bits were durable", n)
		}
		held.LetGo()
		if err := <-cleared; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if n := punched(disk); f.Downloaded(0, 0) != 0 || n != int64(f.ByteLen()) {
			t.Errorf("%d blocks are here, %d bytes of %d were given back", f.Downloaded(0, 0), n, f.ByteLen())
		}
		shut(t, f)
	})
}

// TestCloseWhileClearing: Close waits for a Clear that waits for a commit that comes
// after the one that is under way.
func TestCloseWhileClearing(t *testing.T) {
	disk := storetest.NewFaulty(store.Memory())
	held := storetest.NewHeld(disk, "journal", storetest.Sync)
	f := open(t, held, feed.Options{})
	appendN(t, f, 9)
	if err := f.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	held.Hold()
	if _, err := f.Append(t.Context(), block(9)); err != nil {
		t.Fatal(err)
	}
	<-held.Begun()
	events := f.Watch(t.Context())
	cleared, closed := make(chan error, 1), make(chan error, 1)
	go func() { cleared <- f.Clear(context.Background(), 0, 9) }()
	for e := range events {
		if _, ok := e.(feed.Cleared); ok {
			break
		}
	}
	go func() { closed <- f.Close() }()
	if err := f.Update(t.Context(), 99); !errors.Is(err, feed.ErrClosed) { // it has begun
		t.Fatal(err)
	}
	held.LetGo()
	if err := <-cleared; err != nil {
		t.Error("Clear:", err)
	}
	if err := <-closed; err != nil {
		t.Error("Close:", err)
	}
	if punched(disk) == 0 {
		t.Error("nothing was given back")
	}
}
