package node_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/test"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/simtest"
	"github.com/go-hypercore/hypercore/node"
	"github.com/go-hypercore/hypercore/store"
)

// silentAt is a host that does not answer.
var silentAt = simtest.Public(200)

// silent is a peer there.
func silent(t *testing.T) peer.AddrInfo {
	t.Helper()
	id, err := test.RandPeerID()
	if err != nil {
		t.Fatal(err)
	}
	return peer.AddrInfo{ID: id, Addrs: []ma.Multiaddr{ma.StringCast(fmt.Sprintf("/ip4/%s/udp/8000/quic-v1", silentAt))}}
}

// Many hosts that do not answer, found in the local network and under a topic, do not
// keep a node from those found otherwise, and from others of the topic not for long.
func TestSilentHosts(t *testing.T) {
	lan := func(t *testing.T, n *node.Node, _, _ feed.DiscoveryKey) {
		for range 2 * node.MaxLAN {
			node.FoundLAN(n, silent(t))
		}
	}
	topic := func(dk func(own, other feed.DiscoveryKey) feed.DiscoveryKey) func(*testing.T, *node.Node, feed.DiscoveryKey, feed.DiscoveryKey) {
		return func(t *testing.T, n *node.Node, own, other feed.DiscoveryKey) {
			for range 60 { // libp2p gives up UDP after 100
				node.Found(n, dk(own, other), silent(t))
			}
		}
	}
	other := topic(func(_, other feed.DiscoveryKey) feed.DiscoveryKey { return other })
	own := topic(func(own, _ feed.DiscoveryKey) feed.DiscoveryKey { return own })
	found := func(n *node.Node, dk feed.DiscoveryKey, info peer.AddrInfo) { node.Found(n, dk, info) }
	local := func(n *node.Node, _ feed.DiscoveryKey, info peer.AddrInfo) { node.FoundLAN(n, info) }
	fixed := func(n *node.Node, dk feed.DiscoveryKey, info peer.AddrInfo) {
		node.Found(n, dk, info)
		if err := n.AddPeer(info); err != nil {
			t.Error(err)
		}
	}
	type finds = []func(t *testing.T, n *node.Node, own, other feed.DiscoveryKey)
	for _, tt := range []struct {
		name   string
		silent finds
		good   func(*node.Node, feed.DiscoveryKey, peer.AddrInfo)
		within time.Duration
	}{
		{"LAN, other topic", finds{lan}, found, time.Second},
		{"topic, other topic", finds{other}, found, time.Second},
		{"topic, LAN", finds{own}, local, time.Second},
		{"all, fixed", finds{lan, other, own}, fixed, time.Second},
		{"same topic", finds{own}, found, 13 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			simtest.Run(t, func(t *testing.T, nw *simtest.Network) {
				nw.Vanish(nw.Host(silentAt, 100))
				w, err := node.New(t.Context(), node.Config{Host: nw.Host(simtest.Public(0), 100), Network: "none"})
				if err != nil {
					t.Fatal(err)
				}
				nw.Defer(func() { w.Close() })
				n, err := node.New(t.Context(), node.Config{Host: nw.Host(simtest.Public(1), 100), Network: "none"})
				if err != nil {
					t.Fatal(err)
				}
				nw.Defer(func() { n.Close() })
				f := writer(t, w, 1)
				g := reader(t, n, f.Key(), node.JoinOptions{})
				more, err := n.Open(t.Context(), store.Memory(), feed.Options{})
				if err != nil {
					t.Fatal(err)
				}
				share(t, n, more, node.JoinOptions{})
				for _, s := range tt.silent {
					s(t, n, f.DiscoveryKey(), more.DiscoveryKey())
				}
				time.Sleep(500 * time.Millisecond) // the first are being dialled
				began := time.Now()
				tt.good(n, f.DiscoveryKey(), info(w))
				for g.Len() == 0 && time.Since(began) < 5*time.Minute {
					time.Sleep(50 * time.Millisecond)
				}
				if took := time.Since(began); took > tt.within {
					t.Errorf("reached after %v, want %v", took, tt.within)
				}
			})
		})
	}
}

// What the DHT puts into the peerstore of a peer is not dialled, but a few addresses of it.
func TestManyAddressesInThePeerstore(t *testing.T) {
	simtest.Run(t, func(t *testing.T, nw *simtest.Network) {
		nw.Vanish(nw.Host(silentAt, 100))
		h := nw.Host(simtest.Public(1), 100)
		n, err := node.New(t.Context(), node.Config{Host: h, Network: "none"})
		if err != nil {
			t.Fatal(err)
		}
		nw.Defer(func() { n.Close() })
		f := writer(t, n, 1)
		s := silent(t)
		for p := range 64 {
			h.Peerstore().AddAddr(s.ID, ma.StringCast(fmt.Sprintf("/ip4/%s/udp/%d/quic-v1", silentAt, 1000+p)), time.Hour)
		}
		node.Found(n, f.DiscoveryKey(), s)
		time.Sleep(time.Second)
		if a := h.Peerstore().Addrs(s.ID); len(a) == 0 || len(a) > 8 {
			t.Errorf("%d addresses are dialled", len(a))
		}
	})
}
