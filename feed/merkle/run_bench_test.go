package merkle_test

import (
	"fmt"
	"testing"

	"github.com/go-hypercore/hypercore/feed/bitfield"
	"github.com/go-hypercore/hypercore/feed/merkle"
)

// tree is a store of nodes as a feed has it: an array and a bit for each.
type tree struct {
	nodes []merkle.Node
	bits  bitfield.Bits
}

func (t *tree) Held(n uint64) (merkle.Node, bool) {
	if !t.bits.Get(n) {
		return merkle.Node{}, false
	}
	return t.nodes[n], true
}

func (t *tree) store(list []merkle.Node) {
	for i := range list {
		t.nodes[list[i].Index] = list[i]
		t.bits.Set(list[i].Index, true)
	}
}

func (t *tree) verifier(length uint64) *merkle.Verifier {
	return &merkle.Verifier{Held: t.Held, Word: t.bits.Word, Length: length}
}

// fullTree is the tree of a log of length blocks of 512 bytes, a power of two.
func fullTree(b *testing.B, length uint64) *tree {
	t := &tree{nodes: make([]merkle.Node, 2*length)}
	var acc merkle.Accumulator
	var nodes []merkle.Node
	data := make([]byte, 512)
	for i := range length {
		var err error
		if nodes, err = acc.Append(merkle.Leaf(i, data), nodes[:0]); err != nil {
			b.Fatal(err)
		}
		t.store(nodes)
	}
	return t
}

// BenchmarkVerifyRun checks runs of 128 blocks of 512 bytes in a log of 65,536
// blocks, of which a first proof brought the nodes above: without nodes, with all
// nodes to the root, off the grid, with the leaves hashed as well, and block by
// block for comparison.
func BenchmarkVerifyRun(b *testing.B) {
	const length, n = 1 << 16, 128
	w := fullTree(b, length)
	var above bitfield.Bits // what the reader has
	for d := uint(7); d <= 16; d++ {
		for o := uint64(0); o < length>>d; o++ {
			above.Set(merkle.Index(d, o), true)
		}
	}
	reader := func(bits *bitfield.Bits) *tree { return &tree{nodes: w.nodes, bits: *bits.Clone()} }
	data := make([]byte, 512)
	for _, bm := range []struct {
		name    string
		held    *bitfield.Bits
		shift   uint64
		hash    bool
		words   bool
		digests bool
	}{
		{"top held", &above, 0, false, true, true},
		{"top held, no Word", &above, 0, false, false, true},
		{"nothing held", new(bitfield.Bits), 0, false, true, false},
		{"between", &above, 51, false, true, true},
		{"all held", &w.bits, 0, false, true, true},
		{"top held, with leaves", &above, 0, true, true, true},
	} {
		b.Run(bm.name, func(b *testing.B) {
			p := reader(bm.held)
			v := p.verifier(length)
			if !bm.words {
				v.Word = nil
			}
			var r merkle.Result
			var remote bitfield.Bits
			run := merkle.Run{Leaves: make([]merkle.Node, n)}
			list := make([]uint64, 0, merkle.MaxRunNodes)
			b.ReportAllocs()
			for i := uint64(0); b.Loop(); i++ {
				run.Start = i*n%(length-n) + bm.shift
				var first, last uint64
				if bm.digests {
					first, last = merkle.DigestRun(&p.bits, run.Start, n, 2*length)
				}
				var err error
				if list, _, err = merkle.ProveRun(&w.bits, &remote, run.Start, n, first, last, list[:0]); err != nil {
					b.Fatal(err)
				}
				run.Nodes = run.Nodes[:0]
				for _, x := range list {
					run.Nodes = append(run.Nodes, w.nodes[x])
				}
				for k := range uint64(n) {
					if bm.hash {
						run.Leaves[k] = merkle.Leaf(run.Start+k, data)
					} else {
						run.Leaves[k] = w.nodes[2*(run.Start+k)]
					}
				}
				if err := v.VerifyRun(run, &r); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/block")
			b.ReportMetric(float64(len(list)), "nodes")
		})
	}
	b.Run("block by block", func(b *testing.B) {
		p := reader(&above)
		v := p.verifier(length)
		var r merkle.Result
		list := make([]uint64, 0, merkle.MaxProofNodes)
		var proof merkle.Proof
		var remote bitfield.Bits
		b.ReportAllocs()
		for b.Loop() {
			for proof.Block = range uint64(n) {
				digest := merkle.Digest(&p.bits, proof.Block, 2*length)
				var err error
				if list, _, err = merkle.Prove(&w.bits, &remote, proof.Block, digest, false, list[:0]); err != nil {
					b.Fatal(err)
				}
				proof.Nodes = proof.Nodes[:0]
				for _, x := range list {
					proof.Nodes = append(proof.Nodes, w.nodes[x])
				}
				proof.Leaf = &w.nodes[2*proof.Block]
				if err := v.Verify(proof, &r); err != nil {
					b.Fatal(err)
				}
				p.store(r.Store)
			}
			p.bits.SetRange(0, n-1, false)
			p.bits.SetRange(n, 2*n-1, false)
			remote.Clear()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/block")
	})
}

// BenchmarkProveRun proves runs in a log of ten million blocks.
func BenchmarkProveRun(b *testing.B) {
	bits, length := large()
	dst := make([]uint64, 0, merkle.MaxRunNodes)
	for _, bm := range []struct {
		n             uint64
		digest, above uint64
	}{{128, 0, 0}, {128, 1<<8 | 1, 1<<8 | 1}, {4096, 0, 0}} {
		b.Run(fmt.Sprintf("%d blocks, digest %b", bm.n, bm.digest), func(b *testing.B) {
			var remote bitfield.Bits
			b.ReportAllocs()
			for i := uint64(0); b.Loop(); i++ {
				if _, _, err := merkle.ProveRun(bits, &remote, i*7919*128%(length-bm.n)&^127, bm.n, bm.digest, 0, dst); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
