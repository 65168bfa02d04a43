package merkle

import (
	"fmt"
	"math/bits"
)

// DigestRun returns what a request for the n blocks from start on tells of the
// nodes held: the digest of the first block and that of the last, in the form of
// Digest, except that held nodes below the lowest one above the whole run do not
// end it early. For one block it is Digest, and last is 0.
//
// cap is as in Digest. Both are 0 when nothing is held that is of use; a request
// says the same to be sent a proof with nothing left out.
func DigestRun(b Bits, start, n, cap uint64) (first, last uint64) {
	if n <= 1 {
		return Digest(b, start, cap), 0
	}
	end := start + n - 1
	lca := uint(bits.Len64(start ^ end)) // depth of the lowest node above both

	// The left edge needs left siblings. An ancestor counts if it is above the run.
	for d, w := uint(0), uint64(2); w <= maxDigest; d, w = d+1, 2*w {
		o := start >> d
		sib := Index(d, o^1)
		if d >= lca {
			if b.Get(Index(d, o)) {
				first |= w | 1
				break
			}
			if o>>1 == 0 && RightSpan(sib) >= cap {
				break // nothing from here on up can be held
			}
		}
		if (d >= lca || o&1 == 1) && b.Get(sib) {
			first |= w
		}
	}
	// The right edge needs right siblings. A node that is held without its right
	// sibling is the root of an old length.
	for d, w := uint(0), uint64(2); d < lca && w <= maxDigest; d, w = d+1, 2*w {
		o := end >> d
		switch {
		case o&1 == 1:
		case b.Get(Index(d, o^1)):
			last |= w
		case b.Get(Index(d, o)):
			return first, last | w | 1
		}
	}
	return first, last
}

// ProveRun appends to dst the numbers of the nodes that prove the n blocks from
// start on to a peer that knows their values: from depth 0 upwards the left
// sibling of the leftmost node that the peer can compute, then the right sibling
// of the rightmost one; an edge that the peer holds, and a root, is left out of
// the next depth. If there was a root, the other roots follow from left to right,
// as in Prove. The package comment draws it.
//
// digest and last are the request's digests of the first and the last block
// (DigestRun or Digest; last does not count if n is 1). What they claim is marked
// in remote, as in Prove, and remote's nodes are left out; but if both are 0
// nothing is. remote may be nil.
//
// verifiedBy is as in Prove: 0 when every way ends at a node the peer holds.
//
// ProveRun fails with ErrNoProof, and dst unchanged, when n is 0 or above MaxRun,
// or when a node is not here that a holder of the blocks has. It does not allocate
// if remote is given and dst has room for MaxRunNodes more.
func ProveRun(local Bits, remote MutableBits, start, n, digest, last uint64, dst []uint64) (nodes []uint64, verifiedBy uint64, err error) {
	if n == 0 || n > MaxRun || start > MaxLength-n {
		return dst, 0, fmt.Errorf("%w: %d blocks from %d", ErrNoProof, n, start)
	}
	if n == 1 {
		last = digest
	}
	full := digest|last == 0
	if remote == nil {
		remote = &claims{}
	}
	if x, ok := lacks(local, start, n); ok {
		return dst, 0, fmt.Errorf("%w: blocks %d to %d: node %d", ErrNoProof, start, start+n-1, x)
	}
	if n == 1 && digest == 1 {
		return dst, 0, nil
	}
	l, r := start, start+n-1
	claimRun(local, remote, l, digest)
	claimRun(local, remote, r, last)
	has := func(x uint64) bool { return !full && remote.Get(x) }

	nodes = dst
	var buf [2 * MaxRoots]uint64
	top := buf[:0:MaxRoots] // roots among what the peer computes, right to left
	for d := uint(0); l <= r && d <= maxDepth; d++ {
		if l&1 == 1 {
			if s := Index(d, l-1); has(Index(d, l)) {
				l++
			} else if !has(s) {
				if !local.Get(s) {
					return dst, 0, fmt.Errorf("%w: blocks %d to %d: node %d", ErrNoProof, start, start+n-1, s)
				}
				nodes = append(nodes, s)
			}
		}
		if l <= r && r&1 == 0 {
			x, s := Index(d, r), Index(d, r+1)
			out := has(x)
			switch {
			case out:
			case len(top) > 0 || s > MaxInt || !local.Get(s): // left of a root only roots end
				top, out = append(top, x), true
			case has(s):
			default:
				nodes = append(nodes, s)
			}
			if out {
				if r == 0 {
					break
				}
				r--
			}
		}
		l, r = l>>1, r>>1
	}
	if len(top) == 0 {
		return nodes, 0, nil
	}
	verifiedBy = VerifiedBy(local, top[0])
	for _, x := range top {
		if !isRoot(verifiedBy/2, x) {
			return dst, 0, fmt.Errorf("%w: node %d is no root of length %d", ErrNoProof, x, verifiedBy/2)
		}
	}
	next := len(top) - 1
	for _, x := range Roots(buf[MaxRoots:MaxRoots], verifiedBy/2) {
		if next >= 0 && top[next] == x {
			next--
		} else if !has(x) {
			if !local.Get(x) {
				return dst, 0, fmt.Errorf("%w: blocks %d to %d: root %d", ErrNoProof, start, start+n-1, x)
			}
			nodes = append(nodes, x)
		}
	}
	return nodes, verifiedBy, nil
}

// claimRun is claim for a block at an edge of a run. The digest 1 says that the
// peer needs nothing for the block alone: it holds the leaf, or every sibling up
// to a node it holds. Either way it knows the roots left of the block.
func claimRun(local Bits, remote MutableBits, block, digest uint64) {
	if digest != 1 {
		claim(local, remote, 2*block, digest)
		return
	}
	var buf [MaxRoots]uint64
	for _, x := range Roots(buf[:0], block) {
		if local.Get(x) {
			SetNode(remote, x)
		}
	}
}

// lacks returns a node that is not held although it follows from the n blocks
// from start on.
func lacks(local Bits, start, n uint64) (x uint64, ok bool) {
	var buf [maxParts]uint64
	for _, x := range parts(buf[:0], start, n) {
		if !local.Get(x) {
			return x, true
		}
	}
	return 0, false
}

// MarkRun marks in remote what a peer surely holds that was sent the n blocks from
// start on and took them: the complete subtrees they make up. Nothing is said of
// the nodes that were sent with them, a peer that holds others passes them over.
// Only nodes that are held here are marked, about a hundred of them at most.
//
// It is for answers that reach the peer in order. A peer that could not use one
// asks with digests of 0, which makes ProveRun leave nothing out.
func MarkRun(local Bits, remote MutableBits, start, n uint64) {
	if n > MaxRun || start > MaxLength-n {
		return
	}
	var buf [maxParts]uint64
	for _, x := range parts(buf[:0], start, n) {
		if local.Get(x) {
			SetNode(remote, x)
		}
	}
}

// maxParts is the largest number of complete subtrees that a run splits into: two
// for each depth below that of MaxRun.
const maxParts = 24

// parts appends the tops of the complete subtrees that a run of at most MaxRun
// blocks splits into, in no order.
func parts(dst []uint64, start, n uint64) []uint64 {
	for d, end := uint(0), start+n; start < end; d, start, end = d+1, start>>1, end>>1 {
		if start&1 == 1 {
			dst = append(dst, Index(d, start))
			start++
		}
		if end&1 == 1 && start < end {
			end--
			dst = append(dst, Index(d, end))
		}
	}
	return dst
}
