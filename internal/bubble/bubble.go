// Package bubble runs tests in virtual time.
//
// All timers of a testing/synctest bubble that are due run under one context of
// the race detector. A timer that is due when it is set, or whose channel nobody
// waits at, runs on the goroutine that touches it, and with two processors two
// goroutines do so at once: the detector then breaks down, with a check of its
// own that fails or at an address that is none (Go 1.26, golang/go#78156). Where
// the detector is on, a bubble therefore has one processor. It sees the same
// races: they are found in the order of events, not in their overlap.
package bubble

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
)

// Test calls f in a bubble, as [synctest.Test] does. Tests of this module use it
// in place of that.
func Test(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	if race {
		processors.narrow()
		defer processors.restore()
	}
	synctest.Test(t, f)
}

// processors are shared by the bubbles of parallel tests: the first one narrows
// them, the last one gives them back.
var processors sharedProcessors

type sharedProcessors struct {
	mu      sync.Mutex
	bubbles int
	before  int // GOMAXPROCS when there were no bubbles
}

func (p *sharedProcessors) narrow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bubbles == 0 {
		p.before = runtime.GOMAXPROCS(1)
	}
	p.bubbles++
}

func (p *sharedProcessors) restore() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bubbles--; p.bubbles == 0 {
		runtime.GOMAXPROCS(p.before)
	}
}
