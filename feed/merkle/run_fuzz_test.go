package merkle_test

import (
	"slices"
	"testing"

	"github.com/go-hypercore/hypercore/feed/merkle"
)

// FuzzVerifyRun gives a reader runs made of true blocks and nodes, those of a
// second history, and lies. What it would store after a trusted proof, or after
// one whose tree hash the writer signed, must be true; and nothing may panic.
//
// Input: reader's state, flags, first block, blocks, then three bytes for each
// lie and node. A node has its index, what is wrong with it, and by how much; a
// lie has 255, the leaf, and what is wrong with it.
func FuzzVerifyRun(f *testing.F) {
	const length = 20
	ref, other := newReference(f, 33, 33, false), newReference(f, 33, 9, true)
	signed := map[merkle.Hash]bool{}
	for n := uint64(1); n <= length; n++ {
		signed[ref.treeHash(n)] = true
	}
	w := writer(ref, length)
	readers := []*peer{newPeer(ref), writer(ref, 5), w, newPeer(ref), newPeer(ref), newPeer(ref), newPeer(ref)}
	readers[3].request(f, w, nil, 7, false)
	readers[4].request(f, writer(ref, 11), nil, 2, false)
	readers[4].request(f, writer(ref, 11), nil, 9, false)
	for l := uint64(1); l <= 13; l += 4 {
		readers[5].request(f, writer(ref, l), nil, l-1, false)
	}
	for x := range w.held { // what a crash may leave
		if x%3 == 1 {
			readers[6].held[x] = ref.nodes[x]
		}
	}
	for i := range readers {
		for _, at := range [][2]uint64{{0, 1}, {3, 5}, {7, 2}, {4, 8}, {13, 7}, {0, 20}, {17, 1}} {
			list, _, err := merkle.ProveRun(w, nil, at[0], at[1], 0, 0, nil)
			if err != nil {
				f.Fatal(err)
			}
			in := []byte{byte(i), 0, byte(at[0]), byte(at[1])}
			for _, x := range list {
				in = append(in, byte(x), 0, 0)
			}
			f.Add(in)
			in = slices.Clone(in)
			in[1] = 1
			f.Add(append(in, 255, 1, 1))
			f.Add(append(in[:len(in):len(in)], 255, 0, 2, 37, 1, 0))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) < 4 || len(in) > 400 {
			return
		}
		p := readers[int(in[0])%len(readers)]
		flags := in[1]
		run := merkle.Run{Start: uint64(in[2]), Through: flags&1 != 0}
		source := ref
		if flags&2 != 0 {
			source = other
		}
		for i := range uint64(in[3]) {
			leaf, ok := source.nodes[2*(run.Start+i)]
			if !ok {
				leaf = merkle.Leaf(run.Start+i, nil)
			}
			run.Leaves = append(run.Leaves, leaf)
		}
		for in = in[4:]; len(in) >= 3; in = in[3:] {
			if i := int(in[1]); in[0] == 255 {
				if i < len(run.Leaves) {
					leaf := &run.Leaves[i]
					switch in[2] % 4 { // a leaf is computed from a value
					case 0:
						*leaf = merkle.Leaf(run.Start+uint64(i), []byte("lie"))
					case 1:
						*leaf = other.nodes[2*(run.Start+uint64(i))]
					case 2:
						*leaf = ref.nodes[2*(run.Start+uint64(i))]
					}
				}
				continue
			}
			run.Nodes = append(run.Nodes, lie(ref, other, in))
		}
		v := p.verifier()
		if flags&4 != 0 {
			v.Word = p.word
		}
		var r merkle.Result
		if err := v.VerifyRun(run, &r); err != nil {
			return
		}
		if len(r.Store) > 2*len(run.Leaves)+2*merkle.MaxRunNodes || len(r.Roots) > merkle.MaxRoots || r.Length > merkle.MaxLength || len(r.Hints) > 0 {
			t.Fatalf("unbounded: %+v", r)
		}
		if !r.Trusted && !signed[r.TreeHash] {
			return
		}
		if r.Conflict != nil && !r.Conflict.SizeOnly() {
			t.Fatalf("conflict %+v within one history", *r.Conflict)
		}
		for _, n := range r.Store {
			if n != ref.nodes[n.Index] {
				t.Fatalf("%+v: would store %+v instead of %+v", run, n, ref.nodes[n.Index])
			}
		}
		for i, leaf := range run.Leaves {
			if leaf != ref.nodes[leaf.Index] {
				t.Fatalf("a wrong block %d was proven", run.Start+uint64(i))
			}
		}
		if !r.Trusted && r.Length < run.Start+uint64(len(run.Leaves)) {
			t.Fatalf("length %d covers blocks %d+%d", r.Length, run.Start, len(run.Leaves))
		}
	})
}

// lie makes a node of three bytes: index, what is wrong with it, by how much.
func lie(ref, other *reference, in []byte) merkle.Node {
	n, by := ref.nodes[uint64(in[0])], uint64(in[2])
	switch in[1] % 8 {
	case 1:
		n = other.nodes[uint64(in[0])]
	case 2:
		n.Index += by
	case 3:
		n.Size += by
	case 4:
		n.Size -= by
	case 5:
		n.Hash[by%32] ^= 1
	case 6:
		n.Index = 1<<by - uint64(in[0])
	case 7:
		n.Size = 1<<by - uint64(in[0])
	}
	return n
}

// FuzzProveRun asks for any run from any set of nodes: replies stay small, name
// only held nodes, each once, and remote never holds what local does not.
func FuzzProveRun(f *testing.F) {
	f.Add([]byte{0xff, 0xff, 0xff}, uint64(3), uint64(4), uint64(0), uint64(0))
	f.Add([]byte("X2220\xbe00000\xbe"), uint64(3), uint64(4), uint64(5), uint64(211))
	f.Add([]byte{0x50, 0x12, 0xff, 0, 0xf0}, uint64(1), uint64(2), uint64(0b10010), uint64(1))
	f.Add([]byte{0xff, 0x80}, uint64(1)<<60, uint64(1)<<63, uint64(1)<<63-1, uint64(3))
	f.Fuzz(func(t *testing.T, set []byte, start, n, first, last uint64) {
		local, remote := bitmap{}, bitmap{}
		for i, x := range set[:min(len(set), 64)] {
			for k := range 8 {
				if x&(1<<k) != 0 {
					merkle.SetNode(local, uint64(8*i+k))
				}
			}
		}
		got, verifiedBy, err := merkle.ProveRun(local, remote, start, n, first, last, nil)
		merkle.MarkRun(local, remote, start, n)
		for x := range remote {
			if !local.Get(x) {
				t.Fatalf("remote holds %d", x)
			}
		}
		if d1, d2 := merkle.DigestRun(local, start, n, first); d1 > merkle.MaxInt || d2 > merkle.MaxInt {
			t.Fatalf("digests %x, %x", d1, d2)
		}
		if err != nil {
			return
		}
		if len(got) > merkle.MaxRunNodes || verifiedBy > 2*merkle.MaxLength {
			t.Fatalf("%d nodes by %d", len(got), verifiedBy)
		}
		seen := bitmap{}
		for _, x := range got {
			if !seen.Set(x, true) {
				t.Fatalf("node %d twice in %d", x, got)
			}
			if !local.Get(x) {
				t.Fatalf("node %d is not held", x)
			}
		}
	})
}
