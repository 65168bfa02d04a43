package feed

import (
	"fmt"

	"github.com/go-hypercore/hypercore/feed/merkle"
)

// ProveRun answers a request for the n blocks from start on with one proof for all
// of them. digest and last are the requester's (DigestRun). It fills p.Index,
// p.Sizes, p.Nodes and p.Signature, reusing their memory; the values are there
// for ReadBlocks. It fails with ErrNotLocal when one of the blocks is not here or
// not durable yet.
func (f *Feed) ProveRun(start, n, digest, last uint64, remote merkle.MutableBits, p *Proof) error {
	if n == 0 || n > merkle.MaxRun || start >= MaxLength {
		return fmt.Errorf("%w: a run of %d blocks from %d", ErrOutOfBounds, n, start)
	}
	if err := f.enter(); err != nil {
		return err
	}
	defer f.leave()
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.usable(); err != nil {
		return err
	}
	limit := f.limit()
	if missing := f.nextUnshown(start); missing < start+n {
		return errAbsent(missing)
	}
	var buf [merkle.MaxRunNodes]uint64
	list, verifiedBy, err := merkle.ProveRun(shown{&f.tree, limit}, remote, start, n, digest, last, buf[:0])
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotLocal, err)
	}
	p.Sizes = p.Sizes[:0]
	for i := start; i < start+n; i++ {
		size, err := f.sizeOf(i)
		if err != nil {
			return err
		}
		p.Sizes = append(p.Sizes, size)
	}
	return f.fillProof(start, list, verifiedBy, p)
}

// DigestRun returns what a request for the n blocks from start on tells of the
// nodes that are here: see merkle.DigestRun.
func (f *Feed) DigestRun(start, n uint64) (first, last uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n == 0 || n > merkle.MaxRun || start >= MaxLength {
		return 0, 0
	}
	top := 2 * max(start+n, f.acc.Len())
	if len(f.links) > 0 {
		return merkle.DigestRun(linked{f}, start, n, top)
	}
	return merkle.DigestRun(&f.image.Tree, start, n, top)
}

// ReportUploads is ReportUpload for the n blocks from start on, of this many bytes
// together.
func (f *Feed) ReportUploads(start, n, bytes uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stats.upBlocks += n
	f.stats.upBytes += bytes
	if len(f.watchers) > 0 {
		f.emit(Uploaded{Start: start, End: start + n, Bytes: bytes})
	}
}
