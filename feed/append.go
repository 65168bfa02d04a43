package feed

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/go-hypercore/hypercore/feed/merkle"
)

// Hashing is spread over the cores when a batch has at least this many bytes:
// 128 KiB take 35 to 140 µs, a goroutine a few.
const parallelBytes = 128 << 10

var leafPool = sync.Pool{New: func() any { return new([]merkle.Node) }}

// leaves returns room for n leaves; it is given back with leafPool.Put.
func leaves(n int) *[]merkle.Node {
	l := leafPool.Get().(*[]merkle.Node)
	if cap(*l) < n {
		*l = make([]merkle.Node, n)
	}
	*l = (*l)[:n]
	return l
}

// Append adds blocks at the end of the feed and returns the index of the first
// of them. All of them are signed with one signature, which appends that pile up
// behind a commit share, as in hypercore 6. The data is not kept.
//
// When it returns, the blocks are in memory and can be read; when they are on
// the disk is said by Options.Durability. With AppendDurable and a canceled
// context the blocks may or may not be on the disk later; the index is returned
// with the context's error.
//
// Without blocks it does nothing and returns the length. It fails with
// ErrNotWritable, ErrTooLarge, ErrClosed, ErrStatic, ErrBehind, ErrOtherWriter,
// ErrFrozen, or with the error of a write, and then nothing has changed.
func (f *Feed) Append(ctx context.Context, blocks ...[]byte) (first uint64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	var total uint64
	for i, b := range blocks {
		if len(b) > MaxBlock {
			return 0, fmt.Errorf("%w: block %d of the batch has %d bytes, at most %d can be replicated", ErrTooLarge, i, len(b), MaxBlock)
		}
		total += uint64(len(b))
	}
	if len(blocks) == 0 {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.acc.Len(), f.appendable(0, 0)
	}
	if err := f.enter(); err != nil {
		return 0, err
	}
	defer f.leave()
	if f.opts.Durability == AppendDurable && f.opts.OnWrite == nil && total <= jointBytes && len(blocks) <= jointBlocks {
		return f.appendJoint(ctx, blocks, total)
	}
	first, next, err := f.append(blocks, total)
	if next.retry { // first what could not be written before
		if err := f.tryAgain(false); err != nil {
			return 0, err
		}
		first, next, err = f.append(blocks, total)
	}
	if next.dispatch {
		f.dispatch()
	}
	if err != nil {
		return 0, err
	}
	if next.crowded {
		f.relieve(ctx)
	}
	return first, next.wait.over(ctx)
}

// afterAppend is what an append has to do when it holds no lock any more.
type afterAppend struct {
	retry    bool // nothing was appended: a write has failed before
	dispatch bool
	crowded  bool
	wait     *syncWait // nil: for nothing
}

// appendable returns why these blocks cannot be appended. mu held.
func (f *Feed) appendable(blocks int, bytes uint64) error {
	switch err := f.changeable(); {
	case err != nil:
		return err
	case f.static:
		return fmt.Errorf("%w: the feed is finalized", ErrStatic)
	case !f.writable():
		return fmt.Errorf("%w: the secret key of %v is not here", ErrNotWritable, f.key)
	case f.unsigned:
		return f.corrupt(signaturesName, sigOffset(f.acc.Len()), "the signature of length %d is missing", f.acc.Len())
	case f.behind > 0:
		return fmt.Errorf("%w: %s has %d of the %d blocks that were announced: it was restored from a backup or copied", ErrBehind, f.st, f.acc.Len(), f.behind)
	case f.other != "":
		return fmt.Errorf("%w: in %s that was %q, this is %q", ErrOtherWriter, f.st, f.other, f.opts.Identity)
	case f.acc.Len()+uint64(blocks) > MaxLength:
		return fmt.Errorf("%w: %d blocks after %d", ErrTooLarge, blocks, f.acc.Len())
	case bytes > merkle.MaxInt-f.acc.ByteLen():
		return fmt.Errorf("%w: %d bytes after %d", ErrTooLarge, bytes, f.acc.ByteLen())
	}
	return nil
}

// append does the work of Append, up to the moment the feed is longer.
func (f *Feed) append(blocks [][]byte, total uint64) (first uint64, next afterAppend, err error) {
	nodes := leaves(len(blocks))
	defer leafPool.Put(nodes)
	// Large blocks are written to the file from the caller's memory, small ones
	// are copied and written together with the next commit.
	direct := total >= directBlock*uint64(len(blocks))
	if !direct {
		hashBlocks(*nodes, blocks, total)
	}

	f.wmu.Lock()
	defer f.unlockWrites()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed != nil {
		return 0, afterAppend{retry: true}, f.failed
	}
	if err = f.appendable(len(blocks), total); err == nil && f.opts.OnWrite != nil {
		at := f.acc.Len()
		f.mu.Unlock()
		err = f.offerAppended(at, blocks)
		f.mu.Lock()
		if err == nil {
			err = f.changeable() // it may have changed meanwhile
		}
	}
	if err == nil && direct {
		off := f.acc.ByteLen()
		f.mu.Unlock()
		if err = f.settle(); err == nil {
			err = f.writeBlocks(*nodes, blocks, off)
		}
		f.mu.Lock()
		f.touched.data = true
		if err == nil {
			err = f.changeable() // it may have changed meanwhile
		}
	}
	if err != nil {
		return 0, next, err
	}
	var changes uint64
	if first, changes, err = f.grow(*nodes, blocks, total, !direct); err != nil {
		return 0, next, err
	}
	if f.opts.Durability == AppendDurable {
		next.wait = f.await(changes)
	} else {
		next.crowded = f.crowded(1)
	}
	next.dispatch = f.demand || len(f.outbox) > 0
	return first, next, nil
}

// growBlocks is how many blocks the tree grows by at a time, which bounds
// Feed.scratch.
const growBlocks = 512

// grow appends to the log: the in-memory state moves. wmu and mu are held.
func (f *Feed) grow(nodes []merkle.Node, blocks [][]byte, total uint64, copied bool) (first, changes uint64, err error) {
	share := f.draft || f.opts.Durability == AppendDurable || f.sigs.shared()
	if !share {
		f.sigs.seal(f.treeHash()) // of those that shared one until now
	}
	first = f.acc.Len()
	off := f.acc.ByteLen()
	for i := range nodes {
		nodes[i].Index = 2 * (first + uint64(i))
		if copied {
			f.pend.add(off, blocks[i])
			off += nodes[i].Size
		}
	}
	for some := range slices.Chunk(nodes, growBlocks) {
		f.scratch, err = f.acc.AppendAll(some, f.scratch[:0])
		if err != nil {
			return 0, 0, err // appendable has ruled it out
		}
		for k := range f.scratch {
			f.tree.set(&f.scratch[k])
		}
	}
	f.groups.even.add(nodes)
	end := f.acc.Len()
	f.image.SetData(first, end, true)
	f.hash = merkle.Hash{}
	switch {
	case f.draft:
	case share:
		f.sigs.move(end)
	default:
		f.sigs.add(sigRecord{length: end, hash: f.treeHash(), own: true})
	}
	if f.opts.Identity != "" {
		f.identity = f.opts.Identity
	}
	f.eager = true
	f.changed()
	if len(f.watchers) > 0 {
		f.emit(Appended{Start: first, End: end, Bytes: total})
	}
	f.woke(first, end)
	f.progressed()
	f.lengthened()
	return first, f.changes, nil
}

// treeHash returns the tree hash of the feed as it is. mu held.
func (f *Feed) treeHash() merkle.Hash {
	if f.hash == (merkle.Hash{}) {
		f.hash = f.acc.TreeHash()
	}
	return f.hash
}

// hashBlocks computes the leaves of blocks, without their numbers.
func hashBlocks(nodes []merkle.Node, blocks [][]byte, total uint64) {
	if total < parallelBytes {
		merkle.Leaves(nodes, blocks)
		return
	}
	parallel(len(blocks), len(blocks)*(parallelBytes/2)/int(total), merkle.Lanes, func(start, end int) {
		merkle.Leaves(nodes[start:end], blocks[start:end])
	})
}

// writeBlocks computes the leaves of blocks and writes them from off on. The other
// cores hash; this one writes what is hashed, since the file takes one write at a
// time, and hashes when there is nothing to be written.
func (f *Feed) writeBlocks(nodes []merkle.Node, blocks [][]byte, off uint64) error {
	start := off
	hashed := make(chan int, len(blocks)/merkle.Lanes+1) // first blocks of spans
	var next atomic.Int64
	hash := func() bool {
		at := int(next.Add(int64(merkle.Lanes))) - merkle.Lanes
		if at >= len(blocks) {
			return false
		}
		end := min(at+merkle.Lanes, len(blocks))
		merkle.Leaves(nodes[at:end], blocks[at:end])
		hashed <- at
		return true
	}
	var others sync.WaitGroup
	defer others.Wait()
	for range min(runtime.GOMAXPROCS(0), (len(blocks)-1)/merkle.Lanes+1) - 1 {
		others.Go(func() {
			for hash() {
			}
		})
	}
	var failed error
	offs := make([]uint64, len(blocks))
	for i, b := range blocks {
		offs[i] = off
		off += uint64(len(b))
	}
	for left := len(blocks); left > 0; {
		var at int
		select {
		case at = <-hashed:
		default:
			if hash() {
				continue
			}
			at = <-hashed
		}
		end := min(at+merkle.Lanes, len(blocks))
		left -= end - at
		for at < end && failed == nil {
			b, n := adjoining(blocks[at:end])
			if len(b) > 0 {
				failed = f.writeAt(dataName, f.files.data, b, int64(offs[at]))
			}
			at += n
		}
	}
	if failed != nil {
		// Give back the room of what was written: it does not count. If that fails
		// as well, the next append or open does it.
		if have, err := f.files.data.Size(); err == nil && have > int64(start) {
			f.files.data.Truncate(int64(start))
		}
		return f.fail(failed, true)
	}
	return nil
}

// adjoining returns the first n of the blocks as one, as many as lie one behind the
// other in memory: then the capacity of the one before reaches over the next. A file
// takes one large write faster than many.
func adjoining(blocks [][]byte) (b []byte, n int) {
	b = blocks[0]
	for n = 1; n < len(blocks); n++ {
		next := blocks[n]
		end := len(b) + len(next)
		if len(next) == 0 || end > cap(b) || &b[:end][len(b)] != &next[0] {
			break
		}
		b = b[:end]
	}
	return b, n
}

// TakeOver makes this the feed's writer again after ErrOtherWriter or ErrBehind:
// the node that wrote last is forgotten, and what is here counts as all there
// is. Call it when no other copy appends any more, and after the newest blocks
// were downloaded. If less is here than was announced it fails with ErrBehind,
// unless force says that no peer has more: if one has, the feed is forked for
// good.
func (f *Feed) TakeOver(ctx context.Context, force bool) error {
	known := f.knownLen()
	if err := f.enter(); err != nil {
		return err
	}
	defer f.leave()
	err := func() error {
		f.wmu.Lock()
		defer f.unlockWrites()
		f.mu.Lock()
		defer f.mu.Unlock()
		if err := f.changeable(); err != nil {
			return err
		}
		length := f.acc.Len()
		if most := max(f.behind, known); f.behind > 0 && most > length && !force {
			return fmt.Errorf("%w: %s has %d of the %d blocks that were announced", ErrBehind, f.st, length, most)
		}
		// What is left beyond the length, of a history that is given up, must not
		// be taken for a part of the one that goes on.
		if err := f.cutFiles(); err != nil {
			return err
		}
		f.behind, f.other = 0, ""
		f.announced = length
		f.identity = f.opts.Identity
		f.eager = true
		f.changed()
		return nil
	}()
	if err != nil {
		return err
	}
	return f.Sync(ctx)
}
