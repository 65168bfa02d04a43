package feed_test

import (
	"context"
	"math/rand/v2"
	"runtime"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/store"
)

// source is a writer's feed at several moments.
type source struct {
	key     feed.Key
	blocks  [][]byte
	lengths []uint64
	dirs    []*store.MemoryStorage // closed
	feeds   []*feed.Feed           // open, never changed
}

// newSource makes a feed that is signed at these lengths.
func newSource(lengths ...int) *source {
	s := &source{}
	for _, n := range lengths {
		s.grow(n, func(i int) []byte {
			b := make([]byte, []int{40, 0, 700, 513, 90}[i%5])
			for k := range b {
				b[k] = byte(i + 1)
			}
			return b
		})
	}
	return s
}

// grow appends a batch up to length n.
func (s *source) grow(n int, block func(i int) []byte) {
	ctx := context.Background()
	st := store.Memory()
	if len(s.dirs) > 0 {
		st = s.dirs[len(s.dirs)-1].Clone()
	}
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	f, err := feed.Open(ctx, st, feed.Options{SecretKey: secretKey})
	must(err)
	for i := len(s.blocks); i < n; i++ {
		s.blocks = append(s.blocks, block(i))
	}
	_, err = f.Append(ctx, s.blocks[f.Len():]...)
	must(err)
	must(f.Close())
	s.lengths = append(s.lengths, uint64(n))
	s.dirs = append(s.dirs, st)
	f, err = feed.Open(ctx, st.Clone(), feed.Options{})
	must(err)
	s.key = f.Key()
	s.feeds = append(s.feeds, f)
}

// last returns the whole feed.
func (s *source) last() *feed.Feed { return s.feeds[len(s.feeds)-1] }

// offset returns where block i begins.
func (s *source) offset(i int) (off int) {
	for _, b := range s.blocks[:i] {
		off += len(b)
	}
	return off
}

// reader returns the storage of a reader that has everything.
func (s *source) reader() *store.MemoryStorage {
	st := store.Memory()
	f, err := feed.Open(context.Background(), st, feed.Options{Key: s.key, Durability: feed.NoSync})
	if err == nil {
		err = copyBlocks(context.Background(), s.last(), f, nil)
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		panic(err)
	}
	return st
}

// An order says which blocks of the whole feed are downloaded, and in which
// order.
type order func(r *rand.Rand, n int) []uint64

func inOrder(_ *rand.Rand, n int) (list []uint64) {
	for i := range n {
		list = append(list, uint64(i))
	}
	return list
}

func shuffled(r *rand.Rand, n int) (list []uint64) {
	for _, i := range r.Perm(n) {
		list = append(list, uint64(i))
	}
	return list
}

func few(r *rand.Rand, n int) []uint64 { return shuffled(r, n)[:n/3] }

// downloads makes a program that downloads from the whole feed, a few blocks at
// a time, with a sync, a kill or a new start now and then.
func downloads(o order) func(*world, *rand.Rand) {
	return func(w *world, r *rand.Rand) {
		w.open()
		list := o(r, len(w.blocks))
		for len(list) > 0 {
			k := min(len(list), 1+r.IntN(4))
			w.fetch(w.kind.src.last(), list[:k])
			list = list[k:]
			w.show(r)
			w.pause(r)
		}
		w.sync()
	}
}

// upgrades downloads some blocks of each length, some of the new ones first.
func upgrades(w *world, r *rand.Rand) {
	w.open()
	for _, f := range w.kind.src.feeds {
		list := shuffled(r, int(f.Len()))
		w.fetch(f, list[:1+r.IntN(3)])
		w.show(r)
		w.pause(r)
	}
	w.sync()
}

// downloadHeard downloads in pieces, each of which has been announced before the
// next one comes, or is about to be, when the process may be killed.
func downloadHeard(w *world, r *rand.Rand) {
	w.open()
	for list := shuffled(r, len(w.blocks)); len(list) > 0; {
		k := min(len(list), 1+r.IntN(6))
		w.fetch(w.kind.src.last(), list[:k])
		list = list[k:]
		switch r.IntN(4) {
		case 0:
		case 1:
			runtime.Gosched() // somewhere in a commit
			w.kill()
			w.open() // and shows what there is
		default:
			w.hear()
		}
		w.show(r)
	}
	w.hear()
}

// downloadClears gives up some of what was downloaded, and gets it again.
func downloadClears(w *world, r *rand.Rand) {
	w.open()
	for range 4 {
		w.fetch(w.kind.src.last(), shuffled(r, len(w.blocks))[:5])
		w.sync()
		start := r.Uint64N(uint64(len(w.blocks)))
		w.clear(start, start+1+r.Uint64N(6))
		w.show(r)
		w.pause(r)
	}
}

func (w *world) fetch(from *feed.Feed, list []uint64) {
	if err := copyBlocks(context.Background(), from, w.f, list); err != nil {
		failf("download: %w", err)
	}
}

// pause may sync, start anew or be killed; what is found after it is shown.
func (w *world) pause(r *rand.Rand) {
	defer w.show(r)
	switch r.IntN(6) {
	case 0:
		w.sync()
	case 1:
		w.close()
		w.open()
	case 2:
		w.kill()
		w.open()
		if r.IntN(2) == 0 {
			w.sync() // which must not believe the cache
		}
	}
}

// fetchRest completes a download.
func fetchRest(w *world, r *rand.Rand) {
	w.fetch(w.kind.src.last(), nil)
	if r.IntN(2) == 0 {
		w.sync()
	}
	for i := range w.blocks {
		if !w.f.Has(uint64(i)) {
			failf("block %d was downloaded and is not here", i)
		}
	}
}

// fetchSome goes on with a sparse download.
func fetchSome(w *world, r *rand.Rand) {
	w.fetch(w.kind.src.last(), few(r, len(w.blocks)))
	w.sync()
	w.audit()
}
