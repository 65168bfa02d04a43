package feed

import "context"

// Stats is a feed's state at one moment.
type Stats struct {
	Length     uint64 // blocks
	ByteLength uint64
	Blocks     uint64 // of them here
	Durable    uint64 // length that is on the disk, with what is here of it
	Announced  uint64 // highest length that was ever announced

	DownloadedBlocks, DownloadedBytes uint64 // from elsewhere, since Open
	UploadedBlocks, UploadedBytes     uint64 // to peers, since Open
	Duplicates                        uint64 // blocks that came although they were here
	Lost                              uint64 // blocks given up since Open, see Recheck

	Writable bool
	Static   bool
	Sparse   bool
	// Err is why nothing is appended or applied: a failed write, damage, a fork,
	// ErrBehind or ErrOtherWriter. Nil: nothing is wrong.
	Err error
}

type counters struct{ downBlocks, downBytes, upBlocks, upBytes, duplicates, lost uint64 }

// Stats returns the state now.
func (f *Feed) Stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.acc.Len()
	s := Stats{
		Length: n, ByteLength: f.acc.ByteLen(), Blocks: f.image.Data.Count(0, n),
		Durable: min(f.durable, n), Announced: max(f.announced, f.durable),
		DownloadedBlocks: f.stats.downBlocks, DownloadedBytes: f.stats.downBytes,
		UploadedBlocks: f.stats.upBlocks, UploadedBytes: f.stats.upBytes, Duplicates: f.stats.duplicates, Lost: f.stats.lost,
		Writable: f.writable(), Static: f.static || f.draft, Sparse: f.opts.Sparse,
	}
	switch {
	case f.closing:
		s.Err = ErrClosed
	case f.frozen != nil:
		s.Err = f.frozen
	case f.failed != nil:
		s.Err = f.failed
	case f.damage != nil:
		s.Err = f.damage
	case f.astray != nil:
		s.Err = f.astray
	case f.writable() && !f.static:
		s.Err = f.appendable(0, 0)
	}
	return s
}

// DownloadedBytes returns how many bytes of blocks start to end-1 are here; end 0
// means the length. It takes a look at the tree for each run of blocks.
func (f *Feed) DownloadedBytes(ctx context.Context, start, end uint64) (bytes uint64, err error) {
	f.mu.Lock()
	if err := f.usable(); err != nil {
		f.mu.Unlock()
		return 0, err
	}
	n := f.acc.Len()
	if end == 0 || end > n {
		end = n
	}
	if start == 0 && end == n && f.image.Data.RunEnd(0, n) == n {
		defer f.mu.Unlock()
		return f.acc.ByteLen(), nil // all of it, whether or not the feed is parked
	}
	f.mu.Unlock()
	if err := f.enter(); err != nil {
		return 0, err
	}
	defer f.leave()
	for start < end {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		f.mu.Lock()
		if err := f.usable(); err != nil {
			f.mu.Unlock()
			return 0, err
		}
		from, ok := f.image.Data.NextSet(start)
		if !ok || from >= end {
			f.mu.Unlock()
			break
		}
		start = f.image.Data.RunEnd(from, end)
		n, err := f.span(from, start)
		f.mu.Unlock()
		if err != nil {
			return 0, err
		}
		bytes += n
	}
	return bytes, nil
}

// span returns the size of blocks start to end-1, all of which are here. mu held.
func (f *Feed) span(start, end uint64) (uint64, error) {
	off, err := f.offset(start)
	if err != nil {
		return 0, err
	}
	last, err := f.offset(end - 1)
	if err != nil {
		return 0, err
	}
	size, err := f.sizeOf(end - 1)
	return last + size - off, err
}
