package feed

import (
	"bytes"

	"github.com/go-hypercore/hypercore/feed/merkle"
	"github.com/go-hypercore/hypercore/store"
)

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
		a.problem(journalName, 0, "it cannot be read: %v", err)
		return nil
	}
	valid := false
	for k := range 2 {
		lo := k * slotStride
		s := b[lo : lo+slotSize]
		if r, ok := parseSlot(s); ok {
			if valid = true; r.seq >= a.slot.seq {
				a.slot = r
			}
		} else if !isZero(s) {
			a.note(journalName, int64(lo), "slot %d is damaged", k)
		}
	}
	if !valid && total > 0 {
		a.problem(journalName, 0, "no slot is valid")
	}
	if !isZero(b[slotSize:slotStride]) || total > redoStart+redoBytes {
		a.note(journalName, slotSize, "there is something outside of the slots")
	}
	return nil
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

// bits checks what the bitfield file has beyond the tree.
func (a *auditor) bits() error {
	f := a.f
	f.mu.Lock()
	present := f.image.Data.Count(0, a.r.Length)
	f.mu.Unlock()
	a.r.Missing = a.r.Length - min(a.r.Length, present)
	if a.r.Unmarked > 0 {
		a.note(bitfieldName, headerSize, "%d nodes and blocks are here, and verify, but are not marked", a.r.Unmarked)
	}
	if f.stale && f.opts.ReadOnly {
		report := a.problem
		if f.journal.open {
			report = a.note // a page that was torn; the next Open writes it anew
		}
		report(bitfieldName, headerSize, "pages are missing, its index claims blocks that are not marked, or bits are beyond the length")
		return nil
	}
	return a.pages()
}

// pages compares the pages of the bitfield with what was made of them when they
// were read, or has been committed since: what the tree and the blocks do not tell
// is the index. Nobody is misled by one that claims too little, and other software
// may keep it otherwise.
func (a *auditor) pages() error {
	f := a.f
	if f.files.bitfield == nil {
		return nil
	}
	f.mu.Lock()
	n, size := f.image.Pages(), f.image.PageSize()
	f.mu.Unlock()
	have, want := make([]byte, size), make([]byte, 0, size)
	for p := range n {
		off := headerSize + int64(p)*int64(size)
		at := -1
		_, err := a.twice(func() (bool, error) {
			f.mu.Lock()
			want = f.image.Page(p, want[:0])
			f.mu.Unlock()
			clear(have)
			if _, err := readFull(f.files.bitfield, have, off); err != nil {
				return false, f.fileError("read", bitfieldName, err)
			}
			at = firstDifference(have, want)
			return at < 0, nil
		})
		if err != nil {
			return err
		}
		if at >= 0 {
			a.note(bitfieldName, off+int64(at), "page %d is not what the blocks that are here make it", p)
		}
		if err := a.tick(); err != nil {
			return err
		}
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
