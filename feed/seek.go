package feed

import (
	"context"
	"fmt"
	"slices"

	"github.com/go-hypercore/hypercore/feed/merkle"
)

const noBlock = ^uint64(0)

// seekWait is a byte offset whose block is looked for.
type seekWait struct {
	offset uint64
	block  uint64 // the block to ask for, which decides; noBlock: ask by offset
	found  chan struct{}
}

// find returns the block that holds byte offset of the feed and where in the
// block it is: the first block that ends after it, so empty blocks are skipped;
// offset 0 is block 0 in any case. If not all nodes on the way are here, ok is
// false and index is the node where the way ends. mu held.
func (f *Feed) find(offset uint64) (index, rel uint64, ok bool) {
	if offset == 0 {
		return 0, 0, true
	}
	for _, r := range f.acc.Roots() {
		if offset >= r.Size {
			offset -= r.Size
			continue
		}
		return f.findIn(r.Index, r.Size, offset)
	}
	return noBlock, 0, false
}

func (f *Feed) findIn(n, size, offset uint64) (index, rel uint64, ok bool) {
	for {
		left, right, inner := merkle.Children(n)
		if !inner {
			return n / 2, offset, true
		}
		l, ok := f.tree.get(left)
		if !ok {
			r, ok := f.tree.get(right)
			if !ok || r.Size > size {
				return n, 0, false
			}
			l.Size = size - r.Size
		}
		if offset < l.Size {
			n, size = left, l.Size
		} else {
			n, size, offset = right, size-min(size, l.Size), offset-l.Size
		}
	}
}

// Seek returns the block that holds byte offset of the feed, and where in the
// block it is. Empty blocks are skipped, but offset 0 is block 0. Of a feed that
// is not all here, peers are asked for the nodes on the way. It fails with
// ErrOutOfBounds if the feed has not as many bytes, and like Get if it takes nothing more.
func (f *Feed) Seek(ctx context.Context, offset uint64) (index, rel uint64, err error) {
	for {
		known := f.knownLen()
		index, rel, w, err := f.seekHere(offset, known)
		if w == nil {
			return index, rel, err
		}
		if f.knownLen() != known { // perhaps it changed before w was there to be told
			f.mu.Lock()
			f.reconsider()
			f.mu.Unlock()
		}
		f.dispatch()

		select {
		case <-w.found:
			f.dispatch()
		case <-f.done:
			return 0, 0, ErrClosed
		case <-ctx.Done():
			f.mu.Lock()
			f.seeks = slices.DeleteFunc(f.seeks, func(o *seekWait) bool { return o == w })
			f.demandChanged()
			f.mu.Unlock()
			f.dispatch()
			return 0, 0, ctx.Err()
		}
	}
}

// seekHere finds the block in the nodes that are here. If they do not tell, it
// returns one who waits.
func (f *Feed) seekHere(offset, known uint64) (index, rel uint64, w *seekWait, err error) {
	if err := f.enter(); err != nil {
		return 0, 0, nil, err
	}
	defer f.leave()
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.usable(); err != nil {
		return 0, 0, nil, err
	}
	index, rel, ok := f.find(offset)
	if err := f.tree.takeErr(); err != nil {
		return 0, 0, nil, f.nodeError(err)
	}
	if ok {
		return index, rel, nil, nil
	}
	if f.beyond(offset) && (f.writable() || known <= f.acc.Len() && f.acc.Len() > 0 || f.final()) {
		return 0, 0, nil, fmt.Errorf("%w: byte %d of %d", ErrOutOfBounds, offset, f.acc.ByteLen())
	}
	if err := f.stopped(); err != nil {
		return 0, 0, nil, err
	}
	w = &seekWait{offset: offset, found: make(chan struct{})}
	w.block = f.decider(offset)
	f.seeks = append(f.seeks, w)
	f.demandChanged()
	return 0, 0, w, nil
}

// beyond reports whether the feed, as far as it is known, has no such byte. mu held.
func (f *Feed) beyond(offset uint64) bool { return offset > 0 && offset >= f.acc.ByteLen() }

// reconsider has those who look for a byte beyond the end look again: the length is
// another, or the one that peers announce. mu held.
func (f *Feed) reconsider() {
	if f.acc.Len() == 0 {
		return // they still cannot tell
	}
	f.seeks = slices.DeleteFunc(f.seeks, func(w *seekWait) bool {
		if !f.beyond(w.offset) {
			return false
		}
		close(w.found)
		f.demandChanged()
		return true
	})
}

// decider returns the block to ask for when the way ends right above two blocks:
// the sizes of both are known for certain only with one of them. It is the one
// that a peer named, else the left one. mu held.
func (f *Feed) decider(offset uint64) uint64 {
	n, _, ok := f.find(offset)
	if ok || n == noBlock || merkle.Depth(n) != 1 {
		return noBlock
	}
	if first := n / 2; f.hint != first && f.hint != first+1 {
		return first
	}
	return f.hint
}

// hinted is called with the block of a proof without a value. mu held.
func (f *Feed) hinted(i uint64) { f.hint = i }

// reseek looks at the seeks again after nodes have come. mu held.
func (f *Feed) reseek() {
	f.seeks = slices.DeleteFunc(f.seeks, func(w *seekWait) bool {
		if _, _, ok := f.find(w.offset); ok {
			close(w.found)
			f.demandChanged()
			return true
		}
		if b := f.decider(w.offset); b != w.block {
			w.block = b
			f.demandChanged()
		}
		return false
	})
	f.tree.takeErr() // Seek itself will tell
}
