package node

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// A peer at fault is refused for firstPenalty, doubling up to maxPenalty;
	// faults are forgotten after as long as that without another.
	firstPenalty = 10 * time.Second
	maxPenalty   = time.Hour
	// maxOffenders are remembered: peer IDs cost nothing, so refusing more of them
	// would keep nobody away.
	maxOffenders = 1024
)

// offences are what a peer has done wrong lately.
type offences struct {
	n     int       // faults, each within maxPenalty of the end of the refusal before
	until time.Time // not welcome before
	why   error     // the last one
}

// note counts one, and returns for how long the peer is refused for it.
func (o *offences) note(now time.Time, why error) time.Duration {
	if o.over(now) {
		o.n = 0
	}
	wait := min(firstPenalty<<min(o.n, 12), maxPenalty)
	o.n++
	o.until, o.why = now.Add(wait), why
	return wait
}

// over tells whether they are forgotten, or there were none.
func (o *offences) over(now time.Time) bool { return now.Sub(o.until) > maxPenalty }

// offenders are the peers with offences. peers.mu guards them.
type offenders map[peer.ID]offences

// note counts an offence of a peer, and returns for how long it is refused. When there
// are too many offenders, the one that is welcome again first is forgotten.
func (m offenders) note(id peer.ID, now time.Time, why error) time.Duration {
	o, known := m[id]
	if !known && len(m) >= maxOffenders {
		var first peer.ID
		for other, oo := range m {
			if first == "" || oo.until.Before(m[first].until) {
				first = other
			}
		}
		delete(m, first)
	}
	wait := o.note(now, why)
	m[id] = o
	return wait
}

// sweep forgets those who did nothing wrong for long enough.
func (m offenders) sweep(now time.Time) {
	for id, o := range m {
		if o.over(now) {
			delete(m, id)
		}
	}
}
