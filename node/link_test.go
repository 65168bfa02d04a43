package node_test

import (
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-hypercore/hypercore/discovery"
	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node"
)

func discoveryTopic(f *feed.Feed) discovery.Topic { return discovery.Topic(f.DiscoveryKey()) }

// Whatever the order in which two crossing streams arrive at the two peers,
// both keep the same one.
func TestTieBreak(t *testing.T) {
	const a, b peer.ID = "a", "b"
	for _, aFirst := range []bool{true, false} {
		for _, bFirst := range []bool{true, false} {
			// aFirst: a has its own stream when b's arrives.
			keptByA, keptByB := a, b // the opener of the stream kept
			if aFirst {
				if node.KeepNew(a, b, true, false, 0) {
					keptByA = b
				}
			} else if keptByA = b; node.KeepNew(a, b, false, true, 0) {
				keptByA = a
			}
			if bFirst {
				if node.KeepNew(b, a, true, false, 0) {
					keptByB = a
				}
			} else if keptByB = a; node.KeepNew(b, a, false, true, 0) {
				keptByB = b
			}
			if keptByA != a || keptByB != a {
				t.Errorf("aFirst %v bFirst %v: a keeps that of %s, b that of %s", aFirst, bFirst, keptByA, keptByB)
			}
		}
	}
	for _, byUs := range []bool{true, false} {
		if !node.KeepNew("a", "b", byUs, byUs, time.Second) || !node.KeepNew("b", "a", byUs, byUs, time.Second) {
			t.Error("a second stream of the same opener must replace the first")
		}
	}
	if !node.KeepNew("a", "b", true, false, 2*node.ContestWindow) {
		t.Error("a stream that the other side has lost must give way")
	}
}
