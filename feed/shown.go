package feed

import (
	"github.com/go-hypercore/hypercore/feed/bitfield"
	"github.com/go-hypercore/hypercore/feed/merkle"
)

// What peers may see: only what a power cut cannot take back. Of what was
// appended that is everything below the durable length; what was downloaded is
// hidden, block by block, until a commit has its bit on the disk.

// hidden is the blocks that were downloaded and are not durable yet. Guarded by
// Feed.mu.
type hidden struct {
	fresh  bitfield.Bits // came after the last flight
	flying bitfield.Bits // ... with it; disjoint from fresh
}

// add hides blocks that have just come. What an older commit makes durable is not
// them, if they were cleared meanwhile.
func (h *hidden) add(start, end uint64) {
	h.fresh.SetRange(start, end, true)
	h.flying.SetRange(start, end, false)
}

// forget drops blocks that are not here any more.
func (h *hidden) forget(start, end uint64) {
	h.fresh.SetRange(start, end, false)
	h.flying.SetRange(start, end, false)
}

// takeOff puts what has come into the commit that begins. What one that failed
// had taken goes with it.
func (h *hidden) takeOff() {
	if _, ok := h.flying.NextSet(0); !ok {
		h.flying, h.fresh = h.fresh, bitfield.Bits{}
		return
	}
	for start, ok := h.fresh.NextSet(0); ok; start, ok = h.fresh.NextSet(start) {
		end := h.fresh.NextClear(start)
		h.flying.SetRange(start, end, true)
		start = end
	}
	h.fresh.Clear()
}

// has reports whether block i is hidden.
func (h *hidden) has(i uint64) bool { return h.fresh.Get(i) || h.flying.Get(i) }

// next returns the first hidden block at from or after it, the highest number if
// there is none.
func (h *hidden) next(from uint64) uint64 {
	next := ^uint64(0)
	if i, ok := h.fresh.NextSet(from); ok {
		next = min(next, i)
	}
	if i, ok := h.flying.NextSet(from); ok {
		next = min(next, i)
	}
	return next
}

// end returns the end of the run of hidden blocks that begins at from.
func (h *hidden) end(from uint64) uint64 {
	if h.fresh.Get(from) {
		return h.fresh.NextClear(from)
	}
	return h.flying.NextClear(from)
}

// mask clears the hidden ones of the n bits from block start on.
func (h *hidden) mask(bits []byte, start, n uint64) {
	for at := h.next(start); at < start+n; {
		end := min(h.end(at), start+n)
		clearBits(bits, at-start, end-start)
		at = h.next(end)
	}
}

// clearBits clears bits lo to hi-1, the first of a byte being its highest.
func clearBits(bits []byte, lo, hi uint64) {
	for ; lo < hi && lo%8 != 0; lo++ {
		bits[lo/8] &^= 0x80 >> (lo % 8)
	}
	for ; hi > lo && hi%8 != 0; hi-- {
		bits[(hi-1)/8] &^= 0x80 >> ((hi - 1) % 8)
	}
	if lo < hi {
		clear(bits[lo/8 : hi/8])
	}
}

// limit returns the number of blocks from which on nothing may be shown to peers.
func (f *Feed) limit() uint64 {
	if f.draft || f.astray != nil {
		return 0
	}
	return f.durable
}

// nextUnshown returns the first block at from or after it that peers are not
// shown. mu held.
func (f *Feed) nextUnshown(from uint64) uint64 {
	return max(from, min(f.image.Data.NextClear(from), f.hidden.next(from), f.limit()))
}

// NextUnshown returns the first block at from or after it that is not served: it
// is not here, or not durable yet. It may be beyond the length.
func (f *Feed) NextUnshown(from uint64) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.nextUnshown(from)
}

// NextShown returns the first block at from or after it that is served, the highest
// number if there is none.
func (f *Feed) NextShown(from uint64) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.nextShown(from)
}

// nextShown is NextShown. mu held.
func (f *Feed) nextShown(from uint64) uint64 {
	limit := f.limit()
	for {
		i, ok := f.image.Data.NextSet(from)
		if !ok || i >= limit {
			return ^uint64(0)
		}
		if !f.hidden.has(i) {
			return i
		}
		from = f.hidden.end(i)
	}
}

// Bitmap appends to dst the n bits from block start on (multiples of 8) as they
// are announced: only what is durable. Bit i is the mask 0x80 >> (i mod 8).
func (f *Feed) Bitmap(dst []byte, start, n uint64) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	mark := len(dst)
	dst = f.image.Data.Bytes(dst, start, n)
	bits := dst[mark:]
	f.hidden.mask(bits, start, n)
	if limit := f.limit(); limit < start+n {
		clearBits(bits, max(limit, start)-start, n)
	}
	return dst
}

// LocalBits is a copy of the set of all blocks that are here, durable or not. What it
// costs follows from what is here, not from the length.
func (f *Feed) LocalBits() *bitfield.Bits {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.image.Data.Clone()
}

// shown are the nodes that may be shown to peers: those of the durable length. A
// proof that reached further would show a signature that a power cut can take
// back.
type shown struct {
	t     *nodes
	limit uint64 // in blocks
}

func (s shown) Get(n uint64) bool {
	return merkle.RightSpan(n) < 2*s.limit && s.t.Get(n)
}

// SetAudience tells whether peers wait to hear of new blocks. Then a download is
// made durable as soon as it comes, as far as the disk keeps up, so that it can be
// announced; else it waits for company. Detaching sets it to false.
func (f *Feed) SetAudience(v bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.audience = v
	if v && f.looping {
		f.kick()
	}
}

// reveal tells peers of what has become durable: everything up to length to that
// is not hidden, of which what lies before from was shown already unless it was
// downloaded. mu held.
func (f *Feed) reveal(from, to uint64) {
	landed := f.hidden.flying
	f.hidden.flying = bitfield.Bits{}
	for start, ok := landed.NextSet(0); ok && start < from; start, ok = landed.NextSet(start) {
		end := landed.RunEnd(start, from)
		f.announce(start, end)
		start = end
	}
	f.announce(from, to)
}
