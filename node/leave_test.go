package node_test

import (
	"errors"
	"slices"
	"sync"
	"syscall"
	"testing"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node"
)

// Joins that are left while the node closes keep neither of the two.
func TestLeaveWhileClosing(t *testing.T) {
	for range 10 {
		n := start(t, node.Config{})
		joins := make([]*node.Join, 2000)
		for i := range joins {
			var err error
			if joins[i], err = n.Join(t.Context(), feed.DiscoveryKey{byte(i), byte(i >> 8)}, node.JoinOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		var wg sync.WaitGroup
		for k := range 4 {
			wg.Go(func() {
				for i := k; i < len(joins); i += 4 {
					joins[i].Leave()
				}
			})
		}
		wg.Go(func() {
			if err := n.Close(); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
	}
}

// A port that another node has is not shared with it: who connects would get either.
func TestPortInUse(t *testing.T) {
	first := start(t, node.Config{Listen: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")}})
	at := first.Host().Network().ListenAddresses()
	at = slices.DeleteFunc(at, func(a ma.Multiaddr) bool { _, err := a.ValueForProtocol(ma.P_TCP); return err != nil })
	second, err := node.New(t.Context(), node.Config{Listen: at, Network: "test"})
	if err == nil {
		second.Close()
	}
	if len(at) == 0 || !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("two nodes at %v: %v", at, err)
	}
}
