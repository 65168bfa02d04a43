package merkle_test

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/go-hypercore/hypercore/feed/merkle"
)

// FuzzVerify gives a reader messages made of true nodes, nodes of a second
// history and lies. What it would store after a trusted proof, or after one
// whose tree hash the writer signed, must be true; and nothing may panic.
//
// Input: reader's state, flags, block, then per node one byte each for index,
// what is wrong with it, and by how much.
func FuzzVerify(f *testing.F) {
	const length = 20
	ref, other := newReference(f, 33, 33, false), newReference(f, 33, 9, true)
	signed := map[merkle.Hash]bool{}
	for n := uint64(1); n <= length; n++ {
		signed[ref.treeHash(n)] = true
	}
	readers := []*peer{newPeer(ref), writer(ref, 5), writer(ref, 20), newPeer(ref), newPeer(ref)}
	w := writer(ref, length)
	readers[3].request(f, w, nil, 7, false)
	readers[4].request(f, writer(ref, 11), nil, 2, false)
	readers[4].request(f, writer(ref, 11), nil, 9, false)
	for i := range readers {
		f.Add([]byte{byte(i), 0, 17, 32, 0, 0, 37, 0, 0, 15, 0, 0})
		f.Add([]byte{byte(i), 1, 3, 6, 0, 0, 4, 0, 0, 1, 0, 0, 11, 0, 0, 23, 0, 0, 35, 0, 0})
		f.Add([]byte{byte(i), 2, 3, 4, 0, 0, 1, 0, 0, 11, 0, 0, 23, 1, 0, 35, 1, 0})
		f.Add([]byte{byte(i), 5, 9, 18, 1, 0, 16, 1, 0, 21, 3, 1, 27, 4, 9, 7, 2, 1})
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) < 3 || len(in) > 400 {
			return
		}
		p := readers[int(in[0])%len(readers)]
		flags, block := in[1], uint64(in[2])
		proof := merkle.Proof{Block: block, Through: flags&2 != 0}
		if flags&1 == 0 {
			src := ref
			if flags&4 != 0 {
				src = other
			}
			leaf := merkle.Leaf(block, []byte("lie"))
			if block < src.len() {
				leaf = src.nodes[2*block]
			}
			proof.Leaf = &leaf
		}
		for in = in[3:]; len(in) >= 3; in = in[3:] {
			proof.Nodes = append(proof.Nodes, lie(ref, other, in))
		}
		var r merkle.Result
		if err := p.verifier().Verify(proof, &r); err != nil {
			return
		}
		if len(r.Store) > 2*merkle.MaxProofNodes || len(r.Roots) > merkle.MaxRoots || r.Length > merkle.MaxLength {
			t.Fatalf("unbounded: %+v", r)
		}
		if !r.Trusted && !signed[r.TreeHash] {
			return
		}
		if !r.Trusted && r.Conflict != nil && !r.Conflict.SizeOnly() {
			t.Fatalf("conflict %+v within one history", *r.Conflict)
		}
		for _, n := range r.Store {
			if n != ref.nodes[n.Index] {
				t.Fatalf("%+v: would store %+v instead of %+v", proof, n, ref.nodes[n.Index])
			}
		}
		if proof.Leaf != nil && *proof.Leaf != ref.nodes[2*block] {
			t.Fatalf("a wrong block %d was proven", block)
		}
	})
}

// FuzzProve asks for anything from any set of nodes: replies stay small, name
// only held nodes, each once, and remote never holds what local does not.
func FuzzProve(f *testing.F) {
	f.Add([]byte{0xff, 0xff, 0xff}, uint64(3), uint64(0), false)
	f.Add([]byte{0x50, 0x12, 0xff, 0, 0xf0}, uint64(17), uint64(0b10010), true)
	f.Add([]byte{0xff, 0x80}, uint64(1)<<60, uint64(1)<<63-1, true)
	f.Fuzz(func(t *testing.T, set []byte, block, digest uint64, hash bool) {
		local, remote := bitmap{}, bitmap{}
		for i, x := range set[:min(len(set), 64)] {
			for k := range 8 {
				if x&(1<<k) != 0 {
					merkle.SetNode(local, uint64(8*i+k))
				}
			}
		}
		got, verifiedBy, err := merkle.Prove(local, remote, block, digest, hash, nil)
		if err != nil {
			return
		}
		if len(got) > merkle.MaxProofNodes || verifiedBy > 2*merkle.MaxLength {
			t.Fatalf("%d nodes by %d", len(got), verifiedBy)
		}
		seen := bitmap{}
		for _, n := range got {
			if !seen.Set(n, true) {
				t.Fatalf("node %d twice in %d", n, got)
			}
			if !local.Get(n) && !slices.Contains(merkle.Roots(nil, verifiedBy/2), n) {
				t.Fatalf("node %d is not held", n)
			}
		}
		for n := range remote {
			if !local.Get(n) {
				t.Fatalf("remote holds %d", n)
			}
		}
		if d := merkle.Digest(local, block, digest); d > merkle.MaxInt {
			t.Fatalf("digest %x", d)
		}
		merkle.Blocks(local, digest)
	})
}

// FuzzFlat checks that functions on numbers are total.
func FuzzFlat(f *testing.F) {
	for _, n := range []uint64{0, 1, 7, merkle.MaxInt, merkle.MaxInt + 1, 1<<63 - 1, 1 << 63, 1<<64 - 1} {
		f.Add(binary.BigEndian.AppendUint64(nil, n))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) < 8 {
			return
		}
		n := binary.BigEndian.Uint64(in)
		roots := merkle.Roots(nil, n)
		parent, sib := merkle.Parent(n), merkle.Sibling(n)
		l, r, ok := merkle.Children(parent)
		if n > merkle.MaxInt {
			return
		}
		if !ok || min(n, sib) != l || max(n, sib) != r || merkle.Index(merkle.Depth(n), merkle.Offset(n)) != n {
			t.Fatalf("node %d: parent %d of %d and %d, sibling %d", n, parent, l, r, sib)
		}
		if merkle.LeftSpan(parent) != min(merkle.LeftSpan(n), merkle.LeftSpan(sib)) || merkle.RightSpan(parent) != max(merkle.RightSpan(n), merkle.RightSpan(sib)) {
			t.Fatalf("node %d: spans", n)
		}
		next := uint64(0)
		for _, root := range roots {
			if merkle.LeftSpan(root) != next {
				t.Fatalf("roots of %d: %d", n, roots)
			}
			next = merkle.RightSpan(root) + 2
		}
		if next != 2*n {
			t.Fatalf("roots of %d: %d", n, roots)
		}
	})
}
