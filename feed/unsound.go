package feed

import (
	"fmt"

	"github.com/go-hypercore/hypercore/feed/merkle"
)

// The hash of a tree node has the sum of the sizes of its children in it, not the size of
// each. So there can be nodes here whose size nobody has proven, which the block below
// them settles; but a writer can also sign a tree of which each of two blocks proves
// another size for the other one. The first one that is here stands: what its block bears
// out does not change, or blocks would lie on one another.

// take adds what a proof brings to the tree. mu held.
func (f *Feed) take(list []merkle.Node, res *merkle.Result) error {
	if res.Conflict != nil {
		if err := f.unsound(list); err != nil {
			return err
		}
	}
	for i := range list {
		f.tree.set(&list[i])
	}
	return nil
}

// unsound looks for a node that has another size here, which blocks that are here bear
// out. mu held.
func (f *Feed) unsound(list []merkle.Node) error {
	for i := range list {
		n := &list[i]
		held, ok := f.tree.get(n.Index)
		if !ok || held.Size == n.Size || held.Hash != n.Hash || !f.bearsOut(held) {
			continue
		}
		err := fmt.Errorf("%w: node %d has %d bytes by the blocks that are here, and %d by those that come", ErrUnsound, n.Index, held.Size, n.Size)
		if f.damage == nil {
			f.damage = err
			f.emit(Failed{Err: err, Final: true})
			f.finish()
		}
		return err
	}
	if err := f.tree.takeErr(); err != nil {
		return f.nodeError(err)
	}
	return nil
}

// bearsOut reports whether there are blocks below a node, and its size is what they make
// it. mu held.
func (f *Feed) bearsOut(n merkle.Node) bool {
	left, right, inner := merkle.Children(n.Index)
	if inner {
		l, ok1 := f.tree.get(left)
		r, ok2 := f.tree.get(right)
		return ok1 && ok2 && makes(l, r, n) && f.blocksBelow(n.Index)
	}
	i := n.Index / 2
	if f.comes(i, i+1) {
		return true // it was hashed a moment ago
	}
	if !f.image.Data.Get(i) || n.Size > maxValue {
		return false
	}
	off, err := f.offset(i)
	if err != nil {
		return false
	}
	b := make([]byte, n.Size)
	return f.readGaps(b, off, f.pend.read(b, off, nil)) == nil && merkle.Leaf(i, b) == n
}

// blocksBelow reports whether a block below node n is here, or comes with this batch.
// mu held.
func (f *Feed) blocksBelow(n uint64) bool {
	start, end := merkle.LeftSpan(n)/2, merkle.RightSpan(n)/2+1
	return f.image.Data.Count(start, end) > 0 || f.comes(start, end)
}

// comes reports whether one of blocks start to end-1 was verified in this batch. wmu held.
func (f *Feed) comes(start, end uint64) bool {
	for _, p := range f.apply.placed {
		if p.index < end && start < p.index+p.n {
			return true
		}
	}
	return false
}
