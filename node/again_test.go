package node_test

import (
	"context"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node"
	"github.com/go-hypercore/hypercore/store"
)

// TestFeedAgain: a feed that was closed and is opened anew, empty, is read over the
// connection that stands, as often as one likes.
func TestFeedAgain(t *testing.T) {
	w := start(t, node.Config{})
	r := start(t, node.Config{Peers: []peer.AddrInfo{info(w)}})
	a := writer(t, w, 10)
	for i := range 20 {
		f, err := r.Open(t.Context(), store.Memory(), feed.Options{Key: a.Key(), Sparse: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Share(t.Context(), f, node.JoinOptions{}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		if _, err := f.Get(ctx, uint64(i%10)); err != nil {
			t.Fatalf("time %d: %v", i, err)
		}
		cancel()
		if err := r.CloseFeed(f.Key()); err != nil {
			t.Fatal(err)
		}
	}
}
