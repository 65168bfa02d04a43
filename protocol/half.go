package protocol

import (
	"bytes"
	"slices"
	"sync/atomic"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/protocol/wire"
)

// A channel has two halves, one for each side: a half begins with its side's Feed
// and ends with its side's Info that it neither uploads nor downloads, whether the
// other side has ever answered or not (Native). When one half of an open channel has
// ended, so does the other.
// What a half's side sends arrives in order, so its number is free at once for another
// feed, as soon as all that was sent on it before is on its way.
//
// A feed may be closed and opened anew while messages are under way, and an answer to
// what was closed must not be taken for one to what was opened since. So a Feed tells
// which Feed it answers, by its nonce. One that answers a half that has ended is passed
// over: its side ends it when it learns of that. When two sides offer a feed at the
// same time, that of the side with the greater ID stands, and the other one ends its
// own and answers.
//
// Each side has as many numbers as there are channels, for what it has offered or
// answered.

// binding is what a number of the remote's is used for.
type binding struct {
	c atomic.Pointer[channel] // nil: for nothing, any more; changed with Stream.mu
}

// spare is a number that may be used again.
type spare struct {
	n     uint64
	after uint64 // when so many pieces were written
}

// numbered returns the binding of a number of the remote's. A second Feed on it closes
// the first. Reading goroutine.
func (s *Stream) numbered(n uint64) *binding {
	for uint64(len(s.byNumber)) <= n {
		s.byNumber = append(s.byNumber, nil)
	}
	if s.byNumber[n] == nil {
		s.byNumber[n] = &binding{}
	}
	if c := s.byNumber[n].c.Load(); c != nil {
		s.closeChannel(c, true)
	}
	return s.byNumber[n]
}

// meeting is what becomes of a Feed that has come.
type meeting int

const (
	meetNew   meeting = iota // it opens a channel, or answers our Feed
	meetStale                // it comes to nothing; the remote will find out
	meetAnew                 // the channel there was is closed first
)

// meet tells what becomes of a Feed for a channel, which may be nil. mu held.
func (s *Stream) meet(c *channel, m *wire.Feed, sw *swarm) meeting {
	native := s.o.Dialect == Native
	offered := c != nil && c.offered
	switch {
	case native && len(m.Answers) > 0 && !(offered && bytes.Equal(m.Answers, c.ours)):
		return meetStale
	case c == nil:
		return meetNew
	case c.bound:
		return meetAnew
	case native && offered && len(m.Answers) == 0 && sw != nil && s.proves(sw, m.Nonce, m.Capability):
		if s.leads {
			return meetStale
		}
		return meetAnew
	}
	return meetNew
}

// bind binds a number of the remote's to the feed of a Feed. No channel: it came to
// nothing. Reading goroutine.
func (s *Stream) bind(at *binding, m *wire.Feed, sw *swarm) (*channel, error) {
	dk, own := feed.DiscoveryKey(m.DiscoveryKey), false
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.channels[dk]
	for is := s.meet(c, m, sw); is != meetNew; is = s.meet(c, m, sw) {
		if is == meetStale || s.ended {
			return nil, nil
		}
		own = own || c.own
		s.mu.Unlock()
		s.closeChannel(c, true)
		s.mu.Lock()
		c = s.channels[dk]
	}
	if s.ended {
		return nil, nil
	}
	if c == nil && uint64(len(s.channels)) >= s.limit && s.o.Dialect == V6 {
		return nil, s.blame("open", wire.ErrChannel)
	}
	c = s.channelFor(dk)
	c.own = c.own || own
	c.bound, c.at = true, at
	c.nonce, c.proof = slices.Clone(m.Nonce), slices.Clone(m.Capability)
	at.c.Store(c)
	return c, nil
}

// proves tells whether a Feed proves that the remote knows the public key.
func (s *Stream) proves(sw *swarm, nonce, proof []byte) bool {
	return s.o.Dialect == Native && nonce != nil && capable(proof, capability(sw.key, s.o.RemoteID, s.o.LocalID, nonce))
}

// closeChannel closes a channel. tell says so to a native remote; hypercore 6
// has no message for it.
func (s *Stream) closeChannel(c *channel, tell bool) {
	s.mu.Lock()
	if c.gone {
		s.mu.Unlock()
		return
	}
	s.shut(c, tell)
	entering := c.entering != nil
	s.mu.Unlock()
	c.leave()
	if !entering { // else entered does it
		s.release(c)
	}
}

// shut ends our half of a channel, and forgets that of the remote. mu held.
func (s *Stream) shut(c *channel, tell bool) {
	c.gone = true
	c.dropEarly()
	s.mem.give(channelCost)
	if s.channels[c.dk] == c {
		delete(s.channels, c.dk)
	}
	c.unbind()
	if s.o.Dialect != Native {
		return
	}
	s.out.mu.Lock()
	c.over = true
	if tell && c.offered && !s.out.closed {
		s.out.put(func(b []byte) []byte { return wire.AppendInfo(b, c.local, wire.Info{}) })
	}
	s.out.mu.Unlock()
}

// unbind forgets the remote's half. mu held.
func (c *channel) unbind() {
	if c.at != nil {
		c.at.c.CompareAndSwap(c, nil)
	}
	c.at, c.nonce, c.proof, c.bound, c.verified = nil, nil, nil, false, false
}

// release gives the number of a channel that was closed back, and has the server
// forget the channel.
func (s *Stream) release(c *channel) {
	s.mu.Lock()
	joined := c.joined
	s.mu.Unlock()
	if joined {
		s.jobs.answer(job{c: c, kind: jobOver}) // once for each channel
		return
	}
	s.retire(c)
}

// retire makes the number of a channel free, of which nothing more is served.
func (s *Stream) retire(c *channel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !c.offered || s.o.Dialect != Native {
		return
	}
	c.offered = false
	s.out.mu.Lock()
	after := s.out.handed
	s.out.mu.Unlock()
	s.spare = append(s.spare, spare{c.local, after})
}

// numbers tells whether there is a number for one more channel of ours. mu held.
func (s *Stream) numbers() bool { return s.next < s.limit || s.spareReady() }

// spareReady tells whether the first number that was used before may be used again.
// mu held.
func (s *Stream) spareReady() bool {
	if len(s.spare) == 0 {
		return false
	}
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	return s.out.gone >= s.spare[0].after
}

// number takes one, of those that were used first: the remote has room for them. mu held.
func (s *Stream) number() (n uint64, ok bool) {
	switch {
	case s.spareReady():
		n = s.spare[0].n
		s.spare = s.spare[1:]
	case s.next < s.limit:
		n = s.next
		s.next++
	default:
		return 0, false
	}
	return n, true
}

// feedStarved answers what could not be answered for want of a number.
func (s *Stream) feedStarved() {
	var cs []*channel
	s.mu.Lock()
	if s.starved && s.numbers() {
		s.starved = false
		for _, c := range s.channels {
			if c.bound && !c.offered {
				cs = append(cs, c)
			}
		}
	}
	s.mu.Unlock()
	for _, c := range cs {
		if sw := s.e.swarm(c.dk); sw != nil {
			s.answer(c, sw)
		}
	}
}

// remoteOver is told that the remote's half of a channel has ended. What this side has
// offered on its own account is offered again: the remote may want it another time.
func (s *Stream) remoteOver(c *channel) {
	s.mu.Lock()
	if c.gone {
		s.mu.Unlock()
		return
	}
	if !c.joined && c.offered {
		c.unbind() // it was not open; our offer stands
		s.mu.Unlock()
		return
	}
	sw, again := c.sw, c.joined && c.own && s.o.Dialect == Native
	s.mu.Unlock()
	s.closeChannel(c, true)
	if again {
		_ = s.offer(sw) // not if the feed is removed just now
	}
}

// takeBack ends the offer of a feed that was removed, if it was not answered. What is
// open is closed by the swarm.
func (s *Stream) takeBack(sw *swarm) {
	s.mu.Lock()
	if s.e.swarm(sw.dk) == nil {
		delete(s.peers, sw.dk)
	}
	c := s.channels[sw.dk]
	if c == nil || c.sw != sw || c.joined {
		s.mu.Unlock()
		return
	}
	native := c.offered && s.o.Dialect == Native
	if !native {
		c.sw = nil // in V6 the offer cannot be taken back; the feed may be added again
	}
	s.mu.Unlock()
	if native {
		s.closeChannel(c, true)
	}
}

// dropRemoved is takeBack for what was removed before the stream ran.
func (s *Stream) dropRemoved() {
	var gone []*swarm
	s.mu.Lock()
	for dk, c := range s.channels {
		if c.sw != nil && s.e.swarm(dk) != c.sw {
			gone = append(gone, c.sw)
		}
	}
	s.mu.Unlock()
	for _, sw := range gone {
		s.takeBack(sw)
	}
}
