package protocol

import (
	"crypto/rand"
	"fmt"
	"slices"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/protocol/wire"
)

// channelFor returns the channel of a feed, making it. mu held.
func (s *Stream) channelFor(dk feed.DiscoveryKey) *channel {
	c := s.channels[dk]
	if c == nil {
		c = newChannel(s, dk)
		s.channels[dk] = c
		if err := s.mem.take(channelCost); err != nil {
			s.out.starve(err)
		}
	}
	return c
}

// offer sends our Feed for an added feed, once.
func (s *Stream) offer(sw *swarm) error {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return ErrClosed
	}
	if s.e.swarm(sw.dk) != sw {
		s.mu.Unlock()
		return ErrNotAdded
	}
	if !s.admits(sw.dk) {
		s.mu.Unlock()
		return ErrNotKin
	}
	c := s.channels[sw.dk]
	if c != nil && (c.joined || c.offered && c.sw == sw) {
		c.own = true
		s.mu.Unlock()
		return nil
	}
	if c == nil && s.o.Dialect == V6 && uint64(len(s.channels)) >= s.limit || !s.numbers() {
		s.mu.Unlock()
		return ErrTooManyFeeds
	}
	c = s.channelFor(sw.dk)
	c.sw, c.own = sw, true
	if s.o.Dialect == V6 && s.begun && !s.firstOut && sw.dk != s.firstKey {
		s.mu.Unlock() // the answer to the remote's first Feed has to go first, see onHandshake
		return nil
	}
	c.verified = c.verified || c.bound && s.proves(sw, c.nonce, c.proof)
	s.sendFeed(c)
	joined := s.join(c)
	s.mu.Unlock()
	s.afterJoin(c, joined)
	return nil
}

// sendFeed sends our Feed, and in V6 our Handshake after the first. mu held.
func (s *Stream) sendFeed(c *channel) {
	if c.offered {
		return
	}
	n, ok := s.number()
	if !ok {
		s.starved = true
		return
	}
	c.local, c.offered = n, true
	m := wire.Feed{DiscoveryKey: c.dk}
	first := !s.firstOut
	if first {
		s.firstOut = true
		s.beginWith(c.dk)
	}
	if s.o.Dialect == Native {
		m.Nonce = s.nonce()
		c.ours = m.Nonce
		if c.verified {
			m.Answers = c.nonce
		}
		proof := capability(c.sw.key, s.o.LocalID, s.o.RemoteID, m.Nonce)
		m.Capability = proof[:]
	} else if first && !s.o.Plain {
		m.Nonce = s.nonce()
		s.firstNonce.Store(&m.Nonce)
	}
	frame := wire.AppendFeed(nil, c.local, m)
	s.out.mu.Lock()
	if !s.out.closed {
		if first && s.o.Dialect == V6 && !s.o.Plain {
			s.out.cipher = wire.NewCipher((*[32]byte)(&c.sw.key), (*[wire.NonceLen]byte)(m.Nonce))
			s.out.clear = len(frame)
		}
		s.out.put(func(b []byte) []byte { return append(b, frame...) })
	}
	s.out.mu.Unlock()
	if s.o.Dialect == V6 {
		s.sendHello(c)
	}
}

// sendHello sends our Handshake, once. mu held.
func (s *Stream) sendHello(c *channel) {
	if s.sentHello {
		return
	}
	s.sentHello = true
	s.registered = s.e.registered.Load()
	s.names = s.e.extensionNames()
	m := s.handshake()
	s.out.add(func(b []byte) []byte { return wire.AppendHandshake(b, c.local, m) })
}

// handshake is what our Handshake says. mu held.
func (s *Stream) handshake() wire.Handshake {
	m := wire.Handshake{ID: s.o.LocalID, Live: !s.o.Ends, UserData: s.o.UserData, Extensions: s.names}
	if len(m.ID) == 0 || len(m.ID) > wire.MaxID || s.o.Dialect == Native {
		m.ID = make([]byte, 32)
		rand.Read(m.ID)
		if s.o.Dialect == Native {
			m.ID = nil // the transport knows it
		}
	}
	if len(m.UserData) > wire.MaxUserData {
		m.UserData = m.UserData[:wire.MaxUserData]
	}
	return m
}

// onFeed binds the remote's channel n to a feed. Reading goroutine.
func (s *Stream) onFeed(n uint64, body []byte) error {
	var m wire.Feed
	if err := wire.ParseFeed(body, &m); err != nil {
		return s.blame("open", err)
	}
	dk := feed.DiscoveryKey(m.DiscoveryKey)
	s.mu.Lock()
	admitted := s.admits(dk)
	s.mu.Unlock()
	var sw *swarm
	var err error
	if admitted {
		if sw, err = s.e.find(s.alive, dk); err != nil {
			sw = nil // to the remote the feed is not here
		}
	}
	first := !s.firstIn
	s.firstIn = true
	if s.o.Dialect == V6 && first && !s.o.Plain {
		// The rest of the direction is encrypted with the key of this feed.
		s.mu.Lock()
		s.beginWith(dk)
		same := s.firstKey == dk
		s.mu.Unlock()
		switch {
		case m.Nonce == nil:
			return s.blame("open", ErrNoNonce)
		case s.e.sent(m.Nonce):
			return s.blame("open", ErrEcho)
		case !same:
			return s.blame("open", ErrFirstFeed)
		case err != nil:
			return fmt.Errorf("protocol: find feed %v: %w", dk, err)
		case sw == nil:
			return s.blame("open", ErrUnknownFeed)
		}
		s.r.SetCipher(wire.NewCipher((*[32]byte)(&sw.key), (*[wire.NonceLen]byte)(m.Nonce)))
	}
	c, err := s.bind(s.numbered(n), &m, sw)
	if c == nil {
		return err
	}
	if sw == nil {
		sw = s.e.swarm(dk) // added since, when feedAdded could not see the channel yet
	}
	if sw != nil {
		s.answer(c, sw)
	}
	return nil
}

// beginWith notes the first feed of the stream. mu held.
func (s *Stream) beginWith(dk feed.DiscoveryKey) {
	if !s.begun {
		s.begun, s.firstKey = true, dk
	}
}

// admits tells whether a feed may be opened on the stream. In V6 nothing but the key of
// the first one is ever proven. mu held.
func (s *Stream) admits(dk feed.DiscoveryKey) bool {
	if s.o.Dialect == Native || !s.begun || dk == s.firstKey {
		return true
	}
	return s.o.Kin != nil && s.o.Kin(s.firstKey, dk)
}

// heardOut tells whether the remote's first messages prove what they can: a Native
// Feed for itself, in V6 the Handshake, which only who has the key can encrypt. mu held.
func (s *Stream) heardOut() bool { return s.o.Dialect == Native || s.hello != nil }

// answer opens a channel that the remote has opened, if the remote may know that
// the feed is here. An unproven remote learns nothing: to it, a feed that is here
// and one that is not look the same.
func (s *Stream) answer(c *channel, sw *swarm) {
	s.mu.Lock()
	if s.ended || !c.bound || c.gone || c.joined || s.e.swarm(sw.dk) != sw || !s.heardOut() || !s.admits(sw.dk) {
		s.mu.Unlock()
		return
	}
	if s.o.Dialect == Native {
		if !s.proves(sw, c.nonce, c.proof) {
			s.mu.Unlock()
			return
		}
		c.verified = true
	}
	c.sw = sw
	s.sendFeed(c)
	joined := s.join(c)
	s.mu.Unlock()
	s.afterJoin(c, joined)
}

// feedAdded answers what the remote opened before the feed was here.
func (s *Stream) feedAdded(sw *swarm) {
	s.mu.Lock()
	c := s.channels[sw.dk]
	open := c != nil && c.bound && !c.joined
	s.mu.Unlock()
	if open {
		s.answer(c, sw)
	}
}

// join reports whether the channel has just become open on both sides. mu held.
func (s *Stream) join(c *channel) bool {
	if c.joined || c.gone || !c.offered || !c.bound || c.sw == nil || !s.heardOut() || s.o.Dialect == Native && !c.verified {
		return false
	}
	c.joined = true
	c.entering = make(chan struct{})
	s.opened++
	if s.o.Dialect == Native {
		s.sendHello(c)
		s.moreOurs(c)
	}
	return true
}

// afterJoin does what follows on join, without mu. The remote can answer our Feed
// before it is done: what comes for the channel waits, see onEarly.
func (s *Stream) afterJoin(c *channel, joined bool) {
	if !joined {
		return
	}
	if !c.sw.join(c) {
		s.closeChannel(c, true)
		s.entered(c)
		return
	}
	c.sw.f.ReportPeer(feed.PeerEvent{Peer: s.o.Label, Joined: true})
	s.begin(c)
	s.wake(c)
}

// entered ends the entering of a channel. One that was closed meanwhile, when its
// swarm did not know it yet, leaves the swarm here.
func (s *Stream) entered(c *channel) {
	s.mu.Lock()
	close(c.entering)
	c.entering = nil
	gone := c.gone
	left := gone || s.ended
	s.mu.Unlock()
	if left {
		c.leave()
	}
	if gone {
		s.release(c)
	}
}

// begin starts a channel once it is joined and the remote's Handshake is here.
func (s *Stream) begin(c *channel) {
	s.mu.Lock()
	ready := s.hello != nil && c.joined && !c.gone
	s.mu.Unlock()
	if ready {
		c.sw.begin(c)
	}
}

// onHandshake takes the remote's first Handshake. Reading goroutine.
func (s *Stream) onHandshake(body []byte) error {
	m := &wire.Handshake{}
	if err := wire.ParseHandshake(body, m); err != nil {
		return s.garbled("handshake", err)
	}
	s.mu.Lock()
	if s.hello != nil {
		defer s.mu.Unlock()
		return s.moreNames(m.Extensions, len(body))
	}
	if err := s.mem.take(2 * len(body)); err != nil {
		s.mu.Unlock()
		return s.short("handshake", err)
	}
	m.ID, m.UserData = slices.Clone(m.ID), slices.Clone(m.UserData)
	s.hello = m
	s.remoteLive.Store(m.Live)
	var cs, waiting []*channel
	for _, c := range s.channels {
		switch {
		case c.joined:
			cs = append(cs, c)
		case s.o.Dialect == V6 && c.dk == s.firstKey:
			waiting = slices.Insert(waiting, 0, c)
		case s.o.Dialect == V6:
			waiting = append(waiting, c)
		}
	}
	s.mu.Unlock()
	for _, c := range cs {
		s.begin(c)
	}
	for _, c := range waiting {
		s.goOn(c)
	}
	return nil
}

// goOn does with a channel what had to wait for the remote's Handshake (V6).
func (s *Stream) goOn(c *channel) {
	s.mu.Lock()
	sw, unsent := c.sw, c.own && !c.offered
	s.mu.Unlock()
	if now := s.e.swarm(c.dk); now != nil {
		s.answer(c, now)
	}
	if unsent && sw != nil {
		_ = s.offer(sw) // not if the feed is removed just now
	}
}

// moreNames takes the extensions that a native remote has registered since its first
// Handshake. mu held.
func (s *Stream) moreNames(names []string, size int) error {
	known := s.hello.Extensions
	if s.o.Dialect != Native || len(names) <= len(known) || !slices.Equal(names[:len(known)], known) {
		return nil
	}
	if err := s.mem.take(size); err != nil {
		return s.short("handshake", err)
	}
	hello := *s.hello
	hello.Extensions = names
	s.hello = &hello
	return nil
}

// garbled is what happens to a message that cannot be read: hypercore 6 drops it,
// a native remote is at fault.
func (s *Stream) garbled(op string, err error) error {
	if s.o.Dialect == V6 {
		return nil
	}
	return s.blame(op, err)
}
