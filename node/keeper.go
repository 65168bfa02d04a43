package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	libproto "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/multiformats/go-multistream"

	"github.com/go-hypercore/hypercore/feed"
)

const (
	// dialTimeout bounds a first attempt, connecting, also through a relay,
	// and opening the stream; it doubles up to dialTimeoutMax. A node that is
	// just restarting refuses TCP at once but lets QUIC hang, and shall be
	// tried again before that gives up.
	dialTimeout    = 4 * time.Second
	dialTimeoutMax = 30 * time.Second
	// punchPatience is the age of the node until which it waits to learn under
	// which address others see it, before it connects through a relay.
	punchPatience = 5 * time.Second
	// keepAlive is how often a keeper without anything to do looks around.
	keepAlive = 30 * time.Second
)

// errNoProtocol tells that a peer does not replicate.
var errNoProtocol = errors.New("node: peer speaks no replication protocol")

// keep starts the keeper of a wanted peer unless it runs. p.mu is held.
func (p *peers) keep(st *peerState) {
	if st.keeping || p.closed || !st.wanted() && st.link == nil {
		return
	}
	st.keeping = true
	p.n.wg.Go(func() { p.keeper(st) })
}

// keeper keeps one peer connected, with a stream if there is a feed to offer,
// for as long as it is wanted.
func (p *peers) keeper(st *peerState) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		p.mu.Lock()
		do, wait := p.todo(st, time.Now())
		if do == nothing {
			st.keeping = false
			p.drop(st)
			p.mu.Unlock()
			return
		}
		var keys []feed.Key
		if do == connect {
			keys = p.keysFor(st)
		}
		p.mu.Unlock()
		switch do {
		case connect:
			p.attempt(st, keys)
			continue
		case repunch:
			p.repunch(st)
		case move:
			p.move(st)
		case letGo:
			p.letGo(st)
		}
		timer.Reset(wait)
		select {
		case <-p.n.ctx.Done():
			p.mu.Lock()
			st.keeping = false
			p.mu.Unlock()
			return
		case <-st.wake:
		case <-timer.C:
		}
	}
}

// action is what a keeper is to do.
type action int

const (
	nothing action = iota // the peer is not wanted: end
	rest                  // wait
	connect               // connect, or open the stream
	repunch               // leave the relay, to try another hole punch
	move                  // from the relay to the direct connection
	letGo                 // end the stream: others wait
)

// todo decides for one keeper. p.mu is held.
func (p *peers) todo(st *peerState, now time.Time) (do action, wait time.Duration) {
	h := p.n.host
	switch {
	case p.closed || p.n.ctx.Err() != nil:
		return nothing, 0
	case st.link != nil && st.link.relayed && st.link.initiator && hasDirect(h, st.id):
		return move, time.Second
	case !st.wanted():
		return nothing, 0
	case st.link != nil && st.link.initiator && st.link.relayed:
		left := repunchAfter(st.link.raw.Conn(), st.punches) - now.Sub(st.link.opened)
		if left <= 0 {
			return repunch, 0
		}
		do, wait := p.observe(st, now)
		return do, min(wait, left)
	case st.link != nil:
		return p.observe(st, now)
	case p.n.rules.blocks(st.id, nil):
		return rest, keepAlive
	case !p.hasKeys(st) && connected(h, st.id):
		return rest, keepAlive // no feed to offer: the connection is all
	case now.Before(st.next):
		return rest, st.next.Sub(now)
	}
	if wait := p.roomFor(st, now); wait > 0 {
		return rest, wait
	}
	return connect, 0
}

// attempt connects to the peer and opens a stream.
func (p *peers) attempt(st *peerState, keys []feed.Key) {
	turn, ok := p.takeTurn(p.n.ctx, st)
	if !ok {
		return
	}
	ctx, redial := context.WithCancel(p.n.ctx)
	defer redial()
	p.mu.Lock()
	if !st.wanted() || p.roomFor(st, time.Now()) > 0 { // no longer, or taken while this one waited for its turn
		p.endTurn(turn)
		p.mu.Unlock()
		return
	}
	st.redial = redial
	limit := min(dialTimeout<<min(st.fails, 10), dialTimeoutMax)
	if time.Since(st.lost) < recentLoss {
		limit = dialTimeout // rather often than long: what is sent into a network that is gone is repeated less and less
	}
	if st.fails == 0 && turn.origin.class < ofRecent && len(p.turns.waiting) > 0 {
		limit = hurriedTimeout
	}
	p.mu.Unlock()

	err := p.dial(ctx, st, keys, limit)

	now := time.Now()
	p.mu.Lock()
	p.endTurn(turn)
	st.redial = nil
	if p.closed || p.n.ctx.Err() != nil {
		p.mu.Unlock()
		return
	}
	switch {
	case err == nil:
		st.err = nil
	case ctx.Err() != nil: // a new address was found meanwhile
		st.fails, st.next = 0, now
	case errors.Is(err, errReplaced):
		// The stream the peer opened meanwhile is kept.
		st.next = now.Add(jitter(firstRetry))
	case errors.Is(err, errNoProtocol):
		st.err = err
		st.next = now.Add(jitter(noProtocolRetry))
	default:
		st.err = err
		st.failed(now)
	}
	first := err != nil && st.fails == 1
	linked := err == nil && len(keys) == 0
	useless := st.dialed && st.link == nil && errors.Is(err, errNoProtocol)
	p.mu.Unlock()
	if useless {
		p.hangUp(st.id)
	}
	if linked { // a connection without a stream
		p.linked(st)
	}
	if first {
		p.n.emit(Event{Type: DialFailed, Peer: st.id, Err: err})
	}
}

func (p *peers) dial(ctx context.Context, st *peerState, keys []feed.Key, limit time.Duration) error {
	h := p.n.host
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ctx = network.WithAllowLimitedConn(ctx, "hypercore")
	clearBackoff(h, st.id)
	p.awaitPunching(ctx, st.id)
	known := connected(h, st.id)
	p.mu.Lock()
	fixed := st.fixed
	p.mu.Unlock()
	if !fixed && !known {
		forgetMany(h.Peerstore(), st.id)
	}
	if err := h.Connect(ctx, peer.AddrInfo{ID: st.id}); err != nil {
		return fmt.Errorf("connecting to %s: %w", st.id, err)
	}
	if !known {
		p.mu.Lock()
		st.dialed = true
		p.mu.Unlock()
	}
	if len(keys) == 0 {
		p.mu.Lock()
		for dk := range st.topics {
			h.ConnManager().Protect(st.id, dk.String())
		}
		p.mu.Unlock()
		return nil
	}
	return p.open(ctx, st.id)
}

// open opens a stream over the best connection there is.
func (p *peers) open(ctx context.Context, id peer.ID) error {
	s, err := p.n.host.NewStream(ctx, id, protocolIDs()...)
	if err != nil {
		var none multistream.ErrNotSupported[libproto.ID]
		if errors.As(err, &none) {
			return fmt.Errorf("%w: %s", errNoProtocol, id)
		}
		return fmt.Errorf("opening a stream to %s: %w", id, err)
	}
	if p.n.rules.blocks(id, s.Conn().RemoteMultiaddr()) {
		_ = s.ResetWithError(codeRefused)
		return fmt.Errorf("%w: %s", errBlocked, id)
	}
	return p.adopt(id, s, true)
}

// move opens a stream over a direct connection in place of one on a relay.
func (p *peers) move(st *peerState) {
	ctx, cancel := context.WithTimeout(network.WithNoDial(p.n.ctx, "a direct connection is there"), dialTimeout)
	defer cancel()
	if err := p.open(ctx, st.id); err != nil {
		log.Debugw("stream stays on the relay", "peer", st.id, "error", err)
		return
	}
	p.n.emit(Event{Type: MovedDirect, Peer: st.id})
}

// awaitPunching waits, when a peer can only be reached through a relay, until
// this host can take part in a hole punch: the peer tries one as soon as the
// connection is there, and only then. Hosts learn within a second of their
// start under which address others see them.
func (p *peers) awaitPunching(ctx context.Context, id peer.ID) {
	if !p.n.hosting.punches || connected(p.n.host, id) {
		return
	}
	addrs := p.n.host.Peerstore().Addrs(id)
	if !slices.ContainsFunc(addrs, isRelayed) ||
		slices.ContainsFunc(addrs, func(a ma.Multiaddr) bool { return !isRelayed(a) && manet.IsPublicAddr(a) }) {
		return
	}
	for deadline := p.n.born.Add(punchPatience); time.Now().Before(deadline) && ctx.Err() == nil; {
		if slices.Contains(p.n.host.Mux().Protocols(), holepunch.Protocol) {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// repunch gives up a relay: when the keeper connects again, the peer
// tries another hole punch.
func (p *peers) repunch(st *peerState) {
	p.mu.Lock()
	l := st.link
	st.punches++
	p.mu.Unlock()
	if l != nil && l.relayed {
		p.leaveRelay(st.id, time.Now())
	}
}

// leaveRelay closes the relayed connections with a peer that were there at a time. All
// of them: as long as there is one, no other is made, and no hole punched.
func (p *peers) leaveRelay(id peer.ID, then time.Time) {
	for _, c := range p.n.host.Network().ConnsToPeer(id) {
		if isRelayed(c.RemoteMultiaddr()) && !c.Stat().Opened.After(then) {
			_ = c.Close()
		}
	}
}

// connected tells whether there is a connection, relayed or not.
func connected(h host.Host, id peer.ID) bool {
	c := h.Network().Connectedness(id)
	return c == network.Connected || c == network.Limited
}

// hasDirect tells whether there is a connection without a relay.
func hasDirect(h host.Host, id peer.ID) bool {
	for _, c := range h.Network().ConnsToPeer(id) {
		if !isRelayed(c.RemoteMultiaddr()) {
			return true
		}
	}
	return false
}

// clearBackoff lets the host dial although a dial failed just before; the
// back-off is ours.
func clearBackoff(h host.Host, id peer.ID) {
	if s, ok := h.Network().(interface{ Backoff() *swarm.DialBackoff }); ok {
		s.Backoff().Clear(id)
	}
}

// jitter returns d or up to a quarter more or less.
func jitter(d time.Duration) time.Duration {
	if d < 4 {
		return d
	}
	return d - d/4 + rand.N(d/2)
}

// signal puts a token into a channel of capacity one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
