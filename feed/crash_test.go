package feed_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/feed/merkle"
	"github.com/go-hypercore/hypercore/store/storetest"
)

// The crash matrix. Programs that use a feed (kinds) run on a disk that remembers
// every operation. Then the power is cut after each of them, in as many ways as
// the disk may have lost, kept, reordered or torn what was not synced. Each disk
// that comes of it is a state, on which the program starts again and must find:
//
//   - the feed opens, without damage, and an audit finds nothing;
//   - everything is there that was acknowledged: Sync, Close or a durable Append
//     returned, or the writer or the reader announced or served it;
//   - the tree hashes of all lengths are what they were, and a reader that had
//     followed before the crash accepts what the writer appends after it.
//
// What the program does then is recorded as well, and for some states the power
// is cut again on the way, which tries recovery itself; and again.
//
// A state counts once, however often it comes up, and only if its files differ
// in name or content from those of every other.

// crashStates is the number of distinct states for go test, a third of it with
// -short; the variable HYPERCORE_CRASH_STATES sets another one, as .ci/run does.
const crashStates = 1500

var secretKey = ed25519.NewKeyFromSeed([]byte("the same key in each crash test."))

func TestCrash(t *testing.T) {
	target := crashStates
	if testing.Short() {
		target /= 3
	}
	if s := os.Getenv("HYPERCORE_CRASH_STATES"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("HYPERCORE_CRASH_STATES: %v", err)
		}
		target = n
	}
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	m := &matrix{target: target, states: map[uint64]bool{}, checks: map[trial]bool{}, by: map[string]*tally{}}
	start := time.Now()
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for m.work() {
			}
		})
	}
	wg.Wait()
	for _, k := range kinds {
		if c := m.by[k.name]; c != nil {
			t.Logf("%-22s %4d runs %6d operations %7d states, %7d of them after more than one crash", k.name, c.runs, c.ops, c.states, c.again)
		}
	}
	t.Logf("crash matrix: %d distinct states in %.0f s, %d checks, %d violations", len(m.states), time.Since(start).Seconds(), len(m.checks), len(m.bad))
	for _, err := range m.bad {
		t.Error(err)
	}
}

// matrix hands out the runs and counts.
type matrix struct {
	target int // distinct states

	mu     sync.Mutex
	next   int
	states map[uint64]bool
	checks map[trial]bool
	by     map[string]*tally
	bad    []error
}

type tally struct{ runs, ops, states, again int }

// maxBad is the number of violations after which nothing more is learned.
const maxBad = 3

// work does one run with all its crashes; false when there is nothing to do.
func (m *matrix) work() bool {
	m.mu.Lock()
	k, round := kinds[m.next%len(kinds)], m.next/len(kinds)
	if len(m.states) >= m.target && round > 0 || len(m.bad) >= maxBad {
		m.mu.Unlock()
		return false
	}
	m.next++
	if m.by[k.name] == nil {
		m.by[k.name] = &tally{}
	}
	m.mu.Unlock()

	if err := m.run(k, uint64(round)); err != nil {
		m.mu.Lock()
		m.bad = append(m.bad, fmt.Errorf("%s, round %d: %w", k.name, round, err))
		m.mu.Unlock()
	}
	return true
}

func (m *matrix) run(k *kind, round uint64) error {
	r := rand.New(rand.NewPCG(round, 4))
	w := newWorld(k, nil, promise{})
	if k.start != nil {
		w = k.start(k)
	}
	defer w.end()
	if err := attempt(func() {
		k.run(w, r)
		w.learn()
		w.kill()
	}); err != nil {
		return fmt.Errorf("no crash yet: %w\n%s", err, w.rec.Log(0, w.rec.Len()))
	}
	m.mu.Lock()
	m.by[k.name].runs++
	m.by[k.name].ops += w.rec.Len()
	m.mu.Unlock()
	return m.explore(w, r.Uint64())
}

// How many states of a run are tried, by the number of crashes before.
var tried = [...]int{400, 12, 6}

// explore cuts the power at the operations of a run.
func (m *matrix) explore(w *world, seed uint64) error {
	n := w.rec.Len()
	if n == 0 {
		return nil
	}
	r := rand.New(rand.NewPCG(seed, 5))
	e := storetest.Explore{Seed: seed, Promise: w.promiseAt}
	if w.depth == 0 {
		most := min(tried[0], m.target/(3*len(kinds)))
		if w.kind.once {
			most /= 8
		}
		e.PerOp = min(48, 1+2*most/n)
		return m.cut(w, e, r)
	}
	for range tried[w.depth] / 3 {
		e.From = 1 + r.IntN(n)
		e.To, e.PerOp, e.Seed = e.From, 3+r.IntN(3), r.Uint64()
		if err := m.cut(w, e, r); err != nil {
			return err
		}
	}
	return nil
}

// cut tries the states of a run.
func (m *matrix) cut(w *world, e storetest.Explore, r *rand.Rand) error {
	for s := range w.rec.States(e) {
		p := w.promises[w.promiseAt(s.At)]
		fresh, more := m.count(w, s, p)
		if !more {
			return nil
		}
		if !fresh {
			continue
		}
		c := newWorld(w.kind, s.Storage, p)
		c.depth = w.depth + 1
		c.killed = w.depth == 0 && s.Policy == storetest.Keep
		err := attempt(func() { c.recover(w, rand.New(rand.NewPCG(s.Seed, uint64(s.At)))) })
		if err == nil && c.depth < len(tried) && !w.kind.once && r.IntN(10) == 0 {
			err = m.explore(c, r.Uint64())
		}
		c.end()
		if err != nil {
			return fmt.Errorf("%v: %w\n%s", s, err, w.rec.Log(max(0, s.At-40), s.At))
		}
	}
	return nil
}

// count counts a state. It is not new if this program has been tried on it with
// the same promise; there is no more to do when there are enough.
func (m *matrix) count(w *world, s storetest.State, p promise) (fresh, more bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := trial{w.kind.name, s.Sum, p.length, fmt.Sprint(p.have, p.key)}
	if fresh = !m.checks[c]; fresh {
		m.checks[c] = true
	}
	if !m.states[s.Sum] {
		m.states[s.Sum] = true
		t := m.by[w.kind.name]
		t.states++
		if w.depth > 0 {
			t.again++
		}
	}
	return fresh, len(m.bad) < maxBad && (m.next <= len(kinds) || len(m.states) < m.target)
}

// trial is one state with what was promised on it.
type trial struct {
	kind   string
	sum    uint64
	length uint64
	rest   string
}

// recover is the program that starts on what a crash of parent has left.
func (w *world) recover(parent *world, r *rand.Rand) {
	p := w.promises[0]
	w.blocks, w.lengths = parent.blocks, slices.Clone(parent.lengths)
	for _, s := range parent.seen {
		if s.length <= max(p.length, w.kind.options.KnownLength) {
			w.seen = append(w.seen, s)
		}
	}
	if w.killed || r.IntN(4) == 0 {
		w.look(p)
	}
	w.open()
	n := w.f.Len()
	if n < p.length {
		failf("%d blocks, %d were promised", n, p.length)
	}
	for i := range p.have {
		if p.have[i] && !w.f.Has(uint64(i)) {
			failf("block %d was promised and is not here", i)
		}
	}
	if k := w.f.Key(); !p.key.IsZero() && k != p.key {
		failf("the key is %v, it was %v", k, p.key)
	}
	if err := w.f.Stats().Err; err != nil && !(w.kind.behind() && errors.Is(err, feed.ErrBehind)) {
		failf("it cannot go on: %w", err)
	}
	w.audit()
	if !w.kind.clone() && n >= w.kind.options.KnownLength {
		w.blocks = w.blocks[:n]
		w.lengths = slices.DeleteFunc(w.lengths, func(l uint64) bool { return l > n })
	}
	history := maps.Clone(parent.heads)
	if !w.kind.clone() {
		// What nobody has seen may be gone, and come out otherwise.
		maps.DeleteFunc(history, func(l uint64, _ merkle.Hash) bool { return l > n })
	}
	w.compare(history)
	w.kind.goOn(w, r)
	w.compare(history)
	w.close()
	if r.IntN(4) == 0 {
		w.open()
		w.audit()
		w.compare(w.heads)
		w.close()
	}
}

// look is what hypercore verify does before anything is recovered: it changes
// nothing, and finds everything that was promised. After a kill it finds nothing
// wrong; a power cut may have left what only Open puts in order.
func (w *world) look(p promise) {
	if w.kind.options.Repair {
		return // it is damaged
	}
	f, err := feed.Open(context.Background(), w.disk, feed.Options{ReadOnly: true})
	if p.length == 0 && (errors.Is(err, feed.ErrNotFound) || errors.Is(err, feed.ErrCorrupt)) {
		return
	}
	if err != nil {
		failf("open read only: %w", err)
	}
	defer f.Close()
	n := w.rec.Len()
	report, err := f.Audit(context.Background(), feed.AuditOptions{})
	switch {
	case err != nil:
		failf("audit read only: %w", err)
	case report.Invalid > 0, w.killed && !report.OK() && p.length > 0:
		failf("audit read only: %d problems, %d invalid blocks: %v", report.Count, report.Invalid, report.Problems)
	}
	if f.Len() < p.length {
		failf("read only: %d blocks, %d were promised", f.Len(), p.length)
	}
	for i := range p.have {
		if p.have[i] && !f.Has(uint64(i)) {
			failf("read only: block %d was promised and is not here", i)
		}
	}
	if w.rec.Len() != n {
		failf("read only: it has written:\n%s", w.rec.Log(n+1, w.rec.Len()))
	}
}

// compare checks that the history is the one with these tree hashes.
func (w *world) compare(heads map[uint64]merkle.Hash) {
	for n, want := range heads {
		if n > w.f.Len() {
			continue
		}
		if h, ok := w.head(n); ok && h != want {
			failf("the history has changed: another tree hash at length %d", n)
		}
	}
}
