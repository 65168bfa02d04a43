package merkle_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/go-hypercore/hypercore/feed/merkle"
)

const mostRuns = 40 // the length up to which all runs are tried

// word makes a peer's nodes the Word of a Verifier.
func (p *peer) word(n uint64) (w uint64) {
	for i := range uint64(64) {
		if p.Get(n + i) {
			w |= 1 << (63 - i)
		}
	}
	return w
}

// digests are those of a request for a run.
func (p *peer) digests(start, n uint64) (first, last uint64) {
	return merkle.DigestRun(p, start, n, 2*max(p.length, start+n))
}

// serveRun returns the proof of a run as the peer replies to a request.
func (p *peer) serveRun(t testing.TB, remote merkle.MutableBits, start, n, first, last uint64) (merkle.Run, uint64) {
	t.Helper()
	list, verifiedBy, err := merkle.ProveRun(p, remote, start, n, first, last, nil)
	if err != nil {
		t.Fatalf("blocks %d+%d of %d, digests %b %b: %v", start, n, p.length, first, last, err)
	}
	return p.run(start, n, list), verifiedBy / 2
}

// run makes a message of a list of nodes.
func (p *peer) run(start, n uint64, list []uint64) merkle.Run {
	run := merkle.Run{Start: start}
	for i := range n {
		run.Leaves = append(run.Leaves, p.ref.nodes[2*(start+i)])
	}
	for _, i := range list {
		run.Nodes = append(run.Nodes, p.held[i])
	}
	return run
}

// verifyRun checks a run from an honest peer without storing anything.
func (p *peer) verifyRun(run merkle.Run, signed uint64) error {
	r := &p.res
	v := p.verifier()
	if err := v.VerifyRun(run, r); err != nil {
		return err
	}
	var other merkle.Result
	v.Word = p.word
	if err := v.VerifyRun(run, &other); err != nil || !same(r, &other) {
		return fmt.Errorf("with Word: %v, %+v instead of %+v", err, other, *r)
	}
	if r.Conflict != nil {
		return fmt.Errorf("conflict %+v", *r.Conflict)
	}
	if r.Trusted && (r.Length != 0 || len(r.Roots) > 0 || len(r.Unproven) > 0 || r.ByteLen != 0) {
		return fmt.Errorf("trusted, but %+v", *r)
	}
	if !r.Trusted {
		if r.Length != signed || r.TreeHash != p.ref.treeHash(signed) || !slices.Equal(r.Roots, p.ref.roots(signed)) {
			return fmt.Errorf("proves length %d, not %d, roots %v", r.Length, signed, r.Roots)
		}
	}
	return p.sound()
}

func same(a, b *merkle.Result) bool {
	x, y := reflect.ValueOf(*a), reflect.ValueOf(*b)
	for i := range x.NumField() {
		f := x.Type().Field(i)
		if !f.IsExported() {
			continue
		}
		if v, w := x.Field(i), y.Field(i); v.Kind() == reflect.Slice && v.Len() == 0 && w.Len() == 0 {
			continue
		} else if !reflect.DeepEqual(v.Interface(), w.Interface()) {
			return false
		}
	}
	return true
}

// receiveRun verifies a run and stores what it proves, insisting on success.
func (p *peer) receiveRun(t testing.TB, run merkle.Run, signed uint64) *merkle.Result {
	t.Helper()
	if err := p.verifyRun(run, signed); err != nil {
		t.Fatalf("blocks %d+%d of %d, nodes %v, holding %d of length %d: %v",
			run.Start, len(run.Leaves), signed, indexes(run.Nodes), slices.Sorted(maps.Keys(p.held)), p.length, err)
	}
	p.store()
	for i := range run.Leaves {
		p.blocks[run.Start+uint64(i)] = true
	}
	return &p.res
}

func (p *peer) store() {
	for _, n := range p.res.Store {
		p.held[n.Index] = n
	}
	p.length = max(p.length, p.res.Length)
}

func indexes(nodes []merkle.Node) (out []uint64) {
	for _, n := range nodes {
		out = append(out, n.Index)
	}
	return out
}

// runs calls f for all runs of a log.
func runs(length uint64, f func(start, n uint64)) {
	for start := range length {
		for n := uint64(1); start+n <= length; n++ {
			f(start, n)
		}
	}
}

// TestRunFresh proves every run of every log to a reader that has nothing, and
// compares what it holds then with what the proofs of the single blocks give.
func TestRunFresh(t *testing.T) {
	ref := newReference(t, mostRuns, mostRuns, false)
	for length := uint64(1); length <= mostRuns; length++ {
		w := writer(ref, length)
		runs(length, func(start, n uint64) {
			p, q := newPeer(ref), newPeer(ref)
			run, signed := w.serveRun(t, nil, start, n, 0, 0)
			r := p.receiveRun(t, run, signed)
			if signed != length || r.Trusted || len(r.Unproven) != 0 {
				t.Fatalf("%d+%d of %d: %+v", start, n, length, r)
			}
			// Only what the reader cannot compute was sent.
			for _, x := range run.Nodes {
				if b := merkle.LeftSpan(x.Index) / 2; b >= start && b < start+n || slices.Contains(indexes(run.Nodes), merkle.Sibling(x.Index)) {
					t.Fatalf("%d+%d of %d: node %d of %v is not needed", start, n, length, x.Index, indexes(run.Nodes))
				}
			}
			if length > 16 && (start+n+length)%4 > 0 {
				return
			}
			for i := range n {
				proof, signed := w.serve(t, nil, start+i, 0, false)
				q.receive(t, proof, signed)
				if n == 1 && !slices.Equal(proof.Nodes, run.Nodes) {
					t.Fatalf("%d of %d: nodes %v as a run, %v as a block", start, length, indexes(run.Nodes), indexes(proof.Nodes))
				}
			}
			if !maps.Equal(p.held, q.held) {
				t.Fatalf("%d+%d of %d: holds %v after the run, %v after the blocks", start, n, length,
					slices.Sorted(maps.Keys(p.held)), slices.Sorted(maps.Keys(q.held)))
			}
		})
	}
}

// TestRunEveryState asks for every run from random states: as a reader does,
// with plain digests, with none, and with a source that knows or remembers
// something.
func TestRunEveryState(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	ref := newReference(t, mostRuns, mostRuns, false)
	for length := uint64(1); length <= mostRuns; length++ {
		w := writer(ref, length)
		for _, p := range []*peer{
			sparse(t, w, rng, 1), sparse(t, w, rng, 1+rng.IntN(4)), sparse(t, w, rng, int(length)),
			grown(t, ref, length, rng), grown(t, ref, length, rng), w,
		} {
			runs(length, func(start, n uint64) {
				if length > 8 && rng.IntN(int(length*length)) > 60 {
					return
				}
				everyRequest(t, rng, w, p, start, n)
			})
		}
	}
}

// grown is a reader that met the log at several lengths, so that it holds old
// roots without what is above them.
func grown(t testing.TB, ref *reference, length uint64, rng *rand.Rand) *peer {
	p := newPeer(ref)
	for l := uint64(0); l < length; {
		l += 1 + rng.Uint64N(length-l)
		block := l - 1
		if rng.IntN(3) == 0 {
			block = rng.Uint64N(l)
		}
		p.request(t, writer(ref, l), nil, block, false)
	}
	if p.length < length { // the last request was for a trusted block
		p.request(t, writer(ref, length), nil, p.length, false)
	}
	return p
}

func everyRequest(t *testing.T, rng *rand.Rand, w, p *peer, start, n uint64) {
	t.Helper()
	first, last := p.digests(start, n)
	if n == 1 && first != merkle.Digest(p, start, 2*p.length) {
		t.Fatal("the digest of one block is another")
	}
	q := p.clone()
	run, signed := w.serveRun(t, nil, start, n, first, last)
	r := q.receiveRun(t, run, signed)
	if !r.Trusted || r.Surplus > 0 {
		t.Fatalf("%d+%d of %d, digests %b %b: more than needed: %v, holding %v", start, n, w.length, first, last, indexes(run.Nodes), slices.Sorted(maps.Keys(p.held)))
	}
	for _, x := range run.Nodes {
		if p.Get(x.Index) {
			t.Fatalf("%d+%d of %d, digests %b %b: node %d is held", start, n, w.length, first, last, x.Index)
		}
	}
	s := p.clone()
	for i := range n {
		s.request(t, w, nil, start+i, false)
	}
	if !maps.Equal(q.held, s.held) {
		t.Fatalf("%d+%d of %d: holds %v after the run, %v after the blocks; before %v", start, n, w.length,
			slices.Sorted(maps.Keys(q.held)), slices.Sorted(maps.Keys(s.held)), slices.Sorted(maps.Keys(p.held)))
	}

	// What the source knows of the reader is true; more or less of it.
	all, some := bitmap{}, bitmap{}
	for x := range p.held {
		if w.Get(x) {
			all.Set(x, true)
			if rng.IntN(2) == 0 {
				some.Set(x, true)
			}
		}
	}
	d1, d2 := merkle.Digest(p, start, 2*w.length), merkle.Digest(p, start+n-1, 2*w.length)
	remotes := []bitmap{nil, {}, all, some}
	digests := [][2]uint64{{first, last}, {d1, d2}, {d1, 0}, {0, d2}, {0, 0}}
	for range 3 {
		remote, d := remotes[rng.IntN(len(remotes))], digests[rng.IntN(len(digests))]
		var m merkle.MutableBits
		if remote != nil {
			m = maps.Clone(remote)
		}
		run, signed := w.serveRun(t, m, start, n, d[0], d[1])
		s := p.clone()
		if err := s.verifyRun(run, signed); err != nil {
			t.Fatalf("%d+%d of %d, digests %b, nodes %v, remote %v, holding %v: %v", start, n, w.length, d,
				indexes(run.Nodes), slices.Sorted(maps.Keys(remote)), slices.Sorted(maps.Keys(p.held)), err)
		}
		s.store()
		if m == nil {
			continue
		}
		for x := range m.(bitmap) {
			if !p.Get(x) || !w.Get(x) {
				t.Fatalf("%d+%d, digests %b: the source believes in node %d", start, n, d, x)
			}
		}
		merkle.MarkRun(w, m, start, n)
		for x := range m.(bitmap) {
			if !s.Get(x) {
				t.Fatalf("%d+%d, digests %b, nodes %v: the source believes that the run brought node %d", start, n, d, indexes(run.Nodes), x)
			}
		}
	}
}
