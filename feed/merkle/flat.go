package merkle

import "math/bits"

const (
	// MaxInt is the largest integer a JavaScript peer can represent exactly.
	// Indexes, sizes and sums above it are refused everywhere.
	MaxInt = 1<<53 - 1

	// MaxLength is the largest length of a log in blocks: the last leaf of it,
	// 2*(MaxLength-1), and all nodes above are at most MaxInt.
	MaxLength = 1 << 52

	// maxDepth is the depth of the highest node within MaxInt: with every leaf
	// below it the log has MaxLength blocks.
	maxDepth = 52

	// MaxRoots is the largest number of roots a log can have: one for each bit
	// of its length.
	MaxRoots = 53

	// MaxProofNodes bounds the nodes of one proof: a leaf, one sibling for each
	// depth on the way to a root, and the other roots. A message with more is
	// not a proof.
	MaxProofNodes = 1 + maxDepth + MaxRoots

	// MaxRun bounds the blocks of one run. A receiver folds that many leaves before
	// anything else gets its turn: about 2 ms.
	MaxRun = 4096

	// MaxRunNodes bounds the nodes of the proof of a run: siblings on both sides at
	// each depth, and the other roots.
	MaxRunNodes = 2*maxDepth + MaxRoots
)

// Depth returns the height of node n above the blocks: 0 for a leaf.
func Depth(n uint64) uint { return uint(bits.TrailingZeros64(^n)) }

// Offset returns the position of node n among the nodes of its depth, counted
// from the left.
func Offset(n uint64) uint64 { return n >> (Depth(n) + 1) }

// Index returns the number of the node at depth and offset.
func Index(depth uint, offset uint64) uint64 { return (2*offset+1)<<depth - 1 }

// Parent returns the node above n.
func Parent(n uint64) uint64 {
	d := Depth(n)
	return Index(d+1, n>>(d+2))
}

// Sibling returns the node that shares its parent with n.
func Sibling(n uint64) uint64 { return n ^ 2<<Depth(n) }

// Children returns the two nodes below n; ok is false for a leaf.
func Children(n uint64) (left, right uint64, ok bool) {
	d := Depth(n)
	if d == 0 {
		return 0, 0, false
	}
	h := uint64(1) << (d - 1)
	return n - h, n + h, true
}

// LeftSpan returns the leftmost leaf below n, n itself if it is a leaf.
func LeftSpan(n uint64) uint64 { return n + 1 - 1<<Depth(n) }

// RightSpan returns the rightmost leaf below n, n itself if it is a leaf.
func RightSpan(n uint64) uint64 { return n - 1 + 1<<Depth(n) }

// covers reports whether n is at or below top.
func covers(top, n uint64) bool {
	return LeftSpan(top) <= LeftSpan(n) && RightSpan(n) <= RightSpan(top)
}

// Roots appends to dst the roots of a log of length blocks, left to right. It
// appends at most MaxRoots of them when length is at most MaxLength.
func Roots(dst []uint64, length uint64) []uint64 {
	var start uint64 // first block of the next root
	for length > 0 {
		d := uint(bits.Len64(length) - 1)
		dst = append(dst, 2*start+1<<d-1)
		start += 1 << d
		length -= 1 << d
	}
	return dst
}

// isRoot reports whether node n is a root of a log of length blocks.
func isRoot(length, n uint64) bool {
	d := Depth(n)
	return length>>d&1 == 1 && length>>d-1 == n>>(d+1)
}
