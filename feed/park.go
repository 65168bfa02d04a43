package feed

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-hypercore/hypercore/store"
)

// A feed at rest can park: its files are closed and its lock is given back, and
// what stays is the memory: length, roots, which blocks are here, who waits. What
// needs no file is answered from there. Whoever needs one calls enter, which opens
// the files and takes the lock again, and compares the stamps of the files with
// those of when they were closed. If they differ, another program has written: the
// feed is loaded anew (renew.go).
//
// Parking adds nothing to what a crash can do: what is closed is as Close leaves
// it. Nor does it to forks: who appends has the lock, and has seen what is there.

// parkedMark is subtracted from Feed.holds while the feed is parked.
const parkedMark = 1 << 40

// berth is what is known of a parked feed's directory. Guarded by Feed.parking.
type berth struct {
	stamps stamps
	fresh  bool // the last write was so short ago that stamps say little

	// refused: a use failed, because another program has the lock. Peers may have
	// been told that blocks are not to be had, so they are announced once more when
	// it is gone.
	refused bool

	signature []byte // of the length that was here
}

// stamped are the files that are looked at. The first two change with every commit
// of this package and with every change by JavaScript.
var stamped = [...]string{bitfieldName, journalName, treeName, signaturesName, dataName, keyName, secretName, forkName}

type stamps [len(stamped)]store.Stamp

// stamp looks at the first n of the stamped files.
func (f *Feed) stamp(n int) (s stamps, err error) {
	for i, name := range stamped[:n] {
		if s[i], err = f.st.(store.Stamper).Stamp(name); err != nil {
			return s, f.fileError("look at", name, err)
		}
	}
	return s, nil
}

// enter opens the files if they are closed, and keeps them open until leave. It
// comes before wmu and commitMu and is never called with mu held; it may be called
// by who has entered already.
func (f *Feed) enter() error {
	l := f.lot
	if l == nil {
		return nil
	}
	if f.holds.Add(1) <= 0 {
		return f.unpark()
	}
	if f.usedAt.Load() != l.clock.Load() { // another was used since
		f.usedAt.Store(l.clock.Add(1))
	}
	return nil
}

// leave ends what enter began.
func (f *Feed) leave() {
	if f.lot != nil && f.holds.Add(-1) == 0 {
		f.lot.left()
	}
}

// parkState is what came of an attempt to park.
type parkState int

const (
	parkDone  parkState = iota
	parkBusy            // somebody uses the feed
	parkStuck           // it has something in memory that cannot be written, or is closed
)

// Park commits what is pending, closes the files and gives the lock back, as the
// feed's Lot does on its own. The next call that needs a file opens them again;
// until then other programs can use the directory. It reports whether the feed is
// parked: one that is in use at that moment is not, nor one whose files cannot be
// written, that was opened without Options.Lot, or whose storage is not a
// directory.
func (f *Feed) Park(ctx context.Context) bool {
	if f.lot == nil || f.Sync(ctx) != nil {
		return false
	}
	f.ownCalls()
	return f.park() == parkDone || f.holds.Load() < 0
}

// ownCalls waits until what the feed itself has begun does not use the files any more:
// Sync returns while the commit that it waited for still writes the bitfield.
func (f *Feed) ownCalls() {
	f.mu.Lock()
	unloading := f.unloading
	f.mu.Unlock()
	if unloading != nil {
		<-unloading
	}
	f.commitMu.Lock()
	defer f.commitMu.Unlock()
}

// park parks the feed if it can be done without waiting for somebody else.
func (f *Feed) park() parkState {
	if !f.parking.TryLock() {
		return parkBusy
	}
	defer f.parking.Unlock()
	if f.berth != nil || f.retired {
		return parkStuck
	}
	if !f.wmu.TryLock() {
		return parkBusy
	}
	defer f.unlockWrites()
	if f.holds.Load() > 0 {
		return parkBusy
	}
	if f.stuckNow() || f.lastCommit() != nil {
		return parkStuck
	}
	if !f.holds.CompareAndSwap(0, -parkedMark) {
		return parkBusy
	}
	b := &berth{}
	if state := f.closeFiles(b); state != parkDone {
		f.holds.Add(parkedMark)
		return state
	}
	f.berth = b
	f.lot.rest(f)
	return parkDone
}

// stuckNow reports whether there is something in memory that a commit does not
// write.
func (f *Feed) stuckNow() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closing || f.draft || f.failed != nil
}

// closeFiles is the second half of park: nobody is inside any more.
func (f *Feed) closeFiles(b *berth) parkState {
	f.commitMu.Lock()
	defer f.commitMu.Unlock()
	f.flushMu.Lock()
	defer f.flushMu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closing || f.draft || f.failed != nil || f.flight != nil:
		return parkStuck
	case f.opts.ReadOnly && f.changes != f.committed:
		return parkStuck // what Open would have written is in memory only
	case f.changes != f.committed, f.bitsOpen, len(f.pend.segs) > 0, len(f.tree.dirty) > 0, len(f.sigs.recs) > 0:
		return parkBusy // somebody came in between and left
	}
	var err error
	if b.stamps, err = f.stamp(len(stamped)); err != nil {
		return parkStuck
	}
	b.signature = f.lastSignature()
	now := time.Now()
	for _, s := range b.stamps {
		b.fresh = b.fresh || s.Fresh(now)
	}
	f.files.close()
	f.files = files{}
	f.tree.trim()
	f.groups = groups{even: f.groups.even}
	f.tree.file, f.tree.chunks, f.tree.ring, f.tree.dirty = nil, nil, nil, nil
	f.sigs.file, f.sigs.recs = nil, nil
	f.pend.segs, f.scratch, f.cargo = nil, nil, cargo{}
	f.apply.placed, f.apply.join = nil, nil
	return parkDone
}

// unpark opens the files again. The caller is counted in holds; it is not when an
// error is returned.
func (f *Feed) unpark() error {
	f.parking.Lock()
	if f.holds.Load() > 0 { // another was faster
		f.parking.Unlock()
		return nil
	}
	news, err := f.wakeUp()
	if err != nil {
		f.holds.Add(-1)
	} else {
		f.holds.Add(parkedMark)
	}
	f.parking.Unlock()
	if news {
		f.dispatch()
	}
	return err
}

// wakeUp opens the files and loads what another program has written. news tells
// that there are calls of the Replicator to be made. parking is held.
func (f *Feed) wakeUp() (news bool, err error) {
	if f.retired || f.usableNow() != nil {
		return false, ErrClosed
	}
	f.lot.admit()
	defer func() {
		if err != nil {
			f.files.close()
			f.files = files{}
			f.lot.quit()
		}
	}()
	same, err := f.reopen()
	if err == nil && !same {
		news = true
		err = f.renew()
	}
	if err != nil {
		f.berth.refused = f.berth.refused || errors.Is(err, ErrLocked)
		return f.goneAstray(err), err
	}
	f.mu.Lock()
	f.tree.file, f.sigs.file = f.files.tree, f.files.signatures
	again := f.astray != nil || f.berth.refused
	if f.astray != nil {
		f.astray = nil
		f.emit(Resumed{})
	}
	if again {
		f.announce(0, f.image.Data.Len())
		news = true
	}
	f.mu.Unlock()
	f.berth = nil
	f.lot.drive(f, true)
	return news, nil
}

// reopen opens the files, the lock first, and reports whether they are as they were
// left.
func (f *Feed) reopen() (same bool, err error) {
	err = f.files.each(func(name string, file *store.File) (err error) {
		if *file, err = openIf(f.st, name); err != nil {
			return f.fileError("open", name, err)
		}
		if name == bitfieldName && *file != nil {
			if err := (*file).Lock(); err != nil {
				return fmt.Errorf("feed: %s: %w", f.st, err)
			}
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	now, err := f.stamp(len(stamped))
	return now == f.berth.stamps && !f.berth.fresh, err
}

// goneAstray notes that what is in the directory is not this feed any more:
// nothing of it is announced until it is. It reports whether that is new. A lock,
// or a failure to open files, says nothing of the sort.
func (f *Feed) goneAstray(err error) bool {
	var lost bool
	for _, kind := range []error{ErrNotFound, ErrKeyMismatch, ErrCorrupt} {
		lost = lost || errors.Is(err, kind)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !lost || f.astray != nil {
		return false
	}
	f.astray = err
	f.emit(Failed{Err: err})
	for from, ok := f.image.Data.NextSet(0); ok; from, ok = f.image.Data.NextSet(from) {
		end := f.image.Data.NextClear(from)
		f.note(note{kind: noteCleared, start: from, end: end})
		from = end
	}
	return true
}

// lookAgain opens the files if another program has written them. If that program
// still has the lock, the next look will tell.
func (f *Feed) lookAgain() {
	if !f.parking.TryLock() {
		return
	}
	changed := false
	if b := f.berth; b != nil {
		const few = 2 // one of them changes with everything
		now, err := f.stamp(few)
		changed = b.refused || err == nil && (now[0] != b.stamps[0] || now[1] != b.stamps[1])
	}
	f.parking.Unlock()
	if changed && f.enter() == nil {
		f.leave()
	}
}

// retire ends parking: the feed is about to close.
func (f *Feed) retire() {
	if f.lot == nil {
		return
	}
	f.parking.Lock()
	defer f.parking.Unlock()
	f.retired = true
	f.lot.leave(f, f.berth != nil)
}
