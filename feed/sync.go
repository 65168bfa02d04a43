package feed

import (
	"context"
	"errors"
	"slices"
	"time"
)

// syncWait is one who waits for a commit.
type syncWait struct {
	changes uint64
	done    chan error // has room for one
}

// over waits until it is told; nil has nothing to wait for.
func (w *syncWait) over(ctx context.Context) error {
	if w == nil {
		return nil
	}
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// overOrClosing waits with wmu held. When the feed closes the committer ends, and
// Close waits for wmu: then it is the caller who commits.
func (f *Feed) overOrClosing(ctx context.Context, w *syncWait) error {
	if w == nil {
		return nil
	}
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-f.done:
		return f.commit(false)
	}
}

// syncHolding is Sync with wmu held; it also syncs a feed that is about to be closed.
func (f *Feed) syncHolding(ctx context.Context) error {
	if err := f.tryAgain(true); err != nil {
		return err
	}
	f.mu.Lock()
	w := f.await(f.changes)
	f.mu.Unlock()
	return f.overOrClosing(ctx, w)
}

// release tells those whose changes are committed; with an error, all. mu held.
func (f *Feed) release(err error) {
	if err != nil {
		f.refuseJoints(err)
	}
	for _, w := range f.finished(err) {
		w.done <- err // has room
	}
}

// finished returns those whose changes are committed, with an error all: they wait
// no more, and are to be told. mu held.
func (f *Feed) finished(err error) (done []*syncWait) {
	f.syncs = slices.DeleteFunc(f.syncs, func(w *syncWait) bool {
		if err == nil && w.changes > f.committed {
			return false
		}
		done = append(done, w)
		return true
	})
	return done
}

// fail makes the feed read only. With retry, writing may be tried again, unless
// a sync has failed.
func (f *Feed) fail(err error, retry bool) error {
	var s *syncError
	retry = retry && !errors.As(err, &s)
	f.mu.Lock()
	if f.failed == nil || f.retry && !retry {
		f.emit(Failed{Err: err, Final: !retry})
	}
	if f.failed == nil || f.retry { // else the first failure is the one that counts
		f.failed, f.retry, f.failedAt = err, retry, time.Now()
		if !retry {
			f.finish()
		}
	}
	f.release(err)
	f.mu.Unlock()
	f.dispatch()
	return err
}

// tryAgain tries again what could not be written. Without force it does so only
// if the last try was a while ago.
func (f *Feed) tryAgain(force bool) error {
	f.mu.Lock()
	err, retry := f.failed, f.retry && (force || time.Since(f.failedAt) >= retryAfter)
	f.mu.Unlock()
	if err == nil || !retry {
		return err
	}
	return f.commit(false)
}

// Sync waits until everything that was appended, downloaded or cleared before
// the call is on the disk.
func (f *Feed) Sync(ctx context.Context) error {
	if err := f.tryAgain(true); err != nil {
		return err
	}
	f.mu.Lock()
	if f.closing {
		f.mu.Unlock()
		return ErrClosed
	}
	w := f.await(f.changes)
	f.mu.Unlock()
	return w.over(ctx)
}

// await returns what waits until the first changes of the feed are committed, nil
// if they are. mu held.
func (f *Feed) await(changes uint64) *syncWait {
	if f.committed >= changes || f.opts.ReadOnly {
		return nil
	}
	w := &syncWait{changes, make(chan error, 1)}
	if f.failed != nil {
		w.done <- f.failed
		return w
	}
	f.syncs = append(f.syncs, w)
	f.hurry = max(f.hurry, changes)
	f.gathered()
	f.kick()
	return w
}
