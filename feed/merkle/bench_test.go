package merkle_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/go-hypercore/hypercore/feed/bitfield"
	"github.com/go-hypercore/hypercore/feed/merkle"
)

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

func BenchmarkLeaf(b *testing.B) {
	for _, size := range []int{16, 512, 631, 632, 4096, 64 << 10, 1 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			data := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				merkle.Leaf(7, data)
			}
		})
	}
}

func BenchmarkJoin(b *testing.B) {
	l, r := merkle.Leaf(0, nil), merkle.Leaf(1, nil)
	b.ReportAllocs()
	for b.Loop() {
		merkle.Join(l, r)
	}
}

// BenchmarkAppend folds the leaves of small blocks, hashing included.
func BenchmarkAppend(b *testing.B) {
	data := make([]byte, 512)
	var a merkle.Accumulator
	var dst []merkle.Node
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if dst, err = a.Append(merkle.Leaf(a.Len(), data), dst[:0]); err != nil {
			b.Fatal(err)
		}
	}
}

// large is the tree of a log of ten million blocks.
func large() (*bitfield.Bits, uint64) {
	const length = 10_000_000
	var bits bitfield.Bits
	bits.SetRange(0, 2*length-1, true)
	for _, r := range merkle.Roots(nil, length) { // parents that do not exist yet
		for n := merkle.Parent(r); n < 2*length; n = merkle.Parent(n) {
			bits.Set(n, false)
		}
	}
	return &bits, length
}

func BenchmarkProve(b *testing.B) {
	bits, length := large()
	dst := make([]uint64, 0, merkle.MaxProofNodes)
	for _, bm := range []struct {
		name   string
		digest uint64
	}{{"full", 0}, {"parent held", 0b101}} {
		b.Run(bm.name, func(b *testing.B) {
			var remote bitfield.Bits
			b.ReportAllocs()
			for i := uint64(0); b.Loop(); i++ {
				if _, _, err := merkle.Prove(bits, &remote, i*7919%length, bm.digest, false, dst); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDigest(b *testing.B) {
	_, length := large()
	var bits bitfield.Bits
	merkle.SetNode(&bits, merkle.Roots(nil, length)[0])
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		merkle.Digest(&bits, i*7919%length, 2*length)
	}
}

// BenchmarkVerify checks the blocks of a whole download in order, each with the
// digest its state asks for.
func BenchmarkVerify(b *testing.B) {
	ref := newReference(b, 4096, 4096, false)
	w := writer(ref, 4096)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		p := newPeer(ref)
		var proofs []merkle.Proof
		for i := range ref.len() {
			digest := merkle.Digest(p, i, 8192)
			proof, signed := w.serve(b, nil, i, digest, false)
			proofs = append(proofs, proof)
			p.receive(b, proof, signed)
		}
		p = newPeer(ref)
		v := p.verifier()
		b.StartTimer()
		for _, proof := range proofs {
			if err := v.Verify(proof, &p.res); err != nil {
				b.Fatal(err)
			}
			for _, n := range p.res.Store {
				p.held[n.Index] = n
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/4096, "ns/block")
}
