package feed

import (
	"fmt"
	"math"
	"slices"

	"github.com/go-hypercore/hypercore/feed/bitfield"
	"github.com/go-hypercore/hypercore/feed/merkle"
)

// Local returns block i if it is here, else ErrNotLocal. The slice is the
// caller's, and not nil, even for an empty block.
func (f *Feed) Local(i uint64) ([]byte, error) {
	b, err := f.ReadBlock([]byte{}, i)
	if err != nil {
		return nil, err
	}
	return b, nil
}

// ReadBlock appends block i to dst. It fails with ErrNotLocal if the block is
// not here.
func (f *Feed) ReadBlock(dst []byte, i uint64) ([]byte, error) {
	var sizes [1]uint64
	dst, _, err := f.ReadBlocks(dst, i, 1, sizes[:0])
	return dst, err
}

// BlockSize returns the size of block i in bytes, if its leaf is here. Of a block
// that is not here itself a directory written by JavaScript may have a wrong one.
func (f *Feed) BlockSize(i uint64) (uint64, error) {
	if err := f.enter(); err != nil {
		return 0, err
	}
	defer f.leave()
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.usable(); err != nil {
		return 0, err
	}
	return f.sizeOf(i)
}

func (f *Feed) sizeOf(i uint64) (uint64, error) {
	if x, ok := f.groups.of(i); ok && x.kind == groupEven {
		return uint64(x.size), nil
	}
	if i < MaxLength {
		if n, ok := f.tree.get(2 * i); ok {
			return n.Size, nil
		}
		if err := f.tree.takeErr(); err != nil {
			return 0, f.nodeError(err)
		}
	}
	return 0, fmt.Errorf("%w: the size of block %d", ErrNotLocal, i)
}

// offset returns where block i begins. mu held.
func (f *Feed) offset(i uint64) (uint64, error) {
	if f.memo.ok && f.memo.block == i {
		return f.memo.off, nil
	}
	if i == f.acc.Len() {
		return f.acc.ByteLen(), nil
	}
	if off, ok := f.grouped(i); ok {
		return off, nil
	}
	if f.learnStrip(i) {
		if off, ok := f.grouped(i); ok {
			return off, nil
		}
	}
	return f.sumRoots(i)
}

// sumRoots returns where block i begins, by the sizes of all that comes before. mu
// held.
func (f *Feed) sumRoots(i uint64) (uint64, error) {
	var buf [merkle.MaxRoots]uint64
	var off uint64
	for _, n := range merkle.Roots(buf[:0], i) {
		node, ok := f.tree.get(n)
		if !ok {
			if err := f.tree.takeErr(); err != nil {
				return 0, f.nodeError(err)
			}
			return 0, fmt.Errorf("%w: the place of block %d, for which node %d is missing", ErrNotLocal, i, n)
		}
		off += node.Size
	}
	return off, nil
}

// extent is a piece of the data file.
type extent struct {
	off   uint64
	sizes []uint64 // of the blocks in it
	total uint64
}

// extent returns the place of blocks from start on that are here, up to end and
// about maxBytes, at least one. mu held.
func (f *Feed) extent(start, end, maxBytes uint64, sizes []uint64) (extent, error) {
	e := extent{sizes: sizes}
	end = f.image.Data.RunEnd(start, end)
	if end <= start {
		return e, errAbsent(start)
	}
	off, err := f.offset(start)
	if err != nil {
		return e, f.unplaced(start, err)
	}
	e.off = off
	i := start
	for ; i < end; i++ {
		size, err := f.sizeOf(i)
		if err != nil {
			return e, f.unplaced(i, err)
		}
		if e.total+size > maxBytes && i > start {
			break
		}
		e.sizes = append(e.sizes, size)
		if e.total += size; size > maxValue || e.total > merkle.MaxInt {
			if err := f.plausible(i, e); err != nil {
				return e, err
			}
		}
	}
	f.memo = memo{i, e.off + e.total, true}
	f.learn(start, e.off)
	return e, nil
}

// unplaced is the error for a block that is marked as here and of which a node is
// missing: a damaged bitfield, not a block that may come, for which others would wait.
// mu held.
func (f *Feed) unplaced(i uint64, err error) error {
	if !isNotLocal(err) {
		return err
	}
	page := int64(i / bitfield.PageBlocks * uint64(f.image.PageSize()))
	return f.corrupt(bitfieldName, headerSize+page, "block %d is marked as here (%v)", i, err)
}

// maxStored is the size of the largest block that is read: more than npm hypercore can
// append, but no sparse file of a terabyte.
const maxStored = 1 << 31

// plausible fails if the extent ends beyond the data there is: before memory is
// made for it, because a damaged tree can say anything. mu held.
func (f *Feed) plausible(i uint64, e extent) error {
	have, err := size(f.files.data)
	if err != nil {
		return f.fileError("size of", dataName, err)
	}
	if n := len(f.pend.segs); n > 0 {
		have = max(have, int64(f.pend.segs[n-1].end()))
	}
	if size := e.sizes[len(e.sizes)-1]; size > maxStored {
		return f.corrupt(treeName, nodeOffset(2*i)+32, "it gives block %d %d bytes, more than a block can have", i, size)
	}
	if e.off+e.total > uint64(have) {
		return f.corrupt(treeName, nodeOffset(2*i)+32, "it gives block %d %d bytes; the data file ends before", i, e.sizes[len(e.sizes)-1])
	}
	return nil
}

// ReadBlocks appends the data of n neighbouring blocks to dst, with one read, and
// their sizes to sizes. It fails with ErrNotLocal if one of them is not here.
func (f *Feed) ReadBlocks(dst []byte, start, n uint64, sizes []uint64) ([]byte, []uint64, error) {
	if n == 0 || start >= MaxLength || n > MaxLength {
		err := f.usableNow()
		if n > 0 && err == nil {
			err = errAbsent(start)
		}
		return dst, sizes, err
	}
	given, first := len(dst), len(sizes)
	dst, sizes, err := f.readRun(dst, start, start+n, math.MaxUint64, sizes)
	if got := uint64(len(sizes) - first); err == nil && got < n {
		err = fmt.Errorf("%w: block %d", ErrNotLocal, start+got)
	}
	if err != nil {
		return dst[:given], sizes[:first], err
	}
	return dst, sizes, nil
}

// ReadRun appends blocks from start on, to dst and their sizes to sizes, with one read:
// those before end that are here and neighbours, one at least and as many as have
// maxBytes together. It fails with ErrNotLocal if not even the first is here.
func (f *Feed) ReadRun(dst []byte, start, end, maxBytes uint64, sizes []uint64) ([]byte, []uint64, error) {
	if start >= MaxLength {
		err := f.usableNow()
		if err == nil {
			err = errAbsent(start)
		}
		return dst, sizes, err
	}
	return f.readRun(dst, start, min(end, MaxLength), maxBytes, sizes)
}

// readRun is ReadRun below MaxLength.
func (f *Feed) readRun(dst []byte, start, end, maxBytes uint64, sizes []uint64) ([]byte, []uint64, error) {
	if err := f.enter(); err != nil {
		return dst, sizes, err
	}
	defer f.leave()
	given, first := len(dst), len(sizes)
	for {
		f.mu.Lock()
		if err := f.usable(); err != nil {
			f.mu.Unlock()
			return dst[:given], sizes[:first], err
		}
		e, err := f.extent(start, end, maxBytes, sizes[:first])
		if err != nil {
			f.mu.Unlock()
			return dst[:given], sizes[:first], err
		}
		var room [4]gap
		gaps := room[:0]
		sizes, dst = e.sizes, slices.Grow(dst[:given], int(e.total))[:given+int(e.total)]
		if len(f.pend.segs) > 0 {
			gaps = f.pend.read(dst[given:], e.off, gaps)
		} else if e.total > 0 {
			gaps = append(gaps, gap{0, int(e.total)})
		}
		cleared := f.cleared
		f.mu.Unlock()

		err = f.readGaps(dst[given:], e.off, gaps)

		f.mu.Lock()
		again, closed := cleared != f.cleared, f.usable()
		f.mu.Unlock()
		if again {
			continue // what was read may have been given up meanwhile
		}
		if err != nil && closed != nil {
			err = closed // the file was
		}
		if err == nil && f.opts.VerifyReads {
			err = f.checkRead(dst[given:], start, extent{e.off, sizes[first:], e.total})
		}
		if err != nil {
			return dst[:given], sizes[:first], err
		}
		return dst, sizes, nil
	}
}

// readGaps reads from the file what is not in memory.
func (f *Feed) readGaps(b []byte, off uint64, gaps []gap) error {
	for _, g := range gaps {
		part := b[g.lo:g.hi]
		n, err := readFull(f.files.data, part, int64(off)+int64(g.lo))
		if err != nil {
			return f.fileError("read", dataName, err)
		}
		if n < len(part) {
			return f.corrupt(dataName, int64(off)+int64(g.lo)+int64(n), "the file ends here, within a block that should be there")
		}
	}
	return nil
}

// checkRead compares blocks with their leaves.
func (f *Feed) checkRead(b []byte, start uint64, e extent) error {
	off := e.off
	for k, size := range e.sizes {
		i := start + uint64(k)
		good, err := f.leafIs(i, b[:size])
		if err != nil {
			return err
		}
		if !good {
			return f.corrupt(dataName, int64(off), "block %d does not have the hash that was signed", i)
		}
		b, off = b[size:], off+size
	}
	return nil
}
