package discovery_test

import (
	"math/big"
	"slices"
	"testing"

	"github.com/libp2p/go-libp2p-kbucket/keyspace"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-hypercore/hypercore/discovery"
)

// TestNearest holds the order against that of the library that the DHT sorts with.
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
		at := keyspace.XORKeySpace.Key([]byte(p))
		distance := func(id discovery.Topic) *big.Int {
			return keyspace.XORKeySpace.Key(id.Multihash()).Distance(at)
		}
		want := slices.Clone(topics)
		slices.SortFunc(want, func(a, b discovery.Topic) int { return distance(a).Cmp(distance(b)) })
		for _, n := range []int{0, 1, 3, 100, 101} {
			if got := discovery.Nearest(topics, p, n); !slices.Equal(got, want[:min(n, len(want))]) {
				t.Fatalf("the nearest %d to %s are not the nearest", n, p)
			}
		}
	}
}
