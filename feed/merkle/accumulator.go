package merkle

import (
	"fmt"
	"slices"
)

// Accumulator holds the roots of a log that grows: all that appending needs.
// The zero value is an empty log. It is not safe for concurrent use.
type Accumulator struct {
	roots []Node
	n     uint64 // blocks
	bytes uint64
}

// NewAccumulator returns an Accumulator of the log with these roots, left to
// right. It fails with ErrRoots when they are not the roots of any length, and
// with ErrSize when their sizes add up to more than MaxInt.
func NewAccumulator(roots []Node) (*Accumulator, error) {
	a := &Accumulator{roots: slices.Clone(roots)}
	if len(roots) == 0 {
		return a, nil
	}
	last := roots[len(roots)-1].Index
	if last > MaxInt || len(roots) > MaxRoots {
		return nil, fmt.Errorf("%w: last of %d is %d", ErrRoots, len(roots), last)
	}
	a.n = RightSpan(last)/2 + 1
	var buf [MaxRoots]uint64
	want := Roots(buf[:0], a.n)
	if len(want) != len(roots) {
		return nil, fmt.Errorf("%w: %d roots for %d blocks", ErrRoots, len(roots), a.n)
	}
	for i, r := range roots {
		if r.Index != want[i] {
			return nil, fmt.Errorf("%w: node %d instead of %d for %d blocks", ErrRoots, r.Index, want[i], a.n)
		}
		if r.Size > MaxInt-a.bytes {
			return nil, fmt.Errorf("%w: root %d", ErrSize, r.Index)
		}
		a.bytes += r.Size
	}
	return a, nil
}

// Append adds the next block, leaf being Leaf(a.Len(), data), and appends to dst
// the leaf and each parent it completes, which are the nodes to store. On an
// error nothing has changed: ErrSiblings for a leaf of another block, ErrSize
// when the log would exceed MaxInt bytes or MaxLength blocks.
func (a *Accumulator) Append(leaf Node, dst []Node) ([]Node, error) {
	return a.AppendAll([]Node{leaf}, dst)
}

// AppendAll is Append for the leaves of blocks that follow one another, several
// times as fast for many: the parents of a level are hashed together. The leaves come
// first in dst, then their parents level by level.
func (a *Accumulator) AppendAll(leaves, dst []Node) ([]Node, error) {
	total := a.bytes
	for i := range leaves {
		switch n := a.n + uint64(i); {
		case leaves[i].Index != 2*n:
			return dst, fmt.Errorf("%w: leaf %d appended to %d blocks", ErrSiblings, leaves[i].Index, n)
		case n >= MaxLength || leaves[i].Size > MaxInt-total:
			return dst, fmt.Errorf("%w: appending %d bytes to %d blocks, %d bytes", ErrSize, leaves[i].Size, n, total)
		}
		total += leaves[i].Size
	}
	// A parent for each two, and the roots there are; nothing moves below.
	dst = append(slices.Grow(dst, 2*len(leaves)+len(a.roots)), leaves...)
	level := dst[len(dst)-len(leaves):]
	var alone [MaxRoots]Node // roots from now on, right to left
	k := 0
	for len(level) > 0 {
		var left *Node // of the first, if that is a right sibling
		if n := len(a.roots); n > 0 && Sibling(a.roots[n-1].Index) == level[0].Index {
			left, a.roots = &a.roots[n-1], a.roots[:n-1]
		}
		count := len(level)
		if left != nil {
			count++
		}
		from := len(dst)
		dst = dst[:from+count/2]
		joinAll(left, level, dst[from:])
		if count%2 == 1 { // its right sibling is still to come
			alone[k] = level[len(level)-1]
			k++
		}
		level = dst[from:]
	}
	for k--; k >= 0; k-- {
		a.roots = append(a.roots, alone[k])
	}
	a.n += uint64(len(leaves))
	a.bytes = total
	return dst, nil
}

// Roots returns the roots, left to right. The slice is the Accumulator's own:
// it is valid until the next Append and must not be changed.
func (a *Accumulator) Roots() []Node { return a.roots }

// Len returns the number of blocks.
func (a *Accumulator) Len() uint64 { return a.n }

// ByteLen returns the number of bytes of data.
func (a *Accumulator) ByteLen() uint64 { return a.bytes }

// TreeHash returns the tree hash of the log as it is now.
func (a *Accumulator) TreeHash() Hash { return TreeHash(a.roots) }

// Clone returns a copy that grows on its own.
func (a *Accumulator) Clone() *Accumulator {
	return &Accumulator{roots: slices.Clone(a.roots), n: a.n, bytes: a.bytes}
}
