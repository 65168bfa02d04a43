package feed

import (
	"context"

	"github.com/go-hypercore/hypercore/feed/merkle"
)

// walker goes down the tree as it is in the files, from verified nodes to the
// blocks, for recovery and for audits. What it reads is not cached.
type walker struct {
	f   *Feed
	ctx context.Context

	buf   []byte // of the last block read
	bad   error  // why the disk did not give the last block, nil if it did
	count int

	chunk uint64 // number+1 of the chunk of level 0 that is in nodes
	nodes [lastSlot * nodeSize]byte
	have  int
}

// tick looks at the context now and then.
func (w *walker) tick() error {
	if w.count++; w.count&255 == 0 {
		return w.ctx.Err()
	}
	return nil
}

// node is rawNode, which reads neighbours together.
func (w *walker) node(n uint64) (node merkle.Node, ok bool, err error) {
	k, s := locate(n)
	if k.level > 0 {
		return w.f.rawNode(n)
	}
	if w.chunk != k.number+1 {
		w.chunk = 0
		if w.have, err = readFull(w.f.files.tree, w.nodes[:], nodeOffset(n-uint64(s))); err != nil {
			return node, false, w.f.fileError("read", treeName, err)
		}
		w.chunk = k.number + 1
	}
	b := w.nodes[s*nodeSize : (s+1)*nodeSize]
	if (s+1)*nodeSize > w.have || isZero(b) {
		return node, false, nil
	}
	node = getNode(n, b)
	return node, node.Size <= merkle.MaxInt, nil
}

// children reads the children of verified node n and checks that they make it.
// bad lists those whose records are wrong and could be computed from what is
// below; ok is false if the two cannot be had.
func (w *walker) children(n merkle.Node, off uint64) (l, r merkle.Node, bad []merkle.Node, ok bool, err error) {
	left, right, _ := merkle.Children(n.Index)
	l, ok1, err := w.node(left)
	if err != nil {
		return l, r, nil, false, err
	}
	r, ok2, err := w.node(right)
	if err != nil {
		return l, r, nil, false, err
	}
	if ok1 && ok2 && makes(l, r, n) {
		return l, r, nil, true, nil
	}
	// One or both are missing or wrong: what is below may tell.
	if ok2 && r.Size <= n.Size {
		if x, ok, err := w.compute(left, off, n.Size-r.Size); err != nil {
			return l, r, nil, false, err
		} else if ok && makes(x, r, n) {
			return x, r, []merkle.Node{x}, true, nil
		}
	}
	if ok1 && l.Size <= n.Size {
		if x, ok, err := w.compute(right, off+l.Size, n.Size-l.Size); err != nil {
			return l, r, nil, false, err
		} else if ok && makes(l, x, n) {
			return l, x, []merkle.Node{x}, true, nil
		}
	}
	return l, r, nil, false, nil
}

func makes(l, r, parent merkle.Node) bool {
	p, err := merkle.Join(l, r)
	return err == nil && p == parent
}

// compute makes node n of what is below it: its children, or the block at off.
func (w *walker) compute(n, off, size uint64) (merkle.Node, bool, error) {
	left, right, inner := merkle.Children(n)
	if !inner {
		ok, err := w.try(off, size)
		if !ok || err != nil {
			return merkle.Node{}, false, err
		}
		return merkle.Leaf(n/2, w.buf), true, nil
	}
	l, ok1, err := w.node(left)
	if err != nil {
		return merkle.Node{}, false, err
	}
	r, ok2, err := w.node(right)
	if err != nil || !ok1 || !ok2 {
		return merkle.Node{}, false, err
	}
	p, err := merkle.Join(l, r)
	return p, err == nil, nil
}

// try is read for who can do without: what is unreadable is not there. bad says why.
func (w *walker) try(off, n uint64) (ok bool, err error) {
	ok, err = w.read(off, n)
	if w.bad = nil; unreadable(err) {
		w.bad, w.buf, err = err, w.buf[:0], nil
	}
	return ok, err
}

// read reads a piece of the data file into buf; ok is false if the file ends
// before.
func (w *walker) read(off, n uint64) (ok bool, err error) {
	if n == 0 {
		w.buf = w.buf[:0]
		return true, nil
	}
	have, err := size(w.f.files.data)
	if err != nil {
		return false, w.f.fileError("size of", dataName, err)
	}
	if off+n > uint64(have) {
		return false, nil
	}
	if uint64(cap(w.buf)) < n {
		w.buf = make([]byte, n)
	}
	w.buf = w.buf[:n]
	m, err := readFull(w.f.files.data, w.buf, int64(off))
	if err != nil {
		return false, w.f.fileError("read", dataName, err)
	}
	return uint64(m) == n, nil
}

// verifies reports whether the data file has the block of leaf n at off, and can be
// read there; then it is in buf.
func (w *walker) verifies(n merkle.Node, off uint64) (bool, error) {
	ok, err := w.try(off, n.Size)
	if err != nil || !ok {
		return false, err
	}
	return merkle.Leaf(n.Index/2, w.buf) == n, nil
}
