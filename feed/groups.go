package feed

import (
	"encoding/binary"
	"slices"
	"sync"

	"github.com/go-hypercore/hypercore/feed/merkle"
)

// Where a block begins is the sum of the sizes of up to 32 roots, which are far
// apart in the tree file, and one read of 5 KiB if its group of 64 blocks is not
// cached. In a long feed that is most of a random Get. So what was learned of a
// group is kept in 16 bytes, once all its blocks are here: then their sizes are
// those that were verified and do not change any more. Sixteen neighbours are looked
// up with one read: 80 KiB cost a few times what 5 do, and the way to them is the same.
// Of 512 groups whose blocks all have one size the first is enough: then what a Get
// needs of a feed of millions of records, or of a file in pieces, is in the nearest cache.
const (
	groupBlocks = 64
	pageGroups  = 512 // groups in a page, 8 KiB: 32,768 blocks
	stripGroups = 16  // groups that are looked up together
	stripBlocks = stripGroups * groupBlocks

	// minGrouped is the length from which groups are kept: the tree of a shorter
	// feed is cached whole.
	minGrouped = maxLeafChunks * groupBlocks
	// maxGroupPages bounds what a feed keeps: 4 MiB, for 16 million blocks. When
	// there are more the oldest page goes.
	maxGroupPages = 512
	// maxEvenPages bounds those of which one group is all that is kept: a few
	// hundred KiB, for 500 million blocks.
	maxEvenPages = 1 << 14
)

// group is what is known of 64 blocks that are all here.
type group struct {
	off  uint64 // where the first begins
	size uint32 // of each block
	kind groupKind
}

type groupKind uint8

const (
	groupUnknown groupKind = iota
	groupMixed             // the sizes differ
	groupEven              // all blocks have the same size
)

// place returns where block i of the group begins, which is even.
func (x group) place(i uint64) uint64 { return x.off + i%groupBlocks*uint64(x.size) }

// groupPage is the groups of 32,768 blocks.
type groupPage struct {
	groups [pageGroups]group
	known  int
}

// even returns the first group of the page, if all are known and all blocks have one
// size.
func (p *groupPage) even() (first group, ok bool) {
	first = p.groups[0]
	if p.known < pageGroups {
		return first, false
	}
	for _, x := range p.groups {
		if x.kind != groupEven || x.size != first.size {
			return first, false
		}
	}
	return first, true
}

// groups is the pages by number. Guarded by Feed.mu.
type groups struct {
	pages map[uint64]*groupPage
	order []uint64         // of their making
	evens map[uint64]group // the first groups of pages whose blocks all have one size
	even  even             // what is known without the tree
}

// of returns what is known of the group of block i, or of its first blocks, up to i.
func (g *groups) of(i uint64) (x group, known bool) {
	n := i / groupBlocks
	if i < g.even.blocks {
		return group{off: n * groupBlocks * g.even.size, size: uint32(g.even.size), kind: groupEven}, true
	}
	if x, ok := g.evens[n/pageGroups]; ok {
		x.off += n % pageGroups * groupBlocks * uint64(x.size)
		return x, true
	}
	if p := g.pages[n/pageGroups]; p != nil {
		x = p.groups[n%pageGroups]
	}
	return x, x.kind != groupUnknown
}

// set keeps what was learned of the group of block i, of which nothing is known.
func (g *groups) set(i uint64, x group) {
	n := i / groupBlocks
	k := n / pageGroups
	p := g.pages[k]
	if p == nil {
		if len(g.order) >= maxGroupPages {
			delete(g.pages, g.order[0])
			g.order = g.order[1:]
		}
		if g.pages == nil {
			g.pages = map[uint64]*groupPage{}
		}
		p = new(groupPage)
		g.pages[k] = p
		g.order = append(g.order, k)
	}
	p.groups[n%pageGroups] = x
	p.known++
	if first, ok := p.even(); ok {
		g.fold(k, first)
	}
}

// fold keeps the first group of page k in place of the page.
func (g *groups) fold(k uint64, first group) {
	delete(g.pages, k)
	g.order = slices.DeleteFunc(g.order, func(o uint64) bool { return o == k })
	if g.evens == nil {
		g.evens = map[uint64]group{}
	}
	for o := range g.evens {
		if len(g.evens) < maxEvenPages {
			break
		}
		delete(g.evens, o)
	}
	g.evens[k] = first
}

// learn keeps what the cached tree says of the group of block i, which begins at
// byte off, if all of the group is here. mu held.
func (f *Feed) learn(i, off uint64) {
	first := i &^ (groupBlocks - 1)
	if f.acc.Len() < minGrouped {
		return
	}
	if _, known := f.groups.of(i); known || f.image.Data.Word(first) != ^uint64(0) {
		return
	}
	k, _ := locate(2 * first)
	c := f.tree.chunk(k)
	if c == nil {
		return
	}
	x := group{off: off, kind: groupEven}
	var size uint64
	for s := 0; s < 2*groupBlocks; s += 2 {
		if !c.has(s) {
			return
		}
		n := binary.BigEndian.Uint64(c.rec[s*nodeSize+32:])
		if s == 0 {
			size = n
		} else if n != size || n > maxValue {
			x.kind = groupMixed
		}
		if first+uint64(s/2) < i {
			x.off -= n
		}
	}
	x.size = uint32(min(size, maxValue))
	f.groups.set(i, x)
}

var strips = sync.Pool{New: func() any { return new([2 * stripBlocks * nodeSize]byte) }}

// learnStrip looks up the groups around block i, if all their blocks are here and
// their leaves are in the file. What is wrong with them is told by whoever goes
// the long way then. mu held.
func (f *Feed) learnStrip(i uint64) bool {
	if f.acc.Len() < minGrouped {
		return false
	}
	first := i &^ (stripBlocks - 1)
	for b := first; b < first+stripBlocks; b += groupBlocks {
		k, _ := locate(2 * b)
		if c := f.tree.chunks[k]; f.image.Data.Word(b) != ^uint64(0) || c != nil && (c.isDirty() || c.pins > 0) {
			return false
		}
	}
	off, err := f.sumRoots(first)
	if err != nil {
		return false
	}
	buf := strips.Get().(*[2 * stripBlocks * nodeSize]byte)
	defer strips.Put(buf)
	tree := buf[:len(buf)-nodeSize] // of the strip: it ends with a leaf, its root is in the middle
	if n, err := readFull(f.tree.file, tree, nodeOffset(2*first)); err != nil || n < len(tree) {
		return false
	}
	size := func(node uint64) uint64 { return binary.BigEndian.Uint64(tree[node*nodeSize+32:]) }
	var list [stripGroups]group
	start := off
	for g := range list {
		leaf := uint64(g) * 2 * groupBlocks
		x := group{off: off, size: uint32(min(size(leaf), maxValue)), kind: groupEven}
		for k := range uint64(groupBlocks) {
			n := size(leaf + 2*k)
			if n > maxValue || n == 0 && isZero(tree[(leaf+2*k)*nodeSize:][:nodeSize]) {
				return false
			}
			if n != uint64(x.size) {
				x.kind = groupMixed
			}
			off += n
		}
		if off-x.off != size(leaf+groupBlocks-1) {
			return false // a leaf is damaged, and would put all that follow out of place
		}
		list[g] = x
	}
	if off-start != size(stripBlocks-1) {
		return false
	}
	for g, x := range list {
		last := first + uint64(g+1)*groupBlocks - 1
		if _, known := f.groups.of(last); !known {
			f.groups.set(last, x)
		}
	}
	return true
}

// grouped returns where block i begins, if its group is known. mu held.
func (f *Feed) grouped(i uint64) (off uint64, ok bool) {
	x, ok := f.groups.of(i)
	if !ok {
		return 0, false
	}
	if x.kind == groupEven {
		return x.place(i), true
	}
	var buf [merkle.MaxRoots]uint64
	off = x.off
	for _, n := range merkle.Roots(buf[:0], i) {
		if n < 2*(i&^(groupBlocks-1)) {
			continue // before the group
		}
		node, ok := f.tree.get(n)
		if !ok {
			return 0, false // the long way tells why
		}
		off += node.Size
	}
	return off, true
}
