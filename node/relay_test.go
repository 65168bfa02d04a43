package node_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node"
	"github.com/go-hypercore/hypercore/store"
)

// Two peers meet on a relay, and their stream moves to the direct connection
// when there is one.
func TestRelayThenDirect(t *testing.T) {
	t.Parallel()
	relay := start(t, node.Config{Network: "none", Server: true})
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableMetrics(), libp2p.EnableRelay())
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if err := h.Connect(t.Context(), info(relay)); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Reserve(t.Context(), h, info(relay)); err != nil {
		t.Fatal(err)
	}
	w := start(t, node.Config{Network: "none", Host: h})
	wf := writer(t, w, 10)

	circuit := info(relay).Addrs[0].Encapsulate(ma.StringCast("/p2p/" + relay.ID().String() + "/p2p-circuit"))
	r := start(t, node.Config{Network: "none", Peers: []peer.AddrInfo{{ID: h.ID(), Addrs: []ma.Multiaddr{circuit}}}})
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	events := r.Watch(ctx)
	rf := reader(t, r, wf.Key(), node.JoinOptions{})
	next := func(want node.EventType) node.Event {
		t.Helper()
		for e := range events {
			if e.Type == want {
				return e
			}
		}
		t.Fatalf("no event %s", want)
		return node.Event{}
	}
	if e := next(node.StreamOpened); e.Peer != h.ID() {
		t.Fatalf("stream with %s", e.Peer)
	}
	wantBlock(t, rf, 3)
	if c := r.Host().Network().Connectedness(h.ID()); c != network.Limited {
		t.Errorf("connectedness %v on the relay", c)
	}

	r.Host().Peerstore().AddAddrs(h.ID(), h.Addrs(), time.Hour)
	if err := r.Host().Connect(network.WithForceDirectDial(ctx, "test"), peer.AddrInfo{ID: h.ID()}); err != nil {
		t.Fatal(err)
	}
	next(node.MovedDirect)
	for i := range uint64(10) {
		wantBlock(t, rf, i)
	}
	if s := r.Status(); s.Streams != 1 {
		t.Errorf("%d streams", s.Streams)
	}

	// When that is over the relay is left, too: only for a new connection there would
	// another hole be punched.
	var relayed []network.Conn
	for _, c := range r.Host().Network().ConnsToPeer(h.ID()) {
		if c.Stat().Limited {
			relayed = append(relayed, c)
			continue
		}
		c.Close()
	}
	if len(relayed) != 1 {
		t.Fatalf("%d relayed connections", len(relayed))
	}
	began := time.Now()
	waitFor(t, "the relay to be left", relayed[0].IsClosed)
	if after := time.Since(began); after > node.PunchRetry/2 {
		t.Errorf("the relay was left after %v, when another punch was due anyway", after)
	}
}

// routing finds one peer, once.
type routing struct {
	found peer.AddrInfo
	done  atomic.Bool
}

func (*routing) Provide(context.Context, cid.Cid, bool) error { return nil }

func (r *routing) FindProvidersAsync(context.Context, cid.Cid, int) <-chan peer.AddrInfo {
	c := make(chan peer.AddrInfo, 1)
	if r.done.CompareAndSwap(false, true) {
		c <- r.found
	}
	close(c)
	return c
}

// A peer that is reached through a relay counts in its topic once it has proven that it
// has the feed.
func TestProvenOnRelay(t *testing.T) {
	t.Parallel()
	relay := start(t, node.Config{Network: "none", Server: true})
	circuit := info(relay).Addrs[0].Encapsulate(ma.StringCast("/p2p/" + relay.ID().String() + "/p2p-circuit"))
	var hosts [2]host.Host
	for i := range hosts {
		h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableMetrics(), libp2p.EnableRelay(),
			libp2p.AddrsFactory(func([]ma.Multiaddr) []ma.Multiaddr { return []ma.Multiaddr{circuit} }))
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		hosts[i] = h
	}
	if err := hosts[0].Connect(t.Context(), info(relay)); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Reserve(t.Context(), hosts[0], info(relay)); err != nil {
		t.Fatal(err)
	}
	wf := writer(t, start(t, node.Config{Network: "none", Host: hosts[0]}), 1)

	r := start(t, node.Config{Host: hosts[1], Routing: &routing{found: peer.AddrInfo{ID: hosts[0].ID(), Addrs: []ma.Multiaddr{circuit}}}})
	rf, err := r.Open(t.Context(), store.Memory(), feed.Options{Key: wf.Key()})
	if err != nil {
		t.Fatal(err)
	}
	j := share(t, r, rf, node.JoinOptions{Lookup: true})
	wantBlock(t, rf, 0)
	if c := hosts[1].Network().Connectedness(hosts[0].ID()); c != network.Limited {
		t.Fatalf("connectedness %v", c)
	}
	waitFor(t, "the peer to be proven", func() bool { return node.Proven(j) == 1 })
}
