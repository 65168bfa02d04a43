package feed

import (
	"context"
	"fmt"

	"github.com/go-hypercore/hypercore/feed/merkle"
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
	File   string `json:"file"`
	Offset int64  `json:"offset"` // in bytes
	Reason string `json:"reason"`
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
	if err := f.enter(); err != nil {
		return AuditReport{}, err
	}
	defer f.leave()
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
	slot  record    // the newest of the journal
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
	defer a.f.unlockWrites()
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
