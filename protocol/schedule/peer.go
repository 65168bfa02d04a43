package schedule

import (
	"math/bits"
	"time"

	"github.com/go-hypercore/hypercore/feed/bitfield"
)

// Limits bounds what is asked of a peer. Zero fields mean the default.
type Limits struct {
	Blocks  int           // blocks in flight, at most; default 16384
	Bytes   int           // bytes in flight, at most, by the average block size; default 64 MiB
	Timeout time.Duration // silence after which a request goes to another peer; default 7.5 s
	Cancels bool          // requests to this peer can be taken back
	Single  int           // if not 0: only urgent blocks, this many at a time, and no ranges
}

func (l Limits) withDefaults() Limits {
	if l.Blocks <= 0 {
		l.Blocks = 16384
	}
	if l.Bytes <= 0 {
		l.Bytes = 64 << 20
	}
	if l.Timeout <= 0 {
		l.Timeout = 7500 * time.Millisecond
	}
	return l
}

const (
	// firstWindow is the window before the rate is known: hypercore 6's own 16.
	firstWindow = 16
	// urgentExtra is how many urgent blocks may be asked above the window.
	urgentExtra = 16
	// maxLost bounds the requests that are remembered after they were given to
	// others, so that a late answer is told from one nobody asked for, and
	// maxLostFlights the flights they are in: twice what may be in flight.
	maxLost        = 65536
	maxLostFlights = 2 * 16384
	// slack is the time beyond one round trip that the window covers.
	slack = 25 * time.Millisecond
	// unknownRTT is expected of a peer that has answered nothing yet.
	unknownRTT = 100 * time.Millisecond
	// overhead is what a block costs on the wire besides its bytes.
	overhead = 64
)

// Peer is one source of blocks. Its methods are those of its Table: not safe
// for concurrent use.
type Peer struct {
	Tag any // the caller's

	table  *Table // nil after RemovePeer
	limits Limits
	remote bitfield.Bits // blocks it has announced
	paused bool
	// self and name are this node and the peer to Identify, 0 if unknown.
	self, name uint64

	dry uint64 // version of the table at which it had nothing to be asked for

	flights  ring // asked and not answered, given to nobody else
	lost     ring // asked, not answered, given to others
	nlost    int  // blocks in lost
	inflight int  // blocks in flights

	rtt        time.Duration // lowest answer time, 0 before the first
	rate       rate
	lastAnswer time.Duration // when anything asked last arrived
	lastPart   time.Duration // when a part of something large did
	looked     time.Duration // when expireBehind last was at it
	newest     time.Duration // the latest time of asking among what was answered
	stalled    bool
	stalls     int // stalls in a row without an answer between them

	refusals int           // pauses in a row without an answer between them, see rest
	rested   time.Duration // when the last one began
	until    time.Duration // when it ends
	resting  bool          // it has not ended yet
}

// Identify names this node and the peer: numbers that stand for them in the
// tables of all members of a swarm, and that nobody else has. Peers without a
// name take no part in the sharing of rare blocks.
func (p *Peer) Identify(self, peer uint64) { p.self, p.name = self, peer }

// Pause keeps a peer from being asked for anything until it is called with
// false. What is in flight stays so.
func (p *Peer) Pause(v bool) { p.paused = v }

// Have tells that the peer announced blocks. The caller bounds the range.
func (p *Peer) Have(start, end uint64) {
	p.remote.SetRange(start, end, true)
	p.dry = 0
}

// HaveBits replaces what the peer announced for len(b)*8 blocks from start, a
// multiple of 8.
func (p *Peer) HaveBits(start uint64, b []byte) {
	p.remote.SetBytes(start, b)
	p.dry = 0
}

// Has reports whether the peer announced block i.
func (p *Peer) Has(i uint64) bool { return p.remote.Get(i) }

// HasBetween reports whether the peer announced a block in [start, end), and
// the first of them.
func (p *Peer) HasBetween(start, end uint64) (uint64, bool) {
	i, ok := p.remote.NextSet(start)
	return i, ok && i < end
}

// Announced is the index after the highest block announced and not taken back.
func (p *Peer) Announced() uint64 { return p.remote.Len() }

// Count is the number of announced blocks in [start, end).
func (p *Peer) Count(start, end uint64) uint64 { return p.remote.Count(start, end) }

// Unhave tells that the peer no longer has blocks. What was in flight among them
// is free; an answer that is under way still counts as asked for. n is the number
// of such blocks.
func (p *Peer) Unhave(start, end uint64) (n int) {
	p.remote.SetRange(start, end, false)
	return p.giveBack(start, end)
}

// Forget drops what the peer announced in a range without giving up what is in
// flight. It bounds the memory of the map.
func (p *Peer) Forget(start, end uint64) { p.remote.SetRange(start, end, false) }

// Drop gives back one block in flight, because the request was cancelled. An
// answer that is under way still counts as asked for.
func (p *Peer) Drop(b uint64) { p.giveBack(b, b+1) }

// Awaits reports whether block b is in flight at the peer.
func (p *Peer) Awaits(b uint64) bool { return p.flights.find(b/64, bit(b)) != nil }

// giveBack frees the blocks of a range that are in flight, and keeps them known
// as asked for.
func (p *Peer) giveBack(start, end uint64) (n int) {
	p.flights.within(start, end, func(f *flight, m uint64) {
		p.lose(flight{word: f.word, mask: m, at: f.at})
		n += p.giveUp(f, m)
	})
	p.flights.trim()
	return n
}

// giveUp frees n blocks of a flight.
func (p *Peer) giveUp(f *flight, m uint64) (n int) {
	n = bits.OnesCount64(m)
	f.mask &^= m
	p.inflight -= n
	for ; m != 0; m &= m - 1 {
		p.table.unask(f.word*64 + low(m))
	}
	return n
}

// lose remembers requests that were given to others.
func (p *Peer) lose(f flight) {
	p.lost.push(f)
	p.nlost += bits.OnesCount64(f.mask)
	for p.nlost > maxLost || p.lost.n > maxLostFlights {
		p.nlost -= bits.OnesCount64(p.lost.at(0).mask)
		p.lost.pop()
	}
}

// span is the mask of the blocks of a word that lie in [start, end).
func span(word, start, end uint64) uint64 {
	lo := word * 64
	m := ^uint64(0)
	if start > lo {
		if start >= lo+64 {
			return 0
		}
		m >>= start - lo
	}
	if end < lo+64 {
		if end <= lo {
			return 0
		}
		m &^= ^uint64(0) >> (end - lo)
	}
	return m
}

// ask notes that blocks of one word are in flight at p from now on.
func (p *Peer) ask(word, mask uint64, now time.Duration) {
	k := bits.OnesCount64(mask)
	p.inflight += k
	p.flights.push(flight{word: word, mask: mask, at: now, due: now + p.expect(p.inflight)})
}

// expect is how long a request is expected to take with n blocks in flight, it
// included.
func (p *Peer) expect(n int) time.Duration {
	rtt := p.rtt
	if rtt == 0 {
		rtt = unknownRTT
	}
	if r := p.rate.value(); r > 0 {
		rtt += time.Duration(float64(n) * (p.table.size.value + overhead) / r * float64(time.Second))
	}
	return rtt
}

// window is how many blocks may be in flight.
func (p *Peer) window() int {
	if p.stalled {
		return 1
	}
	r := p.rate.value()
	if r == 0 {
		return min(firstWindow, p.limits.Blocks)
	}
	size := p.table.size.value + overhead
	w := p.rate.gain() * r * seconds(p.rtt+slack) / size
	w = max(w, min(128<<10/size, 64), 2) // never a trickle
	return int(min(w, float64(p.limits.Blocks), max(2, float64(p.limits.Bytes)/size)))
}

// room is how many blocks may be asked now. It waits until a quarter of the
// window is free, so that requests go out in batches.
func (p *Peer) room() int {
	if p.paused || p.resting || p.limits.Single > 0 {
		return 0
	}
	w := p.window()
	if p.inflight > 0 && w-p.inflight < (w+3)/4 {
		return 0
	}
	return max(0, w-p.inflight)
}

// urgentRoom is how many urgent blocks may be asked now.
func (p *Peer) urgentRoom() int {
	if p.paused || p.resting {
		return 0
	}
	if p.stalled {
		return max(0, 1-p.inflight)
	}
	if p.limits.Single > 0 {
		return max(0, p.limits.Single-p.inflight)
	}
	return max(0, min(p.window()+urgentExtra, p.limits.Blocks)-p.inflight)
}

// Progress tells that a part of a large answer has come: the peer is not silent. It is
// waited for its oldest request, and for others as far as nobody else has the blocks.
func (p *Peer) Progress(now time.Duration) { p.lastPart = now }

// InFlight is the number of blocks in flight at the peer.
func (p *Peer) InFlight() int { return p.inflight }

// Window is how many blocks may be in flight now.
func (p *Peer) Window() int { return p.window() }

// Rate is how fast the peer answers, in bytes per second, 0 if unknown.
func (p *Peer) Rate() float64 { return p.rate.value() }

// RTT is the lowest answer time seen, 0 before the first answer.
func (p *Peer) RTT() time.Duration { return p.rtt }

// Stalls is how often in a row the peer was silent for Limits.Timeout, or refused
// for now although it had been left alone for long.
func (p *Peer) Stalls() int { return p.stalls }

// Stalled reports whether the peer is only probed.
func (p *Peer) Stalled() bool { return p.stalled }

// SetRTT gives a first estimate from outside, such as the time the opening took.
func (p *Peer) SetRTT(d time.Duration) {
	if p.rtt == 0 {
		p.rtt = d
	}
}
