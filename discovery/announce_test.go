package discovery_test

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-hypercore/hypercore/discovery"
)

// TestNearest holds the order against Kademlia's distance as libp2p has it: the XOR
// of the SHA-256 of the peer's ID and of the topic's multihash (specs/kad-dht).
func TestNearest(t *testing.T) {
	topics := make([]discovery.Topic, 100)
	for i := range topics {
		topics[i] = random(t)
	}
	for range 20 {
		p, err := peer.IDFromPrivateKey(key(t))
		if err != nil {
			t.Fatal(err)
		}
		distance := func(id discovery.Topic) []byte {
			d, at := sha256.Sum256(id.Multihash()), sha256.Sum256([]byte(p))
			for i := range d {
				d[i] ^= at[i]
			}
			return d[:]
		}
		want := slices.Clone(topics)
		slices.SortFunc(want, func(a, b discovery.Topic) int { return bytes.Compare(distance(a), distance(b)) })
		for _, n := range []int{0, 1, 3, 100, 101} {
			if got := discovery.Nearest(topics, p, n); !slices.Equal(got, want[:min(n, len(want))]) {
				t.Fatalf("the nearest %d to %s are not the nearest", n, p)
			}
		}
	}
}
