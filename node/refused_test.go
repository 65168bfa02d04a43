package node_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-hypercore/hypercore/internal/simtest"
	"github.com/go-hypercore/hypercore/node"
)

// A peer to which there is no feed to offer, and which ends each connection, is dialled
// less and less often; one whose connection lasted is dialled again soon.
func TestNoFeedAndRefused(t *testing.T) {
	simtest.Run(t, func(t *testing.T, nw *simtest.Network) {
		far, h := nw.Host(simtest.Public(0), 100), nw.Host(simtest.Public(1), 100)
		var refuses atomic.Bool
		var conns atomic.Int64
		refuses.Store(true)
		far.Network().Notify(&network.NotifyBundle{ConnectedF: func(_ network.Network, c network.Conn) {
			conns.Add(1)
			if refuses.Load() {
				go c.Close()
			}
		}})
		n, err := node.New(t.Context(), node.Config{
			Host: h, Network: "none", Peers: []peer.AddrInfo{{ID: far.ID(), Addrs: far.Addrs()}},
		})
		if err != nil {
			t.Fatal(err)
		}
		nw.Defer(func() { n.Close() })
		time.Sleep(time.Minute)
		if c := conns.Load(); c < 5 || c > 30 {
			t.Errorf("%d connections in a minute", c)
		}
		refuses.Store(false)
		time.Sleep(10 * time.Second)
		if len(h.Network().ConnsToPeer(far.ID())) == 0 {
			t.Fatal("not connected when it no longer refuses")
		}
		conns.Store(0)
		time.Sleep(time.Minute)
		for _, c := range h.Network().ConnsToPeer(far.ID()) {
			_ = c.Close()
		}
		time.Sleep(2 * time.Second)
		if c := conns.Load(); c != 1 {
			t.Errorf("%d connections after one that lasted was lost", c)
		}
	})
}
