package feed_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/feed/merkle"
	"github.com/go-hypercore/hypercore/store"
	"github.com/go-hypercore/hypercore/store/storetest"
)

// ackd is what a feed had acknowledged after an operation of the storage.
type ackd struct {
	at     int // number of the operation
	length uint64
	hash   merkle.Hash // at the length
	blocks []uint64    // a reader's: blocks that must be here
}

// powerCut is a feed on a storage that can crash, with everything that was
// acknowledged.
type powerCut struct {
	c       *storetest.Crash
	content [][]byte // by block
	key     feed.Key
	secret  ed25519.PrivateKey
	seed    uint64

	mu       sync.Mutex
	f        *feed.Feed
	promises []ackd
	cleared  map[uint64]bool
}

// promised notes that the feed has acknowledged its first n blocks.
func (w *powerCut) promised(f *feed.Feed, n uint64, blocks []uint64) {
	roots, err := f.Roots(n)
	if err != nil {
		panic(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.promises = append(w.promises, ackd{w.c.Len(), n, merkle.TreeHash(roots), blocks})
}

// The Replicator's part: what is announced is acknowledged.
func (w *powerCut) DemandChanged() {}
func (w *powerCut) Available(start, end uint64) {
	if w.f.Writable() {
		w.promised(w.f, end, nil)
	}
}
func (w *powerCut) Cleared(start, end uint64) {}
func (w *powerCut) KnownLen() uint64          { return 0 }
func (w *powerCut) FeedClosed(error)          {}

// last returns the newest ackd made before a crash, and all announced lengths.
func (w *powerCut) last(at int) ackd {
	i := sort.Search(len(w.promises), func(i int) bool { return w.promises[i].at > at })
	if i == 0 {
		return ackd{}
	}
	best := w.promises[i-1]
	for _, p := range w.promises[:i] {
		if p.length > best.length {
			best.length, best.hash = p.length, p.hash
		}
	}
	return best
}

// explore tries crashes and returns how many.
func (w *powerCut) explore(t *testing.T, perOp int, after func(s storetest.State, f *feed.Feed) error) (states int) {
	t.Helper()
	slices.SortStableFunc(w.promises, func(a, b ackd) int { return a.at - b.at })
	index := func(at int) uint64 {
		return uint64(sort.Search(len(w.promises), func(i int) bool { return w.promises[i].at > at }))
	}
	for s := range w.c.States(storetest.Explore{PerOp: perOp, Promise: index}) {
		states++
		if err := w.survives(s, after); err != nil {
			t.Fatalf("seed %d, %v: %v\n%s", w.seed, s, err, w.c.Log(s.At-15, s.At+1))
		}
	}
	return states
}

// survives checks what a crash has left.
func (w *powerCut) survives(s storetest.State, after func(storetest.State, *feed.Feed) error) error {
	ctx := context.Background()
	p := w.last(s.At)
	o := feed.Options{Key: w.key, MustExist: p.length > 0, Durability: feed.NoSync}
	if p.length == 0 {
		o.SecretKey = w.secret // it may not have been written yet
	}
	f, err := feed.Open(ctx, s.Storage, o)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer f.Close()
	if f.Len() < p.length {
		return fmt.Errorf("length %d, %d was acknowledged", f.Len(), p.length)
	}
	if p.length > 0 {
		roots, err := f.Roots(p.length)
		if err == nil && merkle.TreeHash(roots) != p.hash {
			return fmt.Errorf("another history at length %d", p.length)
		}
		if err != nil && f.Writable() {
			return err
		}
	}
	must := p.blocks
	if must == nil {
		for i := range p.length {
			if !w.cleared[i] {
				must = append(must, i)
			}
		}
	}
	for _, i := range must {
		if b, err := f.Local(i); err != nil || !bytes.Equal(b, w.content[i]) {
			return fmt.Errorf("block %d was acknowledged: %q, %v", i, b, err)
		}
	}
	r, err := f.Audit(ctx, feed.AuditOptions{})
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	if !r.OK() {
		return fmt.Errorf("audit of %d blocks: %v, %d invalid", r.Length, r.Problems, r.Invalid)
	}
	if err := f.Stats().Err; err != nil && !errors.Is(err, feed.ErrNotWritable) {
		return fmt.Errorf("not in order: %w", err)
	}
	if after == nil {
		return nil
	}
	return after(s, f)
}

// TestCrashWriter cuts the power of a writer.
func TestCrashWriter(t *testing.T) {
	total := 0
	for seed := range uint64(testRounds(2)) {
		total += crashWriter(t, seed, nil)
	}
	t.Logf("%d crashes", total)
}

func crashWriter(t *testing.T, seed uint64, start *store.MemoryStorage) int {
	ctx := context.Background()
	r := rand.New(rand.NewPCG(seed, 11))
	secret := keyFromSeed(seed)
	w := &powerCut{c: storetest.NewCrash(start), seed: seed, secret: secret, cleared: map[uint64]bool{}}
	durability := feed.Durability(seed % 2)
	reopen := func() {
		f, err := feed.Open(ctx, w.c, feed.Options{SecretKey: secret, Durability: durability})
		if err != nil {
			t.Fatal(err)
		}
		w.f, w.key = f, f.Key()
		if _, err := f.Attach(w); err != nil {
			t.Fatal(err)
		}
	}
	reopen()
	for range 14 {
		switch r.IntN(8) {
		case 0, 1, 2, 3:
			var batch [][]byte
			for range 1 + r.IntN(1+r.IntN(12)) {
				n := r.IntN(40)
				if r.IntN(12) == 0 {
					n = 17000 // written at once
				}
				b := make([]byte, n)
				for i := range b {
					b[i] = byte(r.Uint32())
				}
				batch = append(batch, b)
			}
			w.content = append(w.content, batch...)
			if _, err := w.f.Append(ctx, batch...); err != nil {
				t.Fatal(err)
			}
			if durability == feed.AppendDurable {
				w.promised(w.f, w.f.Len(), nil)
			}
		case 4, 5:
			n := w.f.Len()
			if err := w.f.Sync(ctx); err != nil {
				t.Fatal(err)
			}
			w.promised(w.f, n, nil)
		case 6:
			if n := w.f.Len(); n > 0 {
				start := r.Uint64N(n)
				end := min(n, start+r.Uint64N(4))
				for i := start; i < end; i++ {
					w.cleared[i] = true
				}
				if err := w.f.Clear(ctx, start, end); err != nil {
					t.Fatal(err)
				}
			}
		case 7:
			n := w.f.Len()
			if err := w.f.Close(); err != nil {
				t.Fatal(err)
			}
			reopen()
			w.promised(w.f, n, nil)
		}
	}
	if err := w.f.Close(); err != nil {
		t.Fatal(err)
	}
	return w.explore(t, 24, func(s storetest.State, f *feed.Feed) error {
		// The writer goes on, and what it wrote is there.
		n := f.Len()
		if !f.Writable() {
			return fmt.Errorf("not writable")
		}
		if _, err := f.Append(ctx, []byte("after the crash")); err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
		g, err := feed.Open(ctx, s.Storage, feed.Options{MustExist: true})
		if err != nil {
			return err
		}
		defer g.Close()
		if b, err := g.Local(n); err != nil || string(b) != "after the crash" {
			return fmt.Errorf("the block after the crash is %q, %v", b, err)
		}
		if r, err := g.Audit(ctx, feed.AuditOptions{}); err != nil || !r.OK() {
			return fmt.Errorf("audit: %v, %v", r.Problems, err)
		}
		return nil
	})
}

// TestCrashReader cuts the power of a reader, and lets it fetch the rest.
func TestCrashReader(t *testing.T) {
	total := 0
	for seed := range uint64(testRounds(4)) {
		total += crashReader(t, seed)
	}
	t.Logf("%d crashes", total)
}

func crashReader(t *testing.T, seed uint64) int {
	ctx := context.Background()
	r := rand.New(rand.NewPCG(seed, 12))
	src := open(t, store.Memory(), feed.Options{SecretKey: keyFromSeed(seed)})
	w := &powerCut{c: storetest.NewCrash(nil), seed: seed, key: src.Key(), cleared: map[uint64]bool{}}
	more := func() {
		var batch [][]byte
		for range 1 + r.IntN(9) {
			b := make([]byte, r.IntN(30))
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			batch = append(batch, b)
		}
		w.content = append(w.content, batch...)
		if _, err := src.Append(ctx, batch...); err != nil {
			t.Fatal(err)
		}
		if err := src.Sync(ctx); err != nil {
			t.Fatal(err)
		}
	}
	reopen := func() {
		f, err := feed.Open(ctx, w.c, feed.Options{Key: w.key, Sparse: true})
		if err != nil {
			t.Fatal(err)
		}
		w.f = f
	}
	more()
	reopen()
	have := map[uint64]bool{}
	for range 30 {
		switch r.IntN(9) {
		case 0, 1, 2, 3, 4:
			i := r.Uint64N(src.Len())
			transfer(t, src, w.f, i)
			have[i] = true
		case 5:
			more()
		case 6:
			start := r.Uint64N(src.Len())
			end := start + r.Uint64N(3)
			var left []uint64 // of what is acknowledged now
			if n := len(w.promises); n > 0 {
				left = slices.Clone(w.promises[n-1].blocks)
			}
			left = slices.DeleteFunc(left, func(i uint64) bool { return i >= start && i < end })
			for i := start; i < end; i++ {
				delete(have, i)
			}
			w.promised(w.f, 0, append([]uint64{}, left...))
			if err := w.f.Clear(ctx, start, end); err != nil {
				t.Fatal(err)
			}
		case 7:
			if err := w.f.Sync(ctx); err != nil {
				t.Fatal(err)
			}
			w.promised(w.f, w.f.Len(), keys(have))
		case 8:
			if err := w.f.Close(); err != nil {
				t.Fatal(err)
			}
			reopen()
			w.promised(w.f, w.f.Len(), keys(have))
		}
	}
	if err := w.f.Close(); err != nil {
		t.Fatal(err)
	}
	return w.explore(t, 24, func(s storetest.State, f *feed.Feed) error {
		for i := range src.Len() {
			if !f.Has(i) {
				p := prove(t, src, i, f.Digest(i))
				if _, err := f.Apply(ctx, []feed.Proof{p}); err != nil {
					return fmt.Errorf("block %d: %w", i, err)
				}
			}
		}
		for i, want := range w.content {
			if b, err := f.Local(uint64(i)); err != nil || !bytes.Equal(b, want) {
				return fmt.Errorf("block %d: %q, %v", i, b, err)
			}
		}
		r, err := f.Audit(ctx, feed.AuditOptions{})
		if err != nil || !r.OK() || r.Present != src.Len() {
			return fmt.Errorf("audit: %+v, %v", r, err)
		}
		return nil
	})
}

func keys(m map[uint64]bool) []uint64 {
	l := []uint64{}
	for k := range m {
		l = append(l, k)
	}
	return l
}

// TestPowerCutBehindPage: of a feed whose last blocks have begun a new page of the
// bitfield, which was lost, Open reads those blocks, and not all.
func TestPowerCutBehindPage(t *testing.T) {
	ctx := t.Context()
	const page, size = 8192, 100
	start := store.Memory()
	f := open(t, start, feed.Options{})
	if _, err := f.Append(ctx, slices.Repeat([][]byte{make([]byte, size)}, page-3)...); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	rec := storetest.NewCrash(start)
	f = open(t, rec, durable)
	defer f.Close()
	for range 6 {
		if _, err := f.Append(ctx, make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Append(ctx, make([]byte, 300<<10)); err != nil { // more than an entry has: a slot
		t.Fatal(err)
	}
	disk := rec.Image(rec.Len(), storetest.Drop, 0)
	var reads atomic.Int64
	g := open(t, countReads{disk, "data", &reads}, feed.Options{})
	defer g.Close()
	if n := reads.Load(); g.Len() != page+4 || g.NextMissing(0) < g.Len() || n > 20 {
		t.Errorf("%d blocks, the first that is missing is %d, %d reads of data", g.Len(), g.NextMissing(0), n)
	}
	audit(t, g)
}

// TestSyncedAfterNoSync: what was written without syncs is durable when a feed that is
// opened with them has committed, with its keys, whether anything was appended or not.
func TestSyncedAfterNoSync(t *testing.T) {
	ctx := t.Context()
	for _, more := range []int{0, 1} {
		for _, closed := range []bool{true, false} {
			rec := storetest.NewCrash(nil)
			process := &tether{Storage: rec}
			f := open(t, process, feed.Options{Durability: feed.NoSync})
			appendN(t, f, 40)
			if err := f.Sync(ctx); err != nil {
				t.Fatal(err)
			}
			if !closed {
				process.kill()
			}
			if err := f.Close(); closed && err != nil {
				t.Fatal(err)
			}
			g := open(t, rec, durable)
			appendN(t, g, more)
			if err := g.Sync(ctx); err != nil {
				t.Fatal(err)
			}
			g.Rest()
			n := uint64(40 + more)
			if shown := g.NextUnshown(0); shown != n {
				t.Errorf("%d blocks are shown, want %d", shown, n)
			}
			for range 2 { // at once, and after it was closed
				h, err := feed.Open(ctx, rec.Image(rec.Len(), storetest.Drop, 0), feed.Options{MustExist: true})
				if err != nil {
					t.Fatal(err)
				}
				holds(t, h, n)
				if !h.Writable() {
					t.Error("the secret key is lost")
				}
				h.Close()
				g.Close()
			}
			before := rec.Len()
			g = open(t, rec, durable)
			g.Close()
			for _, op := range rec.Ops()[before:] {
				if op.Kind == storetest.Sync {
					t.Errorf("synced once more: %v", op)
				}
			}
		}
	}
}
