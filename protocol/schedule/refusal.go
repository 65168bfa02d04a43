package schedule

import (
	"math/bits"
	"time"
)

// Refusal is why a peer will not send what it was asked for.
type Refusal int

// The reasons.
const (
	NotHere   Refusal = iota // it does not have the blocks
	NotNow                   // it has them and may be asked again
	TakenBack                // the requests for them were taken back, see Drop
)

const (
	// firstRest is how long a peer is asked for nothing after it has refused for
	// now, doubling up to maxRest while it answers nothing.
	firstRest = 100 * time.Millisecond
	maxRest   = 5 * time.Second
)

// Refused tells that the peer answered a request with a refusal: those blocks
// will not come. After NotNow it still has them. TakenBack counts for what was
// given to others; what nobody took back the peer does not have.
func (p *Peer) Refused(start, end uint64, why Refusal, now time.Duration) {
	back := p.unlose(start, end, why)
	asked, n := time.Duration(0), 0
	p.flights.within(start, end, func(f *flight, m uint64) {
		if m &^= back[f.word]; m == 0 {
			return
		}
		asked = max(asked, f.at)
		n += p.giveUp(f, m)
		for ; why == TakenBack && m != 0; m &= m - 1 {
			p.remote.Set(f.word*64+low(m), false)
		}
	})
	p.flights.trim()
	switch {
	case why == NotHere:
		p.remote.SetRange(start, end, false)
	case why == NotNow && n > 0:
		p.rest(asked, now)
	}
}

// unlose forgets requests of a range that were given to others. With TakenBack it
// is one for each block, and they are returned by word.
func (p *Peer) unlose(start, end uint64, why Refusal) (back map[uint64]uint64) {
	p.lost.within(start, end, func(f *flight, m uint64) {
		if m &^= back[f.word]; m == 0 {
			return
		}
		f.mask &^= m
		p.nlost -= bits.OnesCount64(m)
		if why == TakenBack {
			if back == nil {
				back = map[uint64]uint64{}
			}
			back[f.word] |= m
		}
	})
	p.lost.trim()
	return back
}

// rest begins a pause after a refusal of what was asked last at the time asked.
// Refusals of what was asked before a pause are part of the one that began it. One
// at the longest pause counts as a silence of Limits.Timeout.
func (p *Peer) rest(asked, now time.Duration) {
	if p.refusals > 0 && asked <= p.rested {
		return
	}
	d := min(firstRest<<min(p.refusals, 16), maxRest)
	if d == maxRest {
		p.stalls++
	}
	p.refusals++
	p.rested, p.until, p.resting = now, now+d, true
}

// unrest notes that the peer answers after all: the first pause is enough.
func (p *Peer) unrest() {
	p.refusals = 0
	p.until = min(p.until, p.rested+firstRest)
}

// wake ends the pauses that are over.
func (t *Table) wake(now time.Duration) {
	for _, p := range t.peers {
		p.resting = now < p.until
	}
}

// Resting reports whether a peer is not asked for anything because it has refused:
// then Plan should be called again soon, even if nothing is in flight.
func (t *Table) Resting() bool {
	for _, p := range t.peers {
		if p.resting {
			return true
		}
	}
	return false
}
