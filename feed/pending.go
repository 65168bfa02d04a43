package feed

import "sync"

// Appended data waits in memory, for at most one group commit, so that small
// appends cost no system call each, and so do the few blocks that a live download
// brings at a time. It is read from there meanwhile.

const (
	smallSlab = 8 << 10
	largeSlab = 256 << 10

	// directBlock is the block size from which data is not copied here but written
	// to the file at once.
	directBlock = 16 << 10
)

var (
	smallSlabs = sync.Pool{New: func() any { b := make([]byte, 0, smallSlab); return &b }}
	largeSlabs = sync.Pool{New: func() any { b := make([]byte, 0, largeSlab); return &b }}
)

// segment is a piece of data that is not in the file yet.
type segment struct {
	off uint64
	buf *[]byte // len is what there is, cap a slab's
}

func (s segment) end() uint64 { return s.off + uint64(len(*s.buf)) }

func (s segment) free() {
	b := (*s.buf)[:0]
	*s.buf = b
	if cap(b) == smallSlab {
		smallSlabs.Put(s.buf)
	} else {
		largeSlabs.Put(s.buf)
	}
}

// pending is a list of segments by rising offset. Guarded by Feed.mu.
type pending struct {
	segs  []segment
	taken int // the first segments, which are being written
	bytes int // in the segments
}

// end returns the offset after the last segment, 0 without one: nothing may be
// added before it.
func (p *pending) end() uint64 {
	if n := len(p.segs); n > 0 {
		return p.segs[n-1].end()
	}
	return 0
}

// take returns the segments that are not being written yet; they stay readable
// until landed is called.
func (p *pending) take() []segment {
	segs := p.segs[p.taken:]
	p.taken = len(p.segs)
	return segs
}

// landed tells that what was taken is in the file.
func (p *pending) landed() {
	for _, s := range p.segs[:p.taken] {
		p.bytes -= len(*s.buf)
		s.free()
	}
	p.segs = append([]segment(nil), p.segs[p.taken:]...)
	p.taken = 0
}

// add copies data that belongs at off, which is not before what was added last.
func (p *pending) add(off uint64, data []byte) {
	p.bytes += len(data)
	for len(data) > 0 {
		var last *[]byte
		if n := len(p.segs); n > p.taken && p.segs[n-1].end() == off {
			last = p.segs[n-1].buf
		}
		if last == nil || len(*last) == cap(*last) {
			pool := &smallSlabs
			if p.bytes > smallSlab {
				pool = &largeSlabs
			}
			last = pool.Get().(*[]byte)
			p.segs = append(p.segs, segment{off: off, buf: last})
		}
		n := min(len(data), cap(*last)-len(*last))
		*last = append(*last, data[:n]...)
		data, off = data[n:], off+uint64(n)
	}
}

// gap is a part of a read, from lo to hi, that is in the file.
type gap struct{ lo, hi int }

// read copies to b, which starts at off, what is here, and returns what is not.
func (p *pending) read(b []byte, off uint64, gaps []gap) []gap {
	end := off + uint64(len(b))
	at := off
	for _, s := range p.segs {
		if s.end() <= at {
			continue
		}
		if s.off >= end {
			break
		}
		if s.off > at {
			gaps = append(gaps, gap{int(at - off), int(s.off - off)})
			at = s.off
		}
		n := copy(b[at-off:], (*s.buf)[at-s.off:])
		at += uint64(n)
	}
	if at < end {
		gaps = append(gaps, gap{int(at - off), int(end - off)})
	}
	return gaps
}
