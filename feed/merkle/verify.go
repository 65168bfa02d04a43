package merkle

import (
	"errors"
	"fmt"
)

// ErrInvalid is returned by Verifier.Verify for a message that proves nothing:
// the sender's fault unless Result.Conflict is set (see there).
var ErrInvalid = errors.New("merkle: invalid proof")

// Verifier is the receiving side of a proof (hypercore 6, Data message). It only
// reads what is held, through Held; it stores nothing and checks no signature.
// It is safe for concurrent use if Held is.
type Verifier struct {
	// Held returns node n if it was verified and stored before, or is among the
	// nodes about to be stored. What it returns is trusted.
	Held func(n uint64) (Node, bool)

	// Word, if not nil, tells of 64 nodes at once whether Held has them: those from
	// n on, a multiple of 64, the first in the highest place (bitfield.Bits.Word).
	// It saves VerifyRun from asking Held for each node of a run that is new.
	Word func(n uint64) uint64

	// Length is the longest signed length held, in blocks; 0 if none. All of
	// Roots(Length) are held.
	Length uint64
}

// Proof is what a message claims about one block.
type Proof struct {
	// Block is the block's index.
	Block uint64
	// Leaf is Leaf(Block, value). Nil: the message brings no value, and its
	// first node is the leaf.
	Leaf *Node
	// Nodes are the message's nodes, in its order.
	Nodes []Node
	// Through makes the climb go on at held nodes, up to the roots. It turns the
	// full proof of a block that is already here (a request with digest 0) into a
	// proof that a new length contains the old roots.
	Through bool
}

// Result is what a proof comes to. Verify reuses the slices of the Result it is
// given; they are valid until the next Verify with it.
type Result struct {
	// Trusted: the proof ends at a held node, nothing else is to be checked; a
	// signature in the message means nothing. The fields from Length to
	// Unproven are then zero.
	Trusted bool
	// Surplus counts the nodes that a trusted proof did not need. Hypercore 6
	// ignores them (a peer may ignore the digest). With a signature they may
	// prove a greater length: verify once more with Through to use that.
	Surplus int

	// Length, if not Trusted, is the length in blocks that the proof stands or
	// falls with: it holds if TreeHash is signed by the writer (or is the key of
	// a static log).
	Length uint64
	// TreeHash is the tree hash of Roots.
	TreeHash Hash
	// Roots are all roots at Length, left to right.
	Roots []Node
	// ByteLen is the size of the log at Length in bytes.
	ByteLen uint64
	// Unproven lists the roots of the shorter of the two logs, the one held
	// (Verifier.Length) and the one proven (Length), that the longer was not
	// shown to contain. Empty means that both are certainly one history. An
	// upgrade proven by the first block after the old length, or by the last
	// block before it with Through, always shows all of them.
	Unproven []uint64

	// Store lists the nodes that are not held and become known once the proof is
	// trusted, or its signature valid: siblings, computed parents, roots. With
	// Conflict set it also lists what differs from held nodes.
	Store []Node
	// Proven is how many nodes of Store, the first ones, lie below a node on the
	// way that is held and equal: they are true whatever the signature is worth.
	// Of a single block with Through only; 0 otherwise.
	Proven int
	// Hints are the leaf and its sibling of a message without value, as far as
	// they are not held: their hashes are as good as Store's, but only the sum of
	// their sizes is proven. They must not be stored; a seek may use them to
	// choose what to ask for next.
	Hints []Node
	// Conflict is the first node that differs from the held one (the first whose
	// hash differs, if there is one), nil if none.
	//   - Not Trusted, TreeHash signed: the writer signed two histories; message
	//     and held nodes are the evidence.
	//   - Trusted: a node held further up agrees with the message, so the held
	//     one below it is wrong, and Store has the right one.
	//   - Otherwise, or with an error: the sender is at fault, unless it had been
	//     told by digests to leave nodes out and holds another history: asking
	//     again with digest 0 makes it show the signature.
	Conflict *Conflict

	conflict Conflict
	ties     []uint64 // nodes on the way that were found equal to held ones
	parts    []part   // of a run, left to right
	tops     []part   // where ways ended without a sibling
}

// Conflict is a node that a message gives, or leads to, and that differs from
// the one held.
type Conflict struct {
	Held, Given Node
}

// SizeOnly reports whether both nodes have the same hash: then only one of the
// recorded sizes is wrong (hypercore 6 stores sizes that were never proven) and
// there is no second history.
func (c *Conflict) SizeOnly() bool { return c.Held.Hash == c.Given.Hash }

func (r *Result) reset() {
	*r = Result{
		Roots: r.Roots[:0], Unproven: r.Unproven[:0], Store: r.Store[:0], Hints: r.Hints[:0], ties: r.ties[:0],
		parts: r.parts[:0], tops: r.tops[:0],
	}
}

// Verify climbs from the block to a held node or to the roots of a signed
// length. It fails with ErrInvalid (ErrSize for numbers beyond MaxInt) and looks
// at no more than MaxProofNodes nodes. It does not allocate if r has been used
// before, unless it fails.
func (v *Verifier) Verify(p Proof, r *Result) error {
	r.reset()
	if p.Block >= MaxLength || len(p.Nodes) > MaxProofNodes {
		return fmt.Errorf("%w: block %d with %d nodes", ErrInvalid, p.Block, len(p.Nodes))
	}
	nodes := p.Nodes
	var cur Node
	if p.Leaf != nil {
		cur = *p.Leaf
	} else if len(nodes) > 0 {
		cur, nodes = nodes[0], nodes[1:]
	} else {
		return fmt.Errorf("%w: block %d: neither value nor nodes", ErrInvalid, p.Block)
	}
	if cur.Index != 2*p.Block || cur.Size > MaxInt {
		return fmt.Errorf("%w: block %d: starts at node %d of %d bytes", ErrInvalid, p.Block, cur.Index, cur.Size)
	}

	// vague: cur is the leaf of a message without value, its size is unproven.
	for vague := p.Leaf == nil; ; vague = false {
		held, ok := v.Held(cur.Index)
		known := ok && held == cur
		switch {
		case known && !p.Through:
			r.Trusted, r.Surplus = true, len(nodes)
			return nil
		case known:
			r.ties = append(r.ties, cur.Index)
			r.Proven = len(r.Store)
			vague = false
		case ok && held.Hash == cur.Hash && Depth(cur.Index) == 0 && !p.Through:
			// The same block: only a recorded size can be wrong, and a value
			// settles whose.
			r.Trusted, r.Surplus = true, len(nodes)
			if !vague {
				r.differ(held, cur)
				v.correct(cur, r)
			}
			return nil
		case ok:
			r.differ(held, cur)
		}

		sib, from, err := v.sibling(cur, known, &nodes, r)
		if err != nil {
			return err
		}
		switch {
		case known: // not stored again
		case vague && from == fromPeer:
			r.Hints = append(r.Hints, cur)
		default:
			r.Store = append(r.Store, cur)
		}
		switch {
		case from == fromNowhere:
			length, err := lengthOf(RightSpan(cur.Index), nodes)
			if err != nil {
				return err
			}
			r.tops = append(r.tops, part{Node: cur})
			return v.roots(length, nodes, r)
		case from == fromHere:
			r.ties = append(r.ties, sib.Index)
		case vague:
			r.Hints = append(r.Hints, sib)
		default:
			r.Store = append(r.Store, sib)
		}
		if cur, err = Join(cur, sib); err != nil {
			return err
		}
	}
}

// differ notes the first difference between what is held and what is given.
func (r *Result) differ(held, given Node) {
	if r.Conflict == nil || r.Conflict.SizeOnly() && held.Hash != given.Hash {
		r.conflict = Conflict{Held: held, Given: given}
		r.Conflict = &r.conflict
	}
}

// correct stores the leaf of a value whose recorded size was wrong, and gives
// the bytes it had too many or too few to its sibling.
func (v *Verifier) correct(leaf Node, r *Result) {
	r.Store = append(r.Store, leaf)
	v.resize(leaf, r)
}

func (v *Verifier) resize(leaf Node, r *Result) {
	sib, ok1 := v.Held(Sibling(leaf.Index))
	parent, ok2 := v.Held(Parent(leaf.Index))
	if ok1 && ok2 && leaf.Size <= parent.Size && sib.Size != parent.Size-leaf.Size {
		sib.Size = parent.Size - leaf.Size
		r.Store = append(r.Store, sib)
	}
}

// origin says where a sibling came from.
type origin int

const (
	fromNowhere origin = iota // neither given nor held: the node below is a root
	fromHere                  // held, or given and equal to the held one
	fromPeer                  // given, and not held or different
)

// sibling returns the sibling of cur: the next node of the message, or the one
// held.
func (v *Verifier) sibling(cur Node, known bool, nodes *[]Node, r *Result) (Node, origin, error) {
	s := Sibling(cur.Index)
	if s > MaxInt {
		return Node{}, fromNowhere, nil
	}
	held, ok := v.Held(s)
	if n := *nodes; len(n) > 0 && n[0].Index == s {
		given := n[0]
		*nodes = n[1:]
		if given.Size > MaxInt {
			return Node{}, fromNowhere, fmt.Errorf("%w: node %d", ErrSize, s)
		}
		if ok && held == given {
			return held, fromHere, nil
		}
		if ok {
			r.differ(held, given)
		}
		return given, fromPeer, nil
	}
	// A sibling to the right is not taken from here if the peer's log may end
	// before it: above a node that is known (when climbing Through), and above
	// one that differs, which is where another history may have begun.
	if !ok || s > cur.Index && (known || r.Conflict != nil && !r.Conflict.SizeOnly()) {
		return Node{}, fromNowhere, nil
	}
	return held, fromHere, nil
}

// lengthOf returns the length that is proven when end is the last leaf known to
// be in it and nodes are the other roots.
func lengthOf(end uint64, nodes []Node) (uint64, error) {
	if len(nodes) > 0 {
		n := nodes[len(nodes)-1].Index
		if n > MaxInt {
			return 0, fmt.Errorf("%w: node %d", ErrSize, n)
		}
		end = max(end, RightSpan(n))
	}
	length := end/2 + 1
	if length > MaxLength {
		return 0, fmt.Errorf("%w: length %d", ErrSize, length)
	}
	return length, nil
}

// roots takes r.tops for roots of length, and what is left of the message for
// the others that are not held here.
func (v *Verifier) roots(length uint64, nodes []Node, r *Result) error {
	open := 0 // tops that stand or fall with the roots
	for i := range r.tops {
		if r.tops[i].state&settled == 0 {
			open++
		}
	}
	var buf [MaxRoots]uint64
	for _, i := range Roots(buf[:0], length) {
		held, ok := v.Held(i)
		top := find(r.tops, i)
		var n Node
		switch {
		case top != nil:
			n = top.Node // compared and listed on the way up
			if top.state&known != 0 {
				r.ties = append(r.ties, i)
			}
			if top.state&settled == 0 {
				open--
			}
		case len(nodes) > 0 && nodes[0].Index == i:
			n, nodes = nodes[0], nodes[1:]
			switch {
			case ok && held == n:
				r.ties = append(r.ties, i)
			case ok:
				r.differ(held, n)
				fallthrough
			default:
				r.Store = append(r.Store, n)
			}
		case ok:
			n = held
			r.ties = append(r.ties, i)
		default:
			return fmt.Errorf("%w: root %d of length %d is missing", ErrInvalid, i, length)
		}
		if n.Size > MaxInt-r.ByteLen {
			return fmt.Errorf("%w: roots of length %d", ErrSize, length)
		}
		r.ByteLen += n.Size
		r.Roots = append(r.Roots, n)
	}
	if len(nodes) > 0 {
		return fmt.Errorf("%w: %d nodes after the roots of length %d", ErrInvalid, len(nodes), length)
	}
	// Without this the signature would cover the other roots, but not the blocks.
	if open > 0 {
		return fmt.Errorf("%w: it does not end at the roots of length %d", ErrInvalid, length)
	}
	r.Length, r.TreeHash = length, TreeHash(r.Roots)
	v.compare(r)
	return nil
}

func find(tops []part, n uint64) *part {
	for i := range tops {
		if tops[i].Index == n {
			return &tops[i]
		}
	}
	return nil
}

// compare fills Unproven: a root of the shorter log is contained in the longer
// one if it is, or is below, a node found equal on both sides.
func (v *Verifier) compare(r *Result) {
	var buf [MaxRoots]uint64
next:
	for _, root := range Roots(buf[:0], min(v.Length, r.Length)) {
		for _, t := range r.ties {
			if covers(t, root) {
				continue next
			}
		}
		r.Unproven = append(r.Unproven, root)
	}
}
