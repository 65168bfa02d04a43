package feed_test

import (
	"bytes"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/feed/merkle"
	"github.com/go-hypercore/hypercore/store"
)

// BenchmarkSurplus applies blocks whose proofs are followed by a root and a signature of nothing:
// what a peer can make each of its blocks cost.
func BenchmarkSurplus(b *testing.B) {
	const n = 4096
	w := open(b, store.Memory(), feed.Options{})
	defer w.Close()
	var blocks [][]byte
	for i := range n {
		blocks = append(blocks, []byte{byte(i), byte(i >> 8)})
	}
	if _, err := w.Append(b.Context(), blocks...); err != nil {
		b.Fatal(err)
	}
	for _, bogus := range []bool{false, true} {
		b.Run(map[bool]string{false: "honest", true: "bogus"}[bogus], func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				r := open(b, store.Memory(), feed.Options{Key: w.Key()})
				var batch []feed.Proof
				for i := range uint64(n) {
					p, err := w.Proof(b.Context(), i)
					if err != nil {
						b.Fatal(err)
					}
					if i > 0 {
						p.Signature = nil
						if bogus {
							p.Nodes = append(p.Nodes, merkle.Node{Index: 2 * n, Size: 1, Hash: merkle.Hash{1}})
							p.Signature = bytes.Repeat([]byte{1}, 64)
						}
					}
					batch = append(batch, p)
				}
				b.StartTimer()
				if k, err := r.Apply(b.Context(), batch); err != nil || k != n {
					b.Fatal(k, err)
				}
				b.StopTimer()
				r.Close()
				b.StartTimer()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/block")
		})
	}
}
