package feed_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/feed/merkle"
	"github.com/go-hypercore/hypercore/store"
)

// kind is one program that uses a feed.
type kind struct {
	name    string
	options feed.Options
	sizes   []int              // of blocks
	src     *source            // of downloads
	start   func(*kind) *world // nil: an empty disk
	run     func(w *world, r *rand.Rand)
	goOn    func(w *world, r *rand.Rand) // after a crash
	once    bool                         // crash only once: it is slow

	audience bool // peers wait to hear of what is downloaded
	parks    bool // the feed has a lot
	others   bool // another process writes too: what fails may be its
}

// clone reports whether the feed is somebody else's.
func (k *kind) clone() bool { return k.src != nil && k.start == nil }

// behind reports whether the writer has to get back what it had announced.
func (k *kind) behind() bool { return k.options.KnownLength > 0 }

var (
	small  = []int{0, 1, 7, 30, 200, 511, 513}
	mixed  = []int{0, 5, 300, 600, 4000, 16 << 10, 20000}
	clones = newSource(3, 5, 6, 11, 16, 23)
)

var kinds = []*kind{
	{name: "append", sizes: small, run: writes(14, 0, 3), goOn: writeOn},
	{name: "append durable", options: feed.Options{Durability: feed.AppendDurable}, sizes: small, run: writes(10, 0, 0), goOn: writeOn},
	{name: "append, kill, reopen", sizes: small, run: writes(12, 3, 2), goOn: writeOn},
	{name: "append, park", parks: true, sizes: small, run: parkings(0), goOn: writeOn},
	{name: "append, park, another", parks: true, others: true, sizes: small, run: parkings(2), goOn: writeOn},
	{name: "append batches", sizes: small, run: batches, goOn: writeOn},
	{name: "append large", sizes: mixed, run: writes(10, 1, 2), goOn: writeOn},
	{name: "append from several", options: feed.Options{Durability: feed.AppendDurable}, sizes: small, run: several, goOn: writeOn},
	{name: "append over a page", sizes: []int{0, 1, 2}, start: nearPage, run: writes(6, 1, 2), goOn: writeOn, once: true},
	{name: "append to foreign", sizes: small, start: foreign, run: writes(6, 1, 2), goOn: writeOn},
	{name: "clear", sizes: []int{300, 700, 5000}, run: clears, goOn: writeOn},
	{name: "finalize", options: feed.Options{Static: true}, sizes: small, run: finalize, goOn: finalizeOn},
	{name: "take over", options: feed.Options{KnownLength: 23}, sizes: small, src: clones, start: backup, run: takeOver, goOn: takeOver},
	{name: "repair", options: feed.Options{Repair: true}, sizes: small, start: damaged, run: writes(4, 1, 1), goOn: writeOn},
	{name: "download whole", src: clones, run: downloads(inOrder), goOn: fetchRest},
	{name: "download random", src: clones, run: downloads(shuffled), goOn: fetchRest},
	{name: "download sparse", options: feed.Options{Sparse: true}, src: clones, run: downloads(few), goOn: fetchSome},
	{name: "download growing", src: clones, run: upgrades, goOn: fetchRest},
	{name: "download for others", src: clones, run: downloadHeard, goOn: fetchRest, audience: true},
	{name: "download, clear", options: feed.Options{Sparse: true}, src: clones, run: downloadClears, goOn: fetchSome, audience: true},
}

// block makes a block that no other run of the program would make at this place.
func (w *world) block(r *rand.Rand) []byte {
	b := fmt.Appendf(nil, "%d: block %d, ", w.depth, len(w.blocks))
	size := w.kind.sizes[r.IntN(len(w.kind.sizes))]
	for len(b) < size {
		b = append(b, b...)
	}
	return b[:size]
}

// writes makes a program of n steps that appends, out of 10: reopens times a
// kill or a close with an open, and syncs times a sync.
func writes(n, reopens, syncs int) func(*world, *rand.Rand) {
	return func(w *world, r *rand.Rand) {
		w.open()
		for range n {
			switch x := r.IntN(10); {
			case x < reopens && x&1 == 0:
				w.kill()
				w.reopen()
				if r.IntN(2) == 0 {
					w.sync() // which must not believe the cache
				}
			case x < reopens:
				w.close()
				w.open()
			case x < reopens+syncs:
				w.sync()
			default:
				w.append(w.block(r))
			}
		}
	}
}

// parkings makes a program that appends and parks in between; so many times out of
// eight another process appends then.
func parkings(others int) func(*world, *rand.Rand) {
	return func(w *world, r *rand.Rand) {
		w.open()
		for range 12 {
			switch x := r.IntN(8); {
			case x < others:
				w.park()
				w.elsewhere(w.block(r))
			case x < 3:
				w.park()
			case x == 3:
				w.kill()
				w.reopen()
			case x == 4:
				w.sync()
			default:
				w.append(w.block(r))
			}
		}
	}
}

// reopen opens the feed after a kill, which may cost what was in memory only.
func (w *world) reopen() {
	w.open()
	n := w.f.Len()
	if n < uint64(len(w.blocks)) && !w.kind.clone() {
		w.blocks = slices.Clone(w.blocks[:n])
		w.lengths = slices.DeleteFunc(w.lengths, func(l uint64) bool { return l > n })
		for l := range w.heads {
			if l > n {
				delete(w.heads, l)
			}
		}
	}
}

func batches(w *world, r *rand.Rand) {
	w.open()
	for range 5 {
		batch := make([][]byte, 1+r.IntN(9))
		for i := range batch {
			batch[i] = w.block(r)
		}
		w.append(batch...)
		if r.IntN(2) == 0 {
			w.sync()
		}
	}
	w.close()
	w.open()
}

// writeOn is what a writer does after a crash.
func writeOn(w *world, r *rand.Rand) {
	w.append(w.block(r))
	w.sync()
	w.append(w.block(r), w.block(r))
	if r.IntN(2) == 0 {
		w.kill()
		w.reopen()
	}
	w.append(w.block(r))
	w.sync()
}

// several appends from three goroutines at once.
func several(w *world, _ *rand.Rand) {
	w.open()
	var mu sync.Mutex
	var wg sync.WaitGroup
	content := map[uint64][]byte{}
	for g := range 3 {
		wg.Go(func() {
			for i := range 4 {
				b := fmt.Appendf(nil, "block %d of %d", i, g)
				first, err := w.f.Append(context.Background(), b)
				if err != nil {
					return // who looks will find that blocks are missing
				}
				have := make([]bool, first+1)
				have[first] = true
				w.durable(first+1, have)
				mu.Lock()
				content[first] = b
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for i := range uint64(12) {
		b, ok := content[i]
		if !ok {
			failf("block %d was not appended: %v", i, w.f.Stats().Err)
		}
		w.blocks = append(w.blocks, b)
		w.lengths = append(w.lengths, i+1)
	}
	w.follow()
}

func clears(w *world, r *rand.Rand) {
	w.open()
	for range 3 {
		for range 4 {
			w.append(w.block(r))
		}
		w.sync()
		start := r.Uint64N(uint64(len(w.blocks)))
		w.clear(start, start+1+r.Uint64N(4))
	}
	w.close()
	w.open()
}

func finalize(w *world, r *rand.Rand) {
	w.open()
	for range 4 {
		w.append(w.block(r))
		if r.IntN(3) == 0 {
			w.sync()
		}
	}
	if r.IntN(2) == 0 {
		w.close()
		w.open()
	}
	finalizeOn(w, r)
}

// finalizeOn adds a block, if that is still possible, and finalizes.
func finalizeOn(w *world, r *rand.Rand) {
	if w.f.Key().IsZero() {
		w.append(w.block(r))
		if err := w.f.Finalize(context.Background()); err != nil {
			failf("finalize: %w", err)
		}
		w.durable(w.present())
	}
	if h, _ := w.head(w.f.Len()); merkle.Hash(w.f.Key()) != h {
		failf("the key is %v, the tree hash %x", w.f.Key(), h)
	}
	if _, err := w.f.Append(context.Background(), []byte("more")); !errors.Is(err, feed.ErrStatic) {
		failf("append to a finalized feed: %v", err)
	}
}

// takeOver brings a writer's directory that is behind up to what was announced,
// and goes on.
func takeOver(w *world, r *rand.Rand) {
	if w.f == nil {
		w.open()
	}
	ctx := context.Background()
	all := w.kind.src.last()
	if w.f.Len() < all.Len() || w.f.Stats().Err != nil {
		if _, err := w.f.Append(ctx, []byte("a fork")); !errors.Is(err, feed.ErrBehind) {
			failf("append of a writer that is behind: %v", err)
		}
		if err := copyBlocks(ctx, all, w.f, nil); err != nil {
			failf("download of what was announced: %w", err)
		}
		if err := w.f.TakeOver(ctx, false); err != nil {
			failf("take over: %w", err)
		}
		w.blocks, w.lengths = w.kind.src.blocks, slices.Clone(w.kind.src.lengths)
		w.durable(w.present())
	}
	w.append(w.block(r))
	w.sync()
	w.append(w.block(r))
}

// The disks that some kinds start with.

// foreign is the directory of a writer that keeps no journal.
func foreign(k *kind) *world {
	disk := clones.dirs[3].Clone()
	disk.Remove("journal")
	return startWith(k, disk, clones, 3)
}

// backup is a writer's directory that was restored: readers have more.
func backup(k *kind) *world {
	w := startWith(k, clones.dirs[2].Clone(), clones, 2)
	w.seen = []sight{{clones.last().Len(), clones.reader()}}
	w.blocks, w.lengths = clones.blocks, slices.Clone(clones.lengths)
	return w
}

// damaged is a writer's directory without a bitfield and with a block that is
// not what it was.
func damaged(k *kind) *world {
	disk := clones.dirs[4].Clone()
	disk.Remove("bitfield")
	b, err := disk.ReadFile("data")
	if err == nil {
		b[clones.offset(7)] ^= 1
		err = disk.WriteFile("data", b)
	}
	if err != nil {
		panic(err)
	}
	w := startWith(k, disk, clones, 4)
	w.promises[0].have[7] = false
	return w
}

var pages = sync.OnceValue(func() *source {
	s := &source{}
	s.grow(8189, func(i int) []byte { return make([]byte, i%3) })
	return s
})

// nearPage is the directory of a writer whose next blocks are on another page of
// the bitfield.
func nearPage(k *kind) *world { return startWith(k, pages().dirs[0], pages(), 0) }

// startWith makes a world whose disk holds a stage of a source.
func startWith(k *kind, disk *store.MemoryStorage, s *source, stage int) *world {
	n := s.lengths[stage]
	p := promise{length: n, have: make([]bool, n), key: s.key}
	for i := range p.have {
		p.have[i] = true
	}
	w := newWorld(k, disk, p)
	w.blocks, w.lengths = s.blocks[:n], slices.Clone(s.lengths[:stage+1])
	return w
}
