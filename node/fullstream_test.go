package node_test

import (
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/simtest"
	"github.com/go-hypercore/hypercore/node"
	"github.com/go-hypercore/hypercore/protocol/wire"
	"github.com/go-hypercore/hypercore/store"
)

// A node shares more feeds with a fixed peer, which has none of them, than a stream has channels. The
// stream goes on, and when some are closed the others are offered on it.
func TestMoreFeedsThanChannels(t *testing.T) {
	if testing.Short() {
		t.Skip("opens thousands of feeds")
	}
	for _, wait := range []time.Duration{0, 5 * time.Second} { // the stream begins with all feeds, or without
		t.Run(wait.String(), func(t *testing.T) {
			simtest.Run(t, func(t *testing.T, nw *simtest.Network) { moreFeedsThanChannels(t, nw, wait) })
		})
	}
}

func moreFeedsThanChannels(t *testing.T, nw *simtest.Network, wait time.Duration) {
	hosts := []node.Config{{Host: nw.Host(simtest.Public(0), 100)}, {Host: nw.Host(simtest.Public(1), 100)}}
	hosts[0].Peers = []peer.AddrInfo{{ID: hosts[1].Host.ID(), Addrs: hosts[1].Host.Addrs()}}
	var nodes []*node.Node
	for _, cfg := range hosts {
		cfg.Network = "none"
		n, err := node.New(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		nw.Defer(func() { n.Close() })
		nodes = append(nodes, n)
	}
	src, dst := nodes[0], nodes[1]
	writer(t, src, 1) // for the stream to begin with
	time.Sleep(wait)
	const more = 20
	var all []*feed.Feed
	for range wire.MaxNativeChannels + more {
		f, err := src.Open(t.Context(), store.Memory(), feed.Options{})
		if err != nil {
			t.Fatal(err)
		}
		share(t, src, f, node.JoinOptions{})
		all = append(all, f)
	}
	time.Sleep(10 * time.Second)
	if n := streams(src); n != 1 {
		t.Errorf("%d streams with too many feeds", n)
	}
	for _, f := range all[:2*more] {
		if err := src.CloseFeed(f.Key()); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(time.Minute)
	if n := streams(src); n != 1 {
		t.Errorf("%d streams", n)
	}
	for _, f := range all[len(all)-more:] {
		g, err := dst.Open(t.Context(), store.Memory(), feed.Options{Key: f.Key()})
		if err != nil {
			t.Fatal(err)
		}
		share(t, dst, g, node.JoinOptions{})
		appendBlocks(t, f, 1)
		wantBlock(t, g, 0)
	}
}
