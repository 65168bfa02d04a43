package node_test

import (
	"context"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/go-hypercore/hypercore/node"
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
}
