package node_test

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-hypercore/hypercore/node"
)

// One host has room for one node: another is refused, and leaves the first as it was.
func TestHostInUse(t *testing.T) {
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableMetrics())
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	cfg := node.Config{Host: h, Network: "test"}
	for range 2 { // the second time on the host that the first node has left
		var nodes [4]*node.Node
		var errs [4]error
		var wg sync.WaitGroup
		for i := range nodes {
			wg.Go(func() { nodes[i], errs[i] = node.New(t.Context(), cfg) })
		}
		wg.Wait()
		i := slices.Index(errs[:], nil)
		if i < 0 {
			t.Fatal(errs)
		}
		n := nodes[i]
		defer n.Close()
		for k, err := range errs {
			if k != i && !errors.Is(err, node.ErrHostInUse) {
				t.Errorf("another node on the host: %v", err)
			}
		}
		before := h.Mux().Protocols()
		if other, err := node.New(t.Context(), cfg); !errors.Is(err, node.ErrHostInUse) {
			t.Errorf("a second node on the host: %v", err)
			other.Close()
		}
		if after := h.Mux().Protocols(); !slices.Equal(before, after) {
			t.Errorf("the host handled %v, and now %v", before, after)
		}
		r := start(t, node.Config{Peers: []peer.AddrInfo{{ID: h.ID(), Addrs: h.Addrs()}}})
		wantBlock(t, reader(t, r, writer(t, n, 1).Key(), node.JoinOptions{}), 0)
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
