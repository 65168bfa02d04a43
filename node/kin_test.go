package node_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node"
	"github.com/go-hypercore/hypercore/protocol"
)

// A peer of the plain TCP listener that has proven one feed gets another one of the node only if
// Config.Kin says so.
func TestTCPKin(t *testing.T) {
	all := func(_, _ feed.DiscoveryKey) bool { return true }
	for _, kin := range []func(_, _ feed.DiscoveryKey) bool{nil, all} {
		w, r := start(t, node.Config{Network: "none", Kin: kin}), start(t, node.Config{Network: "none"})
		l, err := w.ListenTCP("127.0.0.1:0", node.TCPOptions{})
		if err != nil {
			t.Fatal(err)
		}
		first, other := writer(t, w, 1), writer(t, w, 1)
		one, two := reader(t, r, first.Key(), node.JoinOptions{}), reader(t, r, other.Key(), node.JoinOptions{})
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		s := r.Engine().NewStream(c, protocol.StreamOptions{Dialect: protocol.V6, Feeds: []feed.Key{first.Key(), other.Key()}, Kin: all})
		done := make(chan error, 1)
		go func() { done <- s.Run(t.Context()) }()
		wantBlock(t, one, 0)
		if kin != nil {
			wantBlock(t, two, 0)
		} else {
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			if _, err := two.Get(ctx, 0); err == nil {
				t.Error("it has got the other feed")
			}
			cancel()
		}
		s.Close()
		<-done
	}
}
