package schedule

import (
	"math/bits"
	"time"
)

// Verdict says what an answer was to.
type Verdict int

// The verdicts.
const (
	Unasked Verdict = iota // nobody asked this peer for it
	Asked                  // it was in flight
	Late                   // it had been asked and was given to others meanwhile
)

// Arrived tells that the peer answered with block b, of size bytes. After Asked
// and Late the block is in the caller's hands: here soon, or released. It is in
// flight nowhere else any more; an answer from another peer will be Late.
func (p *Peer) Arrived(b uint64, size int, now time.Duration) Verdict {
	m := bit(b)
	f := p.flights.find(b/64, m)
	if f == nil {
		if f = p.lost.find(b/64, m); f == nil {
			return Unasked
		}
		f.mask &^= m
		p.nlost--
		p.lost.trim()
		p.answered(f.at, now)
		p.table.taken.Set(b, true)
		p.table.settle(p, b)
		return Late
	}
	f.mask &^= m
	p.inflight--
	if d := now - f.at; p.rtt == 0 || d < p.rtt {
		p.rtt = max(d, time.Microsecond)
	}
	p.answered(f.at, now)
	p.flights.trim()
	if p.table.isDup(b) {
		p.table.settle(p, b)
	}
	p.table.size.guess(float64(size))
	p.rate.add(size+overhead, now, f.at, p.inflight == 0)
	return Asked
}

// Pushed tells that the peer sent block b without having been asked by the table,
// before it had announced it. After it the peer has the block, and it is as after
// Arrived.
func (p *Peer) Pushed(b uint64) {
	p.table.taken.Set(b, true)
	p.table.settle(p, b)
}

// ArrivedRun is Arrived for n blocks from b on, of bytes altogether, that came as
// one answer. It returns how many of them were asked for (Asked or Late). The
// others are taken as well, as if they were: they cost nothing more.
func (p *Peer) ArrivedRun(b uint64, n, bytes int, now time.Duration) (asked int) {
	if n == 1 {
		if p.Arrived(b, bytes, now) != Unasked {
			return 1
		}
		return 0
	}
	t, end := p.table, b+uint64(n)
	size := bytes / n
	at, found := now, false
	for word := b / 64; word*64 < end; word++ {
		m := span(word, b, end)
		for m != 0 {
			f := p.flights.find(word, m)
			if f == nil {
				break
			}
			hit := f.mask & m
			f.mask &^= hit
			m &^= hit
			k := bits.OnesCount64(hit)
			asked += k
			p.inflight -= k
			if d := now - f.at; p.rtt == 0 || d < p.rtt {
				p.rtt = max(d, time.Microsecond)
			}
			at, found = min(at, f.at), true
			p.answered(f.at, now)
			if len(t.dups) > 0 {
				for ; hit != 0; hit &= hit - 1 {
					if x := word*64 + low(hit); t.isDup(x) {
						t.settle(p, x)
					}
				}
			}
		}
		for m != 0 {
			f := p.lost.find(word, m)
			if f == nil {
				break
			}
			hit := f.mask & m
			f.mask &^= hit
			m &^= hit
			k := bits.OnesCount64(hit)
			asked += k
			p.nlost -= k
			p.answered(f.at, now)
			for ; hit != 0; hit &= hit - 1 {
				t.settle(p, word*64+low(hit))
			}
		}
	}
	p.flights.trim()
	p.lost.trim()
	if asked > 0 {
		t.taken.SetRange(b, end, true)
	}
	if found {
		t.size.guess(float64(size))
		p.rate.add(bytes+n*overhead, now, at, p.inflight == 0)
	}
	return asked
}

// answered notes a sign of life.
func (p *Peer) answered(at, now time.Duration) {
	p.lastAnswer = now
	p.newest = max(p.newest, at)
	p.stalled, p.stalls = false, 0
	p.unrest()
}
