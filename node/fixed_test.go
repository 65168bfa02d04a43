package node_test

import (
	"errors"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-hypercore/hypercore/node"
)

// TestAddPeer: a program that finds peers on its own gives them to a node that runs. The side that
// is dialled knows who has come.
func TestAddPeer(t *testing.T) {
	a, b := start(t, node.Config{}), start(t, node.Config{})
	f := writer(t, a, 3)
	ja := share(t, a, f, node.JoinOptions{Announce: true})
	g := reader(t, b, f.Key(), node.JoinOptions{})
	if err := b.AddPeer(info(a)); err != nil {
		t.Fatal(err)
	}
	wantBlock(t, g, 2)
	var s node.JoinStatus
	waitFor(t, "the reader to be seen", func() bool { s = ja.Status(); return s.Connected == 1 })
	if len(s.Peers) != 1 || s.Peers[0].ID != b.ID() || s.Peers[0].How != "incoming" || !s.Peers[0].Feed.Open || len(s.Reasons) != 0 {
		t.Errorf("at the side that was dialled: %+v", s)
	}

	// One that is connected already is offered what it was not.
	h := writer(t, b, 1)
	other := reader(t, a, h.Key(), node.JoinOptions{})
	if err := a.AddPeer(peer.AddrInfo{ID: b.ID(), Addrs: b.Host().Addrs()}); err != nil {
		t.Fatal(err)
	}
	wantBlock(t, other, 0)
	b.RemovePeer(a.ID())
	if len(b.Engine().Streams()) != 1 {
		t.Error("the stream was ended")
	}

	if err := a.AddPeer(info(a)); err == nil {
		t.Error("a node is its own peer")
	}
	if err := a.AddPeer(peer.AddrInfo{ID: b.ID()}); err == nil {
		t.Error("a peer without an address that may be used")
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.AddPeer(info(a)); !errors.Is(err, node.ErrClosed) {
		t.Error("after Close:", err)
	}
}
