package merkle_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/go-hypercore/hypercore/feed/merkle"
)

// nothing is a digest that claims nothing, but does not ask for everything.
const nothing = 1 << 45

// holding returns a peer that holds these nodes of a log.
func holding(ref *reference, length uint64, list ...uint64) *peer {
	p := newPeer(ref)
	p.length = length
	for _, x := range list {
		p.held[x] = ref.nodes[x]
	}
	return p
}

// TestRunEdgeLeftOut sends siblings above an edge that the reader leaves out,
// because it holds it and was not sent its sibling.
func TestRunEdgeLeftOut(t *testing.T) {
	ref := newReference(t, 32, 32, false)
	// The right edge 36 is left out at first, but 37 leads back to its way up.
	p := holding(ref, 26, 3, 7, 9, 12, 15, 17, 20, 33, 36, 39, 48, 49, 50)
	remote := bitmap{}
	for _, x := range []uint64{15, 17, 36, 48} {
		remote.Set(x, true)
	}
	run, signed := writer(ref, 26).serveRun(t, remote, 4, 15, 0b101, 0)
	if r := p.receiveRun(t, run, signed); !r.Trusted {
		t.Fatalf("%+v", r)
	}

	// Every subset of what a source may know of a reader of 8 blocks.
	for length := uint64(9); length <= 12; length++ {
		w, known := writer(ref, length), []uint64{3, 7, 9, 11, 12, 13, 14}
		for set := range 1 << len(known) {
			for n := uint64(2); 7+n <= length; n++ {
				p, remote := writer(ref, 8), bitmap{}
				for i, x := range known {
					if set>>i&1 == 1 {
						remote.Set(x, true)
					}
				}
				run, signed := w.serveRun(t, remote, 7, n, nothing, 0)
				if r := p.receiveRun(t, run, signed); r.Trusted || len(r.Unproven) > 0 {
					t.Fatalf("7+%d of %d, known %b: %+v", n, length, set, r)
				}
			}
		}
	}
}

// TestRunNothingLeftOut asks with digests of 0 of a source that believes the
// reader to hold everything.
func TestRunNothingLeftOut(t *testing.T) {
	ref := newReference(t, 20, 20, false)
	w := writer(ref, 20)
	runs(20, func(start, n uint64) {
		remote := bitmap{}
		for x := range w.held {
			remote.Set(x, true)
		}
		if run, _ := w.serveRun(t, remote, start, n, nothing, 0); len(run.Nodes) > 0 {
			t.Fatalf("%d+%d: sent %v", start, n, indexes(run.Nodes))
		}
		run, signed := w.serveRun(t, remote, start, n, 0, 0)
		newPeer(ref).receiveRun(t, run, signed)
	})
}

// TestRunAgrees holds that a run is trusted where each of its blocks is.
func TestRunAgrees(t *testing.T) {
	ref := newReference(t, 20, 20, false)
	rng := rand.New(rand.NewPCG(15, 16))
	for range 4000 {
		p := newPeer(ref)
		for x := range ref.nodes {
			if rng.IntN(3) > 0 {
				p.held[x] = ref.nodes[x]
			}
		}
		start := rng.Uint64N(20)
		n := 1 + rng.Uint64N(20-start)
		each := true
		for i := range n {
			leaf := ref.nodes[2*(start+i)]
			err := p.verifier().Verify(merkle.Proof{Block: start + i, Leaf: &leaf}, &p.res)
			each = each && err == nil && p.res.Trusted
		}
		err := p.verifier().VerifyRun(p.run(start, n, nil), &p.res)
		if each && (err != nil || !p.res.Trusted) {
			t.Fatalf("%d+%d: %v, %+v", start, n, err, p.res)
		}
		if err == nil && p.res.Trusted {
			if err := p.sound(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestRunForkTorn meets a second history with messages from which anything may be
// missing, and readers that hold any nodes but at least their roots: either the
// fork shows, or the old roots count as unproven.
func TestRunForkTorn(t *testing.T) {
	rng := rand.New(rand.NewPCG(17, 18))
	noticed := 0
	for range 150 {
		fork := rng.Uint64N(16)
		a, b := newReference(t, 16, fork, false), newReference(t, 16, fork, true)
		for i := fork + 1; i < 16; i++ {
			if rng.IntN(2) == 0 {
				b.data[i] = a.data[i]
			}
		}
		b = rebuilt(t, b)
		for range 60 {
			lengthA, lengthB := fork+1+rng.Uint64N(16-fork), fork+1+rng.Uint64N(16-fork)
			p := holding(a, lengthA, merkle.Roots(nil, lengthA)...)
			for x := range full(16) {
				if rng.IntN(3) > 0 {
					p.held[x] = a.nodes[x]
				}
			}
			start := rng.Uint64N(lengthB)
			n := 1 + rng.Uint64N(lengthB-start)
			run, _ := writer(b, lengthB).serveRun(t, nil, start, n, 0, 0)
			run.Nodes = slices.DeleteFunc(run.Nodes, func(merkle.Node) bool { return rng.IntN(3) == 0 })
			r := &p.res
			if err := p.verifier().VerifyRun(run, r); err != nil || r.Trusted || r.TreeHash != b.treeHash(r.Length) || r.Length <= fork {
				continue
			}
			if noticed++; r.Conflict == nil && len(r.Unproven) == 0 {
				t.Fatalf("fork at %d, %d against %d, %d+%d, nodes %v: not noticed", fork, lengthA, r.Length, start, n, indexes(run.Nodes))
			}
		}
	}
	if noticed < 500 {
		t.Fatalf("only %d forks met", noticed)
	}
}

// TestRunSizesMixed is TestRunStoredSizes for a run of which a part is new: the
// size beside the run is set right once, by the node sent or by the value.
func TestRunSizesMixed(t *testing.T) {
	ref := newReference(t, 8, 8, false)
	w := writer(ref, 8)
	for _, digests := range [][2]uint64{{0, 0}, {nothing, 0b10}} {
		p := w.clone()
		for _, x := range []uint64{0, 2} {
			delete(p.held, x)
		}
		for _, x := range []uint64{4, 6} {
			bad := p.held[x]
			bad.Size += x - 5
			p.held[x] = bad
		}
		run, _ := w.serveRun(t, nil, 1, 2, digests[0], digests[1])
		if err := p.verifier().VerifyRun(run, &p.res); err != nil || !p.res.Trusted || !p.res.Conflict.SizeOnly() || len(p.res.Store) != 4 {
			t.Fatalf("nodes %v: %v, %+v", indexes(run.Nodes), err, p.res)
		}
		if err := p.sound(); err != nil {
			t.Fatal(err)
		}
	}
}
