package feed

import "slices"

// run is a piece of a file.
type run struct {
	off int64
	buf []byte
}

// take appends to runs what is dirty, in few pieces, and pins the chunks until
// done is called with them. The bytes are in buf, which is returned grown.
func (t *nodes) take(buf []byte, runs []run) ([]byte, []run, []*chunk) {
	if len(t.dirty) == 0 {
		return buf, runs, nil
	}
	taken := t.dirty
	t.dirty, t.count = nil, 0
	slices.SortFunc(taken, func(a, b *chunk) int {
		switch {
		case a.level != b.level:
			return int(a.level) - int(b.level)
		case a.number < b.number:
			return -1
		case a.number > b.number:
			return 1
		}
		return 0
	})
	j := joiner{buf: buf, runs: runs, next: -1}
	for _, c := range taken {
		c.pins++
		for s := range chunkNodes {
			if c.dirty[s>>6]>>(s&63)&1 == 0 {
				continue
			}
			j.add(t, nodeAt(chunkKey{c.level, c.number}, s), c.rec[s*nodeSize:(s+1)*nodeSize])
		}
		c.dirty = [2]uint64{}
	}
	j.end()
	return j.buf, j.runs, taken
}

// done tells that a flight has landed.
func (t *nodes) done(taken []*chunk) {
	for _, c := range taken {
		c.pins--
	}
}

// maxGap is the number of clean nodes that are written again to join two runs.
const maxGap = 8

// joiner gathers records, given in rising order per level, into runs.
type joiner struct {
	buf   []byte
	runs  []run
	start int   // of the open run in buf
	first int64 // node at start
	next  int64 // node after the open run; -1: none is open
}

func (j *joiner) add(t *nodes, n uint64, rec []byte) {
	if gap := int64(n) - j.next; j.next < 0 || gap < 0 || gap > maxGap || !j.fill(t, gap) {
		j.end()
		j.start, j.first, j.next = len(j.buf), int64(n), int64(n)
	}
	j.buf = append(j.buf, rec...)
	j.next++
}

// fill writes the nodes of a gap as they are: zeros where none is held. It fails
// if one is held and not in memory.
func (j *joiner) fill(t *nodes, gap int64) bool {
	mark, next := len(j.buf), j.next
	for ; gap > 0; gap-- {
		n := uint64(j.next)
		k, s := locate(n)
		if !t.image.Tree.Get(n) {
			var zero [nodeSize]byte
			j.buf = append(j.buf, zero[:]...)
		} else if c := t.chunks[k]; c != nil && c.has(s) {
			j.buf = append(j.buf, c.rec[s*nodeSize:(s+1)*nodeSize]...)
		} else {
			j.buf, j.next = j.buf[:mark], next
			return false
		}
		j.next++
	}
	return true
}

func (j *joiner) end() {
	if j.next >= 0 {
		j.runs = append(j.runs, run{off: nodeOffset(uint64(j.first)), buf: j.buf[j.start:len(j.buf):len(j.buf)]})
	}
	j.next = -1
}
