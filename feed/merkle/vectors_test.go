package merkle_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/go-hypercore/hypercore/feed/merkle"
)

// vectors reads a file of bytes and numbers that npm hypercore produced.
func vectors(t *testing.T, name string, v any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "testdata", "vectors", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}

type hexBytes []byte

func (h *hexBytes) UnmarshalText(p []byte) (err error) {
	*h, err = hex.AppendDecode(nil, p)
	return err
}

type node struct {
	Index, Size uint64
	Hash        hexBytes
}

func (n node) merkle() merkle.Node {
	return merkle.Node{Index: n.Index, Size: n.Size, Hash: merkle.Hash(n.Hash)}
}

func nodes(ns []node) []merkle.Node {
	var out []merkle.Node
	for _, n := range ns {
		out = append(out, n.merkle())
	}
	return out
}

func TestFlatVectors(t *testing.T) {
	type entry struct {
		Index, Offset, Parent, Sibling, LeftSpan, RightSpan uint64
		Depth                                               uint
		Children                                            []uint64
	}
	var v struct {
		Nodes, Big []entry
		Roots      []struct {
			Length    uint64
			FullRoots []uint64
		}
	}
	vectors(t, "flat", &v)
	for i, e := range append(v.Nodes, v.Big...) {
		n := e.Index
		if got := [...]uint64{uint64(merkle.Depth(n)), merkle.Parent(n), merkle.Sibling(n), merkle.LeftSpan(n), merkle.RightSpan(n)}; got !=
			[...]uint64{uint64(e.Depth), e.Parent, e.Sibling, e.LeftSpan, e.RightSpan} {
			t.Errorf("node %d: depth, parent, sibling, spans = %d", n, got)
		}
		if got := merkle.Index(merkle.Depth(n), merkle.Offset(n)); got != n {
			t.Errorf("Index(Depth(%d), Offset(%d)) = %d", n, n, got)
		}
		if i >= len(v.Nodes) {
			continue // the big ones have neither offset nor children
		}
		if got := merkle.Offset(n); got != e.Offset {
			t.Errorf("Offset(%d) = %d", n, got)
		}
		l, r, ok := merkle.Children(n)
		if ok != (e.Children != nil) || ok && !slices.Equal([]uint64{l, r}, e.Children) {
			t.Errorf("Children(%d) = %d, %d, %v", n, l, r, ok)
		}
	}
	for _, e := range v.Roots {
		if got := merkle.Roots(nil, e.Length); !slices.Equal(got, e.FullRoots) {
			t.Errorf("Roots(%d) = %d, want %d", e.Length, got, e.FullRoots)
		}
	}
}

func TestHashVectors(t *testing.T) {
	var v struct {
		Leaves  []struct{ Data, Hash hexBytes }
		Parents []struct {
			A, B node
			Hash hexBytes
			Size uint64
		}
		Trees []struct {
			Roots []node
			Hash  hexBytes
		}
	}
	vectors(t, "hashes", &v)
	for _, e := range v.Leaves {
		n := merkle.Leaf(3, e.Data)
		if n.Index != 6 || n.Size != uint64(len(e.Data)) || n.Hash != merkle.Hash(e.Hash) {
			t.Errorf("leaf of %d bytes: %+v", len(e.Data), n)
		}
	}
	for _, e := range v.Parents {
		for _, pair := range [][2]node{{e.A, e.B}, {e.B, e.A}} {
			n, err := merkle.Join(pair[0].merkle(), pair[1].merkle())
			if err != nil || n.Index != merkle.Parent(e.A.Index) || n.Size != e.Size || n.Hash != merkle.Hash(e.Hash) {
				t.Errorf("parent of %d and %d: %+v, %v", e.A.Index, e.B.Index, n, err)
			}
		}
	}
	for _, e := range v.Trees {
		if got := merkle.TreeHash(nodes(e.Roots)); got != merkle.Hash(e.Hash) {
			t.Errorf("tree of %d roots: %x", len(e.Roots), got)
		}
	}
}

// TestTreeVectors appends the blocks of each feed and compares every record of
// its tree file.
func TestTreeVectors(t *testing.T) {
	var v struct {
		Cases []struct {
			Name               string
			Batches            []json.RawMessage
			Length, ByteLength uint64
			Roots              []node
			TreeHash           hexBytes
			Files              struct{ Tree hexBytes }
		}
	}
	vectors(t, "trees", &v)
	tested := 0
	for _, c := range v.Cases {
		var acc merkle.Accumulator
		var stored []merkle.Node
		ok := true
		for _, raw := range c.Batches {
			var batch []hexBytes
			if json.Unmarshal(raw, &batch) != nil {
				ok = false // described, not spelled out
				break
			}
			for _, block := range batch {
				var err error
				if stored, err = acc.Append(merkle.Leaf(acc.Len(), block), stored); err != nil {
					t.Fatal(err)
				}
			}
		}
		if !ok {
			continue
		}
		tested++
		if acc.Len() != c.Length || acc.ByteLen() != c.ByteLength || acc.TreeHash() != merkle.Hash(c.TreeHash) || !slices.Equal(acc.Roots(), nodes(c.Roots)) {
			t.Errorf("%s: length %d, %d bytes, roots %v", c.Name, acc.Len(), acc.ByteLen(), acc.Roots())
		}
		file := make([]byte, 0)
		for _, n := range stored {
			if need := int(n.Index+1) * 40; len(file) < need {
				file = append(file, make([]byte, need-len(file))...)
			}
			rec := file[n.Index*40:]
			copy(rec, n.Hash[:])
			for i := range 8 {
				rec[32+i] = byte(n.Size >> (56 - 8*i))
			}
		}
		if len(c.Files.Tree) > 0 && !slices.Equal(file, c.Files.Tree[32:]) {
			t.Errorf("%s: the tree file differs", c.Name)
		}
	}
	if tested < 5 {
		t.Fatalf("only %d of %d cases have their blocks", tested, len(v.Cases))
	}
}

// bitmap is a set of nodes.
type bitmap map[uint64]bool

func (b bitmap) Get(i uint64) bool { return b[i] }

func (b bitmap) Set(i uint64, v bool) bool {
	if b[i] == v {
		return false
	}
	if v {
		b[i] = true
	} else {
		delete(b, i)
	}
	return true
}

func (b bitmap) sorted() []uint64 {
	s := []uint64{}
	for i := range b {
		s = append(s, i)
	}
	slices.Sort(s)
	return s
}

// nodesOf returns exactly these nodes.
func nodesOf(list []uint64) bitmap {
	b := bitmap{}
	for _, i := range list {
		b[i] = true
	}
	return b
}

// full returns the nodes of a complete log.
func full(length uint64) bitmap {
	b := bitmap{}
	for i := range length {
		merkle.SetNode(b, 2*i)
	}
	return b
}

func highest(b bitmap) (h uint64) {
	for i := range b {
		h = max(h, i)
	}
	return h
}

func TestTreeIndexVectors(t *testing.T) {
	var v struct {
		Cases []struct {
			Name       string
			Set, Bits  []uint64
			Blocks     uint64
			VerifiedBy map[string]uint64
		}
	}
	vectors(t, "tree_index", &v)
	for _, c := range v.Cases {
		b := bitmap{}
		for _, n := range c.Set {
			merkle.SetNode(b, n)
		}
		if !slices.Equal(b.sorted(), c.Bits) {
			t.Errorf("%s: bits %d, want %d", c.Name, b.sorted(), c.Bits)
		}
		for _, h := range []uint64{highest(b), merkle.MaxInt} {
			if got := merkle.Blocks(b, h); got != c.Blocks {
				t.Errorf("%s: Blocks(%d) = %d, want %d", c.Name, h, got, c.Blocks)
			}
		}
		for s, want := range c.VerifiedBy {
			n, _ := strconv.ParseUint(s, 10, 64)
			if got := merkle.VerifiedBy(b, n); got != want {
				t.Errorf("%s: VerifiedBy(%d) = %d, want %d", c.Name, n, got, want)
			}
		}
	}
}
