package schedule

import (
	"slices"
	"time"

	"github.com/go-hypercore/hypercore/feed/bitfield"
)

// Run is the blocks Start up to but not including End.
type Run struct{ Start, End uint64 }

// Len is the number of blocks.
func (r Run) Len() uint64 { return r.End - r.Start }

// Range is a part of the feed that is to be downloaded.
type Range struct {
	Start  uint64 // first block
	End    uint64 // block after the last; 0: open, whatever is announced
	Linear bool   // in order, else rarest first
}

// Demand is what the readers of the feed wait for.
type Demand struct {
	Urgent []uint64 // single blocks, most urgent first
	Ranges []Range  // in order of preference
}

const (
	// maxUrgent is how many urgent blocks one Plan looks at. Blocks behind them
	// wait until those are in flight.
	maxUrgent = 4096
	// maxDups bounds the blocks that are asked twice, all together.
	maxDups = 4096
)

// Table is what is known about one feed: demand, local blocks, peers. It is not
// safe for concurrent use. Make it with New.
type Table struct {
	demand Demand
	taken  bitfield.Bits // blocks that are not free: here, in flight or arrived
	peers  []*Peer
	turn   int    // the peer Plan begins with next
	rover  uint64 // where the search for the rarest blocks goes on
	seed   uint64 // state of random

	// dups holds the blocks in flight at two peers. Only these need a look at
	// other peers when they are given back or arrive.
	dups map[uint64]struct{}

	// version counts what may have made a block free or wanted. A peer that had
	// nothing to be asked for is not looked at again before it, or its own map,
	// changes.
	version uint64
	cut     bool // the last search was stopped by its bound

	size     average // bytes per block, over all peers
	scratchA []byte
	scratchB []byte
	win      window
	rare     *[lookahead]rarity
	parts    [ranks][]part // see share
}

// New returns an empty table. seed makes the order of equally rare blocks
// differ between members of a swarm.
func New(seed uint64) *Table {
	seed = mix(seed + golden) // seeds in a row do not give sequences that overlap
	return &Table{seed: seed, rover: mix(seed), version: 1, dups: map[uint64]struct{}{}}
}

// SetDemand replaces what is wanted. The table keeps the slices.
func (t *Table) SetDemand(d Demand) {
	t.demand = d
	t.version++
}

// Here tells that blocks are stored here: they are not asked for.
func (t *Table) Here(start, end uint64) { t.taken.SetRange(start, end, true) }

// Fill tells a new table which blocks are stored here. The table keeps the set.
func (t *Table) Fill(here *bitfield.Bits) {
	t.taken = *here
	t.version++
}

// Gone tells that blocks are no longer here. Those in flight stay so.
func (t *Table) Gone(start, end uint64) { t.free(start, end) }

// Release gives blocks that arrived but could not be stored back to be asked
// for again. Those of the range that are here all the same are told of by Here
// afterwards.
func (t *Table) Release(start, end uint64) { t.free(start, end) }

// free clears the taken bits of a range except where a block is in flight.
func (t *Table) free(start, end uint64) {
	t.version++
	t.taken.SetRange(start, end, false)
	for _, p := range t.peers {
		p.flights.each(func(f *flight) {
			lo, hi := f.word*64, f.word*64+64
			if hi <= start || lo >= end {
				return
			}
			for m := f.mask; m != 0; m &= m - 1 {
				if b := f.word*64 + low(m); b >= start && b < end {
					t.taken.Set(b, true)
				}
			}
		})
	}
}

// Peers returns the number of peers.
func (t *Table) Peers() int { return len(t.peers) }

// InFlight returns the number of blocks asked for and not answered; a block
// asked of two peers counts twice.
func (t *Table) InFlight() int {
	n := 0
	for _, p := range t.peers {
		n += p.inflight
	}
	return n
}

// BlockSize is the average size of the blocks that were verified lately, in bytes,
// 0 before the first.
func (t *Table) BlockSize() float64 {
	if t.size.guessed {
		return 0
	}
	return t.size.value
}

// SeedBlockSize sets the average before anything has arrived, for instance from
// the blocks that are already here.
func (t *Table) SeedBlockSize(bytes float64) {
	if t.size.value == 0 {
		t.size.value = bytes
	}
}

// Verified tells that n blocks that arrived, of bytes altogether, are what they
// should be. Only these count for the average: a peer can send anything of any size.
func (t *Table) Verified(n, bytes int) { t.size.add(float64(bytes)/float64(n), n) }

// AddPeer adds a peer that has announced nothing yet.
func (t *Table) AddPeer(l Limits) *Peer {
	p := &Peer{table: t, limits: l.withDefaults()}
	t.peers = append(t.peers, p)
	return p
}

// RemovePeer takes a peer out; what was in flight at it is free at once.
func (t *Table) RemovePeer(p *Peer) {
	i := slices.Index(t.peers, p)
	if i < 0 {
		return
	}
	t.peers = slices.Delete(t.peers, i, i+1)
	t.freeFlights(p)
	p.lost = ring{}
	p.table = nil
}

// freeFlights gives back all that is in flight at p.
func (t *Table) freeFlights(p *Peer) {
	p.flights.each(func(f *flight) {
		for m := f.mask; m != 0; m &= m - 1 {
			t.unask(f.word*64 + low(m))
		}
	})
	p.flights = ring{}
	p.inflight = 0
}

// unask notes that one peer less is asked for block b; if it was the only one
// the block is free.
func (t *Table) unask(b uint64) {
	if _, two := t.dups[b]; two {
		delete(t.dups, b)
		return
	}
	t.taken.Set(b, false)
	t.version++
}

// settle notes that block b arrived from p: the other peers it is in flight at
// are no longer waited for.
func (t *Table) settle(p *Peer, b uint64) {
	delete(t.dups, b)
	m := bit(b)
	for _, q := range t.peers {
		if q == p {
			continue
		}
		if f := q.flights.find(b/64, m); f != nil {
			f.mask &^= m
			q.inflight--
			q.lose(flight{word: f.word, mask: m, at: f.at})
			q.flights.trim()
		}
	}
}

// isDup reports whether block b is in flight at two peers.
func (t *Table) isDup(b uint64) bool {
	if len(t.dups) == 0 {
		return false
	}
	_, two := t.dups[b]
	return two
}

// Dups reports whether any block is in flight at two peers.
func (t *Table) Dups() bool { return len(t.dups) > 0 }

// Others returns the peers besides p at which block b is in flight, nil nearly
// always. The caller may cancel there, see Drop.
func (t *Table) Others(p *Peer, b uint64) []*Peer {
	if len(t.dups) == 0 {
		return nil
	}
	if _, two := t.dups[b]; !two {
		return nil
	}
	var out []*Peer
	for _, q := range t.peers {
		if q != p && q.flights.find(b/64, bit(b)) != nil {
			out = append(out, q)
		}
	}
	return out
}

// average is an exponentially weighted mean.
type average struct {
	value   float64
	guessed bool // it is no sample
}

// guess is a value until the first sample, for the windows.
func (a *average) guess(v float64) {
	if a.value == 0 {
		a.value, a.guessed = v, true
	}
}

// add weighs n samples of mean v.
func (a *average) add(v float64, n int) {
	if a.value == 0 || a.guessed {
		a.value, a.guessed = v, false
		return
	}
	w := min(float64(n)/64, 0.5) // the last hundred blocks or so decide
	a.value += (v - a.value) * w
}

// seconds is a duration as a float.
func seconds(d time.Duration) float64 { return float64(d) / float64(time.Second) }
