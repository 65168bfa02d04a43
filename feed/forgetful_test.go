package feed_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/store"
	"github.com/go-hypercore/hypercore/store/storetest"
)

// forgetful is a disk with a page cache as operating systems have it: reads and
// writes see the cache, a sync writes to the disk what is dirty. A sync that
// fails has written some of it, and what it has not counts as clean from then
// on: no later sync writes it, unless it was written again. Only a power cut
// shows what is missing.
type forgetful struct {
	mu    sync.Mutex
	cache *store.MemoryStorage
	disk  *store.MemoryStorage
	dirty map[string][]func(store.File) // by file, in order
	syncs int
	fail  int // the number of the sync that fails
	rng   *rand.Rand
	ops   int
}

func newForgetful(start *store.MemoryStorage, fail int) *forgetful {
	return &forgetful{
		cache: start.Clone(), disk: start.Clone(), dirty: map[string][]func(store.File){},
		fail: fail, rng: rand.New(rand.NewPCG(uint64(fail), 7)),
	}
}

func (d *forgetful) String() string { return "forgetful disk" }

func (d *forgetful) Open(name string, create bool) (store.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, err := d.cache.Open(name, false)
	if errors.Is(err, fs.ErrNotExist) && create {
		if f, err = d.cache.Open(name, true); err == nil {
			var g store.File
			if g, err = d.disk.Open(name, true); err == nil {
				g.Close()
			}
		}
	}
	if err != nil {
		return nil, err
	}
	return &forgetfulFile{File: f, d: d, name: name}, nil
}

func (d *forgetful) Sync() error { return nil }

type forgetfulFile struct {
	store.File
	d      *forgetful
	name   string
	failed error // of a sync; guarded by d.mu
}

// do changes the cache now and the disk with the next sync.
func (f *forgetfulFile) do(change func(store.File) error) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := change(f.File); err != nil {
		return err
	}
	f.d.ops++
	f.d.dirty[f.name] = append(f.d.dirty[f.name], func(g store.File) { change(g) })
	return nil
}

func (f *forgetfulFile) WriteAt(p []byte, off int64) (int, error) {
	p = append([]byte(nil), p...)
	return len(p), f.do(func(g store.File) error {
		_, err := g.WriteAt(p, off)
		return err
	})
}

func (f *forgetfulFile) Truncate(size int64) error {
	return f.do(func(g store.File) error { return g.Truncate(size) })
}

func (f *forgetfulFile) Punch(off, size int64) error {
	return f.do(func(g store.File) error { return g.Punch(off, size) })
}

func (f *forgetfulFile) Sync() error {
	d := f.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if f.failed != nil {
		return f.failed
	}
	d.syncs++
	g, err := d.disk.Open(f.name, true)
	if err != nil {
		return err
	}
	defer g.Close()
	for _, change := range d.dirty[f.name] {
		if d.syncs != d.fail || d.rng.IntN(3) == 0 {
			change(g)
		}
	}
	d.dirty[f.name] = nil
	if d.syncs == d.fail {
		f.failed = fmt.Errorf("sync %s: %w", f.name, errBroken)
	}
	return f.failed
}

// TestForgetful lets each sync fail once on a disk that forgets what it could
// not write. The program opens the feed anew, on what the cache shows, and goes
// on; then the power is cut, and what was promised before and after is there.
func TestForgetful(t *testing.T) {
	step := 8
	if os.Getenv("HYPERCORE_FAULTS") == "all" {
		step = 1
	}
	var tried atomic.Int64
	var jobs []func() error
	for i, k := range kinds {
		if k.once || k.others || k.name == "append from several" {
			continue
		}
		_, d, err := onForgetful(k, 0)
		if err != nil {
			t.Fatalf("%s: %v", k.name, err)
		}
		for nth := 1; nth <= d.syncs; nth++ {
			if (nth+i)%step != 0 {
				continue
			}
			jobs = append(jobs, func() error {
				err := forgets(k, nth)
				if err != nil {
					return fmt.Errorf("%s, sync %d: %w", k.name, nth, err)
				}
				tried.Add(1)
				return nil
			})
		}
	}
	start := time.Now()
	bad := inParallel(jobs)
	t.Logf("failed syncs: %d, each with a new Open and then a power cut, %.0f s, %d violations", tried.Load(), time.Since(start).Seconds(), len(bad))
	for _, err := range bad {
		t.Error(err)
	}
}

// onForgetful runs a kind of program; sync number fail fails.
func onForgetful(k *kind, fail int) (*world, *forgetful, error) {
	w := newWorld(k, nil, promise{})
	start := store.Memory()
	if k.start != nil {
		w = k.start(k)
		start = w.rec.Image(0, storetest.Keep, 0)
	}
	d := newForgetful(start, fail)
	w.disk, w.calm = d, true
	return w, d, attempt(func() {
		k.run(w, rand.New(rand.NewPCG(1, 8)))
		w.close()
	})
}

func forgets(k *kind, nth int) error {
	w, d, told := onForgetful(k, nth)
	defer w.end()
	if d.syncs < nth {
		return told
	}
	if !errors.Is(told, errBroken) {
		return fmt.Errorf("the program was told: %w", told)
	}
	if n := uint64(len(w.blocks)); w.f != nil && len(w.tried) > 0 && w.f.Len() > n {
		w.appended(n)
	}
	attempt(w.learnOpen)
	w.end()

	// A new process, which sees the cache.
	second := newWorld(k, nil, w.lastPromise())
	second.disk, second.depth = d, 1
	defer second.end()
	if err := attempt(func() { second.recover(w, rand.New(rand.NewPCG(2, 8))) }); err != nil {
		return fmt.Errorf("opened again: %w", err)
	}
	attempt(second.learnOpen)

	// The power is cut.
	third := newWorld(k, d.disk, second.lastPromise())
	third.depth = 2
	defer third.end()
	if err := attempt(func() { third.recover(second, rand.New(rand.NewPCG(3, 8))) }); err != nil {
		return fmt.Errorf("after the power cut: %w", err)
	}
	return nil
}
