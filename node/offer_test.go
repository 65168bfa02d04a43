package node_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node"
	"github.com/go-hypercore/hypercore/store"
)

// TestOffer: two nodes that met in the topic of one feed replicate another one, which is in no
// topic, when one of them offers it.
func TestOffer(t *testing.T) {
	boot := start(t, node.Config{Network: "offer", Server: true})
	cfg := node.Config{Network: "offer", Bootstrap: []peer.AddrInfo{info(boot)}}
	a, b := start(t, cfg), start(t, cfg)
	first := writer(t, a, 3)
	second, err := a.Open(t.Context(), store.Memory(), feed.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if _, err := second.Append(t.Context(), fmt.Appendf(nil, "block %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	share(t, a, first, node.JoinOptions{Announce: true})
	if err := a.Offer(b.ID(), second.Key()); !errors.Is(err, node.ErrNoStream) {
		t.Errorf("offered to who is not here: %v", err)
	}
	joined := first.Watch(t.Context())

	g := reader(t, b, first.Key(), node.JoinOptions{Lookup: true})
	wantBlock(t, g, 2)
	h, err := b.Open(t.Context(), store.Memory(), feed.Options{Key: second.Key()})
	if err != nil {
		t.Fatal(err)
	}
	var id peer.ID
	for e := range joined {
		if e, ok := e.(feed.PeerEvent); ok && e.Joined {
			if id, err = peer.Decode(e.Peer); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	if id != b.ID() {
		t.Fatalf("the peer event names %v, the reader is %v", id, b.ID())
	}
	if err := a.Offer(id, feed.Key{1}); !errors.Is(err, node.ErrNotOpen) {
		t.Errorf("offered what is not open: %v", err)
	}
	for range 2 {
		if err := a.Offer(id, second.Key()); err != nil {
			t.Fatal(err)
		}
	}
	wantBlock(t, h, 4)
}
