package protocol_test

import (
	"crypto/ed25519"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/feed/merkle"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/protocol/wire"
)

// TestReopenLongFeed: a remote opens a feed of the greatest length again and again. What that costs
// follows from what is here, not from the length, and is charged.
func TestReopenLongFeed(t *testing.T) {
	for _, c := range []struct {
		pages     int // of the map of what is here that have a block
		throttled bool
	}{{1, false}, {1024, true}} {
		bubble.Test(t, func(t *testing.T) {
			b := newSide(t, "b")
			g := giant(t, b, c.pages)
			x := dial(t, b, "x", protocol.StreamOptions{})
			go x.discard()
			x.hello(g.Key())
			synctest.Wait()
			start := cpuTime()
			x.repeat(40, func(b []byte, _ uint64) []byte { return append(b, x.feed(g.Key(), x.id)...) })
			x.send(wire.AppendHave(nil, 0, wire.Have{Start: 77, Length: 1}))
			time.Sleep(10 * time.Second)
			if took := cpuTime() - start; took > 3*time.Second {
				t.Errorf("%d pages: took %v of the processor", c.pages, took)
			}
			if p := b.e.Peers(g.DiscoveryKey()); len(p) != 1 || p[0].Length != 78 {
				t.Errorf("%d pages: not open in the end: %+v", c.pages, p)
			}
			if st := x.s.Stats(); (st.Throttled > 0) != c.throttled || st.Ended {
				t.Errorf("%d pages: %+v", c.pages, st)
			}
			x.s.Close()
			<-x.done
			x.conn.Close()
		})
	}
}

// giant makes a clone of a feed of the greatest length, with the first block of each of so many
// (a power of two) pages of its bitfield. The rest of the tree is made up: its writer signed it.
func giant(t *testing.T, b *side, pages int) *feed.Feed {
	const pageBlocks = 8192
	value := []byte("x")
	join := func(a, b merkle.Node) merkle.Node {
		n, err := merkle.Join(a, b)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	// climb goes up to a node that is the first child, and of which blocks are below.
	climb := func(n merkle.Node, to uint64, p *feed.Proof) merkle.Node {
		for merkle.RightSpan(n.Index)-merkle.LeftSpan(n.Index) < 2*(to-1) {
			sib := merkle.Node{Index: merkle.Sibling(n.Index), Size: 1}
			p.Nodes = append(p.Nodes, sib)
			n = join(n, sib)
		}
		return n
	}
	proofs, level := make([]feed.Proof, pages), make([]merkle.Node, pages)
	for i := range proofs {
		p := &proofs[i]
		p.Index, p.Value = uint64(i)*pageBlocks, value
		level[i] = climb(merkle.Leaf(p.Index, value), pageBlocks, p)
	}
	for width := 1; len(level) > 1; width *= 2 {
		for i := range proofs {
			proofs[i].Nodes = append(proofs[i].Nodes, level[i/width^1])
		}
		for i := range len(level) / 2 {
			level[i] = join(level[2*i], level[2*i+1])
		}
		level = level[:len(level)/2]
	}
	rest := feed.Proof{}
	acc, err := merkle.NewAccumulator([]merkle.Node{climb(level[0], feed.MaxLength, &rest)})
	if err != nil {
		t.Fatal(err)
	}
	h, key := acc.TreeHash(), seedKey(91)
	g := b.clone(feed.Key(key.Public().(ed25519.PublicKey)), true)
	for i := range proofs {
		proofs[i].Nodes = append(proofs[i].Nodes, rest.Nodes...)
		proofs[i].Signature = ed25519.Sign(key, h[:])
	}
	if _, err := g.Apply(ctx, proofs); err != nil {
		t.Fatal(err)
	}
	return g
}
