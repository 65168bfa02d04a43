package feed

import (
	"cmp"
	"context"
	"fmt"
	"slices"
)

// want is a block that someone waits for.
type want struct {
	index      uint64
	waiting    int
	here       chan struct{} // closed when the block is here, or the feed is not
	prev, next *want         // in the order of asking
}

// wants is the blocks that someone waits for, the most urgent first. Guarded by
// Feed.mu.
type wants struct {
	by          map[uint64]*want
	first, last *want
}

func (l *wants) add(i uint64) (w *want, isNew bool) {
	if w := l.by[i]; w != nil {
		w.waiting++
		return w, false
	}
	w = &want{index: i, waiting: 1, here: make(chan struct{}), prev: l.last}
	if l.last != nil {
		l.last.next = w
	} else {
		l.first = w
	}
	l.last = w
	if l.by == nil {
		l.by = map[uint64]*want{}
	}
	l.by[i] = w
	return w, true
}

func (l *wants) remove(w *want) {
	if l.by[w.index] != w {
		return
	}
	delete(l.by, w.index)
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		l.first = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		l.last = w.prev
	}
}

// woke tells those who wait that blocks start to end-1 are here. mu held.
func (f *Feed) woke(start, end uint64) {
	if len(f.wants.by) == 0 {
		return
	}
	if uint64(len(f.wants.by)) < end-start {
		for w := f.wants.first; w != nil; w = w.next {
			if w.index >= start && w.index < end {
				f.wants.remove(w)
				close(w.here)
			}
		}
	} else {
		for i := start; i < end; i++ {
			if w := f.wants.by[i]; w != nil {
				f.wants.remove(w)
				close(w.here)
			}
		}
	}
	f.demandChanged()
}

// waitBlock waits until block i is here.
func (f *Feed) waitBlock(ctx context.Context, i uint64) error {
	for {
		f.mu.Lock()
		if err := f.usable(); err != nil {
			f.mu.Unlock()
			return err
		}
		if f.image.Data.Get(i) {
			f.mu.Unlock()
			return nil
		}
		if err := f.neverHere(i); err != nil {
			f.mu.Unlock()
			return err
		}
		w, isNew := f.wants.add(i)
		if isNew {
			f.demandChanged()
		}
		f.mu.Unlock()
		f.dispatch()

		select {
		case <-w.here:
		case <-f.done:
			return ErrClosed
		case <-ctx.Done():
			f.mu.Lock()
			if w.waiting--; w.waiting == 0 {
				f.wants.remove(w)
				f.demandChanged()
			}
			f.mu.Unlock()
			f.dispatch()
			return ctx.Err()
		}
	}
}

// neverHere returns an error if block i, which is not here, cannot come. mu held.
func (f *Feed) neverHere(i uint64) error {
	if err := f.outOfBounds(i); err != nil {
		return err
	}
	return f.stopped()
}

// outOfBounds returns an error if there is no block i, nor will there be. mu held.
func (f *Feed) outOfBounds(i uint64) error {
	if i >= MaxLength || i >= f.acc.Len() && f.final() {
		return fmt.Errorf("%w: block %d of %d", ErrOutOfBounds, i, f.acc.Len())
	}
	return nil
}

// errOnlyRead is why nothing comes to a feed that was opened to be read only.
var errOnlyRead = fmt.Errorf("%w, and nothing comes: the feed was opened to be read only", ErrNotLocal)

// stopped returns why nothing will come any more: what changeable returns, if that is
// for good. A disk that is full may have room again, and while a feed is parked other
// programs may write it, also one that is only read. mu held.
func (f *Feed) stopped() error {
	if err := f.spoilt(); err != nil {
		return err
	}
	if f.onlyRead() {
		return errOnlyRead
	}
	return nil
}

// onlyRead reports whether nobody changes the feed while it is open. mu held.
func (f *Feed) onlyRead() bool { return f.opts.ReadOnly && f.lot == nil }

// final reports whether the feed is static and its length is known: the tree hash is
// the key, of an empty one as well. mu held.
func (f *Feed) final() bool { return Key(f.treeHash()) == f.key }

// ended reports whether the length is the last one.
func (f *Feed) ended() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.final() || f.onlyRead()
}

// finish lets everyone go who waits for what cannot come: it is beyond the end of a
// static feed, which was finalized or whose length is known now, or the feed has
// stopped. mu held; dispatch tells.
func (f *Feed) finish() {
	stopped := f.stopped() != nil
	n := f.acc.Len()
	for w := f.wants.first; w != nil; w = w.next {
		if stopped || w.index >= n {
			f.wants.remove(w)
			close(w.here)
		}
	}
	f.lengths = slices.DeleteFunc(f.lengths, func(w lengthWait) bool {
		if stopped || w.length > n {
			close(w.here)
			return true
		}
		return false
	})
	if stopped {
		for _, w := range f.seeks {
			close(w.found)
		}
		f.seeks = nil
	}
	for _, d := range slices.Clone(f.downloads) {
		if stopped || d.r.End > n {
			d.end(d.hopeless())
		}
	}
	f.demandChanged()
}

// Get returns block i; it waits until the block is here. Of a block that is
// beyond the length it waits until it is written. While it waits the block is in
// Demand, before everything that is downloaded without anyone waiting. It fails
// with the context's error, ErrClosed, or ErrOutOfBounds beyond the end of a
// static feed. A block was verified when it came; what is read from the disk is
// compared with the tree only with Options.VerifyReads.
//
// Of a block that is not here it fails as soon as nothing comes to the feed any more,
// with the error that Stats.Err has: ErrFork, damage (ErrCorrupt, ErrUnsound), or what
// an event Failed that is Final has told; or with ErrNotLocal if the feed was opened
// with Options.ReadOnly and no Lot. A block of one's own that was cleared is waited for
// like any other: whether somebody fetches it is for who attaches the Replicator to know,
// and Local does not wait.
func (f *Feed) Get(ctx context.Context, i uint64) ([]byte, error) {
	for {
		b, err := f.Local(i)
		if !isNotLocal(err) {
			return b, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := f.waitBlock(ctx, i); err != nil {
			return nil, err
		}
	}
}

// maxRange bounds the blocks GetRange asks for and keeps at once.
const maxRange = 1 << 20

// GetRange returns blocks start to end-1; it waits until all are here, and fails as
// Get does. At most 1,048,576 blocks can be asked for at once; Blocks has no such limit.
func (f *Feed) GetRange(ctx context.Context, start, end uint64) ([][]byte, error) {
	if end < start || end-start > maxRange {
		return nil, fmt.Errorf("%w: blocks %d to %d", ErrOutOfBounds, start, end)
	}
	f.mu.Lock()
	err := f.usable()
	if err == nil && start < end {
		err = f.outOfBounds(end - 1)
	}
	f.mu.Unlock()
	if err != nil || start == end {
		return nil, cmp.Or(err, ctx.Err())
	}
	w := f.openWindow(start, end)
	defer f.closeWindow(w)
	out := make([][]byte, 0, end-start)
	for i := start; i < end; {
		if err := f.waitBlock(ctx, i); err != nil {
			return nil, err
		}
		buf, sizes, err := f.readRun(nil, i, min(end, i+runBlocks), runBytes, nil)
		if isNotLocal(err) {
			continue // cleared meanwhile
		}
		if err != nil {
			return nil, err
		}
		for _, n := range sizes {
			out = append(out, buf[:n:n])
			buf = buf[n:]
		}
		i += uint64(len(sizes))
		f.moveWindow(w, i, end)
	}
	return out, nil
}

// lengthWait is one who waits for a length.
type lengthWait struct {
	length uint64
	here   chan struct{}
}

// lengthened tells those who wait for a length. mu held.
func (f *Feed) lengthened() {
	f.reconsider()
	if f.static {
		f.finish()
	}
	if len(f.lengths) == 0 {
		return
	}
	n := f.acc.Len()
	f.lengths = slices.DeleteFunc(f.lengths, func(w lengthWait) bool {
		if w.length > n {
			return false
		}
		close(w.here)
		return true
	})
	f.demandChanged()
}

// Update waits until the feed has at least minLen blocks, 0 meaning one more than
// now. Peers are asked for proof of a greater length, not for the blocks. It fails
// with ErrOutOfBounds beyond the end of a static feed, and like Get when the feed
// takes nothing more.
func (f *Feed) Update(ctx context.Context, minLen uint64) error {
	f.mu.Lock()
	if minLen == 0 {
		minLen = f.acc.Len() + 1
	}
	f.mu.Unlock()
	return f.waitLength(ctx, minLen, false)
}

// waitLength waits until the feed has n blocks; with claimed only as long as a peer
// is known to have so many, or n is 1.
func (f *Feed) waitLength(ctx context.Context, n uint64, claimed bool) error {
	f.mu.Lock()
	if err := f.usable(); err != nil || f.acc.Len() >= n {
		f.mu.Unlock()
		return err
	}
	if err := f.neverLong(n, claimed); err != nil {
		f.mu.Unlock()
		return err
	}
	w := lengthWait{n, make(chan struct{})}
	f.lengths = append(f.lengths, w)
	f.demandChanged()
	f.mu.Unlock()
	f.dispatch()

	err := ctx.Err()
	for err == nil {
		var news <-chan struct{}
		if claimed {
			news = f.arrival()
			if n > max(f.knownLen(), 1) {
				break
			}
		}
		select {
		case <-w.here:
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.acc.Len() >= n {
				return nil
			}
			return f.neverLong(n, claimed)
		case <-news:
		case <-f.done:
			return ErrClosed
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	f.mu.Lock()
	f.lengths = slices.DeleteFunc(f.lengths, func(o lengthWait) bool { return o == w })
	f.demandChanged()
	f.mu.Unlock()
	f.dispatch()
	return err
}

// neverLong returns an error if the feed cannot have n blocks; what peers have claimed
// beyond the end of a static feed is none. mu held.
func (f *Feed) neverLong(n uint64, claimed bool) error {
	if claimed && f.final() {
		return nil
	}
	return f.neverHere(n - 1)
}

// Head returns the last block. A reader first waits for the length that peers are
// known to have, as long as that is believed, and for a first block if there is
// none yet. It fails with ErrOutOfBounds if the feed is empty and is the writer's,
// static, or opened to be read only; and like Get if it takes nothing more and peers
// have more.
func (f *Feed) Head(ctx context.Context) ([]byte, error) {
	if err := f.usableNow(); err != nil {
		return nil, err
	}
	n := f.Len()
	if !f.Writable() {
		// What becomes known meanwhile is not waited for.
		for known := max(f.knownLen(), 1); known > n && !f.ended(); known = min(known, max(f.knownLen(), 1)) {
			if err := f.waitLength(ctx, known, true); err != nil {
				return nil, err
			}
			n = f.Len()
		}
	}
	if n == 0 {
		return nil, fmt.Errorf("%w: the feed is empty", ErrOutOfBounds)
	}
	return f.Get(ctx, n-1)
}
