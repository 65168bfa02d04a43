package feed

import (
	"context"
	"fmt"
)

// clearRuns bounds the runs of blocks that are cleared in one go, and with it
// the time others wait for the lock.
const clearRuns = 1024

// hole is a piece of the data file that nobody needs.
type hole struct{ off, size uint64 }

// Clear gives up blocks start to end-1: they are not here any more, their disk
// space is given back where the file system can, and peers are told. The tree
// stays, so they can be proven, and downloaded again. Blocks in the range that are
// not here are skipped.
//
// The bits are on the disk before the space is given back: a crash never leaves a
// block that is promised and gone. ctx is looked at between pieces of at most 1024
// runs of blocks: what has been cleared when it ends has its space given back first,
// since nobody could find it later.
func (f *Feed) Clear(ctx context.Context, start, end uint64) error {
	if end < start {
		return fmt.Errorf("%w: blocks %d to %d", ErrOutOfBounds, start, end)
	}
	if err := f.enter(); err != nil {
		return err
	}
	defer f.leave()
	if err := f.tryAgain(false); err != nil {
		return err
	}
	if start == end {
		return f.usableNow()
	}
	for start < end {
		next, err := f.clearSome(ctx, start, end)
		if err != nil {
			return err
		}
		start = next
	}
	return nil
}

// clearSome clears up to clearRuns runs and returns where to go on.
func (f *Feed) clearSome(ctx context.Context, start, end uint64) (next uint64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	f.wmu.Lock()
	defer f.unlockWrites()
	f.mu.Lock()
	if err := f.changeable(); err != nil {
		f.mu.Unlock()
		return 0, err
	}
	holes, next, ferr := f.forget(start, end)
	if len(holes) == 0 {
		f.mu.Unlock()
		return next, ferr
	}
	f.cleared++
	f.newBits = true
	f.changed()
	written := f.await(f.changes)
	f.mu.Unlock()
	f.dispatch()

	// However long it takes, for the space would be lost.
	if err := f.overOrClosing(context.WithoutCancel(ctx), written); err != nil {
		return 0, err
	}
	for _, h := range holes {
		if err := f.files.data.Punch(int64(h.off), int64(h.size)); err != nil && ferr == nil {
			ferr = f.fileError("free a part of", dataName, err)
		}
	}
	return next, ferr
}

// forget clears the bits of blocks that are here and returns where they were.
// mu held.
func (f *Feed) forget(start, end uint64) (holes []hole, next uint64, err error) {
	for range clearRuns {
		from, ok := f.image.Data.NextSet(start)
		if !ok || from >= end {
			return holes, end, nil
		}
		start = f.image.Data.RunEnd(from, end)
		off, err := f.offset(from)
		if err != nil {
			return holes, start, err
		}
		size, err := f.span(from, start)
		if err != nil {
			return holes, start, err
		}
		f.image.SetData(from, start, false)
		f.hidden.forget(from, start)
		f.note(note{kind: noteCleared, start: from, end: start})
		f.emit(Cleared{from, start})
		if n := len(holes); n > 0 && holes[n-1].off+holes[n-1].size == off {
			holes[n-1].size += size
		} else {
			holes = append(holes, hole{off, size})
		}
	}
	return holes, start, nil
}
