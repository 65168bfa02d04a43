package node

import (
	"context"
	"slices"
	"time"

	"github.com/go-hypercore/hypercore/feed"
)

// Whoever is in the local network, or knows a discovery key, can have this node dial as
// many hosts as he likes that take a connection and say nothing. So dials take turns: each
// has an origin, and no origin holds so many of the turns that others have none.

const (
	// maxDials run at a time.
	maxDials = 20
	// Of these maxFixedDials may be of fixed peers, maxOwnDials of any one topic, of the
	// local network or of peers that were connected not long ago. Topics and the local
	// network together have maxSharedDials, and with peers connected not long ago
	// maxOtherDials, so that some are left for these, and for fixed peers.
	maxFixedDials  = 16
	maxOwnDials    = 12
	maxSharedDials = 16
	maxOtherDials  = 18
	// hurriedTimeout is what a first attempt has of dialTimeout while others wait for
	// their turn. A good one takes some trips of the network.
	hurriedTimeout = 2 * time.Second
	// turnPatience is how long those may wait that have failed more often than others.
	turnPatience = 30 * time.Second
)

// origin is what a peer is dialled for.
type origin struct {
	class originClass
	topic feed.DiscoveryKey // of a topic
}

type originClass int

const (
	ofTopic originClass = iota
	ofLAN
	ofRecent // the peer was connected not long ago
	ofFixed
)

// turns are the dials under way and those that wait. peers.mu guards it.
type turns struct {
	underway map[origin]int
	class    [ofFixed + 1]int // of these
	waiting  []*turn          // the longest first
}

// turn is one dial.
type turn struct {
	st      *peerState
	origin  origin
	since   time.Time
	granted chan struct{} // closed when it is its turn
}

// takeTurn waits until a peer may be dialled; false if ctx ends first. Who gets true
// calls endTurn.
func (p *peers) takeTurn(ctx context.Context, st *peerState) (t *turn, ok bool) {
	t = &turn{st: st, since: time.Now(), granted: make(chan struct{})}
	p.mu.Lock()
	if o, ok := p.turns.best(st, t.since); ok { // those that wait may not
		p.turns.grant(t, o)
	} else {
		p.turns.waiting = append(p.turns.waiting, t)
	}
	p.mu.Unlock()
	select {
	case <-t.granted:
		return t, true
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if at := slices.Index(p.turns.waiting, t); at >= 0 {
		p.turns.waiting = slices.Delete(p.turns.waiting, at, at+1)
	} else {
		p.turns.count(t.origin, -1)
	}
	return nil, false
}

// endTurn lets others have their turn. p.mu is held.
func (p *peers) endTurn(t *turn) {
	p.turns.count(t.origin, -1)
	p.grantTurns()
}

// grantTurns lets those dial who may: fixed peers first, then of the origin that has least
// under way the peer that has failed least. p.mu is held.
func (p *peers) grantTurns() {
	w, now := &p.turns, time.Now()
	for {
		var best *turn
		var from origin
		at := 0
		for i, t := range w.waiting {
			o, ok := w.best(t.st, now)
			if ok && (best == nil || w.before(o, t.st, from, best, now)) {
				best, from, at = t, o, i
			}
		}
		if best == nil {
			return
		}
		w.waiting = slices.Delete(w.waiting, at, at+1)
		w.grant(best, from)
	}
}

func (w *turns) grant(t *turn, o origin) {
	t.origin = o
	w.count(o, 1)
	close(t.granted)
}

// before tells whether a peer has its turn before one that waits for longer.
func (w *turns) before(o origin, st *peerState, thanOf origin, than *turn, now time.Time) bool {
	switch {
	case (o.class == ofFixed) != (thanOf.class == ofFixed):
		return o.class == ofFixed
	case w.underway[o] != w.underway[thanOf]:
		return w.underway[o] < w.underway[thanOf]
	}
	return st.fails < than.st.fails && now.Sub(than.since) < turnPatience
}

// best returns the origin of a peer that lets it dial, the one that has least under way
// if there are several; false if there is none.
func (w *turns) best(st *peerState, now time.Time) (best origin, ok bool) {
	if w.room(origin{class: ofFixed}) && st.fixed {
		return origin{class: ofFixed}, true
	}
	try := func(o origin) {
		if w.room(o) && (!ok || w.underway[o] < w.underway[best]) {
			best, ok = o, true
		}
	}
	if now.Sub(st.lost) < recentLoss || now.Before(st.recall) {
		try(origin{class: ofRecent})
	}
	if st.lan {
		try(origin{class: ofLAN})
	}
	for dk := range st.topics {
		try(origin{topic: dk})
	}
	if !st.wanted() { // it ends its turn at once
		try(origin{})
	}
	return best, ok
}

// room tells whether one more dial of an origin may begin.
func (w *turns) room(o origin) bool {
	shared := w.class[ofTopic] + w.class[ofLAN]
	switch others := shared + w.class[ofRecent]; {
	case others+w.class[ofFixed] >= maxDials:
		return false
	case o.class == ofFixed:
		return w.class[ofFixed] < maxFixedDials
	case w.underway[o] >= maxOwnDials || others >= maxOtherDials:
		return false
	case o.class == ofRecent:
		return true
	default:
		return shared < maxSharedDials
	}
}

func (w *turns) count(o origin, n int) {
	w.class[o.class] += n
	if w.underway[o] += n; w.underway[o] == 0 {
		delete(w.underway, o)
	}
}
