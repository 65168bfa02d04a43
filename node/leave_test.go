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
	"github.com/go-hypercore/hypercore/store"
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

// Every call after Close fails with ErrClosed, also of what it would refuse anyway.
func TestCallsAfterClose(t *testing.T) {
	n := start(t, node.Config{Network: "none"})
	f := writer(t, n, 1)
	own, err := feed.Open(t.Context(), store.Memory(), feed.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	share(t, n, own, node.JoinOptions{})
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	unknown := feed.Key{1}
	for what, err := range map[string]error{
		"Open":                              second(n.Open(t.Context(), store.Memory(), feed.Options{})),
		"OpenToFetch":                       second(n.OpenToFetch(t.Context(), store.Memory(), feed.Options{})),
		"Share":                             second(n.Share(t.Context(), f, node.JoinOptions{})),
		"Share, not opened by the node":     second(n.Share(t.Context(), own, node.JoinOptions{})),
		"Join":                              second(n.Join(t.Context(), f.DiscoveryKey(), node.JoinOptions{})),
		"CloseFeed":                         n.CloseFeed(f.Key()),
		"CloseFeed again":                   n.CloseFeed(f.Key()),
		"CloseFeed, not opened by the node": n.CloseFeed(own.Key()),
		"CloseFeed of an unknown one":       n.CloseFeed(unknown),
		"SetRules":                          n.SetRules(nil),
		"SetRules about nobody":             n.SetRules([]node.Rule{{}}),
		"DialTCP":                           n.DialTCP(t.Context(), "127.0.0.1:1", f.Key(), node.TCPOptions{}),
		"DialTCP of an unknown feed":        n.DialTCP(t.Context(), "127.0.0.1:1", unknown, node.TCPOptions{}),
		"DialTCP off the machine":           n.DialTCP(t.Context(), "203.0.113.7:1", f.Key(), node.TCPOptions{}),
		"ListenTCP":                         second(n.ListenTCP("127.0.0.1:0", node.TCPOptions{})),
		"ListenTCP by name":                 second(n.ListenTCP("localhost:0", node.TCPOptions{})),
		"ListenTCP on all interfaces":       second(n.ListenTCP("0.0.0.0:0", node.TCPOptions{})),
	} {
		if !errors.Is(err, node.ErrClosed) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

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
