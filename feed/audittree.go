package feed

import "github.com/go-hypercore/hypercore/feed/merkle"

// marked reads the bits of a node.
func (a *auditor) marked(n uint64) (node, data bool) {
	a.f.mu.Lock()
	defer a.f.mu.Unlock()
	return a.f.image.Tree.Get(n), n&1 == 0 && a.f.image.Data.Get(n/2)
}

// walk visits everything below node n, which is verified and begins at byte off.
func (a *auditor) walk(n merkle.Node, off uint64) error {
	if err := a.tick(); err != nil {
		return err
	}
	if node, _ := a.marked(n.Index); node {
		a.r.Nodes++
	} else {
		a.r.Unmarked++
	}
	if merkle.Depth(n.Index) == 0 {
		return a.leaf(n, off)
	}
	var l, r merkle.Node
	var bad []merkle.Node
	ok, err := a.twice(func() (ok bool, err error) {
		l, r, bad, ok, err = a.children(n, off)
		return ok && len(bad) == 0, err
	})
	if err != nil {
		return err
	}
	for _, b := range bad {
		if node, _ := a.marked(b.Index); !node {
			continue // it is not here, but could be computed
		}
		a.problem(treeName, nodeOffset(b.Index), "node %d is not what is below it", b.Index)
	}
	if !ok && len(bad) == 0 {
		return a.unproven(n.Index, anchor{n, off})
	}
	if err := a.walk(l, off); err != nil {
		return err
	}
	return a.walk(r, off+l.Size)
}

// anchor is a node that is verified, and where it begins.
type anchor struct {
	node merkle.Node
	off  uint64
}

// unproven looks at what is marked below node n, which does not lead to the
// roots: in a sparse feed nothing, or what the roots of an older signed length
// prove, which nobody has asked to be linked to the longest one. top is the lowest
// node above that does.
func (a *auditor) unproven(n uint64, top anchor) error {
	a.dense = false
	left, right, inner := merkle.Children(n)
	if !inner {
		return a.unprovenBlock(n/2, top)
	}
	if err := a.loose(left, top); err != nil {
		return err
	}
	return a.loose(right, top)
}

// arrived finds node n below top, if it has become proven since top was looked at: blocks
// arrive while a feed is audited.
func (a *auditor) arrived(n uint64, top anchor) (at anchor, ok bool, err error) {
	ok, err = a.twice(func() (bool, error) {
		at = top
		for at.node.Index != n {
			l, r, bad, ok, err := a.children(at.node, at.off)
			if err != nil || !ok || len(bad) > 0 {
				return false, err
			}
			if n <= merkle.RightSpan(l.Index) {
				at.node = l
			} else {
				at = anchor{r, at.off + l.Size}
			}
		}
		return true, nil
	})
	return at, ok, err
}

// loose looks at node n and what is below it. No node between top and n led to it.
func (a *auditor) loose(n uint64, top anchor) error {
	if err := a.tick(); err != nil {
		return err
	}
	first, last := merkle.LeftSpan(n), merkle.RightSpan(n)
	a.f.mu.Lock()
	marked := a.f.image.Tree.Get(n)
	empty := a.f.image.Tree.Count(first, last+1) == 0 && a.f.image.Data.Count(first/2, last/2+1) == 0
	a.f.mu.Unlock()
	if empty {
		a.progress(last/2 + 1)
		return a.signatures(first/2, last/2+1)
	}
	if marked {
		root, off, ok, err := a.olderRoot(n)
		if err != nil {
			return err
		}
		if ok {
			return a.walk(root, off)
		}
		if at, ok, err := a.arrived(n, top); err != nil {
			return err
		} else if ok {
			return a.walk(at.node, at.off)
		}
		a.r.Nodes++
		a.problem(treeName, nodeOffset(n), "node %d is marked but does not lead to a root", n)
	}
	return a.unproven(n, top)
}

// olderRoot returns node n, and where it begins, if it is a root of an older
// length that is signed.
func (a *auditor) olderRoot(n uint64) (root merkle.Node, off uint64, ok bool, err error) {
	a.f.mu.Lock()
	length := merkle.VerifiedBy(&a.f.image.Tree, n) / 2
	a.f.mu.Unlock()
	if length == 0 || length >= a.r.Length {
		return root, 0, false, nil
	}
	if a.older.length != length {
		if a.older, err = a.f.check(length); err != nil {
			return root, 0, false, err
		}
		if a.older.state == sigValid {
			a.note(signaturesName, sigOffset(length), "length %d was not shown to be a part of length %d", length, a.r.Length)
		}
	}
	if a.older.state != sigValid {
		return root, 0, false, nil
	}
	for _, r := range a.older.acc.Roots() {
		if r.Index == n {
			return r, off, true, nil
		}
		off += r.Size
	}
	return root, 0, false, nil
}

// unprovenBlock counts a block that nothing proves, if it is marked.
func (a *auditor) unprovenBlock(i uint64, top anchor) error {
	if _, data := a.marked(2 * i); data {
		if at, ok, err := a.arrived(2*i, top); err != nil {
			return err
		} else if ok {
			return a.walk(at.node, at.off)
		}
		a.r.Present++
		a.r.Invalid++
		a.problem(dataName, 0, "block %d is marked, but nothing proves it", i)
		a.give(i, nil, false)
	}
	a.progress(i + 1)
	return a.signatures(i, i+1)
}

func (a *auditor) progress(next uint64) {
	a.next = next
	if a.o.Progress != nil && (next&1023 == 0 || next == a.r.Length) {
		a.o.Progress(next, a.r.Length)
	}
}

func (a *auditor) give(i uint64, data []byte, valid bool) {
	if a.o.Block != nil {
		a.o.Block(i, data, valid)
	}
}

// leaf checks the block of a verified leaf.
func (a *auditor) leaf(n merkle.Node, off uint64) error {
	i := n.Index / 2
	if a.dense {
		if _, err := a.grown.Append(n, nil); err != nil {
			a.dense = false
		}
	}
	if e := a.slot.even; i < e.blocks && n.Size != e.size {
		a.problem(journalName, int64(a.slot.seq&1)*slotStride+slotEven, "it says that the first %d blocks have %d bytes each; block %d has %d", e.blocks, e.size, i, n.Size)
	}
	_, data := a.marked(n.Index)
	ok, err := a.verifies(n, off)
	if err != nil {
		return err
	}
	if ok != data && (data || !isZero(a.buf)) {
		if _, err := a.twice(func() (bool, error) {
			_, data = a.marked(n.Index)
			ok, err = a.verifies(n, off)
			return ok == data, err
		}); err != nil {
			return err
		}
	}
	switch {
	case data && ok:
		a.r.Present++
		a.r.Bytes += n.Size
		a.give(i, a.buf, true)
	case data:
		a.r.Present++
		a.r.Invalid++
		if a.bad != nil {
			a.problem(dataName, int64(off), "block %d (%d bytes) cannot be read: %v", i, n.Size, a.bad)
			a.give(i, nil, false)
			break
		}
		a.problem(dataName, int64(off), "block %d (%d bytes) is not what the writer signed", i, n.Size)
		if ok, err := a.read(off, n.Size); err == nil && ok {
			a.give(i, a.buf, false)
		} else {
			a.give(i, nil, false)
		}
	case ok && !isZero(a.buf):
		// A block that was cleared reads zero; this one is whole.
		a.r.Unmarked++
	}
	if err := a.signatures(i, i+1); err != nil {
		return err
	}
	a.progress(i + 1)
	return nil
}
