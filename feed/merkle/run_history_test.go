package merkle_test

import (
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/go-hypercore/hypercore/feed/merkle"
)

// TestRunUpgrade lets a reader of each length meet a longer log, and checks what
// is said about the old roots.
func TestRunUpgrade(t *testing.T) {
	const longest = 28
	ref := newReference(t, longest, longest, false)
	rng := rand.New(rand.NewPCG(3, 4))
	for old := uint64(1); old < longest; old++ {
		w := writer(ref, old)
		for _, reader := range []*peer{w, sparse(t, w, rng, 1), grown(t, ref, old, rng)} {
			length := old + 1 + rng.Uint64N(longest-old)
			w := writer(ref, length)
			runs(length, func(start, n uint64) {
				if rng.IntN(4) > 0 {
					return
				}
				for _, through := range []bool{false, true} {
					p := reader.clone()
					first, last := p.digests(start, n)
					if through {
						first, last = 0, 0
					}
					run, signed := w.serveRun(t, nil, start, n, first, last)
					run.Through = through
					r := p.receiveRun(t, run, signed)
					if r.Trusted {
						if start+n > old {
							t.Fatalf("new blocks %d+%d trusted by length %d", start, n, old)
						}
						continue
					}
					// An old root is proven if it is on the way, or beside it.
					var want []uint64
					for _, root := range merkle.Roots(nil, old) {
						shown := slices.Contains(merkle.Roots(nil, length), root)
						for i := range n {
							shown = shown || beside(root, 2*(start+i), length)
						}
						if !shown {
							want = append(want, root)
						}
					}
					if !slices.Equal(r.Unproven, want) {
						t.Fatalf("%d -> %d by %d+%d: unproven %d, want %d", old, length, start, n, r.Unproven, want)
					}
					if start <= old && old < start+n && len(want) > 0 {
						t.Fatalf("%d -> %d by %d+%d: unproven %d", old, length, start, n, want)
					}
				}
			})
		}
	}
}

// TestRunSurplus asks for nothing to be left out of runs that are here.
func TestRunSurplus(t *testing.T) {
	ref := newReference(t, 20, 20, false)
	p, w := writer(ref, 13), writer(ref, 20)
	runs(13, func(start, n uint64) {
		run, signed := w.serveRun(t, nil, start, n, 0, 0)
		if err := p.verifyRun(run, signed); err != nil || !p.res.Trusted || p.res.Surplus != len(run.Nodes) || len(p.res.Store) > 0 {
			t.Fatalf("%d+%d: %v, %+v", start, n, err, p.res)
		}
	})
}

// TestRunBehind serves a reader that knows a longer log from a shorter one.
func TestRunBehind(t *testing.T) {
	ref := newReference(t, most, most, false)
	rng := rand.New(rand.NewPCG(5, 6))
	for range 2000 {
		length := 2 + rng.Uint64N(most-2)
		short := 1 + rng.Uint64N(length-1)
		p := sparse(t, writer(ref, length), rng, 1+rng.IntN(3))
		if rng.IntN(2) == 0 {
			p = grown(t, ref, length, rng)
		}
		w := writer(ref, short)
		start := rng.Uint64N(short)
		n := 1 + rng.Uint64N(short-start)
		first, last := p.digests(start, n)
		if rng.IntN(2) == 0 {
			first, last = 0, 0
		}
		run, signed := w.serveRun(t, nil, start, n, first, last)
		held := p.clone()
		r := p.receiveRun(t, run, signed)
		if r.Trusted {
			continue
		}
		if r.Length != short || p.length != length {
			t.Fatalf("length %d", r.Length)
		}
		for _, root := range merkle.Roots(nil, short) {
			known := held.Get(root)
			if !known && !slices.Contains(r.Unproven, root) || known && slices.Contains(r.Unproven, root) {
				t.Fatalf("%d behind %d, %d+%d: unproven %d, held %v", short, length, start, n, r.Unproven, known)
			}
		}
	}
}

// TestRunSwarm passes runs on between sparse readers of logs that grow, each
// source remembering what its readers have.
func TestRunSwarm(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 8))
		size := 1 + rng.Uint64N(200)
		ref := newReference(t, size, size, false)
		peers := []*peer{writer(ref, 1+rng.Uint64N(size))}
		for range 4 {
			peers = append(peers, newPeer(ref))
		}
		remotes := map[[2]int]bitmap{}
		for range 100 {
			if rng.IntN(20) == 0 && peers[0].length < size {
				peers[0] = writer(ref, peers[0].length+1+rng.Uint64N(size-peers[0].length))
			}
			from, to := rng.IntN(len(peers)), 1+rng.IntN(len(peers)-1)
			if from == to || len(peers[from].blocks) == 0 {
				continue
			}
			have := slices.Sorted(maps.Keys(peers[from].blocks))
			start, n := have[rng.IntN(len(have))], uint64(0)
			for most := 1 + rng.Uint64N(32); n < most && peers[from].blocks[start+n]; {
				n++
			}
			key := [2]int{from, to}
			if remotes[key] == nil {
				remotes[key] = bitmap{}
			}
			p, remote := peers[to], remotes[key]
			first, last := p.digests(start, n)
			run, signed := peers[from].serveRun(t, remote, start, n, first, last)
			p.receiveRun(t, run, signed)
			merkle.MarkRun(peers[from], remote, start, n)
			for x := range remote {
				if !p.Get(x) {
					t.Fatalf("after %d+%d: the source believes in node %d", start, n, x)
				}
			}
		}
	}
}

// TestRunFork meets a second history signed by the same key.
func TestRunFork(t *testing.T) {
	for _, fork := range []uint64{0, 1, 4, 7, 11} {
		a, b := newReference(t, 16, fork, false), newReference(t, 16, fork, true)
		// Some blocks are the same in both again.
		for _, i := range []uint64{fork + 1, fork + 4, fork + 5, 15} {
			if i < 16 && i > fork {
				b.data[i] = a.data[i]
			}
		}
		b = rebuilt(t, b)
		for lengthA := fork + 1; lengthA <= 16; lengthA++ {
			reader := writer(a, lengthA)
			for lengthB := fork + 1; lengthB <= 16; lengthB++ {
				w := writer(b, lengthB)
				runs(lengthB, func(start, n uint64) {
					for _, through := range []bool{false, true} {
						run, signed := w.serveRun(t, nil, start, n, 0, 0)
						run.Through = through
						r := &reader.res
						err := reader.verifier().VerifyRun(run, r)
						if !through && r.Trusted && err == nil {
							for _, l := range run.Leaves {
								if reader.held[l.Index] != l {
									t.Fatalf("block %d of the other history is trusted", l.Index/2)
								}
							}
							continue
						}
						if err != nil || r.Trusted || r.TreeHash != b.treeHash(signed) {
							t.Fatalf("fork at %d, %d against %d, %d+%d: %v, %+v", fork, lengthA, lengthB, start, n, err, r)
						}
						if r.Conflict == nil && len(r.Unproven) == 0 {
							t.Fatalf("fork at %d, %d against %d, %d+%d: not noticed", fork, lengthA, lengthB, start, n)
						}
						if r.Conflict != nil && (r.Conflict.Held != a.nodes[r.Conflict.Held.Index] || r.Conflict.Given != b.nodes[r.Conflict.Given.Index] || r.Conflict.SizeOnly()) {
							t.Fatalf("conflict %+v", *r.Conflict)
						}
						if r.Conflict == nil && start <= lengthA && lengthA < start+n {
							t.Fatalf("fork at %d, %d against %d: %d+%d shows no conflict", fork, lengthA, lengthB, start, n)
						}
					}
				})
			}
		}
	}
}

// rebuilt computes the nodes of a log whose blocks were changed.
func rebuilt(t testing.TB, ref *reference) *reference {
	var acc merkle.Accumulator
	for i, block := range ref.data {
		nodes, err := acc.Append(merkle.Leaf(uint64(i), block), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range nodes {
			ref.nodes[n.Index] = n
		}
	}
	return ref
}

// TestRunTornState verifies runs for readers that hold any set of true nodes, as
// a crash may leave them: a proof with nothing left out is always good enough.
func TestRunTornState(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	ref := newReference(t, most, most, false)
	for range 6000 {
		length := 1 + rng.Uint64N(most)
		w, p := writer(ref, length), newPeer(ref)
		for x := range w.held {
			if rng.IntN(3) == 0 {
				p.held[x] = ref.nodes[x]
			}
		}
		start := rng.Uint64N(length)
		n := 1 + rng.Uint64N(min(length-start, 1+rng.Uint64N(most)))
		run, signed := w.serveRun(t, nil, start, n, 0, 0)
		p.receiveRun(t, run, signed)
	}
}

// TestRunTornSource proves runs from such trees: the proof is refused or good,
// for a length that the source cannot know to be signed.
func TestRunTornSource(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	ref := newReference(t, most, most, false)
	proven := 0
	for range 6000 {
		length := 1 + rng.Uint64N(most)
		w, p := newPeer(ref), newPeer(ref)
		for x := range full(length) {
			if rng.IntN(8) > 0 {
				w.held[x] = ref.nodes[x]
			}
		}
		start := rng.Uint64N(length)
		n := 1 + rng.Uint64N(min(length-start, 8))
		list, verifiedBy, err := merkle.ProveRun(w, nil, start, n, 0, 0, nil)
		if err != nil {
			continue
		}
		p.receiveRun(t, w.run(start, n, list), verifiedBy/2)
		proven++
	}
	if proven < 1000 {
		t.Fatalf("only %d proofs", proven)
	}
}

// TestRunDamaged starts from a tree with one wrong node. The right one is listed
// for storing if it was met, and never blamed on the sender alone.
func TestRunDamaged(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	ref := newReference(t, 32, 32, false)
	for range 3000 {
		length := 1 + rng.Uint64N(32)
		w := writer(ref, length)
		p := w.clone()
		if rng.IntN(2) == 0 {
			p = sparse(t, w, rng, 3)
		}
		held := slices.Sorted(maps.Keys(p.held))
		bad := p.held[held[rng.IntN(len(held))]]
		bad.Hash[3] ^= 1
		p.held[bad.Index] = bad
		start := rng.Uint64N(length)
		n := 1 + rng.Uint64N(length-start)
		run, signed := w.serveRun(t, nil, start, n, 0, 0)
		r := &p.res
		if err := p.verifier().VerifyRun(run, r); err != nil {
			t.Fatalf("node %d wrong of %v, %d+%d of %d: %v", bad.Index, held, start, n, length, err)
		}
		if !r.Trusted && r.TreeHash != ref.treeHash(signed) {
			t.Fatalf("node %d wrong of %v, %d+%d of %d: %+v", bad.Index, held, start, n, length, r)
		}
		if r.Conflict != nil && (r.Conflict.Held != bad || r.Conflict.Given != ref.nodes[bad.Index]) {
			t.Fatalf("conflict %+v", *r.Conflict)
		}
		mended := false
		for _, x := range r.Store {
			if x != ref.nodes[x.Index] {
				t.Fatalf("node %d wrong: would store %+v", bad.Index, x)
			}
			mended = mended || x.Index == bad.Index
		}
		if mended != (r.Conflict != nil) {
			t.Fatalf("node %d wrong: conflict %v, stored %v", bad.Index, r.Conflict, r.Store)
		}
	}
}

// TestRunStoredSizes starts from a tree in which hypercore 6 stored moved sizes:
// values set them right, also that of the sibling beside the run.
func TestRunStoredSizes(t *testing.T) {
	ref := newReference(t, 8, 8, false)
	w := writer(ref, 8)
	runs(8, func(start, n uint64) {
		if start > 3 || start+n <= 2 {
			return
		}
		for _, digests := range [][2]uint64{{0, 0}, {1, 1}} {
			p := w.clone()
			for _, x := range []uint64{4, 6} {
				bad := p.held[x]
				bad.Size += x - 5
				p.held[x] = bad
			}
			run, _ := w.serveRun(t, nil, start, n, digests[0], digests[1])
			if err := p.verifier().VerifyRun(run, &p.res); err != nil || !p.res.Trusted || !p.res.Conflict.SizeOnly() || len(p.res.Store) != 2 {
				t.Fatalf("%d+%d: %v, %+v", start, n, err, p.res)
			}
			if err := p.sound(); err != nil {
				t.Fatalf("%d+%d: %v", start, n, err)
			}
		}
	})
}

// TestRunRefused lists messages that prove nothing, and runs that cannot be
// proven.
func TestRunRefused(t *testing.T) {
	ref := newReference(t, 20, 20, false)
	w := writer(ref, 20)
	forge := func(r merkle.Run, block uint64) merkle.Run {
		r.Leaves[block-r.Start] = merkle.Leaf(block, []byte("forged"))
		return r
	}
	sized := func(r merkle.Run, i int, size uint64) merkle.Run {
		r.Nodes[i].Size = size
		return r
	}
	leaf := func(r merkle.Run, i int, n merkle.Node) merkle.Run {
		r.Leaves[i] = n
		return r
	}
	big := ref.nodes[8]
	big.Size = merkle.MaxInt
	for name, c := range map[string]struct {
		run merkle.Run
		err error
	}{
		"nothing":                  {merkle.Run{Start: 3}, merkle.ErrInvalid},
		"too many blocks":          {merkle.Run{Leaves: make([]merkle.Node, merkle.MaxRun+1)}, merkle.ErrInvalid},
		"too many nodes":           {merkle.Run{Leaves: make([]merkle.Node, 1), Nodes: make([]merkle.Node, merkle.MaxRunNodes+1)}, merkle.ErrInvalid},
		"end out of bounds":        {merkle.Run{Start: merkle.MaxLength - 1, Leaves: make([]merkle.Node, 2)}, merkle.ErrInvalid},
		"start out of bounds":      {merkle.Run{Start: 1<<64 - 1, Leaves: make([]merkle.Node, 2)}, merkle.ErrInvalid},
		"leaf of another block":    {leaf(w.run(3, 3, nil), 1, ref.nodes[10]), merkle.ErrInvalid},
		"leaf too large":           {leaf(w.run(3, 3, nil), 1, merkle.Node{Index: 8, Size: merkle.MaxInt + 1}), merkle.ErrInvalid},
		"leaves too large":         {leaf(w.run(3, 3, nil), 1, big), merkle.ErrSize},
		"left sibling missing":     {w.run(3, 3, []uint64{1, 11, 23, 35}), merkle.ErrInvalid},
		"right before left":        {w.run(3, 4, []uint64{1, 4, 13, 23, 35}), merkle.ErrInvalid},
		"surplus after the roots":  {w.run(3, 5, []uint64{4, 1, 23, 35, 37}), merkle.ErrInvalid},
		"surplus before the roots": {w.run(3, 5, []uint64{4, 1, 23, 37, 35}), merkle.ErrInvalid},
		"root missing":             {w.run(17, 3, []uint64{32}), merkle.ErrInvalid},
		"forged inside a root":     {forge(w.run(4, 3, []uint64{7, 23}), 5), merkle.ErrInvalid},
		"sibling too large":        {sized(w.run(3, 5, []uint64{4, 1, 23, 35}), 1, merkle.MaxInt+1), merkle.ErrSize},
		"siblings too large":       {sized(w.run(3, 5, []uint64{4, 1, 23, 35}), 1, merkle.MaxInt), merkle.ErrSize},
		"roots too large":          {sized(w.run(3, 5, []uint64{4, 1, 23, 35}), 3, merkle.MaxInt), merkle.ErrSize},
		"node 2^64-1":              {merkle.Run{Leaves: []merkle.Node{{}, {Index: 2}}, Nodes: []merkle.Node{{Index: 1<<64 - 1}}}, merkle.ErrSize},
		"root of no log":           {merkle.Run{Leaves: []merkle.Node{{}, {Index: 2}}, Nodes: []merkle.Node{{Index: merkle.MaxInt}}}, nil},
	} {
		var r merkle.Result
		err := newPeer(ref).verifier().VerifyRun(c.run, &r)
		if err == nil || c.err != nil && !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
	}
	torn := w.clone()
	delete(torn.held, 1)
	dst := []uint64{99}
	for name, c := range map[string]struct {
		p        *peer
		start, n uint64
	}{
		"no blocks": {w, 3, 0}, "too many": {w, 0, merkle.MaxRun + 1}, "end out of bounds": {w, merkle.MaxLength, 1},
		"not here": {w, 18, 3}, "all of it not here": {w, 20, 3}, "sibling not here": {torn, 2, 3},
	} {
		if got, _, err := merkle.ProveRun(c.p, nil, c.start, c.n, 0, 0, dst); !errors.Is(err, merkle.ErrNoProof) || len(got) != 1 {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}
