package schedule

import (
	"encoding/binary"
	"math/bits"
	"time"

	"github.com/go-hypercore/hypercore/feed/bitfield"
)

const (
	// chunk is how many blocks the search looks at in one step.
	chunk     = 8192
	chunkLen  = chunk / 8  // bytes of a bitfield
	chunkWord = chunk / 64 // words
	// maxChunks bounds the search of one range for one peer in one Plan: half a
	// million words at worst, when a peer has just what is taken. Uniform parts
	// are jumped over and count as one.
	maxChunks = 512
)

// Emit receives what to ask a peer now, in this order. The runs are the table's
// to reuse after it returns.
type Emit func(p *Peer, runs []Run)

// Plan asks every peer that has room for what it should fetch next, and notes
// it as in flight.
func (t *Table) Plan(now time.Duration, emit Emit) {
	if len(t.peers) == 0 {
		return
	}
	t.wake(now)
	t.planUrgent(now, emit)
	var buf [64]Run
	t.turn++
	for i := range t.peers {
		p := t.peers[(t.turn+i)%len(t.peers)]
		if p.dry == t.version {
			continue
		}
		room := p.room()
		if room == 0 {
			continue
		}
		t.cut = false
		if runs := t.planRanges(p, room, now, buf[:0]); len(runs) > 0 {
			emit(p, runs)
		} else if !t.cut {
			p.dry = t.version
		}
	}
}

// planUrgent gives each free urgent block to the peer that will answer first.
func (t *Table) planUrgent(now time.Duration, emit Emit) {
	urgent := t.demand.Urgent
	if len(urgent) == 0 {
		return
	}
	if len(urgent) > maxUrgent {
		urgent = urgent[:maxUrgent]
	}
	if len(t.peers) == 1 {
		p := t.peers[0]
		var buf [64]Run
		runs, room := buf[:0], p.urgentRoom()
		for _, b := range urgent {
			if room == 0 {
				break
			}
			if t.taken.Get(b) || !p.remote.Get(b) {
				continue
			}
			runs = t.takeBlock(p, b, now, runs)
			room--
		}
		if len(runs) > 0 {
			emit(p, runs)
		}
		return
	}
	for _, b := range urgent {
		if t.taken.Get(b) {
			continue
		}
		if p := t.fastest(b, nil); p != nil {
			var one [1]Run
			emit(p, t.takeBlock(p, b, now, one[:0]))
		}
	}
}

// fastest returns the peer with room that has block b and is expected to answer
// first, not counting not.
func (t *Table) fastest(b uint64, not *Peer) *Peer {
	var best *Peer
	var when time.Duration
	for _, p := range t.peers {
		if p == not || p.urgentRoom() == 0 || !p.remote.Get(b) {
			continue
		}
		if d := p.expect(p.inflight + 1); best == nil || d < when {
			best, when = p, d
		}
	}
	return best
}

// takeBlock puts one block in flight.
func (t *Table) takeBlock(p *Peer, b uint64, now time.Duration, runs []Run) []Run {
	t.taken.Set(b, true)
	p.ask(b/64, bit(b), now)
	return addRun(runs, b, b+1)
}

// addRun appends a run, joining it to the last one if it follows.
func addRun(runs []Run, start, end uint64) []Run {
	if n := len(runs); n > 0 && runs[n-1].End == start {
		runs[n-1].End = end
		return runs
	}
	return append(runs, Run{start, end})
}

// planRanges takes up to room blocks of the demanded ranges that p has.
func (t *Table) planRanges(p *Peer, room int, now time.Duration, runs []Run) []Run {
	announced := p.remote.Len()
	for _, r := range t.demand.Ranges {
		if room == 0 {
			break
		}
		end := r.End
		if end == 0 || end > announced {
			end = announced
		}
		if r.Start >= end {
			continue
		}
		if r.Linear {
			runs, room = t.takeInOrder(p, r.Start, end, room, now, runs)
		} else {
			runs, room = t.takeRarest(p, r.Start, end, room, now, runs)
		}
	}
	return runs
}

// takeInOrder takes the first free blocks of [start, end) that p has.
func (t *Table) takeInOrder(p *Peer, start, end uint64, room int, now time.Duration, runs []Run) ([]Run, int) {
	for steps := 0; room > 0 && steps < maxChunks; steps++ {
		at, ok := t.candidate(p, start, end)
		if !ok {
			break
		}
		w := &t.win
		t.load(w, p, at, end)
		for i := 0; i < chunkWord && room > 0; i++ {
			if m := w.free[i]; m != 0 {
				runs, room = t.takeMask(p, w.base/64+uint64(i), m, room, now, runs)
			}
		}
		start = w.base + chunk
	}
	return runs, room
}

// candidate returns a block at or after start, before end, from which on it is
// worth looking: p has it or the one before it was skipped, and it is not in a
// stretch that is taken altogether.
func (t *Table) candidate(p *Peer, start, end uint64) (uint64, bool) {
	for range 4 { // each turn jumps over one uniform stretch
		at := t.taken.NextClear(start)
		if at >= end {
			return 0, false
		}
		has, ok := p.remote.NextSet(at)
		if !ok || has >= end {
			return 0, false
		}
		if has/chunk == at/chunk {
			return at, true
		}
		start = has
	}
	return start, start < end
}

// takeMask puts the blocks of a word in flight, the first room of them.
func (t *Table) takeMask(p *Peer, word, m uint64, room int, now time.Duration, runs []Run) ([]Run, int) {
	if k := bits.OnesCount64(m); k > room {
		m = firstBits(m, room)
		room = 0
	} else {
		room -= k
	}
	p.ask(word, m, now)
	for lo := word * 64; m != 0; {
		s := uint64(bits.LeadingZeros64(m))
		n := uint64(bits.LeadingZeros64(^(m << s)))
		t.taken.SetRange(lo+s, lo+s+n, true)
		runs = addRun(runs, lo+s, lo+s+n)
		m &^= ^uint64(0) << (64 - n) >> s
	}
	return runs, room
}

// firstBits keeps the n highest bits of m that are set.
func firstBits(m uint64, n int) uint64 {
	for extra := bits.OnesCount64(m) - n; extra > 0; extra-- {
		m &= m - 1
	}
	return m
}

// window is one chunk of blocks under the search.
type window struct {
	base uint64            // its first block, a multiple of chunk
	free [chunkWord]uint64 // blocks that are free and that the peer has
}

// load reads the chunk that holds block at, as far as it lies in [at, end). It
// reports whether anything in it is free.
func (t *Table) load(w *window, p *Peer, at, end uint64) bool {
	w.base = at - at%chunk
	t.scratchA = t.taken.Bytes(t.scratchA[:0], w.base, chunk)
	t.scratchB = p.remote.Bytes(t.scratchB[:0], w.base, chunk)
	a, b := (*[chunkLen]byte)(t.scratchA), (*[chunkLen]byte)(t.scratchB)
	any := uint64(0)
	for i := range w.free {
		m := binary.BigEndian.Uint64(b[8*i:]) &^ binary.BigEndian.Uint64(a[8*i:])
		w.free[i] = m
		any |= m
	}
	if any == 0 {
		return false
	}
	for i := range chunkWord {
		if lo := w.base + uint64(i)*64; lo < at || lo+64 > end {
			w.free[i] &= span(lo/64, at, end)
		}
	}
	return true
}

// words reads a chunk of a set of blocks.
func (t *Table) words(b *bitfield.Bits, base uint64, dst *[chunkWord]uint64) {
	t.scratchB = b.Bytes(t.scratchB[:0], base, chunk)
	for i := range dst {
		dst[i] = binary.BigEndian.Uint64(t.scratchB[8*i:])
	}
}
