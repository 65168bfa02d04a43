package protocol_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/store"
)

// stuckDisk is a storage on which one sync of the journal waits.
type stuckDisk struct {
	store.Storage
	begun, letGo chan struct{}
	armed        atomic.Bool
}

type stuckFile struct {
	store.File
	d *stuckDisk
}

func (d *stuckDisk) Open(name string, create bool) (store.File, error) {
	f, err := d.Storage.Open(name, create)
	if err == nil && name == "journal" {
		f = stuckFile{f, d}
	}
	return f, err
}

func (f stuckFile) Sync() error {
	if f.d.armed.CompareAndSwap(true, false) {
		close(f.d.begun)
		<-f.d.letGo
	}
	return f.File.Sync()
}

// TestStuckDisk: a live block that waits for our disk is not the remote's silence,
// although the reading goroutine waits with it.
func TestStuckDisk(t *testing.T) {
	t.Parallel()
	const timeout = 200 * time.Millisecond
	a, b := newSide(t, "a"), newSide(t, "b")
	f := a.create(3)
	disk := &stuckDisk{Storage: store.Memory(), begun: make(chan struct{}), letGo: make(chan struct{})}
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
	disk.armed.Store(true)
	cleared := make(chan error, 1)
	go func() { cleared <- g.Clear(context.Background(), 0, 1) }()
	<-disk.begun // from here on nothing can be stored
	appendBlocks(t, f, 1)
	time.Sleep(6 * timeout)
	close(disk.letGo)
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
