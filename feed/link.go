package feed

import (
	"slices"

	"github.com/go-hypercore/hypercore/feed/merkle"
)

// A proof of a block beyond the length brings the signed roots of a greater
// length, but does not always show that they contain the old ones: of a feed of
// 5 blocks known by its roots 3 and 8, block 17 of 20 comes with root 15, and
// what is below it on the left is not in the message. Such a length is taken,
// because a sparse reader cannot do without, and the old one is remembered as a
// link to be closed: Demand.Links names the block whose full proof closes it.
// Until then nodes under the old roots are not claimed in digests. When the proof
// comes it either reproduces the old roots or is the evidence of a fork.

// linked are the held nodes that are known to be part of the longest signed
// history: from which a way of held nodes leads to one of its roots.
type linked struct{ f *Feed }

func (l linked) Get(n uint64) bool { return l.f.tree.Get(n) && l.f.isLinked(n) }

// isLinked reports whether held node n is linked. mu held.
func (f *Feed) isLinked(n uint64) bool {
	roots := f.acc.Roots()
	for range merkle.MaxRoots {
		if slices.ContainsFunc(roots, func(r merkle.Node) bool { return r.Index == n }) {
			return true
		}
		p := merkle.Parent(n)
		if p > merkle.MaxInt || !f.tree.Get(p) || !f.tree.Get(merkle.Sibling(n)) {
			return false
		}
		n = p
	}
	return false
}

// closeLinks forgets the links that what was stored has closed. mu held.
func (f *Feed) closeLinks() {
	before := len(f.links)
	if f.links = slices.DeleteFunc(f.links, f.allLinked); len(f.links) < before {
		f.demandChanged()
	}
}

// allLinked reports whether the roots of a length are linked. mu held.
func (f *Feed) allLinked(length uint64) bool {
	var buf [merkle.MaxRoots]uint64
	for _, r := range merkle.Roots(buf[:0], length) {
		if !f.tree.Get(r) || !f.isLinked(r) {
			return false
		}
	}
	return true
}

// addLink remembers a length whose roots were not shown to be part of the
// longest one; false if there are too many. mu held.
func (f *Feed) addLink(length uint64) bool {
	if slices.Contains(f.links, length) {
		return true
	}
	if len(f.links) == maxLinks {
		return false
	}
	f.links = append(f.links, length)
	f.demandChanged()
	return true
}
