package node

import "time"

const (
	// A peer at fault is refused for firstPenalty, doubling up to maxPenalty;
	// faults are forgotten after as long as that without another.
	firstPenalty = 10 * time.Second
	maxPenalty   = time.Hour
)

// offences are what a peer has done wrong lately. peers.mu guards them.
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
