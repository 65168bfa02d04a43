package node_test

import (
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-hypercore/hypercore/node"
)

// A node that ends does not take back where it was: servers hold its records for a
// day, readers learn its addresses from them, and a restart announces nothing again.
func TestAddressesSurviveTheEnd(t *testing.T) {
	boot := start(t, node.Config{Server: true})
	for range 20 {
		n := start(t, node.Config{Bootstrap: []peer.AddrInfo{info(boot)}})
		at := boot.Host().Peerstore()
		awaitThat(t, "the addresses", func() bool { return len(at.Addrs(n.ID())) > 0 })
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		awaitThat(t, "the connection's end", func() bool { return len(boot.Host().Network().ConnsToPeer(n.ID())) == 0 })
		if len(at.Addrs(n.ID())) == 0 {
			t.Fatal("the server has forgotten the addresses")
		}
	}
}
