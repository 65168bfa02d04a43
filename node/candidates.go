package node

import (
	"time"

	"github.com/go-hypercore/hypercore/feed"
)

// Records of peers that are gone stay in the DHT for a day, and looks find them again
// and again, so in a topic with many visitors most of what is found may be dead. There
// is room for maxPerTopic candidates; a peer that was not tried yet takes the place of
// one that failed, so that all are tried in the end, whoever was found first.

// admit tells whether a peer that was found becomes a candidate of a topic; st is nil
// if nothing is known of it. p.mu is held.
func (p *peers) admit(t *topic, st *peerState) bool {
	untried := st == nil || st.err == nil
	if !t.room() && !(untried && p.giveUp(t)) {
		return false
	}
	return st != nil || len(p.m) < maxPeers || p.forget()
}

// admitLAN is the same for a peer found in the local network. p.mu is held.
func (p *peers) admitLAN(st *peerState) bool {
	if p.lan >= maxLAN {
		least := p.worst(func(st *peerState) bool { return st.lan && st.link == nil })
		if least == nil {
			return false
		}
		p.notLAN(least)
		p.drop(least) // or its keeper does
	}
	return st != nil || len(p.m) < maxPeers || p.forget()
}

// notLAN notes that a peer no longer counts as one of the local network. p.mu is held.
func (p *peers) notLAN(st *peerState) {
	if st.lan {
		st.lan = false
		p.lan--
		if p.n.hosting.gate != nil {
			p.n.hosting.gate.allowLocal(st.id, false)
		}
		signal(st.wake)
	}
}

// giveUp makes room in a topic by the candidate that has least to hope for; false if
// there is none. p.mu is held.
func (p *peers) giveUp(t *topic) bool {
	st := p.worst(func(st *peerState) bool { return !st.topics[t.dk].IsZero() })
	if st == nil {
		return false
	}
	p.strike(st, t.dk)
	if st.link != nil && !st.wanted() {
		st.link.cancel(errNoFeed)
	}
	return true
}

// strike takes a peer off the candidates of a topic. Its keeper ends if nothing else
// wants it. p.mu is held.
func (p *peers) strike(st *peerState, dk feed.DiscoveryKey) {
	delete(st.topics, dk)
	p.n.host.ConnManager().Unprotect(st.id, dk.String())
	if t := p.n.joined(dk); t != nil {
		t.candidate(-1)
		t.down(st.id)
	}
	signal(st.wake)
}

// forget makes room for another peer by the one that is least worth knowing; false if
// there is none. That it misbehaved is not forgotten. p.mu is held.
func (p *peers) forget() bool {
	st := p.worst(func(st *peerState) bool { return st.link == nil && !st.wanted() })
	if st == nil {
		st = p.worst(func(st *peerState) bool { return st.link == nil })
	}
	if st == nil {
		return false
	}
	for dk := range st.topics {
		p.strike(st, dk)
	}
	p.notLAN(st)
	st.fails = 0
	p.drop(st) // or its keeper does
	return true
}

// enoughFailed is how many peers that have failed are compared, of those that the map
// happens to give first: many are found in one look.
const enoughFailed = 16

// worst returns one of the peers that pass which has failed more often than others,
// and first of all never lasted; nil if none has failed. A stream that is of no use is a
// failure. One that is being dialled or was good not long ago is not among them. p.mu is
// held.
func (p *peers) worst(pass func(*peerState) bool) (worst *peerState) {
	now := time.Now()
	compared := 0
	for _, st := range p.m {
		switch {
		case st.link == nil && st.err == nil, st.link != nil && !p.fruitless(st, now), st.redial != nil, st.fixed, st.lan && !st.lost.IsZero(), now.Before(st.recall), now.Sub(st.lost) < recentLoss:
			continue
		case !pass(st):
			continue
		case worst == nil || st.worse(worst):
			worst = st
		}
		if compared++; compared == enoughFailed {
			break
		}
	}
	return worst
}

func (st *peerState) worse(than *peerState) bool {
	if st.lost.IsZero() != than.lost.IsZero() {
		return st.lost.IsZero()
	}
	return st.fails > than.fails
}
