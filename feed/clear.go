package feed

import (
	"context"
	"fmt"
)

// clearRuns bounds the runs of blocks that are cleared in one go, and with it
// the time others wait for the lock.
const clearRuns = 1024

// holeBorder is what a hole is extended to, as far as nobody needs what lies there: file
// systems give back whole units, of 4 KiB in most cases and of 64 KiB in some, and of
// small blocks that are cleared one by one none fills a unit.
const holeBorder = 64 << 10

// hole is a piece of the data file that nobody needs.
type hole struct{ off, end uint64 }

// Clear gives up blocks start to end-1: they are not here any more, their disk
// space is given back where the file system can, and peers are told. The tree
// stays, so they can be proven, and downloaded again. Blocks in the range that are
// not here are skipped. With the space goes that of neighbours that are not here, up to
// a border of 64 KiB, so that clearing one small block after the other gives all back.
//
// A reader that is not Sparse wants all blocks, those that were cleared as well: while
// it has peers they come back. Who keeps only a part of a feed opens it with
// Options.Sparse and says from where on it is wanted:
//
//	d := f.Download(feed.Range{Start: first}) // and all that comes later
//	...
//	next := f.Download(feed.Range{Start: newFirst})
//	d.Cancel()
//	err := f.Clear(ctx, first, newFirst)
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
		if err := f.files.data.Punch(int64(h.off), int64(h.end-h.off)); err != nil && ferr == nil {
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
		h := f.widen(hole{off, off + size}, from, start)
		if n := len(holes); n > 0 && holes[n-1].end >= h.off {
			holes[n-1].end = max(holes[n-1].end, h.end)
		} else {
			holes = append(holes, h)
		}
	}
	return holes, start, nil
}

// widen extends the hole of blocks start to end-1 to borders on both sides, or to the
// next block there that is here. Only the places of those are asked for: it is where they
// are read. What is here, pending or in the file, has its bit; nothing else is written
// before the hole is made, for who writes has wmu. mu and wmu held.
func (f *Feed) widen(h hole, start, end uint64) hole {
	if border := h.off - h.off%holeBorder; border < h.off {
		before := uint64(0) // where the last block before it ends
		if i, ok := f.image.Data.PrevSet(start); ok {
			off, err := f.offset(i)
			size, serr := f.sizeOf(i)
			if before = off + size; err != nil || serr != nil {
				before = h.off // the damage is told to who reads it
			}
		}
		h.off = min(h.off, max(border, before))
	}
	if border := (h.end + holeBorder - 1) / holeBorder * holeBorder; border > h.end {
		after := max(h.end, f.acc.ByteLen())
		if i, ok := f.image.Data.NextSet(end); ok {
			off, err := f.offset(i)
			if after = off; err != nil {
				after = h.end
			}
		}
		h.end = max(h.end, min(border, after))
	}
	return h
}
