package protocol

import (
	"time"

	"github.com/go-hypercore/hypercore/protocol/wire"
)

// Requests that are not for blocks are questions: for the proof of a length, for
// what closes a link, for the block at a byte offset. Whoever announces much may be
// asked, and may refuse, say nothing, or answer what is of no use. So each question
// goes to one remote after the other until it needs no answer any more, and who did
// not help is asked less.

// special sends the requests that are not for blocks: lengths, links, seeks. mu
// held.
func (sw *swarm) special(length uint64, now time.Duration) {
	if sw.halted || now < sw.resume {
		return // the answers could not be stored
	}
	d := &sw.demand
	want := d.MinLen
	if sw.far {
		want = max(want, length+1)
	}
	if want > length && !sw.head {
		sw.askNext(special{index: length, beyond: true, at: now}, func(c *channel) (index uint64, rank int) {
			if c.length < want {
				return 0, -1
			}
			return c.first(length)
		})
	}
	for _, c := range sw.channels {
		sw.compare(c, length, now)
	}
	sw.inquiries(length)
	for _, b := range d.Links {
		// Of a remote that has the block, and as much of the feed as we have.
		sw.askNext(special{index: b, at: now}, func(c *channel) (index uint64, rank int) {
			if c.length <= b {
				return 0, -1
			}
			if c.peer.Has(b) {
				rank += 2
			}
			if c.length >= length {
				rank++
			}
			return b, rank
		})
	}
	for _, pos := range d.Seeks {
		if !sw.askNext(special{bytes: pos, at: now}, func(c *channel) (index uint64, rank int) { return c.first(0) }) {
			break
		}
	}
}

// inquiries asks on the channels on which nothing is downloaded. mu held.
func (sw *swarm) inquiries(length uint64) {
	for _, c := range sw.channels {
		sw.inquire(c, length)
	}
}

// first is the first block from start on that a remote has announced; the rank is
// negative if there is none. sw.mu held.
func (c *channel) first(start uint64) (index uint64, rank int) {
	i, ok := c.peer.HasBetween(start, ^uint64(0))
	if !ok {
		return 0, -1
	}
	return i, 0
}

// askNext puts a question to the next remote that may answer it. fit tells with which
// index, and how good it is for that; negative: not at all. Each is asked once in a
// while. When the answer has not helped after some round trips, or there is none,
// the next one is asked, and after a refusal at once: nothing is asked of native
// remotes while a link is open, and who waits for a length or an offset has nothing
// else. False: no remote takes more questions. mu held.
func (sw *swarm) askNext(q special, fit func(c *channel) (index uint64, rank int)) (room bool) {
	var best *channel
	index, most := uint64(0), -1
	for _, c := range sw.channels {
		if c.peer == nil || !c.begun {
			continue
		}
		full := len(c.specials) >= maxSpecial
		room = room || !full
		if s := c.asked(&q); s != nil {
			if !s.refused && q.at-s.at < min(linkPatience+2*c.peer.RTT(), specialPause/2) {
				return true
			}
			if !s.refused && !s.late {
				s.late = true
				c.disappoint()
			}
			continue
		}
		if full {
			continue
		}
		if i, rank := fit(c); rank > most || rank >= 0 && rank == most && c.turn < best.turn {
			best, index, most = c, i, rank
		}
	}
	if best != nil {
		q.index = index
		sw.addSpecial(best, q)
	}
	return room
}

// asked returns the same question to the remote if it is not forgotten. sw.mu held.
func (c *channel) asked(q *special) *special {
	for i := range c.specials {
		s := &c.specials[i]
		if s.bytes == q.bytes && (q.bytes > 0 || s.index == q.index || q.beyond && s.beyond && s.index > q.index) {
			return s
		}
	}
	return nil
}

// addSpecial sends one on a channel. mu held.
func (sw *swarm) addSpecial(c *channel, sp special) bool {
	if len(c.specials) >= maxSpecial {
		return false
	}
	if c.asked(&sp) != nil {
		return true // under way
	}
	sw.turns++
	c.turn = sw.turns
	c.specials = append(c.specials, sp)
	sw.asks = append(sw.asks, ask{c: c, hash: true, index: sp.index, pos: sp.bytes})
	return true
}

// disappoint notes that a remote did not help: others that can be asked come before
// it, of those that did not help either all. It may have had honest reasons, and if
// it helps the next time it is as any other. sw.mu held.
func (c *channel) disappoint() { c.turn = c.sw.turns + specialRest }

// refuseSpecial marks the hash or seek request that was refused; false if there is
// none. sw.mu held.
func (c *channel) refuseSpecial(m *wire.NoData) bool {
	for i := range c.specials {
		s := &c.specials[i]
		if !s.answered && s.bytes == m.Bytes && (s.bytes > 0 || s.index == m.Index) {
			s.answered, s.refused = true, true
			c.disappoint()
			return true
		}
	}
	return false
}
