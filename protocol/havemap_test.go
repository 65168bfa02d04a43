package protocol_test

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/protocol/wire"
)

// mapped is a remote whose maps of a feed are wanted, and that side.
func mapped(t *testing.T) (*raw, *side, feed.Key) {
	b := newSide(t, "b")
	key := feed.Key(nonce2key([]byte{9}))
	b.clone(key, true)
	x := dial(t, b, "x", protocol.StreamOptions{})
	x.hello(key)
	x.next(wire.TypeWant)
	t.Cleanup(func() { x.s.Close(); <-x.done })
	return x, b, key
}

// noted sends a map of the first region, and waits until it is noted.
func (x *raw) noted(code []byte) {
	x.send(wire.AppendRequest(bitfield(0, code), 0, wire.Request{Index: 1}))
	x.next(wire.TypeNoData)
}

// TestMapsAreNoted: whatever runs a map is made of, what it says is noted, and what was there
// before is not any more.
func TestMapsAreNoted(t *testing.T) {
	x, b, key := mapped(t)
	r := rand.New(rand.NewPCG(1, 2))
	const most = 15_000 // bytes
	sizes := []int{1, 2, 3, 100, 1000, 1023, 1024, 1025, 2048, 5000, 0}
	for range 15 {
		var code []byte
		for left := r.IntN(most); left > 0; {
			n := min(left, sizes[r.IntN(len(sizes))])
			left -= n
			switch kind := r.IntN(4); kind {
			case 0, 1:
				code = wire.AppendVarint(code, uint64(4*n+1+2*kind))
			default:
				code = wire.AppendVarint(code, uint64(2*n))
				for range n {
					code = append(code, byte(r.Uint32()&(r.Uint32()|0x11)))
				}
			}
		}
		x.noted(code)
		want, err := wire.DecodeRLE(nil, code, 131072)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, make([]byte, most+1000-len(want))...)
		if got := protocol.Announced(b.e, key.Discovery(), len(want)); !bytes.Equal(got, want) {
			i := 0
			for got[i] == want[i] {
				i++
			}
			t.Fatalf("byte %d noted as %x, is %x", i, got[i], want[i])
		}
	}
}

// TestMapsOfShortRuns: a map cut into as many runs as its bytes allow keeps others not much longer
// from the swarm than the same map in one.
func TestMapsOfShortRuns(t *testing.T) {
	took := func(code []byte) time.Duration {
		x, _, _ := mapped(t)
		least := time.Hour
		for range 4 {
			start := time.Now()
			x.noted(code)
			least = min(least, time.Since(start))
		}
		return least
	}
	one := took(wire.EncodeRLE(nil, bytes.Repeat([]byte{0xaa}, 131072)))
	many := took(bytes.Repeat([]byte{2, 0xaa}, 131072))
	if many > 80*one {
		t.Errorf("one run took %v, a run for each byte %v", one, many)
	}
}
