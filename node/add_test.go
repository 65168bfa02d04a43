package node_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/store"
)

// TestAdd: a feed that was added with NoUpload is in the node and shared, and nobody gets a block of it.
func TestAdd(t *testing.T) {
	for _, quiet := range []bool{false, true} {
		a := start(t, node.Config{Network: "none"})
		b := start(t, node.Config{Network: "none", Peers: []peer.AddrInfo{info(a)}})
		f, err := feed.Open(t.Context(), store.Memory(), feed.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.Append(t.Context(), []byte("one")); err != nil {
			t.Fatal(err)
		}
		if err := a.Add(f, protocol.FeedOptions{NoUpload: quiet}); err != nil {
			t.Fatal(err)
		}
		if err := a.Add(f, protocol.FeedOptions{}); !errors.Is(err, protocol.ErrAdded) {
			t.Errorf("added twice: %v", err)
		}
		share(t, a, f, node.JoinOptions{})
		g := reader(t, b, f.Key(), node.JoinOptions{})
		waitFor(t, "a stream", func() bool { return a.Status().Streams > 0 })
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if quiet {
			ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
		}
		_, err = g.Get(ctx, 0)
		cancel()
		if quiet != errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("quiet %v: Get: %v", quiet, err)
		}
		if err := a.CloseFeed(f.Key()); err != nil {
			t.Error(err)
		}
		if _, err := f.Local(0); err != nil {
			t.Errorf("the node closed a feed that it did not open: %v", err)
		}
	}
}
