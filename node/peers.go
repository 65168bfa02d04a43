package node

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/protocol"
)

const (
	// maxPeers bounds the peers the node remembers, wanted or not.
	maxPeers = 4096
	// maxPerTopic bounds the candidates of one topic, and maxLinks the
	// connections the node makes for one topic to peers that have its feed; more
	// may come in.
	maxPerTopic = 256
	maxLinks    = 32
	// maxLAN bounds the peers of the local network that are wanted.
	maxLAN = 256
	// maxAddrs of one peer are remembered, those found last, to tell new ones.
	maxAddrs = 64
	// connTag protects connections that carry a stream, allowTag those of peers
	// that the operator allows.
	connTag  = "hypercore"
	allowTag = "hypercore-allowed"
	// addrTTL is how long addresses of a candidate are kept.
	addrTTL = 30 * time.Minute
	// After a failure or a loss the peer is tried again after firstRetry,
	// doubling up to maxRetry: records of peers that are gone stay in the DHT
	// for a day. A stream that served and lasted steadyAfter starts over.
	firstRetry  = 200 * time.Millisecond
	maxRetry    = 10 * time.Minute
	steadyAfter = 5 * time.Second
	// nearRetry is maxRetry for peers that are known to be good: fixed ones, local
	// ones that were connected, and for recentLoss all that were, so that
	// replication goes on soon after a network was gone.
	nearRetry  = 4 * time.Second
	recentLoss = 10 * time.Minute
	// noProtocolRetry is the wait for a peer that does not speak ours.
	noProtocolRetry = 10 * time.Minute
	// idleAfter is how long a stream without any feed is kept.
	idleAfter = time.Minute
	// sweepEvery is how often idle streams and forgotten peers are looked for.
	sweepEvery = 15 * time.Second
	// forgetAfter is how long a candidate that nothing finds any more is
	// tried, and how long its back-off is remembered.
	forgetAfter = 30 * time.Minute
)

// peers knows who is wanted and keeps one replication stream with each.
type peers struct {
	n *Node

	// mu guards the fields below and those of each peerState.
	mu        sync.Mutex
	closed    bool
	m         map[peer.ID]*peerState
	offenders offenders
	turns     turns
	lan       int // peers of the local network
}

// peerState is what is known about one peer.
type peerState struct {
	id      peer.ID
	fixed   bool // Config.Peers
	lan     bool // found by mDNS
	topics  map[feed.DiscoveryKey]time.Time
	link    *link
	offered map[feed.Key]bool  // on link
	full    bool               // link takes no more: what is left is offered by sweep
	keeping bool               // a keeper runs
	redial  context.CancelFunc // ends the attempt under way for a new one; nil without
	wake    chan struct{}      // for the keeper

	seen    time.Time // last found or connected
	lost    time.Time // when the last stream that was steady ended, of local peers also a connection
	fails   int
	next    time.Time           // not tried before
	err     error               // of the last attempt, or the end of the last stream
	asked   time.Time           // when the last feed was offered on link
	dialed  bool                // the connection was made for this node's streams
	addrs   []ma.Multiaddr      // it was found at, the last ones at the end
	punches int                 // attempts to get off a relay
	idle    time.Time           // since when the link has no feed
	recall  time.Time           // called back until then, see recall
	common  []feed.DiscoveryKey // to be offered by then
}

func newPeers(n *Node) *peers {
	return &peers{n: n, m: map[peer.ID]*peerState{}, offenders: offenders{}, turns: turns{underway: map[origin]int{}}}
}

// get returns the state of a peer, made if there is none. One that is refused is not
// dialled either. p.mu is held.
func (p *peers) get(id peer.ID) *peerState {
	st := p.m[id]
	if st == nil {
		st = &peerState{id: id, topics: map[feed.DiscoveryKey]time.Time{}, wake: make(chan struct{}, 1), seen: time.Now(), next: p.offenders[id].until}
		p.m[id] = st
	}
	return st
}

// drop forgets a peer of which nothing is worth knowing. p.mu is held.
func (p *peers) drop(st *peerState) {
	if st.link == nil && !st.keeping && !st.wanted() && st.fails == 0 {
		delete(p.m, st.id)
	}
}

func (st *peerState) wanted() bool {
	return st.fixed || st.lan || len(st.topics) > 0 || time.Now().Before(st.recall)
}

// keysFor returns the feeds to offer to a peer: those of the topics it was
// found under, and all to fixed and local ones. p.mu is held.
func (p *peers) keysFor(st *peerState) []feed.Key {
	if st.fixed || st.lan {
		return p.n.sharedKeys()
	}
	keys := p.recalled(st)
	for dk := range st.topics {
		if k, ok := p.n.sharedKey(dk); ok && !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	return keys
}

// hasKeys tells whether keysFor would return any. p.mu is held.
func (p *peers) hasKeys(st *peerState) bool {
	if st.fixed || st.lan {
		return p.n.anyShared()
	}
	for dk := range st.topics {
		if _, ok := p.n.sharedKey(dk); ok {
			return true
		}
	}
	return len(p.recalled(st)) > 0
}

// foundLAN is told of a peer found by mDNS.
func (p *peers) foundLAN(info peer.AddrInfo) {
	info.Addrs = worthTrying(info.Addrs)
	p.mu.Lock()
	defer p.mu.Unlock()
	if st := p.m[info.ID]; (st == nil || !st.lan) && !p.admitLAN(st) {
		return
	}
	if p.n.hosting.gate != nil {
		p.n.hosting.gate.allowLocal(info.ID, true)
	}
	p.n.host.Peerstore().AddAddrs(info.ID, info.Addrs, addrTTL)
	st := p.get(info.ID)
	if !st.lan {
		st.lan = true
		p.lan++
	}
	p.refresh(st, info.Addrs)
	p.keep(st)
}

// found is told that a peer was found under a topic.
func (p *peers) found(dk feed.DiscoveryKey, info peer.AddrInfo) {
	if info.ID == p.n.host.ID() {
		return
	}
	info.Addrs = worthTrying(info.Addrs)
	p.n.host.Peerstore().AddAddrs(info.ID, info.Addrs, addrTTL)
	p.mu.Lock()
	j := p.n.joined(dk)
	st := p.m[info.ID]
	switch {
	case p.closed || j == nil:
		p.mu.Unlock()
		return
	case st == nil || st.topics[dk].IsZero():
		if !p.admit(j, st) {
			p.mu.Unlock()
			return
		}
		st = p.get(info.ID)
	}
	fresh := st.topics[dk].IsZero()
	st.topics[dk] = time.Now()
	p.refresh(st, info.Addrs)
	p.offer(st)
	p.keep(st)
	if fresh {
		j.candidate(1)
	}
	if st.link != nil || connected(p.n.host, st.id) {
		j.up(info.ID, p.standing(st, dk))
	}
	p.mu.Unlock()
	if fresh {
		p.n.emit(Event{Type: PeerFound, Peer: info.ID, Topic: dk})
	}
}

// refresh notes that a peer was found again. An address not known before
// ends its back-off, and means that a stream which is silent may be one with
// a process that is no more. p.mu is held.
func (p *peers) refresh(st *peerState, addrs []ma.Multiaddr) {
	st.seen = time.Now()
	fresh := false
	for _, a := range addrs {
		at := slices.IndexFunc(st.addrs, a.Equal)
		if at >= 0 {
			st.addrs = slices.Delete(st.addrs, at, at+1)
		}
		st.addrs = append(st.addrs, a)
		fresh = fresh || at < 0
	}
	st.addrs = slices.Delete(st.addrs, 0, max(len(st.addrs)-maxAddrs, 0))
	switch {
	case !fresh:
	case st.link != nil && st.seen.Sub(st.link.heard()) > time.Second:
		st.link.probed = st.seen
		p.goProbe([]*link{st.link})
	case st.redial != nil:
		st.redial() // what hangs on an old address must not keep the new one waiting
	case st.fails > 0:
		st.fails, st.next = 0, st.seen
		signal(st.wake)
	}
}

// offer offers the feeds the peer was not offered yet, as many as the link takes. p.mu
// is held.
func (p *peers) offer(st *peerState) {
	if st.link == nil {
		return
	}
	st.full = false
	for _, k := range p.keysFor(st) {
		if st.offered[k] {
			continue
		}
		err := st.link.stream.Offer(k)
		if errors.Is(err, protocol.ErrNotKin) {
			continue // a stream of npm hypercore, which has begun with another feed
		}
		if st.full = errors.Is(err, protocol.ErrTooManyFeeds); st.full {
			return
		}
		st.offered[k], st.asked = true, time.Now()
		signal(st.wake) // to see what comes of it
		if err != nil {
			log.Debugw("feed not offered", "peer", st.id, "error", err)
		}
	}
}

// shared is called when a feed was shared: fixed and local peers are offered
// it, and peers that were found under its topic before.
func (p *peers) shared(dk feed.DiscoveryKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, st := range p.m {
		if st.fixed || st.lan || !st.topics[dk].IsZero() {
			p.offer(st)
			signal(st.wake)
		}
	}
}

// left is called when a topic is no longer joined.
func (p *peers) left(dk feed.DiscoveryKey, key feed.Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, st := range p.m {
		delete(st.offered, key)
		if _, ok := st.topics[dk]; ok {
			p.strike(st, dk)
			p.drop(st)
		}
	}
}

// linked tells the joins of a peer that it is connected.
func (p *peers) linked(st *peerState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for dk := range st.topics {
		if j := p.n.joined(dk); j != nil {
			j.up(st.id, p.standing(st, dk))
		}
	}
}

// ended is called once for each link.
func (p *peers) ended(st *peerState, l *link, err error) {
	now := time.Now()
	p.mu.Lock()
	current := st.link == l
	if current {
		if !l.relayed {
			st.punches = 0
		}
		st.link, st.offered, st.idle = nil, nil, time.Time{}
		st.seen = now
		switch {
		case faulty(err) && !p.n.rules.allows(st.id, l.raw.Conn().RemoteMultiaddr()):
			st.next = now.Add(jitter(p.offenders.note(st.id, now, err)))
		case errors.Is(err, errSurplus):
			st.next = now.Add(jitter(idleRetry))
		case now.Sub(l.opened) >= steadyAfter && (l.served || len(st.topics) == 0):
			st.fails, st.lost, st.next = 0, now, now.Add(jitter(firstRetry))
		case st.wanted(): // else it is not dialled from here, and what it does is soon forgotten
			st.failed(now)
		}
		if err != nil {
			st.err = err
		}
		signal(st.wake)
		p.down(st)
	}
	closed, useless := p.closed, st.dialed && (errors.Is(err, errNoFeed) || errors.Is(err, errSurplus))
	p.drop(st)
	p.mu.Unlock()
	if !current {
		return
	}
	p.n.host.ConnManager().Unprotect(st.id, connTag)
	if useless {
		p.hangUp(st.id)
	}
	if !l.relayed && !hasDirect(p.n.host, st.id) {
		p.leaveRelay(st.id, l.opened) // it has served to punch the hole that is closed now
	}
	if !closed {
		p.n.emit(Event{Type: StreamClosed, Peer: st.id, Err: err})
	}
}

// down tells the joins of a peer that it is no longer connected. p.mu is held.
func (p *peers) down(st *peerState) {
	for dk := range st.topics {
		if j := p.n.joined(dk); j != nil {
			j.down(st.id)
		}
	}
}

// failed counts a failure and sets the time of the next attempt. peers.mu is
// held.
func (st *peerState) failed(now time.Time) {
	st.fails++
	limit := maxRetry
	if st.fixed || st.lan && !st.lost.IsZero() || now.Sub(st.lost) < recentLoss {
		limit = nearRetry
	}
	st.next = now.Add(jitter(min(firstRetry<<min(st.fails-1, 12), limit)))
}

func (p *peers) refusedUntil(id peer.ID) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.offenders[id].until
}
