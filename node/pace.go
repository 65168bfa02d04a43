package node

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A node that has just started, or is told of hundreds of peers at once, would dial
// them all: libp2p bounds how many TCP dials are under way (160) and how many to
// one peer (8), not how many are begun. Home routers lose track of everything at
// some hundreds of new mappings a second, and hosters take it for a scan.
const (
	// dialRate is how many peers are dialled per second in the long run, dialBurst
	// how many at once. Each has a few addresses.
	dialRate  = 40
	dialBurst = 80
	// dialPatience is how long a dial may wait for its turn; beyond, it fails.
	dialPatience = 5 * time.Second
)

// pace lets dials begin, one after the other.
type pace struct {
	limit *rate.Limiter
	once  sync.Once
	ended chan struct{}
}

func newPace() *pace {
	return &pace{limit: rate.NewLimiter(dialRate, dialBurst), ended: make(chan struct{})}
}

// wait returns when it is a dial's turn; false if that is too long, or after end.
func (p *pace) wait() bool {
	r := p.limit.Reserve()
	d := r.Delay()
	if d > dialPatience {
		r.Cancel()
		return false
	}
	if d == 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-p.ended:
		return false
	}
}

// end lets those who wait go.
func (p *pace) end() { p.once.Do(func() { close(p.ended) }) }
