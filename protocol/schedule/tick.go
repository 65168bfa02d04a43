package schedule

import (
	"math/bits"
	"time"
)

const (
	// TickInterval is how often Tick should be called while something is in
	// flight: late blocks are found this late at most.
	TickInterval = 50 * time.Millisecond
	// lookUrgent is how many of the most urgent blocks, and of the first missing
	// ones of each linear range, are watched for being late.
	lookUrgent = 64
	// lateAfter is the least time beyond the expected answer after which a block
	// is asked of a second peer.
	lateAfter = 50 * time.Millisecond
	// endGame is how many blocks in flight elsewhere an idle peer is asked for at
	// a time.
	endGame = 8
	// slowAnswer is how much longer than elsewhere a block must take at a peer that
	// takes no request back for it to be asked twice, before it is late.
	slowAnswer = time.Second
	// lookBehind is how often it is looked what waits behind a large answer.
	lookBehind = time.Second
)

// Actions is what Tick wants done. The runs are the table's to reuse.
type Actions struct {
	Ask    func(p *Peer, runs []Run)
	Cancel func(p *Peer, runs []Run) // take requests back; needed if any peer has Limits.Cancels
	Silent func(p *Peer)             // p became silent, see Peer.Stalls; may be nil
}

// Tick does what time brings: requests that nobody will answer any more become
// free, late urgent blocks and the last blocks are asked twice. The caller
// calls Plan afterwards.
func (t *Table) Tick(now time.Duration, do Actions) {
	t.wake(now)
	for _, p := range t.peers {
		if t.expire(p, now) && do.Silent != nil {
			do.Silent(p)
		}
	}
	if len(t.peers) < 2 || len(t.dups) >= maxDups {
		return
	}
	for i, b := range t.demand.Urgent {
		if i == lookUrgent {
			break
		}
		t.second(b, now, do)
	}
	for _, r := range t.demand.Ranges {
		if r.Linear {
			t.linearHead(r, now, do)
		}
	}
	for _, p := range t.peers {
		if !p.stalled && p.room() > 0 {
			t.relieve(p, now, do)
		}
	}
}

// expire gives back what p will not answer. It reports whether p has become
// silent just now.
func (t *Table) expire(p *Peer, now time.Duration) (silent bool) {
	f := p.flights.oldest()
	if f == nil || now-f.at < p.limits.Timeout {
		return false
	}
	if now-max(f.at, p.lastAnswer) >= p.limits.Timeout {
		if now-p.lastPart < p.limits.Timeout {
			t.expireBehind(p, f, now)
			return false
		}
		// Nothing at all for that long.
		p.flights.each(func(f *flight) { t.expireFlight(p, f, false) })
		p.flights.trim()
		silent = !p.stalled || p.stalls < 1<<20
		p.stalled = true
		p.stalls++
		return silent
	}
	for i := range p.flights.n {
		f := p.flights.at(i)
		if now-f.at < p.limits.Timeout {
			break
		}
		if f.mask != 0 && f.at < p.newest {
			t.expireFlight(p, f, true)
		}
	}
	p.flights.trim()
	return false
}

// expireBehind gives back what waits behind an answer of which only a part has come,
// where others have it. Until p has answered it is asked for nothing more: it would be
// the first to be asked for the same again.
func (t *Table) expireBehind(p *Peer, oldest *flight, now time.Duration) {
	if len(t.peers) < 2 || now-p.looked < lookBehind {
		return
	}
	p.looked = now
	p.flights.each(func(f *flight) {
		if f == oldest || now-f.at < p.limits.Timeout {
			return
		}
		lost := uint64(0)
		for m := f.mask; m != 0; m &= m - 1 {
			if b := f.word*64 + low(m); t.elsewhere(p, b) {
				lost |= bit(b)
			}
		}
		if lost != 0 {
			p.lose(flight{word: f.word, mask: lost, at: f.at})
			p.giveUp(f, lost)
			p.stalled = true
		}
	})
	p.flights.trim()
}

// elsewhere tells whether somebody else has block b, and answers.
func (t *Table) elsewhere(p *Peer, b uint64) bool {
	for _, q := range t.peers {
		if q != p && !q.stalled && q.remote.Get(b) {
			return true
		}
	}
	return false
}

// expireFlight gives one flight to others. gone: the peer answers other
// requests, so it does not have these blocks.
func (t *Table) expireFlight(p *Peer, f *flight, gone bool) {
	m := f.mask
	f.mask = 0
	p.inflight -= bits.OnesCount64(m)
	p.lose(flight{word: f.word, mask: m, at: f.at})
	for ; m != 0; m &= m - 1 {
		b := f.word*64 + low(m)
		t.unask(b)
		if gone {
			p.remote.Set(b, false)
		}
	}
}

// linearHead watches the first blocks of a linear range.
func (t *Table) linearHead(r Range, now time.Duration, do Actions) {
	// The blocks in flight are taken like those that are here: look for them
	// among the oldest flights instead.
	n := 0
	for _, p := range t.peers {
		for i := 0; i < p.flights.n && n < lookUrgent; i++ {
			f := p.flights.at(i)
			if now < f.due+lateAfter {
				break
			}
			for m := f.mask; m != 0 && n < lookUrgent; n++ {
				s := uint64(bits.LeadingZeros64(m))
				m &^= 1 << (63 - s)
				if b := f.word*64 + s; b >= r.Start && (r.End == 0 || b < r.End) {
					t.second(b, now, do)
				}
			}
		}
	}
}

// second asks another peer for block b if it is in flight at one only and late
// there, and the other one is expected to answer soon.
func (t *Table) second(b uint64, now time.Duration, do Actions) {
	if !t.taken.Get(b) {
		return
	}
	if _, two := t.dups[b]; two || len(t.dups) >= maxDups {
		return
	}
	for _, p := range t.peers {
		f := p.flights.find(b/64, bit(b))
		if f == nil {
			continue
		}
		late := max(lateAfter, (f.due-f.at)/2)
		if now < f.due+late {
			return
		}
		if q := t.fastest(b, p); q != nil {
			t.duplicate(q, b, now, do)
		}
		return
	}
}

// duplicate puts a block in flight a second time.
func (t *Table) duplicate(q *Peer, b uint64, now time.Duration, do Actions) {
	t.dups[b] = struct{}{}
	q.ask(b/64, bit(b), now)
	do.Ask(q, []Run{{b, b + 1}})
}

// relieve gives a peer with nothing to do what is in flight elsewhere and would
// take much longer there. Where requests can be taken back they are moved, else
// late ones are asked twice, and those that would take seconds longer: a peer
// that answers one block a second would hold up the end for a minute.
func (t *Table) relieve(p *Peer, now time.Duration, do Actions) {
	if t.hasFree(p) {
		return
	}
	n := min(endGame, p.room())
	for _, q := range t.peers {
		if q == p || q.inflight == 0 {
			continue
		}
		// The newest requests are the ones q will answer last.
		for i := q.flights.n - 1; i >= 0 && n > 0; i-- {
			f := q.flights.at(i)
			if f.mask == 0 {
				continue
			}
			left := f.due - now
			move := q.limits.Cancels && left > p.expect(p.inflight+1)+20*time.Millisecond
			slow := left > 2*p.expect(p.inflight+1)+slowAnswer
			if !move && !slow && now < f.due+max(lateAfter, (f.due-f.at)/2) {
				continue
			}
			for m := f.mask; m != 0 && n > 0; m &= m - 1 {
				b := f.word*64 + low(m)
				if _, two := t.dups[b]; two || !p.remote.Get(b) || len(t.dups) >= maxDups {
					continue
				}
				n--
				if !move {
					t.duplicate(p, b, now, do)
					continue
				}
				do.Cancel(q, []Run{{b, b + 1}})
				q.Drop(b)
				t.taken.Set(b, true)
				p.ask(b/64, bit(b), now)
				do.Ask(p, []Run{{b, b + 1}})
			}
		}
	}
}

// hasFree reports whether p has a block that is wanted and free, as far as one
// step of the search tells.
func (t *Table) hasFree(p *Peer) bool {
	announced := p.remote.Len()
	for _, r := range t.demand.Ranges {
		end := r.End
		if end == 0 || end > announced {
			end = announced
		}
		if r.Start >= end {
			continue
		}
		if at, ok := t.candidate(p, r.Start, end); ok && p.remote.Get(at) {
			return true
		}
	}
	return false
}
