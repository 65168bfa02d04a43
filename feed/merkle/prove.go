package merkle

import (
	"errors"
	"fmt"
)

// ErrNoProof is returned by Prove when the leaf of the block is not held.
var ErrNoProof = errors.New("merkle: the leaf is not held")

// Prove appends to dst the numbers of the nodes of the reply to a request for
// block, in hypercore 6's order: the leaf itself if hash, the siblings on the
// way up, then the other roots from left to right.
//
// local says which nodes are here. digest is the request's field nodes; what it
// claims is marked in remote, the nodes this peer was heard to hold since the
// connection began, and remote's nodes are left out. remote may be nil: then
// the digest only counts for this reply. Only nodes that are held here are ever
// marked, at most about a hundred in a call, so that a peer cannot make remote
// larger than local.
//
// verifiedBy is twice the length whose signature belongs to the reply, 0 when
// the reply needs none because it ends at a node the peer holds.
//
// Prove fails with ErrNoProof, and dst unchanged, when the leaf is not here. It
// does not allocate if remote is given and dst has room for MaxProofNodes more.
func Prove(local Bits, remote MutableBits, block, digest uint64, hash bool, dst []uint64) (nodes []uint64, verifiedBy uint64, err error) {
	leaf := 2 * block
	if block >= MaxLength || !local.Get(leaf) {
		return dst, 0, fmt.Errorf("%w: block %d", ErrNoProof, block)
	}
	if hash {
		dst = append(dst, leaf)
	}
	if digest == 1 {
		return dst, 0, nil
	}
	if remote == nil {
		remote = &claims{}
	}
	claim(local, remote, leaf, digest)

	n := leaf
	for depth := 0; !remote.Get(n); depth++ {
		sib := Sibling(n)
		if depth == maxDepth || !local.Get(sib) {
			// n is a local root: the other roots follow, and the signature.
			verifiedBy = VerifiedBy(local, n)
			var buf [MaxRoots]uint64
			for _, r := range Roots(buf[:0], verifiedBy/2) {
				if r != n && !remote.Get(r) {
					dst = append(dst, r)
				}
			}
			return dst, verifiedBy, nil
		}
		if !remote.Get(sib) {
			dst = append(dst, sib)
		}
		n = Parent(n)
	}
	return dst, 0, nil
}

// claim marks in remote what the digest says the peer holds (see Digest).
func claim(local Bits, remote MutableBits, n, digest uint64) {
	rooted := digest&1 == 1
	for digest >>= 1; digest != 0 && n <= MaxInt; digest >>= 1 {
		if digest == 1 && rooted {
			if local.Get(n) {
				SetNode(remote, n)
			}
			// A peer that knows this node has verified it against a signature:
			// it knows the roots up to here as well.
			if sib := Sibling(n); sib < n {
				n = sib
			}
			var buf [MaxRoots]uint64
			for _, r := range Roots(buf[:0], RightSpan(n)/2+1) {
				if local.Get(r) {
					SetNode(remote, r)
				}
			}
			return
		}
		if digest&1 == 1 {
			if sib := Sibling(n); local.Get(sib) {
				SetNode(remote, sib)
			}
		}
		n = Parent(n)
	}
}

// claims is the remote set of a single reply.
type claims map[uint64]struct{}

func (c *claims) Get(i uint64) bool {
	_, ok := (*c)[i]
	return ok
}

func (c *claims) Set(i uint64, v bool) bool {
	if _, ok := (*c)[i]; ok == v {
		return false
	}
	if !v {
		delete(*c, i)
		return true
	}
	if *c == nil {
		*c = claims{}
	}
	(*c)[i] = struct{}{}
	return true
}
