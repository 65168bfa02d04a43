package protocol_test

import (
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/protocol/wire"
)

// TestAnnounceAll: a remote that does not read for long, while blocks come in more runs than are
// kept for it, still learns of each of them, and of no other.
func TestAnnounceAll(t *testing.T) {
	const n = 170_000
	f := open(t, feed.Options{})
	appendBlocks(t, f, n)
	a := newSide(t, "a")
	g := a.clone(f.Key(), true)
	x := dialRoom(t, a, "reader", protocol.StreamOptions{}, 1<<10)
	x.hello(f.Key())
	x.send(wire.AppendWant(nil, 0, wire.Want{Length: 1 << 20}))
	known := make([]bool, n)
	learn := func(fr wire.Frame) (blocks uint64, whole bool) {
		var m wire.Have
		if err := wire.ParseHave(fr.Body, &m); err != nil {
			t.Fatal(err)
		}
		if m.HasBitfield {
			return 0, true
		}
		for i := m.Start; i < m.Start+m.Length; i++ {
			if i%2 == 0 {
				t.Fatalf("block %d is announced and not there", i)
			}
			if !known[i] {
				known[i] = true
				blocks++
			}
		}
		return blocks, false
	}
	for {
		if _, whole := learn(x.next(wire.TypeHave)); whole {
			break
		}
	}
	var batch []feed.Proof
	for i := uint64(1); i < n; i += 2 {
		p := feed.Proof{}
		if err := f.Prove(feed.ProofRequest{Index: i}, nil, &p); err != nil {
			t.Fatal(err)
		}
		p.Value = content(i)
		batch = append(batch, p)
		if len(batch) == 1000 || i == n-1 {
			if k, err := g.Apply(ctx, batch); err != nil {
				t.Fatal(k, err)
			}
			batch = batch[:0]
		}
	}
	if err := g.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	for left := uint64(n / 2); left > 0; {
		blocks, _ := learn(x.next(wire.TypeHave))
		left -= blocks
	}
}
