package feed_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/store/storetest"
)

// The fault matrix: the programs of the crash matrix, with one operation of the
// disk that fails: nothing was done, all was done, the half of a write was done,
// or the disk is full from there on. Then
//
//   - a call returns the error, which names the file, and of a write the offset;
//   - the feed is read only, with the error in Stats, and can be read;
//   - when the disk is well again, a Sync is enough after a failed write; after a
//     failed sync no Sync nor Append succeeds until the feed is opened anew;
//   - in both cases everything acknowledged is there, the audit is clean, and the
//     program goes on; also if the power is cut instead.
//
// HYPERCORE_FAULTS=all tries every operation, else some are tried.
func TestFaultMatrix(t *testing.T) {
	step := 16
	if os.Getenv("HYPERCORE_FAULTS") == "all" {
		step = 1
	}
	var jobs []func() error
	var tried, told, kept atomic.Int64
	for i, k := range kinds {
		if k.once || k.others || k.name == "append from several" {
			continue // slow; not the same twice
		}
		w, err := faulted(k, nil)
		if err != nil {
			t.Fatalf("%s, without a fault: %v", k.name, err)
		}
		for nth := 1; nth <= w.rec.Len()+1; nth++ {
			for mode := storetest.Unapplied; mode <= full; mode++ {
				if (nth+int(mode)*5+i)%step != 0 {
					continue
				}
				jobs = append(jobs, func() error {
					c := faultCase{kind: k, nth: nth, mode: mode}
					err := c.try()
					if c.hit != nil {
						tried.Add(1)
						if c.again {
							told.Add(1)
						} else {
							kept.Add(1)
						}
					}
					return err
				})
			}
		}
	}
	start := time.Now()
	bad := inParallel(jobs)
	t.Logf("fault matrix: %d operations failed in %d programs, %.0f s: %d healed without a new Open, %d with; %d violations",
		tried.Load(), len(kinds)-3, time.Since(start).Seconds(), told.Load(), kept.Load(), len(bad))
	for _, err := range bad {
		t.Error(err)
	}
}

// inParallel does jobs on all cores until a few have failed.
func inParallel(jobs []func() error) (bad []error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	var next atomic.Int64
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				n := next.Add(1) - 1
				mu.Lock()
				stop := n >= int64(len(jobs)) || len(bad) >= maxBad
				mu.Unlock()
				if stop {
					return
				}
				if err := jobs[n](); err != nil {
					mu.Lock()
					bad = append(bad, err)
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return bad
}

// full is the mode of a disk that is full from an operation on.
const full = storetest.Short + 1

var errBroken = errors.New("the disk says no")

// faulted runs a kind of program on a disk that may fail.
func faulted(k *kind, fail func(*storetest.Faulty)) (*world, error) {
	w := newWorld(k, nil, promise{})
	if k.start != nil {
		w = k.start(k)
	}
	y := storetest.NewFaulty(w.rec)
	w.disk, w.calm = y, true
	if fail != nil {
		fail(y)
	}
	return w, attempt(func() {
		k.run(w, rand.New(rand.NewPCG(1, 6)))
		w.close()
	})
}

// faultCase is one operation that fails.
type faultCase struct {
	kind  *kind
	nth   int
	mode  storetest.Mode
	hit   *storetest.Op // the operation; nil: there was none
	again bool          // the feed went on without a new Open
}

func (c *faultCase) try() (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s, operation %d (%v): %w", c.kind.name, c.nth, c.mode, err)
		}
	}()
	var y *storetest.Faulty
	w, err := faulted(c.kind, func(faulty *storetest.Faulty) {
		y = faulty
		f := storetest.Fault{Nth: c.nth, Mode: c.mode, Err: errBroken}
		if c.mode == full {
			seen := 0
			f = storetest.Fault{Mode: storetest.Short, Err: syscall.ENOSPC, Match: func(o storetest.Op) bool {
				seen++ // what gives room back still works, and so do syncs
				return seen >= c.nth && (o.Kind == storetest.Write || o.Kind == storetest.Create)
			}}
		}
		y.Fail(f)
	})
	defer w.end()
	for _, o := range y.Ops() {
		if o.Err != nil {
			c.hit = &o
			break
		}
	}
	if c.hit == nil {
		return err
	}
	if err := c.check(w, y, err); err != nil {
		return fmt.Errorf("%w\n%s", err, y.Log(max(1, c.hit.N-12)))
	}
	return nil
}

// check is called with the error that the program ended with.
func (c *faultCase) check(w *world, y *storetest.Faulty, told error) error {
	cause := errBroken
	if c.mode == full {
		cause = syscall.ENOSPC
	}
	if told == nil && c.hit.Kind != storetest.Sync && c.hit.Kind != storetest.SyncStorage {
		c.again = true // it was done once more, before anybody asked
	} else if err := names(told, cause, y.Ops()); err != nil {
		return fmt.Errorf("%v: %w", c.hit, err)
	}
	// A durable Append that failed may have appended all the same.
	if n := uint64(len(w.blocks)); w.f != nil && len(w.tried) > 0 && w.f.Len() > n {
		w.appended(n)
	}
	open := w.f != nil && w.f.Readable()
	if open {
		if err := c.readable(w, cause); err != nil {
			return err
		}
	}
	if open {
		w.f.Rest()
	}
	y.Heal()
	p := w.lastPromise() // what may have been promised when it failed
	if open {
		if err := c.heal(w, cause); err != nil {
			return err
		}
		p = w.lastPromise()
	}
	attempt(w.learnOpen)
	w.proc.kill()
	if w.f != nil {
		w.f.Close()
	}
	for _, policy := range []storetest.Policy{storetest.Keep, storetest.Drop, storetest.Subset, storetest.Torn} {
		n := newWorld(w.kind, w.rec.Image(w.rec.Len(), policy, uint64(c.nth)), p)
		n.depth = 1
		err := attempt(func() { n.recover(w, rand.New(rand.NewPCG(2, 6))) })
		n.end()
		if err != nil {
			return fmt.Errorf("opened again, %v: %w", policy, err)
		}
	}
	return nil
}

// learnOpen notes the history as far as it is here.
func (w *world) learnOpen() {
	if w.f != nil && w.f.Readable() {
		w.learn()
	}
}

// names checks that an error says what failed, and where.
func names(err, cause error, ops []storetest.Op) error {
	switch {
	case err == nil:
		return errors.New("nobody was told")
	case !errors.Is(err, cause):
		return fmt.Errorf("another error: %w", err)
	}
	for _, o := range ops {
		if o.Err == nil {
			continue
		}
		place := o.File
		switch o.Kind {
		case storetest.Write:
			place = fmt.Sprintf("%s at byte %d", o.File, o.Off)
		case storetest.SyncStorage:
			place = "directory"
		}
		if strings.Contains(err.Error(), place) {
			return nil
		}
	}
	return fmt.Errorf("it does not name the place: %w", err)
}

// quiet are operations whose failure is told, but does not end writing: a hole
// that was not made, and the key of a feed that is finalized.
func (c *faultCase) quiet() bool {
	return c.hit.Kind == storetest.Punch || c.kind.options.Static && (c.hit.File == "key" || c.hit.Kind == storetest.SyncStorage)
}

// readable checks a feed whose disk fails.
func (c *faultCase) readable(w *world, cause error) error {
	if err := w.f.Stats().Err; !errors.Is(err, cause) && !c.quiet() {
		return fmt.Errorf("%v: Stats.Err is %v", c.hit, err)
	}
	for i, b := range w.blocks {
		if uint64(i) >= w.f.Len() || !w.f.Has(uint64(i)) {
			continue
		}
		if have, err := w.f.Local(uint64(i)); err != nil || !bytes.Equal(have, b) {
			return fmt.Errorf("%v: block %d cannot be read: %v", c.hit, i, err)
		}
	}
	return nil
}

// heal lets an open feed go on, now that the disk is well.
func (c *faultCase) heal(w *world, cause error) error {
	ctx := context.Background()
	if c.hit.Kind == storetest.Sync || c.hit.Kind == storetest.SyncStorage {
		if c.quiet() {
			return nil
		}
		for range 2 {
			if err := w.f.Sync(ctx); !errors.Is(err, cause) {
				return fmt.Errorf("%v: then Sync says %v", c.hit, err)
			}
		}
		var err error
		switch {
		case w.kind.clone():
			err = copyBlocks(ctx, w.kind.src.last(), w.f, nil)
			if err == nil {
				return nil // there was nothing left to download
			}
		case w.f.Writable():
			_, err = w.f.Append(ctx, []byte("after a failed sync"))
		default:
			return nil
		}
		if !errors.Is(err, cause) {
			return fmt.Errorf("%v: then a change says %v", c.hit, err)
		}
		return nil
	}
	if err := w.f.Sync(ctx); err != nil {
		return fmt.Errorf("%v: the disk is well, Sync says %w", c.hit, err)
	}
	if err := w.f.Stats().Err; err != nil && !(w.kind.behind() && errors.Is(err, feed.ErrBehind)) {
		return fmt.Errorf("%v: the disk is well, Stats.Err is %w", c.hit, err)
	}
	c.again = true
	return attempt(func() {
		w.durable(w.present())
		w.audit()
		w.kind.goOn(w, rand.New(rand.NewPCG(3, 6)))
		w.close()
	})
}
