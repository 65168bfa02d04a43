package feed_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/feed/bitfield"
	"github.com/go-hypercore/hypercore/feed/merkle"
	"github.com/go-hypercore/hypercore/store"
	"github.com/go-hypercore/hypercore/store/storetest"
)

// promise is what was acknowledged at some moment.
type promise struct {
	length uint64   // announced to a peer, served, or durable as Sync or Append said
	have   []bool   // blocks that are durable
	key    feed.Key // of a feed that was promised to be there; zero: nothing was
}

// world is one recorded run of a program that uses a feed, perhaps in several
// processes, one after the other, on one disk. What goes wrong is a panic with a
// failure, which attempt makes an error.
type world struct {
	kind  *kind
	depth int // crashes before this run
	rec   *storetest.Crash
	disk  store.Storage // rec, or something that fails on top of it
	calm  bool          // no process is killed

	killed bool // before this run only the process was killed, not the computer

	proc *tether
	f    *feed.Feed

	blocks  [][]byte               // of the history, appended here or elsewhere
	tried   [][]byte               // by an append that has not returned
	lengths []uint64               // that were signed
	heads   map[uint64]merkle.Hash // tree hashes at these lengths

	follower *feed.Feed // a reader that has followed, and its storage
	followed *store.MemoryStorage
	seen     []sight

	mu       sync.Mutex
	promises []promise
	since    []int // the operation from which a promise holds
	heard    chan struct{}
	clearing [2]uint64 // blocks that are being cleared: what is still said of them does not count
}

// sight is what a reader had at some moment.
type sight struct {
	length uint64
	st     *store.MemoryStorage
}

// failure is what a world panics with.
type failure struct{ error }

func failf(format string, args ...any) { panic(failure{fmt.Errorf(format, args...)}) }

// attempt runs fn and returns the failure it ends with, if any.
func attempt(fn func()) (err error) {
	defer func() {
		switch x := recover().(type) {
		case nil:
		case failure:
			err = x.error
		default:
			panic(x)
		}
	}()
	fn()
	return nil
}

// newWorld starts a run on a disk (nil: empty) that holds what was promised.
func newWorld(k *kind, disk *store.MemoryStorage, held promise) *world {
	w := &world{
		kind: k, rec: storetest.NewCrash(disk), heads: map[uint64]merkle.Hash{},
		promises: []promise{held}, since: []int{0}, heard: make(chan struct{}, 1),
	}
	w.disk = w.rec
	if k.clone() {
		w.blocks, w.lengths = k.src.blocks, slices.Clone(k.src.lengths)
	}
	return w
}

// promised changes what is promised from now on.
func (w *world) promised(change func(*promise)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.promises[len(w.promises)-1]
	p.have = slices.Clone(p.have)
	change(&p)
	if last := w.promises[len(w.promises)-1]; p.length == last.length && p.key == last.key && slices.Equal(p.have, last.have) {
		return
	}
	w.promises = append(w.promises, p)
	w.since = append(w.since, w.rec.Len())
}

// promiseAt returns the number of the promise that holds after an operation.
func (w *world) promiseAt(at int) uint64 {
	i, _ := slices.BinarySearch(w.since, at+1)
	return uint64(i - 1)
}

func (w *world) lastPromise() promise {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.promises[len(w.promises)-1]
}

// durable promises a length and blocks.
func (w *world) durable(length uint64, have []bool) {
	key := w.f.Key()
	w.promised(func(p *promise) {
		p.length, p.key = max(p.length, length), key
		for i, h := range have {
			if i >= len(p.have) {
				p.have = append(p.have, false)
			}
			// Looked up here, under the lock: what is said of a block while it is being
			// cleared comes after its promise was taken back.
			cleared := uint64(i) >= w.clearing[0] && uint64(i) < w.clearing[1]
			p.have[i] = p.have[i] || h && !cleared
		}
	})
}

// present returns which blocks are here.
func (w *world) present() (length uint64, have []bool) {
	length = w.f.Len()
	have = make([]bool, length)
	for i := range have {
		have[i] = w.f.Has(uint64(i))
	}
	return length, have
}

// The Replicator: what is announced is a promise, a writer's and a reader's.

func (w *world) Available(start, end uint64) {
	have := make([]bool, end)
	for i := start; i < end; i++ {
		have[i] = true
	}
	w.durable(end, have)
	select {
	case w.heard <- struct{}{}:
	default:
	}
}

// hear waits until everything that is here was announced.
func (w *world) hear() {
	if w.calm {
		w.sync() // it may never be
		return
	}
	n := (w.f.Len() + 7) &^ 7
	for !slices.Equal(w.f.Bitmap(nil, 0, n), w.f.LocalBits().Bytes(nil, 0, n)) {
		<-w.heard
	}
}

// showMap promises what a peer that asks is shown.
func (w *world) showMap() *bitfield.Bits {
	var shown bitfield.Bits
	shown.SetBytes(0, w.f.Bitmap(nil, 0, (w.f.Len()+63)/64*64))
	have := make([]bool, shown.Len())
	for i := range have {
		have[i] = shown.Get(uint64(i))
	}
	if len(have) > 0 {
		w.durable(uint64(len(have)), have)
	}
	return &shown
}

// show is what a peer does that asks a reader for a block.
func (w *world) show(r *rand.Rand) {
	shown, n := w.showMap(), w.f.Len()
	if n == 0 || !w.f.Readable() {
		return
	}
	i := r.Uint64N(n)
	var p feed.Proof
	err := w.f.Prove(feed.ProofRequest{Index: i}, nil, &p)
	switch {
	case shown.Get(i) && err != nil:
		failf("block %d is announced, not served: %w", i, err)
	case !shown.Get(i) && err == nil && w.f.NextUnshown(i) == i:
		failf("block %d is served, not announced", i)
	case err == nil:
		// The signature that was shown is durable.
		w.promised(func(p *promise) { p.length = max(p.length, i+1) })
	}
}
func (w *world) DemandChanged()      {}
func (w *world) Cleared(_, _ uint64) {}
func (w *world) KnownLen() uint64    { return 0 }
func (w *world) FeedClosed(error)    {}

// open starts a process and opens the feed.
func (w *world) open() {
	w.f, w.proc = nil, &tether{Storage: w.disk}
	f, err := feed.Open(context.Background(), w.proc, w.options(w.lastPromise()))
	if err != nil {
		failf("open: %w", err)
	}
	w.f = f
	if _, err := f.Attach(w); err != nil {
		failf("attach: %w", err)
	}
	f.SetAudience(w.kind.audience)
	w.showMap()
}

// options are those of a program that knows what was promised to it.
func (w *world) options(p promise) feed.Options {
	o := w.kind.options
	if w.kind.parks {
		o.Lot = feed.NewLot(feed.LotOptions{Look: -1})
	}
	switch {
	case w.kind.clone():
		o.Key = w.kind.src.key
	case !o.Static && p.key.IsZero():
		o.SecretKey = secretKey
	}
	return o
}

// close ends the process in order; everything is durable.
func (w *world) close() {
	w.learn()
	length, have := w.present()
	if err := w.f.Close(); err != nil {
		failf("close: %w", err)
	}
	w.durable(length, have)
}

// kill ends the process at once. The computer goes on.
func (w *world) kill() {
	if w.calm {
		w.close()
		return
	}
	w.learn()
	w.proc.kill()
	w.f.Close()
}

// sync waits until everything is durable.
func (w *world) sync() {
	length, have := w.present()
	if err := w.f.Sync(context.Background()); err != nil {
		failf("sync: %w", err)
	}
	w.durable(length, have)
	w.follow()
}

// park closes the files for a while; everything is durable.
func (w *world) park() {
	w.sync()
	length, have := w.present()
	for start := time.Now(); !w.f.Park(context.Background()); runtime.Gosched() { // the committer is just ending
		if err := w.f.Stats().Err; err != nil {
			failf("park: %w", err)
		}
		if time.Since(start) > time.Minute {
			failf("the feed does not park")
		}
	}
	w.durable(length, have)
}

// elsewhere lets another process append while the feed is parked, and the feed see
// it.
func (w *world) elsewhere(blocks ...[]byte) {
	o := w.options(w.lastPromise())
	o.Lot = nil
	proc := &tether{Storage: w.disk}
	defer proc.kill()
	ctx := context.Background()
	g, err := feed.Open(ctx, proc, o)
	if err != nil {
		failf("another process: open: %w", err)
	}
	defer g.Close()
	w.tried = blocks
	first, err := g.Append(ctx, blocks...)
	if err == nil {
		err = g.Close()
	}
	if err != nil {
		failf("another process: %w", err)
	}
	w.appended(first)
	for i, want := range blocks {
		if b, err := w.f.Local(first + uint64(i)); err != nil || !bytes.Equal(b, want) {
			failf("what another process has appended as block %d is %q: %w", first+uint64(i), b, err)
		}
	}
	w.durable(w.present())
	w.learn()
	w.follow()
}

// append adds blocks.
func (w *world) append(blocks ...[]byte) {
	w.tried = blocks
	first, err := w.f.Append(context.Background(), blocks...)
	if err != nil {
		failf("append: %w", err)
	}
	w.appended(first)
	if w.kind.options.Durability == feed.AppendDurable {
		w.durable(w.present())
	}
	w.learn()
	w.follow()
}

// appended notes that the feed has what was tried to append to it.
func (w *world) appended(first uint64) {
	w.blocks = append(slices.Clone(w.blocks[:first]), w.tried...)
	w.lengths = append(w.lengths, first+uint64(len(w.tried)))
	w.tried = nil
}

// clear gives up blocks: nothing is promised of them any more.
func (w *world) clear(start, end uint64) {
	w.promised(func(p *promise) {
		for i := start; i < min(end, uint64(len(p.have))); i++ {
			p.have[i] = false
		}
		w.clearing = [2]uint64{start, end}
	})
	if err := w.f.Clear(context.Background(), start, end); err != nil {
		failf("clear: %w", err)
	}
	w.mu.Lock()
	w.clearing = [2]uint64{}
	w.mu.Unlock()
}

// learn keeps the tree hashes of the lengths that were signed.
func (w *world) learn() {
	for _, n := range w.lengths {
		if _, ok := w.heads[n]; ok || n > w.f.Len() {
			continue
		}
		if h, ok := w.head(n); ok {
			w.heads[n] = h
		}
	}
}

// head returns the tree hash at a length, as far as the roots are here.
func (w *world) head(n uint64) (merkle.Hash, bool) {
	roots, err := w.f.Roots(n)
	if w.kind.clone() && errors.Is(err, feed.ErrNotLocal) {
		return merkle.Hash{}, false
	}
	if err != nil {
		failf("roots of length %d: %w", n, err)
	}
	return merkle.TreeHash(roots), true
}

// follow lets a reader fetch what is served.
func (w *world) follow() {
	if w.kind.clone() || w.kind.options.Static {
		return
	}
	ctx := context.Background()
	w.openFollower()
	before := w.follower.Len()
	if err := copyBlocks(ctx, w.f, w.follower, nil); err != nil {
		failf("a reader that has followed up to block %d: %w", before, err)
	}
	n := w.follower.Len()
	if n == before {
		return
	}
	w.promised(func(p *promise) { p.length = max(p.length, n) })
	if err := w.follower.Sync(ctx); err != nil {
		failf("the follower: %w", err)
	}
	w.seen = append(w.seen, sight{n, w.followed.Clone()})
}

// openFollower opens the reader as it was last seen, or a new one.
func (w *world) openFollower() {
	if w.follower != nil {
		return
	}
	w.followed = store.Memory()
	if n := len(w.seen); n > 0 {
		w.followed = w.seen[n-1].st.Clone()
	}
	var err error
	w.follower, err = feed.Open(context.Background(), w.followed, feed.Options{Key: w.f.Key(), Durability: feed.NoSync})
	if err != nil {
		failf("the follower: %w", err)
	}
}

// end lets go of what is left of the run.
func (w *world) end() {
	if w.proc != nil {
		w.proc.kill()
	}
	if w.f != nil {
		w.f.Close()
	}
	if w.follower != nil {
		w.follower.Close()
	}
}

// copyBlocks copies blocks that from announces and to lacks; with only, these.
func copyBlocks(ctx context.Context, from, to *feed.Feed, only []uint64) error {
	if only == nil {
		var have bitfield.Bits
		have.SetBytes(0, from.Bitmap(nil, 0, (from.Len()+63)/64*64))
		for i, ok := have.NextSet(0); ok; i, ok = have.NextSet(i + 1) {
			if !to.Has(i) {
				only = append(only, i)
			}
		}
	}
	for _, i := range only {
		p := feed.Proof{}
		if err := from.Prove(feed.ProofRequest{Index: i, Digest: to.Digest(i)}, nil, &p); err != nil {
			return fmt.Errorf("prove block %d: %w", i, err)
		}
		var err error
		if p.Value, err = from.ReadBlock([]byte{}, i); err != nil {
			return err
		}
		if _, err := to.Apply(ctx, []feed.Proof{p}); err != nil {
			return fmt.Errorf("apply block %d: %w", i, err)
		}
	}
	for _, i := range to.Demand().Links {
		p := feed.Proof{}
		if err := from.Prove(feed.ProofRequest{Index: i, Hash: true}, nil, &p); err != nil {
			return fmt.Errorf("link block %d: %w", i, err)
		}
		if _, err := to.Apply(ctx, []feed.Proof{p}); err != nil {
			return fmt.Errorf("apply link %d: %w", i, err)
		}
	}
	return nil
}

// audit checks the feed, and that every block is what was appended.
func (w *world) audit() {
	var wrong error
	r, err := w.f.Audit(context.Background(), feed.AuditOptions{Block: func(i uint64, data []byte, valid bool) {
		if !valid || i >= uint64(len(w.blocks)) || !bytes.Equal(data, w.blocks[i]) {
			wrong = fmt.Errorf("audit: block %d is %.40q, valid %v", i, data, valid)
		}
	}})
	if wrong != nil {
		failf("%w", wrong)
	}
	if err != nil {
		failf("audit: %w", err)
	}
	if !r.OK() {
		failf("audit: %d problems, %d invalid blocks: %v", r.Count, r.Invalid, r.Problems)
	}
	if r.Signature != feed.SignatureValid && r.Length > 0 && !(w.kind.options.Static && w.f.Key().IsZero()) {
		failf("audit: the signature is %s", r.Signature)
	}
}
