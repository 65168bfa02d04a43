package feed

import (
	"bytes"
	"context"
	"fmt"

	"github.com/go-hypercore/hypercore/feed/merkle"
	"github.com/go-hypercore/hypercore/store"
)

// AuditOptions of Audit. The zero value checks everything.
type AuditOptions struct {
	// Block is called for every block that is marked as here, in order, with what
	// the data file has for it (borrowed; nil if it cannot be read) and whether it
	// is what the writer signed.
	Block func(index uint64, data []byte, valid bool)
	// Progress is called now and then with the block that is next.
	Progress func(next, length uint64)
	// SkipSignatures checks only the signature of the whole feed, not every one
	// that is in the file: those take 45 µs each.
	SkipSignatures bool
}

// SignatureState is what an audit says of the signature of the whole feed.
type SignatureState string

// The states. A static feed's is valid if the tree hash is the key, an empty
// feed's is missing.
const (
	SignatureValid   SignatureState = "valid"
	SignatureMissing SignatureState = "missing"
	SignatureInvalid SignatureState = "invalid"
)

// Problem is one thing that is not what it should be.
type Problem struct {
	File   string
	Offset int64
	Reason string
}

func (p Problem) String() string { return fmt.Sprintf("%s, byte %d: %s", p.File, p.Offset, p.Reason) }

// AuditReport is what an audit found.
type AuditReport struct {
	Length     uint64 // in blocks
	ByteLength uint64
	Present    uint64 // blocks that are marked as here
	Missing    uint64
	Invalid    uint64 // of Present: not what the writer signed, or not readable
	Bytes      uint64 // in the valid blocks
	Nodes      uint64 // that are marked as here
	Signatures uint64 // that were checked
	// Unmarked are blocks and nodes that are here, and verify, but are not marked:
	// a crash before their bits were written leaves them, and so does one in the
	// middle of Clear. They are fetched again when they are wanted. Repair marks them.
	Unmarked  uint64
	Signature SignatureState
	// Problems are what is wrong, at most 1000; Count is how many there are.
	Problems []Problem
	Count    uint64
	// Notes are things that do not matter, at most 1000: what an interrupted append
	// or download has left where nothing counts yet. The next open for writing
	// removes it, or it will be overwritten.
	Notes []Problem
}

// OK reports whether nothing is wrong. Blocks that are missing are not wrong.
func (r *AuditReport) OK() bool { return r.Count == 0 && r.Invalid == 0 }

const maxProblems = 1000

// Audit compares every file with every other, as they are on the disk: the
// headers, every node that is here with its parent up to the signed roots, every
// block that is here with its leaf, blocks and nodes that are there with their
// bits, every signature with the roots of its length, the journal. It changes
// nothing, but pending changes are committed first. Blocks that are appended
// while it runs are not looked at.
func (f *Feed) Audit(ctx context.Context, o AuditOptions) (AuditReport, error) {
	if !f.opts.ReadOnly {
		// An audit of a feed that cannot be written looks at what there is.
		if err := f.Sync(ctx); err != nil && (ctx.Err() != nil || f.usableNow() != nil) {
			return AuditReport{}, err
		}
	}
	f.mu.Lock()
	if err := f.usable(); err != nil {
		f.mu.Unlock()
		return AuditReport{}, err
	}
	a := auditor{walker: walker{f: f, ctx: ctx}, o: o, acc: f.acc.Clone(), roots: f.acc.Clone().Roots()}
	a.r.Length, a.r.ByteLength = f.acc.Len(), f.acc.ByteLen()
	f.mu.Unlock()
	err := a.run()
	if err != nil && f.usableNow() != nil {
		err = ErrClosed
	}
	return a.r, err
}

func (f *Feed) usableNow() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.usable()
}

// auditor is one audit.
type auditor struct {
	walker
	o     AuditOptions
	r     AuditReport
	acc   *merkle.Accumulator // at the whole length
	roots []merkle.Node

	next  uint64 // block
	grown *merkle.Accumulator
	dense bool      // every leaf so far is verified and in grown
	older candidate // the older length that was looked at last
}

// problem notes one.
func (a *auditor) problem(file string, off int64, format string, args ...any) {
	if a.r.Count++; len(a.r.Problems) < maxProblems {
		a.r.Problems = append(a.r.Problems, Problem{file, off, fmt.Sprintf(format, args...)})
	}
}

// note notes what does not matter.
func (a *auditor) note(file string, off int64, format string, args ...any) {
	if len(a.r.Notes) < maxProblems {
		a.r.Notes = append(a.r.Notes, Problem{file, off, fmt.Sprintf(format, args...)})
	}
}

// twice runs a check and, if it fails, once more after a commit with everybody
// else waiting: what is not there may only be on its way.
func (a *auditor) twice(check func() (bool, error)) (bool, error) {
	ok, err := check()
	if ok || err != nil || a.f.opts.ReadOnly {
		return ok, err
	}
	a.f.wmu.Lock()
	defer a.f.wmu.Unlock()
	if a.f.usableNow() == nil {
		a.f.commit(false) // what it cannot write is what will be found
	}
	a.chunk = 0 // what was read is old
	return check()
}

func (a *auditor) run() error {
	if err := a.headers(); err != nil {
		return err
	}
	if err := a.checkRoots(); err != nil {
		return err
	}
	a.grown, a.dense = new(merkle.Accumulator), true
	var off uint64
	for _, r := range a.roots {
		if err := a.walk(r, off); err != nil {
			return err
		}
		off += r.Size
	}
	if err := a.signatures(a.r.Length, ^uint64(0)); err != nil {
		return err
	}
	if err := a.rest(); err != nil {
		return err
	}
	return a.bits()
}

// rest looks where there cannot be anything yet: at parents whose right half does
// not exist, and beyond the length.
func (a *auditor) rest() error {
	f := a.f
	if f.Len() != a.r.Length {
		return nil
	}
	end := 2 * a.r.Length
	for _, n := range openParents(a.r.Length) {
		var b [nodeSize]byte
		if _, err := readFull(f.files.tree, b[:], nodeOffset(n)); err != nil {
			return f.fileError("read", treeName, err)
		}
		if !isZero(b[:]) && f.Len() == a.r.Length {
			a.note(treeName, nodeOffset(n), "node %d is there, but not all blocks below it are", n)
		}
	}
	for _, x := range []struct {
		name string
		file store.File
		end  uint64
	}{{treeName, f.files.tree, uint64(nodeOffset(max(end, 1) - 1))}, {dataName, f.files.data, a.r.ByteLength}} {
		have, err := size(x.file)
		if err != nil {
			return f.fileError("size of", x.name, err)
		}
		if uint64(have) > x.end && f.Len() == a.r.Length {
			a.note(x.name, int64(x.end), "there are %d bytes after the end of the feed", uint64(have)-x.end)
		}
	}
	return nil
}

// headers checks what begins each file, and the keys.
func (a *auditor) headers() error {
	f := a.f
	size := f.image.PageSize()
	err := f.files.each(func(name string, file *store.File) error {
		want := headerOf(name, size)
		if *file == nil || want == nil {
			if *file == nil && name != journalName {
				a.problem(name, 0, "the file is missing")
			}
			return nil
		}
		var have [headerSize]byte
		if _, err := readFull(*file, have[:], 0); err != nil {
			return f.fileError("read", name, err)
		}
		if i := firstDifference(have[:], want); i >= 0 {
			a.problem(name, int64(i), "the header is not what it should be")
		}
		return nil
	})
	if err != nil {
		return err
	}
	return a.journal()
}

func firstDifference(a, b []byte) int {
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return -1
}

// journal checks that a slot is valid. The other may be torn: the power was cut
// while it was written.
func (a *auditor) journal() error {
	if a.f.files.journal == nil {
		return nil
	}
	a.f.commitMu.Lock()
	defer a.f.commitMu.Unlock()
	total, err := size(a.f.files.journal)
	if err != nil {
		return a.f.fileError("size of", journalName, err)
	}
	b := make([]byte, slotStride+slotSize)
	if _, err := readFull(a.f.files.journal, b, 0); err != nil {
		return a.f.fileError("read", journalName, err)
	}
	valid := false
	for k := range 2 {
		lo := k * slotStride
		s := b[lo : lo+slotSize]
		if _, ok := parseSlot(s); ok {
			valid = true
		} else if !isZero(s) {
			a.note(journalName, int64(lo), "slot %d is damaged", k)
		}
	}
	if !valid && total > 0 {
		a.problem(journalName, 0, "no slot is valid")
	}
	if !isZero(b[slotSize:slotStride]) || total > int64(len(b)) {
		a.note(journalName, slotSize, "there is something outside of the slots")
	}
	return nil
}

// checkRoots compares the roots in the tree file with those the feed goes by, and
// checks their signature.
func (a *auditor) checkRoots() error {
	if a.r.Length == 0 {
		a.r.Signature = SignatureMissing
		return nil
	}
	for _, r := range a.roots {
		_, err := a.twice(func() (bool, error) {
			n, ok, err := a.f.rawNode(r.Index)
			return ok && n == r, err
		})
		if err != nil {
			return err
		}
		if n, ok, err := a.f.rawNode(r.Index); err != nil {
			return err
		} else if !ok || n != r {
			a.problem(treeName, nodeOffset(r.Index), "root %d is not the one that was signed", r.Index)
		}
	}
	hash, key := a.acc.TreeHash(), a.f.Key()
	if hash == merkle.Hash(key) {
		a.r.Signature = SignatureValid
		return nil
	}
	sig, ok, err := readSig(a.f.files.signatures, a.r.Length)
	switch {
	case err != nil:
		return a.f.fileError("read", signaturesName, err)
	case !ok:
		a.r.Signature = SignatureMissing
		if !a.f.draftNow() {
			a.problem(signaturesName, sigOffset(a.r.Length), "the signature of length %d is missing", a.r.Length)
		}
	case verifySignature(key, hash, a.r.Length, sig[:]):
		a.r.Signature = SignatureValid
	default:
		a.r.Signature = SignatureInvalid
		a.problem(signaturesName, sigOffset(a.r.Length), "the signature of length %d is not the writer's", a.r.Length)
	}
	return nil
}

func (f *Feed) draftNow() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.draft
}

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
		return a.unproven(n.Index)
	}
	if err := a.walk(l, off); err != nil {
		return err
	}
	return a.walk(r, off+l.Size)
}

// unproven looks at what is marked below node n, which does not lead to the
// roots: in a sparse feed nothing, or what the roots of an older signed length
// prove, which nobody has asked to be linked to the longest one.
func (a *auditor) unproven(n uint64) error {
	a.dense = false
	left, right, inner := merkle.Children(n)
	if !inner {
		return a.unprovenBlock(n / 2)
	}
	if err := a.loose(left); err != nil {
		return err
	}
	return a.loose(right)
}

// loose looks at node n and what is below it. No node above it leads to it.
func (a *auditor) loose(n uint64) error {
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
		a.r.Nodes++
		a.problem(treeName, nodeOffset(n), "node %d is marked but does not lead to a root", n)
	}
	return a.unproven(n)
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
func (a *auditor) unprovenBlock(i uint64) error {
	if _, data := a.marked(2 * i); data {
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

// bits checks what the bitfield file has beyond the tree.
func (a *auditor) bits() error {
	f := a.f
	f.mu.Lock()
	present := f.image.Data.Count(0, a.r.Length)
	stale := f.image.Dirty() && f.opts.ReadOnly
	f.mu.Unlock()
	a.r.Missing = a.r.Length - min(a.r.Length, present)
	if stale {
		a.problem(bitfieldName, headerSize, "its index claims blocks that are not marked, or bits are beyond the length")
	}
	return nil
}

// signatures checks the records of blocks start to end-1.
func (a *auditor) signatures(start, end uint64) error {
	if a.o.SkipSignatures || a.f.files.signatures == nil {
		return nil
	}
	var buf [64 * sigSize]byte
	for i := start; i < end; {
		m, err := readFull(a.f.files.signatures, buf[:min(end-i, 64)*sigSize], sigOffset(i+1))
		if err != nil {
			return a.f.fileError("read", signaturesName, err)
		}
		if m < sigSize {
			return nil
		}
		for k := 0; k+sigSize <= m; k += sigSize {
			if r := buf[k : k+sigSize]; !isZero(r) {
				if err := a.signature(i+1, bytes.Clone(r)); err != nil {
					return err
				}
			}
			i++
		}
		if err := a.tick(); err != nil {
			return err
		}
	}
	return nil
}

// signature checks one record, if the roots of its length are here.
func (a *auditor) signature(length uint64, sig []byte) error {
	if length > a.r.Length {
		if a.f.Len() < length { // not appended meanwhile
			a.note(signaturesName, sigOffset(length), "there is a signature of length %d, the feed has %d blocks", length, a.r.Length)
		}
		return nil
	}
	var hash merkle.Hash
	if a.dense && a.grown.Len() == length {
		hash = a.grown.TreeHash()
	} else {
		roots, err := a.f.Roots(length)
		if err != nil {
			return nil // a sparse feed need not have them
		}
		hash = merkle.TreeHash(roots)
	}
	a.r.Signatures++
	if length == a.r.Length {
		return nil // checked with the roots
	}
	if !verifySignature(a.f.Key(), hash, length, sig) {
		a.problem(signaturesName, sigOffset(length), "the signature of length %d is not the writer's", length)
	}
	return nil
}
