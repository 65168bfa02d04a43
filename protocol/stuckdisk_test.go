package protocol_test

import (
	"context"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/store"
	"github.com/go-hypercore/hypercore/store/storetest"
)

// TestStuckDisk: a live block that waits for our disk is not the remote's silence,
// although the reading goroutine waits with it.
func TestStuckDisk(t *testing.T) {
	t.Parallel()
	const timeout = 2 * time.Second // of real time: a slow machine must keep to it as well
	a, b := newSide(t, "a"), newSide(t, "b")
	f := a.create(3)
	disk := storetest.NewHeld(store.Memory(), "journal", storetest.Sync)
	g, err := feed.Open(context.Background(), disk, feed.Options{Key: f.Key()})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	b.add(g)
	l := connect(a, b, linkOptions{feedsB: []feed.Key{f.Key()}, mutA: func(o *protocol.StreamOptions) { o.Timeout = timeout }, mutB: func(o *protocol.StreamOptions) { o.Timeout = timeout }})
	defer l.close()
	download(t, g, 0, 3)
	if err := g.Sync(context.Background()); err != nil {
		t.Fatal(err)
	}
	disk.Hold()
	cleared := make(chan error, 1)
	go func() { cleared <- g.Clear(context.Background(), 0, 1) }()
	<-disk.Begun() // from here on nothing can be stored
	appendBlocks(t, f, 1)
	time.Sleep(2 * timeout)
	disk.LetGo()
	if err := <-cleared; err != nil {
		t.Error(err)
	}
	download(t, g, 3, 4)
	select {
	case err := <-l.errB:
		t.Error("the stream ended:", err)
	default:
	}
}
