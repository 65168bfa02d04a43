package merkle

// Seek finds the byte at offset in a log with these roots (hypercore 6, seek).
// It returns the lowest node known to contain it, and the offset within that
// node: a leaf 2i means block i; a higher node n that the answer is one of the
// blocks LeftSpan(n)/2 to RightSpan(n)/2, and that nodes below n are missing.
// Blocks without bytes contain nothing, except that offset 0 is always in block
// 0. ok is false if offset is at the end of the log or behind it.
//
// held returns the nodes that are here. Sizes must be proven: see
// Result.Hints.
func Seek(held func(n uint64) (Node, bool), roots []Node, offset uint64) (n, rel uint64, ok bool) {
	if offset == 0 {
		return 0, 0, true
	}
	for _, r := range roots {
		if offset < r.Size {
			n, rel = descend(held, r.Index, r.Size, offset)
			return n, rel, true
		}
		offset -= r.Size
	}
	return 0, 0, false
}

// descend looks below node n of size bytes for the byte at offset.
func descend(held func(n uint64) (Node, bool), n, size, offset uint64) (uint64, uint64) {
	for {
		left, right, ok := Children(n)
		if !ok {
			return n, offset
		}
		// The size of one child gives that of the other.
		var l uint64
		if c, ok := held(left); ok {
			l = c.Size
		} else if c, ok := held(right); ok && c.Size <= size {
			l = size - c.Size
		} else {
			return n, offset
		}
		if l > size {
			return n, offset // held nodes contradict each other
		}
		if offset < l {
			n, size = left, l
		} else {
			n, size, offset = right, size-l, offset-l
		}
	}
}

// ByteOffset returns where block begins in the data, the sum of the sizes of all
// blocks before it. ok is false if a node is missing that tells: one of
// Roots(block). Held must know nodes whose sizes are proven.
func ByteOffset(held func(n uint64) (Node, bool), block uint64) (offset uint64, ok bool) {
	var buf [64]uint64
	for _, r := range Roots(buf[:0], block) {
		n, ok := held(r)
		if !ok || n.Size > MaxInt-offset {
			return 0, false
		}
		offset += n.Size
	}
	return offset, true
}
