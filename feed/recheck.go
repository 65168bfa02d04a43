package feed

import (
	"context"
	"errors"

	"github.com/go-hypercore/hypercore/feed/merkle"
)

// recheckBytes is how much is read at once.
const recheckBytes = 1 << 20

// Recheck reads again what is here of blocks start to end-1, and gives up those that are
// not what the writer signed, or that the disk does not give back: disks forget. They are
// missing from then on, as Lost tells, and can be downloaded anew. Their bytes stay for
// Options.Repair to look at, unless a Clear beside them gives their space back. It returns
// how many blocks were given up.
//
// Blocks are verified when they arrive or are appended, and not when they are read (see
// Options.VerifyReads). Audit looks at all of a feed; this is for who has a suspicion.
func (f *Feed) Recheck(ctx context.Context, start, end uint64) (lost uint64, err error) {
	var buf []byte
	var sizes []uint64
	limit := uint64(recheckBytes) // of the next read; 0: one block
	for i := f.NextLocal(start); i < end; i = f.NextLocal(i) {
		if err := ctx.Err(); err != nil {
			return lost, err
		}
		stop := end
		if limit == 0 {
			stop = i + 1
		}
		buf, sizes, err = f.ReadRun(buf[:0], i, stop, limit, sizes[:0])
		switch {
		case errors.Is(err, ErrNotLocal) && f.NextLocal(i) != i:
			continue // it was given up meanwhile
		case err != nil && !errors.Is(err, ErrNotLocal) && !errors.Is(err, ErrCorrupt) && !unreadable(err):
			return lost, err
		case err != nil && limit > 0:
			limit /= 16 // one of them
			continue
		case err != nil:
			sizes = append(sizes, 0)
		}
		limit = min(max(2*limit, 1), recheckBytes)
		for b := buf; len(sizes) > 0; i, sizes = i+1, sizes[1:] {
			size := min(sizes[0], uint64(len(b)))
			good := false
			if err == nil {
				if good, err = f.leafIs(i, b[:size]); err != nil {
					return lost, err
				}
			}
			if b = b[size:]; !good {
				if err := f.lose(i); err != nil {
					return lost, err
				}
				lost++
			}
		}
	}
	return lost, nil
}

// leafIs reports whether a block has the hash that was signed, if its leaf is here.
func (f *Feed) leafIs(i uint64, b []byte) (bool, error) {
	f.mu.Lock()
	leaf, ok := f.tree.get(2 * i)
	err := f.tree.takeErr()
	f.mu.Unlock()
	if err != nil {
		return false, f.nodeError(err)
	}
	return !ok || merkle.Leaf(i, b) == leaf, nil
}

// lose takes the bit of a block away.
func (f *Feed) lose(i uint64) error {
	if err := f.enter(); err != nil {
		return err
	}
	defer f.leave()
	f.wmu.Lock()
	defer f.unlockWrites()
	f.mu.Lock()
	defer f.dispatch()
	defer f.mu.Unlock()
	if err := f.changeable(); err != nil {
		return err
	}
	if f.image.SetData(i, i+1, false) == 0 {
		return nil
	}
	f.stats.lost++
	f.hidden.forget(i, i+1)
	f.note(note{kind: noteCleared, start: i, end: i + 1})
	f.emit(Lost{i})
	f.cleared++
	f.newBits = true
	f.changed()
	return nil
}
