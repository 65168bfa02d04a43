package merkle_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/go-hypercore/hypercore/feed/merkle"
)

// TestAppendAll: batches of any size, after any length, give the nodes and roots that the same
// leaves give one by one.
func TestAppendAll(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for round := range 300 {
		var one, all merkle.Accumulator
		for range 1 + r.IntN(12) {
			leaves := make([]merkle.Node, r.IntN([]int{3, 20, 300}[round%3]))
			for i := range leaves {
				leaves[i] = merkle.Leaf(one.Len()+uint64(i), make([]byte, r.IntN(40)))
			}
			var want []merkle.Node
			for _, leaf := range leaves {
				var err error
				if want, err = one.Append(leaf, want); err != nil {
					t.Fatal(err)
				}
			}
			got, err := all.AppendAll(leaves, nil)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got[:len(leaves)], leaves) {
				t.Fatal("the leaves do not come first")
			}
			for _, list := range [][]merkle.Node{want, got} {
				slices.SortFunc(list, func(a, b merkle.Node) int { return int(a.Index) - int(b.Index) })
			}
			if !slices.Equal(got, want) || !slices.Equal(all.Roots(), one.Roots()) || all.Len() != one.Len() || all.ByteLen() != one.ByteLen() {
				t.Fatalf("%d leaves, then %d blocks:\n%v\nwant\n%v", len(leaves), one.Len(), got, want)
			}
		}
	}
}

// TestAppendAllRefuses: on an error nothing has changed.
func TestAppendAllRefuses(t *testing.T) {
	var a merkle.Accumulator
	if _, err := a.AppendAll([]merkle.Node{merkle.Leaf(0, []byte("a")), merkle.Leaf(1, nil), merkle.Leaf(2, []byte("b"))}, nil); err != nil {
		t.Fatal(err)
	}
	before := a.Clone()
	if _, err := a.AppendAll([]merkle.Node{merkle.Leaf(3, nil), merkle.Leaf(5, nil)}, nil); !errors.Is(err, merkle.ErrSiblings) {
		t.Error("a gap:", err)
	}
	if _, err := a.AppendAll([]merkle.Node{merkle.Leaf(3, nil), {Index: 8, Size: merkle.MaxInt}}, nil); !errors.Is(err, merkle.ErrSize) {
		t.Error("too many bytes:", err)
	}
	if a.Len() != 3 || a.ByteLen() != before.ByteLen() || !slices.Equal(a.Roots(), before.Roots()) {
		t.Error("it has changed:", a.Len(), a.ByteLen())
	}
}
