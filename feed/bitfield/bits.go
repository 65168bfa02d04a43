package bitfield

import (
	"math/bits"
	"slices"
)

const (
	pageShift = 13 // 8192 bits: the data bits of one page of a bitfield file
	pageBits  = 1 << pageShift
	pageWords = pageBits / 64
	fanShift  = 8
	fan       = 1 << fanShift
	levels    = 6 // 13 + 6*8 = 61

	// Limit bounds the indexes: bits at Limit and above are always clear.
	Limit = 1 << (pageShift + levels*fanShift)
)

type page [pageWords]uint64

// node has 256 children of one size: pages on level 1, nodes of the level below
// above that. A nil child has no bit set, a shared full child has all.
type node struct {
	total  uint64   // set bits below
	pages  []*page  // level 1; what is beyond its end is nil: most feeds are small
	counts []uint16 // level 1: set bits of each page
	nodes  []*node  // above level 1
}

// page returns the page at slot k of a node of level 1.
func (n *node) page(k int) *page {
	if k >= len(n.pages) {
		return nil
	}
	return n.pages[k]
}

// reach makes room for slot k of a node of level 1.
func (n *node) reach(k int) {
	if k < len(n.pages) {
		return
	}
	size := min(fan, 1<<bits.Len(uint(k)))
	n.pages = append(n.pages, make([]*page, size-len(n.pages))...)
	n.counts = append(n.counts, make([]uint16, size-len(n.counts))...)
}

// Bits is a growable set of bits. The zero value is empty. Calls that only read
// may run at the same time as each other, not with a call that changes it.
type Bits struct {
	root  *node
	level int // of root; 0: there is none
}

// span returns the number of bits below a node, as a shift.
func span(level int) uint { return uint(pageShift + level*fanShift) }

// slot returns the child of a node of this level that holds bit i.
func slot(i uint64, level int) int { return int(i>>span(level-1)) & (fan - 1) }

var (
	fullPage  *page
	fullNodes [levels + 1]*node // by level, 0 unused
)

func init() {
	fullPage = new(page)
	for i := range fullPage {
		fullPage[i] = ^uint64(0)
	}
	for l := 1; l <= levels; l++ {
		n := newNode(l)
		n.total = 1 << span(l)
		if l == 1 {
			n.reach(fan - 1)
		}
		for i := range fan {
			if l == 1 {
				n.pages[i], n.counts[i] = fullPage, pageBits
			} else {
				n.nodes[i] = fullNodes[l-1]
			}
		}
		fullNodes[l] = n
	}
}

func newNode(level int) *node {
	if level == 1 {
		return new(node)
	}
	return &node{nodes: make([]*node, fan)}
}

// own returns n as a node that may be changed: a new one for nil, a copy of the
// shared full one.
func own(n *node, level int) *node {
	switch n {
	case nil:
		return newNode(level)
	case fullNodes[level]:
		c := &node{total: n.total}
		c.pages = append(c.pages, n.pages...)
		c.counts = append(c.counts, n.counts...)
		c.nodes = append(c.nodes, n.nodes...)
		return c
	}
	return n
}

// shared returns nil or the full node in place of n if it is empty or full.
func shared(n *node, level int) *node {
	switch n.total {
	case 0:
		return nil
	case 1 << span(level):
		return fullNodes[level]
	}
	return n
}

// page returns the page of bit i, nil if it has no set bit.
func (b *Bits) page(i uint64) *page {
	if i>>span(b.level) != 0 || b.level == 0 {
		return nil
	}
	n := b.root
	for l := b.level; l > 1; l-- {
		if n = n.nodes[slot(i, l)]; n == nil {
			return nil
		}
	}
	return n.page(slot(i, 1))
}

// Get reports whether bit i is set.
func (b *Bits) Get(i uint64) bool {
	p := b.page(i)
	return p != nil && p[i>>6&(pageWords-1)]<<(i&63)>>63 == 1
}

// Word returns 64 bits from i on, i rounded down to a multiple of 64, the first
// in the highest place.
func (b *Bits) Word(i uint64) uint64 {
	p := b.page(i)
	if p == nil {
		return 0
	}
	return p[i>>6&(pageWords-1)]
}

// grow makes the tree high enough for bit i.
func (b *Bits) grow(i uint64) {
	if b.level == 0 {
		b.root, b.level = newNode(1), 1
	}
	for i>>span(b.level) != 0 {
		n := newNode(b.level + 1)
		n.total = b.root.total
		n.nodes[0] = shared(b.root, b.level)
		b.root = n
		b.level++
	}
}

// Set sets bit i to v and reports whether that changed it. Bits at Limit and
// above cannot be set.
func (b *Bits) Set(i uint64, v bool) (changed bool) {
	if i >= Limit || b.Get(i) == v {
		return false
	}
	b.grow(i)
	delta := uint64(1)
	if !v {
		delta = ^uint64(0)
	}
	b.root = own(b.root, b.level)
	n := b.root
	n.total += delta
	var path [levels + 1]*node
	path[b.level] = n
	for l := b.level; l > 1; l-- {
		k := slot(i, l)
		c := own(n.nodes[k], l-1)
		c.total += delta
		n.nodes[k] = c
		n = c
		path[l-1] = c
	}
	k := slot(i, 1)
	n.reach(k)
	p := n.pages[k]
	switch p {
	case nil:
		p = new(page)
	case fullPage:
		c := *p
		p = &c
	}
	p[i>>6&(pageWords-1)] ^= 1 << 63 >> (i & 63)
	n.counts[k] += uint16(delta)
	switch n.counts[k] {
	case 0:
		p = nil
	case pageBits:
		p = fullPage
	}
	n.pages[k] = p
	for l := 1; l < b.level; l++ {
		path[l+1].nodes[slot(i, l+1)] = shared(path[l], l)
	}
	return true
}

// Clear empties the set.
func (b *Bits) Clear() { *b = Bits{} }

// Clone returns a copy that changes on its own.
func (b *Bits) Clone() *Bits {
	return &Bits{root: clone(b.root, b.level), level: b.level}
}

func clone(n *node, level int) *node {
	if n == nil || n == fullNodes[level] {
		return n
	}
	c := newNode(level)
	c.total = n.total
	if level > 1 {
		for i, k := range n.nodes {
			c.nodes[i] = clone(k, level-1)
		}
		return c
	}
	c.counts = slices.Clone(n.counts)
	c.pages = slices.Clone(n.pages)
	for i, p := range c.pages {
		if p != nil && p != fullPage {
			q := *p
			c.pages[i] = &q
		}
	}
	return c
}

// Mixed returns the number of pages that are neither empty nor full: those that take
// memory.
func (b *Bits) Mixed() int { return mixed(b.root, b.level) }

func mixed(n *node, level int) (c int) {
	if n == nil || n == fullNodes[level] {
		return 0
	}
	for _, p := range n.pages {
		if p != nil && p != fullPage {
			c++
		}
	}
	for _, k := range n.nodes {
		c += mixed(k, level-1)
	}
	return c
}

// Len returns the index after the highest set bit, 0 for an empty set.
func (b *Bits) Len() uint64 {
	n := b.root
	if n == nil || n.total == 0 {
		return 0
	}
	var base uint64
	for l := b.level; l > 1; l-- {
		k := fan - 1
		for n.nodes[k] == nil {
			k--
		}
		n = n.nodes[k]
		base += uint64(k) << span(l-1)
	}
	k := len(n.pages) - 1
	for n.pages[k] == nil {
		k--
	}
	p := n.pages[k]
	w := pageWords - 1
	for p[w] == 0 {
		w--
	}
	return base + uint64(k)<<pageShift + uint64(w)*64 + uint64(64-bits.TrailingZeros64(p[w]))
}
