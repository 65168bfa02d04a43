package node_test

import (
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/simtest"
	"github.com/go-hypercore/hypercore/node"
	"github.com/go-hypercore/hypercore/store"
)

// TestIdlePeersMakeRoom: a reader is connected to as many readers as it wants, who wait for the same
// blocks as it does. The writer, who comes later, is reached all the same.
func TestIdlePeersMakeRoom(t *testing.T) {
	const readers = node.MaxLinks + 2
	simtest.Run(t, func(t *testing.T, nw *simtest.Network) {
		run := func(cfg node.Config, at int) *node.Node { return simulated(t, nw, cfg, at) }
		open := func(n *node.Node, key feed.Key, o node.JoinOptions) (*feed.Feed, *node.Join) {
			f, err := n.Open(t.Context(), store.Memory(), feed.Options{Key: key})
			if err != nil {
				t.Fatal(err)
			}
			return f, share(t, n, f, o)
		}
		w := run(node.Config{}, readers)
		f := writer(t, w, 1)
		topic := discoveryTopic(f).CID()
		routing := &records{t: t, gone: readers, of: map[cid.Cid][]peer.AddrInfo{}}
		for i := range readers {
			n := run(node.Config{}, i)
			open(n, f.Key(), node.JoinOptions{})
			routing.of[topic] = append(routing.of[topic], info(n))
		}
		r := run(node.Config{Routing: routing}, readers+1)
		g, j := open(r, f.Key(), node.JoinOptions{Lookup: true})
		waitFor(t, "all the room to be taken", func() bool { return node.Proven(j) >= node.MaxLinks })
		routing.mu.Lock()
		routing.there = info(w)
		routing.mu.Unlock()
		began := time.Now()
		if _, err := g.Head(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 2*time.Minute {
			t.Errorf("the writer was reached after %v", took)
		}
		if n := node.Proven(j); n > node.MaxLinks {
			t.Errorf("%d peers", n)
		}
	})
}
