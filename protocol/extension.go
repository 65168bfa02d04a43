package protocol

import (
	"slices"
	"sync/atomic"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/protocol/wire"
)

// Extension is a kind of message of the application's, on the channels of one
// feed; both sides must have it. The names are told to the remote in the Handshake. In
// V6 there is one for each stream, so an extension is heard on streams that begin after
// it was registered; a Native stream tells what is registered later.
type Extension struct {
	sw      *swarm
	name    string
	handler func(*Peer, []byte)
	closed  atomic.Bool
}

// Peer is a remote that has a feed open. There is one for each stream and feed: pointers to
// it can be compared, as long as the stream runs and the feed is not removed.
type Peer struct {
	s  *Stream
	dk feed.DiscoveryKey
}

// ID returns StreamOptions.RemoteID.
func (p *Peer) ID() []byte { return p.s.o.RemoteID }

// Label returns StreamOptions.Label.
func (p *Peer) Label() string { return p.s.o.Label }

// Stream returns the stream.
func (p *Peer) Stream() *Stream { return p.s }

// Remotes returns the remotes that have a feed open, for Extension.Send. Nil if the feed
// was not added.
func (e *Engine) Remotes(dk feed.DiscoveryKey) []*Peer {
	sw := e.swarm(dk)
	if sw == nil {
		return nil
	}
	sw.mu.Lock()
	cs := slices.Clone(sw.channels)
	sw.mu.Unlock()
	var out []*Peer
	for _, c := range cs {
		c.s.mu.Lock()
		if c.joined && !c.gone && !c.s.ended {
			out = append(out, c.s.peerOf(dk))
		}
		c.s.mu.Unlock()
	}
	return out
}

// peerOf returns the remote as one that has a feed open. mu held.
func (s *Stream) peerOf(dk feed.DiscoveryKey) *Peer {
	p := s.peers[dk]
	if p == nil {
		p = &Peer{s, dk}
		if s.peers == nil {
			s.peers = map[feed.DiscoveryKey]*Peer{}
		}
		s.peers[dk] = p
	}
	return p
}

// RegisterExtension makes an extension known on a feed that was added. handler
// is called with each message, from the goroutine that reads the stream: it must
// not keep the slice, and what it waits for, the stream waits for: a Close of the stream,
// the Engine or the node would wait for itself. The name has 1 to 256 bytes and is not
// registered on the feed already, nor are 256 others: else ErrExtensionName.
func (e *Engine) RegisterExtension(dk feed.DiscoveryKey, name string, handler func(*Peer, []byte)) (*Extension, error) {
	sw := e.swarm(dk)
	if sw == nil {
		return nil, ErrNotAdded
	}
	x := &Extension{sw: sw, name: name, handler: handler}
	sw.mu.Lock()
	taken := slices.ContainsFunc(sw.exts, func(y *Extension) bool { return y.name == name })
	if name == "" || len(name) > wire.MaxExtensionName || taken || len(sw.exts) == wire.MaxExtensions {
		sw.mu.Unlock()
		return nil, ErrExtensionName
	}
	sw.exts = append(sw.exts, x)
	sw.mu.Unlock()
	e.registered.Add(1)
	for _, s := range e.Streams() {
		s.tellNames()
	}
	return x, nil
}

// tellNames tells a native remote of the extensions that were registered after the
// Handshake: another one has them at the end of its list.
func (s *Stream) tellNames() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.channels {
		if c.joined && !c.gone {
			s.moreOurs(c)
			return
		}
	}
}

// moreOurs is tellNames on a channel. mu held.
func (s *Stream) moreOurs(c *channel) {
	n := s.e.registered.Load()
	if n == s.registered {
		return
	}
	s.registered = n
	names := slices.Clone(s.names)
	for _, name := range s.e.extensionNames() {
		if len(names) < wire.MaxExtensions && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if s.o.Dialect != Native || !s.sentHello || s.ended || len(names) == len(s.names) {
		return
	}
	s.names = names
	m := s.handshake()
	s.out.add(c.unlessOver(func(b []byte) []byte { return wire.AppendHandshake(b, c.local, m) }))
}

// Close takes the extension away. Messages that come are ignored.
func (x *Extension) Close() {
	x.closed.Store(true)
	x.sw.mu.Lock()
	x.sw.exts = slices.DeleteFunc(x.sw.exts, func(y *Extension) bool { return y == x })
	x.sw.mu.Unlock()
}

// Send sends a message to one remote. It does not wait: ErrBacklog if too much
// waits to be sent already.
func (x *Extension) Send(p *Peer, payload []byte) error {
	if x.closed.Load() {
		return ErrClosed
	}
	p.s.mu.Lock()
	c, ended := p.s.channels[p.dk], p.s.ended
	p.s.mu.Unlock()
	switch {
	case ended:
		return ErrClosed
	case c == nil || p.dk != x.sw.dk:
		return ErrNoExtension
	}
	return c.sendExtension(x.name, payload)
}

// Broadcast sends a message to all remotes that have the feed open and know the
// extension. It returns how many those are.
func (x *Extension) Broadcast(payload []byte) (n int) {
	if x.closed.Load() {
		return 0
	}
	x.sw.mu.Lock()
	cs := slices.Clone(x.sw.channels)
	x.sw.mu.Unlock()
	for _, c := range cs {
		if c.sendExtension(x.name, payload) == nil {
			n++
		}
	}
	return n
}

func (c *channel) sendExtension(name string, payload []byte) error {
	s := c.s
	if len(payload) > wire.MaxFrame-frameRest {
		return wire.ErrFrameTooLarge
	}
	s.mu.Lock()
	id := slices.Index(s.names, name)
	known := id >= 0 && s.hello != nil && slices.Contains(s.hello.Extensions, name) && c.joined && !c.gone
	ended := s.ended
	s.mu.Unlock()
	switch {
	case ended:
		return ErrClosed
	case !known:
		return ErrNoExtension
	}
	if !s.out.tryAdd(maxControlHard, len(payload)+frameRest, c.unlessOver(func(b []byte) []byte { return wire.AppendExtension(b, c.local, uint64(id), payload) })) {
		return ErrBacklog
	}
	return nil
}

// onExtension hands a message to its handler. Unknown ones are ignored.
func (c *channel) onExtension(body []byte) error {
	id, payload, err := wire.ParseExtension(body)
	if err != nil {
		return c.s.garbled("extension", err)
	}
	c.s.mu.Lock()
	var name string
	if h := c.s.hello; h != nil && id < uint64(len(h.Extensions)) {
		name = h.Extensions[id]
	}
	p := c.s.peerOf(c.dk)
	c.s.mu.Unlock()
	if name == "" {
		return nil
	}
	c.sw.mu.Lock()
	i := slices.IndexFunc(c.sw.exts, func(x *Extension) bool { return x.name == name })
	var x *Extension
	if i >= 0 {
		x = c.sw.exts[i]
	}
	c.sw.mu.Unlock()
	if x != nil && x.handler != nil && !x.closed.Load() {
		x.handler(p, payload)
	}
	return nil
}

// extensionNames returns the names for a Handshake: those of all feeds, sorted,
// as ids are positions in one list for the whole stream.
func (e *Engine) extensionNames() []string {
	e.mu.Lock()
	sws := make([]*swarm, 0, len(e.feeds))
	for _, sw := range e.feeds {
		sws = append(sws, sw)
	}
	e.mu.Unlock()
	var names []string
	for _, sw := range sws {
		sw.mu.Lock()
		for _, x := range sw.exts {
			names = append(names, x.name)
		}
		sw.mu.Unlock()
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) > wire.MaxExtensions {
		names = names[:wire.MaxExtensions]
	}
	return names
}
