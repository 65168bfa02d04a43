package node

import (
	"errors"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	libproto "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"

	"github.com/go-hypercore/hypercore/feed"
)

// Whoever knows a discovery key can announce it with as many hosts as he likes, which
// accept connections and do nothing more. So only peers that have proven that they know
// the feed count when a topic has enough of them. Those that this node opened a stream to
// and that have no feed open on it are on trial: there are at most maxTrials of them in
// a topic, and maxOwnDials under way, and after trialTime one makes room if others wait. It
// is tried again later, as one that failed. Where a topic has no feed, there is nothing
// to prove, and each connection counts.
//
// Who has the feed may still have nothing of it that is missing here, as readers that
// wait for the same writer do. Such idle peers do not keep a topic from being looked up,
// and where it has maxLinks and others wait, one of them makes room every rotateEvery.

const (
	// maxTrials bounds the streams opened for a topic to peers without its feed.
	maxTrials = maxLinks
	// trialTime is some trips of a slow network, and what a busy peer takes to open a feed.
	trialTime = 5 * time.Second
	// A keeper looks whether its peer has opened the feed after firstLook, then when
	// twice the time has passed, at most lastLook later.
	firstLook, lastLook = 100 * time.Millisecond, time.Second
	// rotateEvery is how often an idle peer of a topic makes room, and idleRetry when
	// it may come back.
	rotateEvery = time.Second
	idleRetry   = time.Minute
)

// errNoFeed tells that a peer does not open the feed: it was let go for others, or, over
// TCP, ended the stream, as those do that do not have the one this node has opened.
var errNoFeed = errors.New("node: peer does not open the feed")

// errSurplus tells that a peer was let go for others because it had nothing that was missing.
var errSurplus = errors.New("node: peer has nothing of the feed that is missing here")

// standing is how much a connected peer counts in a topic.
type standing int

const (
	met     standing = iota // not at all
	onTrial                 // see maxTrials
	idle                    // it has the feed, and nothing of it that is missing here
	proven                  // it is of use, or there is no feed to have
)

// standing tells how it stands with a peer in a topic. p.mu is held.
func (p *peers) standing(st *peerState, dk feed.DiscoveryKey) standing {
	_, shared := p.n.sharedKey(dk)
	switch {
	case !shared:
		return proven
	case st.link == nil:
		return met
	case st.link.has(dk):
		st.link.served = true
		if !st.link.stream.Offers(dk) {
			return idle
		}
		return proven
	case !st.link.initiator || st.fixed || st.lan || st.link.serves():
		return met // no dial of ours, or wanted for something else
	}
	return onTrial
}

// has tells whether the remote has a feed open and knows its key.
func (l *link) has(dk feed.DiscoveryKey) bool {
	s := l.stream.FeedState(dk)
	return s.Open && s.Verified
}

// serves tells whether it has any, or had. peers.mu is held.
func (l *link) serves() bool {
	l.served = l.served || slices.ContainsFunc(l.stream.Feeds(), l.has)
	return l.served
}

// fruitless tells whether the stream with a peer had its time and is of no use. p.mu is
// held.
func (p *peers) fruitless(st *peerState, now time.Time) bool {
	return st.link != nil && now.Sub(st.asked) >= trialTime && !st.link.serves()
}

// observe decides for the keeper of a peer with a stream. p.mu is held.
func (p *peers) observe(st *peerState, now time.Time) (do action, wait time.Duration) {
	trial, all, others, useful := false, true, false, false
	var idleIn *topic
	for dk := range st.topics {
		t := p.n.joined(dk)
		if t == nil {
			continue
		}
		s := p.standing(st, dk)
		t.rate(st.id, s)
		all = all && s == proven
		switch {
		case s == onTrial:
			trial, others = true, others || t.crowded()
		case s == idle:
			idleIn = t
		case s == proven:
			useful = true
		}
	}
	asked := now.Sub(st.asked)
	switch {
	case all:
		return rest, keepAlive
	case asked < trialTime:
		return rest, min(max(asked, firstLook), lastLook)
	case idleIn != nil && !useful:
		if st.link.initiator && !st.fixed && !st.lan && idleIn.rotate(now) {
			st.link.idle = true
			return letGo, lastLook
		}
		return rest, lastLook
	case !trial || now.Before(st.recall):
		return rest, keepAlive
	case others:
		return letGo, lastLook
	}
	return rest, trialTime
}

// roomFor returns how long a peer has to wait because no topic of it wants more
// connections; 0 if it need not. p.mu is held.
func (p *peers) roomFor(st *peerState, now time.Time) (wait time.Duration) {
	if st.fixed || st.lan || now.Before(st.recall) {
		return 0
	}
	wait = keepAlive
	for dk := range st.topics {
		t := p.n.joined(dk)
		if t == nil {
			continue
		}
		switch has, idles, trials := t.counts(); {
		case has >= maxLinks:
			if idles > 0 {
				wait = lastLook
			}
		case trials >= maxTrials:
			wait = lastLook
		default:
			return 0
		}
	}
	return wait
}

// letGo ends the stream with a peer that is idle, or on trial and did not come up to what
// was hoped just now.
func (p *peers) letGo(st *peerState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case st.link != nil && st.link.idle:
		st.link.cancel(errSurplus)
	case p.fruitless(st, time.Now()):
		st.link.cancel(errNoFeed)
	}
}

// hangUp closes the connection made to a peer that turned out to be of no use, unless
// somebody else uses it: thousands may be found, each one a newcomer.
func (p *peers) hangUp(id peer.ID) {
	if p.n.host.ConnManager().IsProtected(id, "") {
		return
	}
	for _, c := range p.n.host.Network().ConnsToPeer(id) {
		if c.Stat().Direction == network.DirOutbound && !slices.ContainsFunc(c.GetStreams(), foreign) {
			_ = c.Close()
		}
	}
}

// foreign tells whether a stream is neither ours nor of those that come with each
// connection.
func foreign(s network.Stream) bool {
	return !slices.Contains(append(protocolIDs(), "", libproto.ID(identify.ID), libproto.ID(identify.IDPush), ping.ID), s.Protocol())
}
