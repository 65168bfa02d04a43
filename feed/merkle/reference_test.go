package merkle_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/go-hypercore/hypercore/feed/merkle"
)

// reference is a complete log, every node computed the obvious way.
type reference struct {
	data  [][]byte
	nodes map[uint64]merkle.Node
}

// newReference makes a log of n blocks. Logs of one seed agree in the first fork
// blocks and differ from there on.
func newReference(t testing.TB, n, fork uint64, other bool) *reference {
	t.Helper()
	ref := &reference{nodes: map[uint64]merkle.Node{}}
	for i := range n {
		block := fmt.Appendf(nil, "block %d%.*s", i, i%5, "-----")
		if other && i >= fork {
			block[0] = 'B'
		}
		ref.data = append(ref.data, block)
		ref.nodes[2*i] = merkle.Leaf(i, block)
	}
	for depth := uint(1); 1<<depth <= n; depth++ {
		for o := uint64(0); (o+1)<<depth <= n; o++ {
			i := merkle.Index(depth, o)
			l, r, _ := merkle.Children(i)
			p, err := merkle.Join(ref.nodes[l], ref.nodes[r])
			if err != nil || p.Index != i {
				t.Fatalf("parent of %d and %d: %+v, %v", l, r, p, err)
			}
			ref.nodes[i] = p
		}
	}
	return ref
}

func (ref *reference) len() uint64 { return uint64(len(ref.data)) }

// roots returns the roots the log had at a length.
func (ref *reference) roots(length uint64) (roots []merkle.Node) {
	for _, i := range merkle.Roots(nil, length) {
		roots = append(roots, ref.nodes[i])
	}
	return roots
}

func (ref *reference) treeHash(length uint64) merkle.Hash { return merkle.TreeHash(ref.roots(length)) }

// peer is a log that holds some of the blocks and nodes of another.
type peer struct {
	ref    *reference
	held   map[uint64]merkle.Node
	blocks map[uint64]bool
	length uint64
	res    merkle.Result // reused, as a feed does
}

func newPeer(ref *reference) *peer {
	return &peer{ref: ref, held: map[uint64]merkle.Node{}, blocks: map[uint64]bool{}}
}

// writer returns the peer that wrote the first length blocks of ref.
func writer(ref *reference, length uint64) *peer {
	p := newPeer(ref)
	for i := range length {
		p.blocks[i] = true
	}
	for i := range full(length) {
		p.held[i] = ref.nodes[i]
	}
	p.length = length
	return p
}

func (p *peer) clone() *peer {
	return &peer{ref: p.ref, held: maps.Clone(p.held), blocks: maps.Clone(p.blocks), length: p.length}
}

// Get makes a peer the Bits of its nodes.
func (p *peer) Get(n uint64) bool { _, ok := p.held[n]; return ok }

func (p *peer) verifier() *merkle.Verifier {
	return &merkle.Verifier{Length: p.length, Held: func(n uint64) (merkle.Node, bool) {
		h, ok := p.held[n]
		return h, ok
	}}
}

// serve returns the proof of a block as the peer replies to a request.
func (p *peer) serve(t testing.TB, remote merkle.MutableBits, block, digest uint64, hash bool) (merkle.Proof, uint64) {
	t.Helper()
	list, verifiedBy, err := merkle.Prove(p, remote, block, digest, hash, nil)
	if err != nil {
		t.Fatal(err)
	}
	proof := merkle.Proof{Block: block}
	for _, n := range list {
		proof.Nodes = append(proof.Nodes, p.held[n])
	}
	if !hash {
		leaf := merkle.Leaf(block, p.ref.data[block])
		proof.Leaf = &leaf
	}
	return proof, verifiedBy / 2
}

// receive verifies a proof and stores what it proves, insisting on success.
func (p *peer) receive(t testing.TB, proof merkle.Proof, signed uint64) *merkle.Result {
	t.Helper()
	if err := p.verify(t, proof, signed); err != nil {
		t.Fatalf("block %d of %d, holding length %d: %v", proof.Block, signed, p.length, err)
	}
	for _, n := range p.res.Store {
		p.held[n.Index] = n
	}
	if proof.Leaf != nil {
		p.blocks[proof.Block] = true
	}
	p.length = max(p.length, p.res.Length)
	return &p.res
}

// verify checks a proof from an honest peer without storing anything.
func (p *peer) verify(t testing.TB, proof merkle.Proof, signed uint64) error {
	t.Helper()
	r := &p.res
	if err := p.verifier().Verify(proof, r); err != nil {
		return err
	}
	if r.Conflict != nil {
		return fmt.Errorf("conflict %+v", *r.Conflict)
	}
	if !r.Trusted {
		if r.Length != signed || r.TreeHash != p.ref.treeHash(signed) || !slices.Equal(r.Roots, p.ref.roots(signed)) {
			return fmt.Errorf("proves length %d, roots %v", r.Length, r.Roots)
		}
		var sum uint64
		for _, n := range r.Roots {
			sum += n.Size
		}
		if r.ByteLen != sum {
			return fmt.Errorf("ByteLen %d", r.ByteLen)
		}
	}
	return p.sound()
}

// sound checks the promise of Store: true nodes only, each once, none held.
func (p *peer) sound() error {
	seen := map[uint64]bool{}
	for _, n := range p.res.Store {
		if n != p.ref.nodes[n.Index] {
			return fmt.Errorf("would store %+v instead of %+v", n, p.ref.nodes[n.Index])
		}
		if p.held[n.Index] == n || seen[n.Index] {
			return fmt.Errorf("stores node %d again", n.Index)
		}
		seen[n.Index] = true
	}
	for _, n := range p.res.Hints {
		if n.Hash != p.ref.nodes[n.Index].Hash || seen[n.Index] {
			return fmt.Errorf("hint %+v", n)
		}
	}
	return nil
}

// request asks from for a block the way a real reader does.
func (p *peer) request(t testing.TB, from *peer, remote merkle.MutableBits, block uint64, hash bool) *merkle.Result {
	t.Helper()
	digest := merkle.Digest(p, block, 2*max(p.length, from.length))
	proof, signed := from.serve(t, remote, block, digest, hash)
	return p.receive(t, proof, signed)
}

// sparse returns a reader that has downloaded some blocks of from.
func sparse(t testing.TB, from *peer, r *rand.Rand, blocks int) *peer {
	t.Helper()
	p, remote := newPeer(from.ref), bitmap{}
	have := slices.Sorted(maps.Keys(from.blocks))
	for range blocks {
		p.request(t, from, remote, have[r.IntN(len(have))], false)
	}
	return p
}
