package merkle_test

import (
	"testing"

	"github.com/go-hypercore/hypercore/feed/merkle"
)

func TestSeekVectors(t *testing.T) {
	var v struct {
		Cases []struct {
			Sizes []int
			Seeks []struct {
				ByteOffset, Index, Rel uint64
				Error                  string
			}
			DataOffsets [][2]uint64
		}
	}
	vectors(t, "seek", &v)
	for _, c := range v.Cases {
		var acc merkle.Accumulator
		tree := map[uint64]merkle.Node{}
		for i, size := range c.Sizes {
			nodes, err := acc.Append(merkle.Leaf(uint64(i), make([]byte, size)), nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range nodes {
				tree[n.Index] = n
			}
		}
		held := func(n uint64) (merkle.Node, bool) { m, ok := tree[n]; return m, ok }
		for _, s := range c.Seeks {
			n, rel, ok := merkle.Seek(held, acc.Roots(), s.ByteOffset)
			if ok != (s.Error == "") || ok && (n != 2*s.Index || rel != s.Rel) {
				t.Errorf("%d: Seek(%d) = node %d, %d, %v, want block %d, %d", c.Sizes, s.ByteOffset, n, rel, ok, s.Index, s.Rel)
			}
		}
		for i, want := range c.DataOffsets {
			if got, ok := merkle.ByteOffset(held, uint64(i)); !ok || got != want[0] {
				t.Errorf("%d: ByteOffset(%d) = %d, %v", c.Sizes, i, got, ok)
			}
		}
		// With nodes missing the answer is a node above the right block, and the
		// offset in it.
		for gone := range tree {
			some := func(n uint64) (merkle.Node, bool) {
				m, ok := tree[n]
				return m, ok && (n < merkle.LeftSpan(gone) || n > merkle.RightSpan(gone))
			}
			for _, s := range c.Seeks {
				n, rel, ok := merkle.Seek(some, acc.Roots(), s.ByteOffset)
				if ok != (s.Error == "") || !ok {
					continue
				}
				start, _ := merkle.ByteOffset(held, merkle.LeftSpan(n)/2)
				if merkle.LeftSpan(n) > 2*s.Index || merkle.RightSpan(n) < 2*s.Index || start+rel != s.ByteOffset {
					t.Errorf("%d without %d: Seek(%d) = node %d, %d", c.Sizes, gone, s.ByteOffset, n, rel)
				}
			}
		}
	}
}
