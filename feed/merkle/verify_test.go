package merkle_test

import (
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/go-hypercore/hypercore/feed/merkle"
)

const most = 64 // the length up to which everything is tried

// TestFresh proves every block of every length to a reader that has nothing.
func TestFresh(t *testing.T) {
	ref := newReference(t, most, most, false)
	for length := uint64(1); length <= most; length++ {
		w := writer(ref, length)
		for block := range length {
			for _, hash := range []bool{false, true} {
				p := newPeer(ref)
				proof, signed := w.serve(t, nil, block, 0, hash)
				if signed != length {
					t.Fatalf("block %d of %d: signed length %d", block, length, signed)
				}
				r := p.receive(t, proof, signed)
				if r.Trusted || len(r.Unproven) != 0 {
					t.Fatalf("block %d of %d: %+v", block, length, r)
				}
				for _, n := range merkle.Roots(nil, length) {
					if !p.Get(n) {
						t.Fatalf("block %d of %d: root %d is not stored", block, length, n)
					}
				}
			}
		}
	}
}

// TestEveryState downloads logs of every length in random orders. At each step
// it asks for every block with the digest of that state, with and without value,
// fresh and with the memory the source keeps of the connection, and with digest 0.
func TestEveryState(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	ref := newReference(t, most, most, false)
	for length := uint64(1); length <= most; length++ {
		w, p, remote := writer(ref, length), newPeer(ref), bitmap{}
		order := r.Perm(int(length))
		steps := order
		if length > 20 {
			steps = order[:12]
		}
		for _, next := range steps {
			for block := range length {
				digest := merkle.Digest(p, block, 2*length)
				for _, d := range []uint64{digest, 0} {
					for _, hash := range []bool{false, true} {
						proof, signed := w.serve(t, nil, block, d, hash)
						if err := p.verify(t, proof, signed); err != nil {
							t.Fatalf("%d of %d, digest %b, hash %v: %v", block, length, d, hash, err)
						}
						if p.length > 0 && d == digest && (!p.res.Trusted || p.res.Surplus > 0) {
							t.Fatalf("%d of %d, digest %b: more than needed: %v", block, length, d, proof.Nodes)
						}
					}
				}
				proof, signed := w.serve(t, bitmap{}, block, digest, false)
				if err := p.verify(t, proof, signed); err != nil {
					t.Fatal(err)
				}
			}
			p.request(t, w, remote, uint64(next), false)
			for n := range remote {
				if !p.Get(n) {
					t.Fatalf("the source believes in node %d, which is not here", n)
				}
			}
		}
		if got := merkle.Blocks(p, 2*length); got != length {
			t.Fatalf("Blocks = %d, want %d", got, length)
		}
	}
}

// TestUpgrade lets a reader of each length meet a longer log, and a longer
// reader a shorter one, and checks what is said about the old roots.
func TestUpgrade(t *testing.T) {
	ref := newReference(t, most, most, false)
	rng := rand.New(rand.NewPCG(3, 4))
	for old := uint64(1); old < 40; old++ {
		for _, readers := range []*peer{writer(ref, old), sparse(t, writer(ref, old), rng, 1)} {
			for _, length := range []uint64{old + 1, old + 2, old + uint64(rng.IntN(20)) + 1, 48} {
				if length <= old {
					continue
				}
				w := writer(ref, length)
				for block := range length {
					p := readers.clone()
					digest := merkle.Digest(p, block, 2*length)
					proof, signed := w.serve(t, nil, block, digest, false)
					r := p.receive(t, proof, signed)
					if r.Trusted {
						if block >= old {
							t.Fatalf("new block %d trusted by length %d", block, old)
						}
						continue
					}
					if r.Length != length {
						t.Fatalf("length %d", r.Length)
					}
					if block == old && len(r.Unproven) > 0 {
						t.Fatalf("%d -> %d by block %d: unproven %d", old, length, block, r.Unproven)
					}
					// An old root is proven if it is on the way, or beside it.
					var want []uint64
					for _, root := range merkle.Roots(nil, old) {
						if !slices.Contains(merkle.Roots(nil, length), root) && !beside(root, 2*block, length) {
							want = append(want, root)
						}
					}
					if !slices.Equal(r.Unproven, want) {
						t.Fatalf("%d -> %d by block %d: unproven %d, want %d", old, length, block, r.Unproven, want)
					}
				}

				// The proof of the last old block, asked for again in full.
				p := readers.clone()
				proof, signed := w.serve(t, nil, old-1, 0, true)
				proof.Through = true
				r := p.receive(t, proof, signed)
				if r.Length != length || len(r.Unproven) > 0 {
					t.Fatalf("%d -> %d through block %d: length %d, unproven %d", old, length, old-1, r.Length, r.Unproven)
				}
			}
		}
	}
}

// beside reports whether node n is on the way from a leaf to the root of a log,
// or a sibling of a node on it.
func beside(n, leaf, length uint64) bool {
	for i := leaf; merkle.RightSpan(i) < 2*length; i = merkle.Parent(i) {
		if i == n || merkle.Sibling(i) == n {
			return true
		}
	}
	return false
}

// TestBehind serves a reader that knows a longer log from a shorter one.
func TestBehind(t *testing.T) {
	ref := newReference(t, most, most, false)
	rng := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		length := 2 + rng.Uint64N(most-2)
		short := 1 + rng.Uint64N(length-1)
		p := sparse(t, writer(ref, length), rng, 1+rng.IntN(3))
		w := writer(ref, short)
		block := rng.Uint64N(short)
		proof, signed := w.serve(t, nil, block, merkle.Digest(p, block, 2*length), rng.IntN(2) == 0)
		held := p.clone()
		r := p.receive(t, proof, signed)
		if r.Trusted {
			continue
		}
		if r.Length != short || p.length != length {
			t.Fatalf("length %d", r.Length)
		}
		for _, root := range merkle.Roots(nil, short) {
			known := held.Get(root)
			if !known && !slices.Contains(r.Unproven, root) || known && slices.Contains(r.Unproven, root) {
				t.Fatalf("%d behind %d, block %d: unproven %d, held %v", short, length, block, r.Unproven, held.Get(root))
			}
		}
	}
}

// TestSwarm passes blocks on between sparse readers of logs that grow: whatever
// the states, honest peers always convince each other, and what they store is
// true.
func TestSwarm(t *testing.T) {
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 7))
		size := 1 + rng.Uint64N(200)
		ref := newReference(t, size, size, false)
		first := 1 + rng.Uint64N(size)
		peers := []*peer{writer(ref, first)}
		for range 4 {
			peers = append(peers, newPeer(ref))
		}
		remotes := map[[2]int]bitmap{}
		for range 300 {
			if rng.IntN(20) == 0 && peers[0].length < size {
				peers[0] = writer(ref, peers[0].length+1+rng.Uint64N(size-peers[0].length))
			}
			from, to := rng.IntN(len(peers)), 1+rng.IntN(len(peers)-1)
			if from == to || len(peers[from].blocks) == 0 {
				continue
			}
			have := slices.Sorted(maps.Keys(peers[from].blocks))
			block := have[rng.IntN(len(have))]
			key := [2]int{from, to}
			if remotes[key] == nil {
				remotes[key] = bitmap{}
			}
			peers[to].request(t, peers[from], remotes[key], block, rng.IntN(4) == 0)
		}
	}
}

// TestFork meets a second history signed by the same key.
func TestFork(t *testing.T) {
	for fork := uint64(0); fork < 12; fork++ {
		a, b := newReference(t, 16, fork, false), newReference(t, 16, fork, true)
		for lengthA := fork + 1; lengthA <= 16; lengthA++ {
			reader := writer(a, lengthA)
			for lengthB := fork + 1; lengthB <= 16; lengthB++ {
				w := writer(b, lengthB)
				for block := range lengthB {
					for _, through := range []bool{false, true} {
						proof, signed := w.serve(t, nil, block, 0, false)
						proof.Through = through
						r := &reader.res
						err := reader.verifier().Verify(proof, r)
						if !through && r.Trusted && err == nil {
							if block >= fork {
								t.Fatalf("a block of the other history is trusted")
							}
							continue
						}
						if err != nil || r.Trusted || r.TreeHash != b.treeHash(signed) {
							t.Fatalf("fork at %d, %d against %d, block %d: %v, %+v", fork, lengthA, lengthB, block, err, r)
						}
						if r.Conflict == nil && len(r.Unproven) == 0 {
							t.Fatalf("fork at %d, %d against %d, block %d: not noticed", fork, lengthA, lengthB, block)
						}
						if r.Conflict != nil && (r.Conflict.Held != a.nodes[r.Conflict.Held.Index] || r.Conflict.Given != b.nodes[r.Conflict.Given.Index] || r.Conflict.SizeOnly()) {
							t.Fatalf("conflict %+v", *r.Conflict)
						}
						// The first new block, or the last old one in full, cannot hide it.
						if r.Conflict == nil && (block == lengthA || block == lengthA-1 && through) && lengthB > lengthA {
							t.Fatalf("fork at %d, %d against %d: block %d shows no conflict", fork, lengthA, lengthB, block)
						}
					}
				}
			}
		}
	}
}

// TestMovedSizes moves bytes between a leaf and its sibling in a hash reply: the
// hashes agree, so nothing but not storing them helps.
func TestMovedSizes(t *testing.T) {
	ref := newReference(t, 20, 20, false)
	w := writer(ref, 20)
	for block := range uint64(20) {
		p := newPeer(ref)
		proof, signed := w.serve(t, nil, block, 0, true)
		proof.Nodes[0].Size--
		proof.Nodes[1].Size++
		if err := p.verify(t, proof, signed); err != nil {
			t.Fatal(err)
		}
		if len(p.res.Hints) != 2 {
			t.Fatalf("hints %+v", p.res.Hints)
		}
		// With the value the sizes are proven, the lie shows.
		proof, _ = w.serve(t, nil, block, 0, false)
		proof.Nodes[0].Size++
		if err := p.verify(t, proof, signed); err == nil {
			t.Fatal("a wrong size beside a value passed")
		}
		// Above the leaves it always shows.
		proof, _ = w.serve(t, nil, block, 0, true)
		if len(proof.Nodes) > 3 {
			proof.Nodes[1].Size--
			proof.Nodes[2].Size++
			if err := p.verify(t, proof, signed); err == nil {
				t.Fatal("moved sizes passed")
			}
		}
	}
}

// TestStoredSizes starts from a tree in which hypercore 6 stored moved sizes: a
// value sets them right.
func TestStoredSizes(t *testing.T) {
	ref := newReference(t, 8, 8, false)
	p := writer(ref, 8)
	for _, n := range []uint64{4, 6} {
		bad := p.held[n]
		bad.Size += n - 5
		p.held[n] = bad
	}
	for _, block := range []uint64{2, 3} {
		q := p.clone()
		proof, signed := writer(ref, 8).serve(t, nil, block, 1, false)
		if err := q.verifier().Verify(proof, &q.res); err != nil || !q.res.Trusted || !q.res.Conflict.SizeOnly() || len(q.res.Store) != 2 {
			t.Fatalf("%v, %+v", err, q.res)
		}
		if err := q.sound(); err != nil {
			t.Fatal(err)
		}
		hash, _ := writer(ref, 8).serve(t, nil, block, 1, true)
		if err := q.verify(t, hash, signed); err != nil || !q.res.Trusted {
			t.Fatalf("%v, %+v", err, q.res)
		}
	}
}

// TestRefused lists messages that prove nothing.
func TestRefused(t *testing.T) {
	ref := newReference(t, 20, 20, false)
	n := func(list ...uint64) (out []merkle.Node) {
		for _, i := range list {
			out = append(out, ref.nodes[i])
		}
		return out
	}
	leaf := func(block uint64) *merkle.Node {
		l := merkle.Leaf(block, []byte("forged"))
		return &l
	}
	big := merkle.Leaf(2, nil)
	big.Size = merkle.MaxInt + 1
	sized := func(i, size uint64) merkle.Node {
		m := ref.nodes[i]
		m.Size = size
		return m
	}
	for name, c := range map[string]struct {
		p   merkle.Proof
		err error
	}{
		"nothing":                   {merkle.Proof{Block: 3}, merkle.ErrInvalid},
		"leaf of another block":     {merkle.Proof{Block: 3, Leaf: leaf(2)}, merkle.ErrInvalid},
		"first node is not it":      {merkle.Proof{Block: 3, Nodes: n(4, 6)}, merkle.ErrInvalid},
		"block out of bounds":       {merkle.Proof{Block: merkle.MaxLength, Leaf: leaf(merkle.MaxLength)}, merkle.ErrInvalid},
		"too many nodes":            {merkle.Proof{Block: 3, Leaf: leaf(3), Nodes: make([]merkle.Node, merkle.MaxProofNodes+1)}, merkle.ErrInvalid},
		"forged leaf, true roots":   {merkle.Proof{Block: 1, Leaf: leaf(1), Nodes: n(15, 35)}, merkle.ErrInvalid},
		"forged leaf inside a root": {merkle.Proof{Block: 1, Leaf: leaf(1), Nodes: n(3, 8)}, merkle.ErrInvalid},
		"reversed":                  {merkle.Proof{Block: 17, Nodes: n(34, 15, 37, 32)}, merkle.ErrInvalid},
		"surplus after the roots":   {merkle.Proof{Block: 17, Nodes: n(34, 32, 37, 15, 35)}, merkle.ErrInvalid},
		"missing root":              {merkle.Proof{Block: 17, Nodes: n(34, 32, 37)}, merkle.ErrInvalid},
		"size beyond 2^53-1":        {merkle.Proof{Block: 2, Leaf: &big}, merkle.ErrInvalid},
		"sibling beyond":            {merkle.Proof{Block: 2, Leaf: leaf(2), Nodes: []merkle.Node{sized(6, merkle.MaxInt+1)}}, merkle.ErrSize},
		"sum beyond":                {merkle.Proof{Block: 2, Leaf: leaf(2), Nodes: []merkle.Node{sized(6, merkle.MaxInt)}}, merkle.ErrSize},
		"sum of roots beyond":       {merkle.Proof{Block: 0, Nodes: []merkle.Node{sized(0, merkle.MaxInt), sized(2, 0), {Index: 4, Size: 1}}}, merkle.ErrSize},
		"root beyond 2^53-1":        {merkle.Proof{Block: 0, Leaf: leaf(0), Nodes: []merkle.Node{{Index: merkle.MaxInt + 2}}}, merkle.ErrSize},
		"root of no log":            {merkle.Proof{Block: 0, Leaf: leaf(0), Nodes: []merkle.Node{{Index: merkle.MaxInt}}}, nil},
		"node 2^64-1":               {merkle.Proof{Block: 0, Leaf: leaf(0), Nodes: []merkle.Node{{Index: 1<<64 - 1}}}, merkle.ErrSize},
	} {
		var r merkle.Result
		p := newPeer(ref)
		err := p.verifier().Verify(c.p, &r)
		if err == nil || c.err != nil && !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
	}
}
