package merkle

import "fmt"

// Run is what a message claims about adjacent blocks.
type Run struct {
	// Start is the index of the first block.
	Start uint64
	// Leaves are Leaf(Start, value), Leaf(Start+1, value) and so on, at most MaxRun.
	// Their sizes are trusted: they must come from the values.
	Leaves []Node
	// Nodes are the message's nodes, in its order.
	Nodes []Node
	// Through is as in Proof.
	Through bool
}

// part is a subtree of which every node is known: one that the blocks of a run
// make up, or what was made of it with siblings.
type part struct {
	Node
	state state
}

type state uint8

const (
	known   state = 1 << iota // equal to the held node
	settled                   // needs no more proof
	differs                   // this or a node below has another hash than the held one
)

// ascent is one VerifyRun.
type ascent struct {
	v           *Verifier
	r           *Result
	through     bool
	first, last uint64 // blocks
	nodes       []Node // what is left of the message

	parts   []part   // left to right, without those that were left out
	pending int      // parts, and tops, that are not settled
	end     uint64   // the rightmost leaf known to be in the sender's log
	passed  int      // nodes of the message that were not needed
	resized [2]*Node // leaves at the edges whose recorded sizes were wrong
	// An edge was left out: the sender may go on with siblings above it.
	leftOut, rightOut bool

	base, word uint64 // the word of Verifier.Word used last
}

// VerifyRun is Verify for a run of adjacent blocks with one proof. Each part of
// the run climbs to a held node or to the roots, all with about one hash a block.
// The Result means the same: Trusted if every block led to a held node, else the
// whole run stands or falls with Length and TreeHash. Nodes that were not needed
// may be anywhere in the message; a proof with nothing left out is always
// accepted.
//
// It fails with ErrInvalid (ErrSize for numbers beyond MaxInt). It does not
// allocate if r has been used before, unless it fails.
func (v *Verifier) VerifyRun(p Run, r *Result) error {
	r.reset()
	n := uint64(len(p.Leaves))
	if n == 0 || n > MaxRun || p.Start > MaxLength-n || len(p.Nodes) > MaxRunNodes {
		return fmt.Errorf("%w: %d blocks from %d with %d nodes", ErrInvalid, n, p.Start, len(p.Nodes))
	}
	last := p.Start + n - 1
	c := ascent{
		v: v, r: r, through: p.Through, first: p.Start, last: last, nodes: p.Nodes,
		parts: r.parts, end: 2 * last, base: ^uint64(0),
	}
	if err := c.fold(p.Leaves); err != nil {
		return err
	}
	for d := uint(0); c.pending > 0 && len(c.parts) > 0; d++ {
		if err := c.level(d); err != nil {
			return err
		}
	}
	if c.pending == 0 {
		r.Trusted, r.Surplus = true, c.passed+len(c.nodes)
	} else {
		length, err := lengthOf(c.end, c.nodes)
		if err != nil {
			return err
		}
		for len(c.nodes) > 0 && c.surplus(c.nodes[0].Index, MaxInt) && !isRoot(length, c.nodes[0].Index) {
			c.nodes = c.nodes[1:]
		}
		if err := v.roots(length, c.nodes, r); err != nil {
			return err
		}
	}
	for _, leaf := range c.resized {
		if leaf != nil && !stored(r.Store, Sibling(leaf.Index)) {
			v.resize(*leaf, r)
		}
	}
	return nil
}

func stored(list []Node, n uint64) bool {
	for i := range list {
		if list[i].Index == n {
			return true
		}
	}
	return false
}

// fold makes the largest complete subtrees of the leaves.
func (c *ascent) fold(leaves []Node) error {
	for i := range leaves {
		p := part{Node: leaves[i]}
		if p.Index != 2*(c.first+uint64(i)) || p.Size > MaxInt {
			return fmt.Errorf("%w: leaf %d of the run from block %d is node %d of %d bytes", ErrInvalid, i, c.first, p.Index, p.Size)
		}
		c.leaf(&p)
		for l := len(c.parts); l > 0 && c.parts[l-1].Index == Sibling(p.Index); l-- {
			if err := c.join(&c.parts[l-1], &p, &p); err != nil {
				return err
			}
			c.parts = c.parts[:l-1]
		}
		c.parts = append(c.parts, p)
	}
	c.r.parts = c.parts // its memory is used again
	for i := range c.parts {
		c.pending += open(c.parts[i].state)
	}
	return nil
}

func open(s state) int {
	if s&settled != 0 {
		return 0
	}
	return 1
}

// held is Verifier.Held, asked only for what is there if Word can tell.
func (c *ascent) held(n uint64) (Node, bool) {
	if c.v.Word != nil && n&63 != 63 { // nodes 64k+63 are higher than a word's others
		if base := n &^ 63; base != c.base {
			c.base, c.word = base, c.v.Word(base)
		}
		if c.word<<(n&63)>>63 == 0 {
			return Node{}, false
		}
	}
	return c.v.Held(n)
}

// compare settles p if it is held, else lists it for storing.
func (c *ascent) compare(p *part) {
	h, ok := c.held(p.Index)
	c.compareWith(p, &h, ok)
}

func (c *ascent) compareWith(p *part, h *Node, ok bool) {
	switch {
	case !ok:
	case *h == p.Node:
		p.state = known
		if !c.through {
			p.state |= settled
		}
		return
	default:
		c.r.differ(*h, p.Node)
		if h.Hash != p.Hash {
			p.state |= differs
		}
	}
	c.r.Store = append(c.r.Store, p.Node)
}

// leaf is compare for a block whose value is here. Where the hash is the held one
// only a recorded size can be wrong, and the value settles whose.
func (c *ascent) leaf(p *part) {
	h, ok := c.held(p.Index)
	if !ok || h == p.Node || h.Hash != p.Hash || c.through {
		c.compareWith(p, &h, ok)
		return
	}
	c.r.differ(h, p.Node)
	c.r.Store = append(c.r.Store, p.Node)
	p.state = settled
	leaf := p.Node
	switch b := p.Index / 2; {
	case b == c.first && b&1 == 1:
		c.resized[0] = &leaf
	case b == c.last && b&1 == 0:
		c.resized[1] = &leaf
	}
}

// join makes the parent of two siblings, a being the left one. parent may be one
// of them.
func (c *ascent) join(a, b, parent *part) error {
	if a.state&known != 0 && isRoot(c.v.Length, a.Index) {
		c.r.ties = append(c.r.ties, a.Index)
	}
	if a.state&b.state&settled != 0 {
		if h, ok := c.held(Parent(a.Index)); ok {
			*parent = part{Node: h, state: known | settled}
			return nil
		}
	}
	if b.Size > MaxInt-a.Size {
		return fmt.Errorf("%w: nodes %d and %d", ErrSize, a.Index, b.Index)
	}
	*parent = part{Node: join(a.Node, b.Node), state: (a.state|b.state)&differs | a.state&b.state&settled}
	c.compare(parent)
	return nil
}

// level takes the parts of depth d one level up. Those that have no sibling
// among the parts are at the ends of the list.
func (c *ascent) level(d uint) error {
	if x := &c.parts[0]; Depth(x.Index) == d && x.Index>>(d+1)&1 == 1 {
		if err := c.left(x); err != nil {
			return err
		}
	}
	if l := len(c.parts); l > 0 {
		if x := &c.parts[l-1]; Depth(x.Index) == d && x.Index>>(d+1)&1 == 0 {
			if err := c.right(x); err != nil {
				return err
			}
		}
	}
	if len(c.parts) > 1 {
		if a, b := &c.parts[0], &c.parts[1]; Depth(a.Index) == d && Sibling(a.Index) == b.Index {
			if err := c.pair(a, b, b); err != nil {
				return err
			}
			c.parts = c.parts[1:]
		}
	}
	if l := len(c.parts); l > 1 {
		if a, b := &c.parts[l-2], &c.parts[l-1]; Depth(a.Index) == d && Sibling(a.Index) == b.Index {
			if err := c.pair(a, b, a); err != nil {
				return err
			}
			c.parts = c.parts[:l-1]
		}
	}
	return nil
}

// pair is join with an eye on what is pending.
func (c *ascent) pair(a, b, parent *part) error {
	c.pending -= open(a.state) + open(b.state)
	if err := c.join(a, b, parent); err != nil {
		return err
	}
	c.pending += open(parent.state)
	return nil
}

// left takes the leftmost part one level up, or off the list.
func (c *ascent) left(x *part) error {
	s := Sibling(x.Index)
	sib, ok, err := c.given(s)
	if err != nil {
		return err
	}
	if !ok {
		if x.state&settled != 0 {
			c.leftOut = true
			c.untie(x.Index)
			c.parts = c.parts[1:]
			return nil
		}
		if sib, ok = c.taken(s); !ok {
			return fmt.Errorf("%w: node %d is missing", ErrInvalid, s)
		}
	}
	c.pending += open(sib.state)
	return c.pair(&sib, x, x)
}

// right takes the rightmost part one level up, or off the list: then it may be a
// root.
func (c *ascent) right(x *part) error {
	s := Sibling(x.Index)
	sib, ok, err := c.given(s)
	if err != nil {
		return err
	}
	if ok {
		c.end = max(c.end, RightSpan(s))
	} else if x.state == 0 && s <= MaxInt {
		// Not above a node that is known, or differs: see Verifier.sibling.
		sib, ok = c.taken(s)
	}
	if ok {
		c.pending += open(sib.state)
		return c.pair(x, &sib, x)
	}
	if x.state&settled != 0 {
		c.rightOut = true
		c.untie(x.Index)
	} else {
		c.end = max(c.end, RightSpan(x.Index))
	}
	c.r.tops = append(c.r.tops, *x)
	c.parts = c.parts[:len(c.parts)-1]
	return nil
}

// untie forgets what was found equal below a part that is left out: nothing above
// will be made of it.
func (c *ascent) untie(n uint64) {
	kept := c.r.ties[:0]
	for _, t := range c.r.ties {
		if !covers(n, t) {
			kept = append(kept, t)
		}
	}
	c.r.ties = kept
}

// given takes node s from the message if it is the next one that is needed.
func (c *ascent) given(s uint64) (p part, ok bool, err error) {
	for len(c.nodes) > 0 && c.nodes[0].Index != s && c.surplus(c.nodes[0].Index, s) {
		c.nodes = c.nodes[1:]
		c.passed++
	}
	if len(c.nodes) == 0 || c.nodes[0].Index != s {
		return part{}, false, nil
	}
	p.Node, c.nodes = c.nodes[0], c.nodes[1:]
	if p.Size > MaxInt {
		return part{}, false, fmt.Errorf("%w: node %d", ErrSize, s)
	}
	c.compare(&p)
	if p.state&known != 0 {
		c.r.ties = append(c.r.ties, s)
	}
	return p, true, nil
}

// taken takes node s from what is held.
func (c *ascent) taken(s uint64) (part, bool) {
	h, ok := c.held(s)
	if !ok {
		return part{}, false
	}
	c.r.ties = append(c.r.ties, s)
	return part{Node: h, state: known | settled}, true
}

// surplus reports whether node n is a sibling on the way up from an edge that was
// left out, and comes before node next. The sender goes on with these if it did
// not know that the edge is held.
func (c *ascent) surplus(n, next uint64) bool {
	h, d := Depth(n), Depth(next)
	o := n >> (h + 1)
	switch {
	case n > MaxInt || h > d:
		return false
	case o&1 == 0: // on the left
		return c.leftOut && o+1 == c.first>>h
	default: // on the right, where siblings come after those of the same depth on the left
		return c.rightOut && o == c.last>>h+1 && (h < d || next>>(d+1)&1 == 1)
	}
}
