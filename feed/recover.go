package feed

import (
	"context"
	"slices"

	"github.com/go-hypercore/hypercore/feed/bitfield"
	"github.com/go-hypercore/hypercore/feed/merkle"
	"github.com/go-hypercore/hypercore/store"
)

// RepairReport says what an Open changed to bring the files in order.
type RepairReport struct {
	Bitfield  bool   // it was made anew
	Key       bool   // the key file was restored from the secret key or Options.Key
	Signature bool   // the last signature was made again
	Found     uint64 // blocks that were here but not marked
	Lost      uint64 // blocks that were marked but did not verify, or that cannot be read: they are missing now
	Nodes     uint64 // nodes that were computed again
	Recovered uint64 // blocks that an interrupted append had written completely
	Dropped   uint64 // bytes of data of an append that was not complete
}

// Repaired returns what Open did.
func (f *Feed) Repaired() RepairReport {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.repair
}

// recoverBits sets the bits of all nodes and blocks from block from on that are in
// the files and verify, from the roots down: those of the length, and those of
// lengths that are not linked to it yet.
func (f *Feed) recoverBits(ctx context.Context, w *restorer) error {
	w.walker = walker{f: f, ctx: ctx}
	roots := slices.Clone(f.acc.Roots())
	if err := w.roots(roots); err != nil {
		return err
	}
	for _, length := range f.links {
		if length <= w.from || length >= f.acc.Len() {
			continue
		}
		c, err := f.check(length)
		if err != nil {
			return err
		}
		if c.state != sigValid {
			continue
		}
		if err := w.roots(c.acc.Roots()); err != nil {
			return err
		}
	}
	if f.image.Dirty() {
		f.changes++
		f.newBits, f.newBlocks = true, true
		f.touched = touched{true, true, true} // it may never have been synced
	}
	return nil
}

// restorer makes bits of what is in the files.
type restorer struct {
	walker
	from uint64 // leaves before this block are left as they are

	// old, if not nil, is what the bitfield was before it had to be made anew: a
	// block before synced whose leaf was marked there, and which itself was not, had
	// been cleared. After it a torn page may look the same.
	old    *bitfield.File
	synced uint64

	doubtful bool // what becomes marked is written again, see doubt

	was  *bitfield.File // what the bitfield was, if it is made anew
	lost uint64         // blocks that cannot be read, and were not marked either
}

// mark marks node n.
func (w *restorer) mark(n *merkle.Node) {
	if w.doubtful && !w.f.image.Tree.Get(n.Index) {
		w.f.tree.set(n)
	}
	w.f.image.SetTree(n.Index, true)
}

func (w *restorer) roots(roots []merkle.Node) error {
	var off uint64
	for _, r := range roots {
		w.mark(&r)
		if err := w.walk(r, off); err != nil {
			return err
		}
		off += r.Size
	}
	return nil
}

// walk visits everything below node n, which is verified and begins at byte off.
func (w *restorer) walk(n merkle.Node, off uint64) error {
	if merkle.RightSpan(n.Index) < 2*w.from {
		return nil
	}
	if err := w.tick(); err != nil {
		return err
	}
	if i := n.Index / 2; merkle.Depth(n.Index) == 0 {
		if w.f.image.Data.Get(i) || w.old != nil && i < w.synced && w.old.Tree.Get(n.Index) && !w.old.Data.Get(i) {
			return nil
		}
		ok, err := w.verifies(n, off)
		if err != nil || !ok {
			if w.bad != nil && (w.was == nil || !w.was.Data.Get(i)) {
				w.lost++
			}
			return err
		}
		if w.doubtful {
			if err := w.f.writeAt(dataName, w.f.files.data, w.buf, int64(off)); err != nil {
				return err
			}
		}
		w.f.image.SetData(i, i+1, true)
		w.f.repair.Found++
		return nil
	}
	l, r, bad, ok, err := w.children(n, off)
	if err != nil || !ok {
		return err // not here
	}
	for i := range bad {
		w.f.repair.Nodes++
		w.f.tree.set(&bad[i])
		w.f.changes++
	}
	w.mark(&l)
	w.mark(&r)
	if err := w.walk(l, off); err != nil {
		return err
	}
	return w.walk(r, off+l.Size)
}

// recoverTail takes over appends that were written but not committed: as long as
// a signature follows, and the blocks up to it are in the data file, have the
// sizes that the tree file says, and hash to what is signed. They take the way of
// any append, and are written again: what was in the page cache after a failed
// sync may not be on the disk. What lies beyond is cut off; nobody has seen it. Of
// a feed that is downloaded only signatures are cut off, which may be torn.
func (f *Feed) recoverTail(ctx context.Context, p *plan) error {
	switch {
	case !p.tail && p.cut:
		return f.cut(signaturesName, f.files.signatures, sigOffset(f.acc.Len()+1))
	case !p.tail:
		return nil
	case f.draft:
		return f.cutFiles()
	}
	for {
		n, sig, err := f.nextSignature(f.acc.Len())
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		ok, err := f.takeBatch(ctx, p, n, sig)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
	}
	if f.acc.Len() < f.announced {
		return nil
	}
	return f.cutFiles()
}

// nextSignature returns the first record after a length, n is 0 if there is none.
func (f *Feed) nextSignature(length uint64) (n uint64, sig [sigSize]byte, err error) {
	var buf [64 * sigSize]byte
	for n := length + 1; n <= MaxLength; {
		m, err := readFull(f.files.signatures, buf[:], sigOffset(n))
		if err != nil {
			return 0, sig, f.fileError("read", signaturesName, err)
		}
		if m < sigSize {
			return 0, sig, nil
		}
		for k := 0; k+sigSize <= m; k += sigSize {
			if r := buf[k : k+sigSize]; !isZero(r) {
				return n, [sigSize]byte(r), nil
			}
			n++
		}
	}
	return 0, sig, nil
}

// takeBatch takes over the blocks up to length n if they are what sig signs. Where the
// journal says that nobody has seen them, they may be unreadable, too.
func (f *Feed) takeBatch(ctx context.Context, p *plan, n uint64, sig [sigSize]byte) (bool, error) {
	unseen := f.journal.seq > 0 && !p.foreign || f.opts.Repair
	have, err := size(f.files.data)
	if err != nil {
		return false, f.fileError("size of", dataName, err)
	}
	acc := f.acc.Clone()
	var list []merkle.Node
	w := walker{f: f}
	for i := acc.Len(); i < n; i++ {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		leaf, ok, err := f.rawNode(2 * i)
		if err != nil || !ok || acc.ByteLen()+leaf.Size > uint64(have) {
			return false, err
		}
		if ok, err = w.verifies(leaf, acc.ByteLen()); w.bad != nil && !unseen {
			return false, w.bad
		} else if err != nil || !ok {
			return false, err
		}
		if _, err := acc.Append(leaf, nil); err != nil {
			return false, nil
		}
		list = append(list, leaf)
	}
	if !verifySignature(f.key, acc.TreeHash(), n, sig[:]) {
		return false, nil
	}
	return true, f.adopt(list, sig)
}

// adopt appends verified blocks that are in the data file already.
func (f *Feed) adopt(list []merkle.Node, sig [sigSize]byte) error {
	w := walker{f: f}
	off := f.acc.ByteLen()
	var total uint64
	for _, leaf := range list {
		if _, err := w.read(off, leaf.Size); err != nil {
			return err
		}
		if err := f.writeAt(dataName, f.files.data, w.buf, int64(off)); err != nil {
			return err
		}
		off += leaf.Size
		total += leaf.Size
	}
	f.touched.data = true
	f.repair.Recovered += uint64(len(list))
	identity := f.identity
	if _, _, err := f.grow(list, nil, total, false); err != nil {
		return err
	}
	f.identity = identity
	last := &f.sigs.recs[len(f.sigs.recs)-1]
	last.sig, last.signed = sig, true
	return nil
}

// openParents returns the nodes before the end of the tree whose right half does
// not exist yet.
func openParents(length uint64) (list []uint64) {
	end := 2 * length
	for n := end; n < merkle.MaxInt; n = merkle.Parent(n) {
		if n < end {
			list = append(list, n)
		}
		if merkle.LeftSpan(n) == 0 && n >= end {
			break
		}
	}
	return list
}

// blankOpenParents removes what is where it cannot be yet.
func (f *Feed) blankOpenParents() error {
	for _, n := range openParents(f.acc.Len()) {
		var b, zero [nodeSize]byte
		if _, err := readFull(f.files.tree, b[:], nodeOffset(n)); err != nil {
			return f.fileError("read", treeName, err)
		}
		if b == zero {
			continue
		}
		if err := f.writeAt(treeName, f.files.tree, zero[:], nodeOffset(n)); err != nil {
			return err
		}
		f.touched.tree = true
	}
	return nil
}

// cutFiles removes what lies beyond the length in tree, signatures and data.
func (f *Feed) cutFiles() error {
	length := f.acc.Len()
	if err := f.blankOpenParents(); err != nil {
		return err
	}
	treeEnd := int64(headerSize)
	if length > 0 {
		treeEnd = nodeOffset(2*length - 1)
	}
	if err := f.cut(treeName, f.files.tree, treeEnd); err != nil {
		return err
	}
	if err := f.cut(signaturesName, f.files.signatures, sigOffset(length+1)); err != nil {
		return err
	}
	return f.cut(dataName, f.files.data, int64(f.acc.ByteLen()))
}

func (f *Feed) cut(name string, file store.File, end int64) error {
	have, err := file.Size()
	if err != nil {
		return f.fileError("size of", name, err)
	}
	if have <= end {
		return nil
	}
	if name == dataName {
		f.repair.Dropped += uint64(have - end)
	}
	if err := file.Truncate(end); err != nil {
		return f.fileError("cut", name, err)
	}
	return nil
}
