package node_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node"
)

// Join.Peers yields a peer again that was away for less time than its caller was busy.
func TestPeersThatComeBack(t *testing.T) {
	n := start(t, node.Config{Network: "none"})
	j, err := n.Join(t.Context(), feed.DiscoveryKey{1}, node.JoinOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	const stays, comes = peer.ID("stays"), peer.ID("comes back")
	node.Met(j, stays)
	node.Met(j, comes)
	met := map[peer.ID]int{}
	for id := range j.Peers(ctx) {
		if met[id]++; id == comes && met[id] < 3 {
			node.Lost(j, id)
			node.Met(j, id)
		}
		if met[comes] == 3 && met[stays] > 0 {
			break
		}
	}
	if met[comes] != 3 || met[stays] != 1 {
		t.Errorf("%d and %d times, want 3 and 1", met[comes], met[stays])
	}
}

// However often a peer has moved, it is tried at once at a new address, and not because
// of one that it has kept.
func TestManyAddresses(t *testing.T) {
	n := start(t, node.Config{Network: "none"})
	kept := ma.StringCast("/ip4/192.0.2.1/tcp/4001")
	var finds [][]ma.Multiaddr
	for i := range 2 * node.MaxAddrs {
		addrs := []ma.Multiaddr{kept, ma.StringCast(fmt.Sprintf("/ip4/198.51.100.%d/tcp/4001", i))}
		finds = append(finds, addrs, addrs)
	}
	for i, at := range node.Tried(n, finds...) {
		if fresh := i%2 == 0; at != fresh {
			t.Fatalf("find %d, at a new address: %v, tried at once: %v", i, fresh, at)
		}
	}
}
