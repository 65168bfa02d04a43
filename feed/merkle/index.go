package merkle

// Bits tells which nodes (or blocks) are held.
type Bits interface {
	// Get reports whether bit i is set; any i is allowed.
	Get(i uint64) bool
}

// MutableBits are Bits that can be changed.
type MutableBits interface {
	Bits
	// Set sets bit i to v and reports whether that changed it.
	Set(i uint64, v bool) bool
}

// SetNode marks node n as held, then its parent while the sibling is held too,
// upwards (hypercore 6, TreeIndex.set): the bit of a node whose two children
// are known is always set.
func SetNode(b MutableBits, n uint64) {
	for b.Set(n, true) && n < MaxInt && b.Get(Sibling(n)) {
		n = Parent(n)
	}
}

// Blocks derives the length in blocks from the nodes held (hypercore 6,
// TreeIndex.blocks): the length that the roots above the highest node on the
// left spine 0, 1, 3, 7, ... reach. No bit above highest is looked at.
func Blocks(b Bits, highest uint64) uint64 {
	top, found := uint64(0), false
	for n := uint64(0); n <= highest && n <= MaxInt; n = Parent(n) {
		if b.Get(n) {
			top, found = n, true
		}
	}
	if !found {
		return 0
	}
	return VerifiedBy(b, top) / 2
}

// VerifiedBy returns twice the length whose signature covers node n, 0 if n is
// not held (hypercore 6, TreeIndex.verifiedBy): it climbs to the local root over
// n, then walks right over the smaller roots that follow.
func VerifiedBy(b Bits, n uint64) uint64 {
	if n > MaxInt || !b.Get(n) {
		return 0
	}
	d := Depth(n)
	for d < maxDepth && b.Get(Parent(n)) && b.Get(Sibling(n)) {
		n = Parent(n)
		d++
	}
	for d > 0 {
		// The left child of the next node of this depth, and on down to the
		// left until a node is held.
		n += 3 << (d - 1)
		for d--; d > 0 && !b.Get(n); d-- {
			n -= 1 << (d - 1)
		}
	}
	if b.Get(n) {
		return n + 2
	}
	return n
}

// maxDigest bounds the bits of a digest, which must stay below MaxInt with the
// ancestor's bit added. Logs of more than 2^49 blocks claim a little less.
const maxDigest = 1 << 50

// Digest returns what a request for block tells of the nodes held on the way up
// (hypercore 6, Request.nodes). Bit 0: an ancestor, or the leaf, is held. Bit
// k >= 1: the sibling at height k-1 is held, k = 1 being the leaf's sibling. If
// bit 0 is set, the highest bit is not a sibling but the ancestor: at height k-1
// for bit k. The digest 1 means that nothing but the block is needed.
//
// cap is the number of node bits to look at, 2*length or more; any larger one
// gives a valid digest too.
func Digest(b Bits, block, cap uint64) uint64 {
	n := 2 * block
	if b.Get(n) {
		return 1
	}
	var d uint64
	sib, parent := Sibling(n), Parent(n)
	cap = max(cap, sib+2)
	for w := uint64(2); w <= maxDigest && (RightSpan(sib) < cap || LeftSpan(parent) > 0); w *= 2 {
		if b.Get(sib) {
			d += w
		}
		if b.Get(parent) {
			d += 2*w + 1
			if d+1 == 4*w {
				return 1 // every sibling and the ancestor
			}
			return d
		}
		sib, parent = Sibling(parent), Parent(parent)
	}
	return d
}
