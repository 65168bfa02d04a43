package node_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/leaktest"
	"github.com/go-hypercore/hypercore/node"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/protocol/wire"
	"github.com/go-hypercore/hypercore/store"
)

// stranger is a libp2p host that is no node.
func stranger(t testing.TB, to *node.Node) (id peer.ID, open func() (network.Stream, error)) {
	t.Helper()
	leaktest.Check(t)
	h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.DisableMetrics(), libp2p.ResourceManager(&network.NullResourceManager{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h.ID(), func() (network.Stream, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := h.Connect(ctx, info(to)); err != nil {
			return nil, err
		}
		return h.NewStream(ctx, to.ID(), protocol.NativeID)
	}
}

// kept is what the resource manager has reserved for replication streams.
func kept(t testing.TB, n *node.Node) (memory int64) {
	t.Helper()
	err := n.Host().Network().ResourceManager().ViewService(node.Service, func(s network.ServiceScope) error {
		memory = s.Stat().Memory
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return memory
}

// Remotes that together want six times what the node may keep stay within it, and a download beside
// them goes on.
func TestMemoryIsShared(t *testing.T) {
	t.Parallel()
	const budget = 16 << 20
	w := start(t, node.Config{Network: "none"})
	wf := writer(t, w, 3000)
	r := start(t, node.Config{Network: "none", Memory: budget, Peers: []peer.AddrInfo{info(w)}})
	// All but two of the 8 MiB of a frame: what has come of it has to be kept.
	part := wire.AppendVarint(nil, wire.MaxFrame)
	part = append(part, make([]byte, 6<<20)...)
	for range 12 {
		_, open := stranger(t, r)
		s, err := open()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Reset()
		go s.Write(part)
	}
	// Until they have what they can get: two fifths of the budget, or three.
	deadline := time.Now().Add(20 * time.Second)
	for kept(t, r) < budget/4 && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	rf := reader(t, r, wf.Key(), node.JoinOptions{})
	most := int64(0)
	for i := range uint64(3000) {
		wantBlock(t, rf, i)
		most = max(most, kept(t, r))
	}
	if most > budget || most < budget/4 {
		t.Errorf("%d bytes were reserved, of %d", most, budget)
	}
}

// What streams reserve is given back at their end, also over plain TCP.
func TestMemoryIsReturned(t *testing.T) {
	t.Parallel()
	w, r := start(t, node.Config{Network: "none"}), start(t, node.Config{Network: "none"})
	wf := writer(t, w, 100)
	l, err := w.ListenTCP("127.0.0.1:0", node.TCPOptions{})
	if err != nil {
		t.Fatal(err)
	}
	rf, err := r.Open(t.Context(), store.Memory(), feed.Options{Key: wf.Key()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.DialTCP(ctx, l.Addr().String(), wf.Key(), node.TCPOptions{}) }()
	wantBlock(t, rf, 99)
	if kept(t, r) < protocol.MinStreamMemory || kept(t, w) < protocol.MinStreamMemory {
		t.Error("nothing is reserved for a stream over TCP")
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	id, open := stranger(t, w)
	s, err := open()
	if err != nil {
		t.Fatal(err)
	}
	s.Write([]byte{0})
	for kept(t, w) == 0 {
		time.Sleep(time.Millisecond)
	}
	w.Host().Network().ClosePeer(id)
	for _, n := range []*node.Node{w, r} {
		deadline := time.Now().Add(15 * time.Second)
		for kept(t, n) != 0 {
			if time.Now().After(deadline) {
				t.Fatalf("%d bytes are still reserved", kept(t, n))
			}
			time.Sleep(time.Millisecond)
		}
	}
}
