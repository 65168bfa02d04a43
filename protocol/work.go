package protocol

import (
	"runtime"
	"sync"
	"time"

	"github.com/go-hypercore/hypercore/protocol/wire"
)

// Cheap messages that make this side work, such as maps, announcements and
// questions for maps, have a budget. A stream that says more than it allows is
// not read for a while: the remote is slowed down by back-pressure and nobody is
// blamed. Data and requests for blocks have none: they are paid for by what goes
// over the connection, and by the queues that reading waits for.
const (
	// workRate is the part of one core that the messages of a stream may take,
	// workBurst what may come at once: the ragged maps of sixteen regions, or
	// twelve thousand announcements. npm hypercore 6 sends an announcement for each
	// block it appends or gets, some ten thousand a second; 250,000 are possible.
	workRate  = 0.5
	workBurst = 25 * time.Millisecond
	// The streams of an engine together may take half of all cores.
	workShare      = 0.5
	workShareBurst = 100 * time.Millisecond
	// workStep is how much is added up before the clock is looked at.
	workStep = 50 * time.Microsecond
	// workWait is the longest that a stream is not read for it, much less than a
	// remote that is alive may be silent.
	workWait = time.Second
)

// What the messages cost, about, as measured on one core of a small server.
const (
	workSmall   = 2 * time.Microsecond // a Have, and the look at the table after it
	workOpen    = 5 * time.Microsecond // a Feed, with its capability
	workCancel  = 4 * time.Microsecond // it looks at up to cancelReach requests
	workMap     = 20 * time.Microsecond
	workMapByte = 11 * time.Nanosecond // of the code of a map
	workPage    = 20 * time.Nanosecond // of a range that is announced or taken back
	workShow    = 8 * time.Nanosecond  // for each 8 blocks of a map that is shown
	workTable   = time.Microsecond     // for each ragged page of the feed, where a Feed has the table made
)

// workOf is what a message on the channel will cost, about.
func (c *channel) workOf(typ wire.Type, body []byte) time.Duration {
	switch typ {
	case wire.TypeHave:
		// A map is as long as its code; ranges touch the pages of up to maxRegions.
		if len(body) > maxPlainHave {
			return workMap + time.Duration(len(body))*workMapByte
		}
		return workSmall + rangeWork(body)
	case wire.TypeUnhave:
		return workSmall + rangeWork(body)
	case wire.TypeWant:
		return workMap + time.Duration(min(c.sw.f.Len(), regionOf(body))/8)*workShow
	case wire.TypeCancel:
		return workCancel
	case wire.TypeRequest, wire.TypeRequestRange:
		return 0
	}
	return workSmall
}

// maxPlainHave is what a Have without a map has at most: two integers.
const maxPlainHave = 24

// rangeWork is what the pages of a range cost.
func rangeWork(body []byte) time.Duration {
	var m wire.Unhave // begins with the same fields
	if wire.ParseUnhave(body, &m) != nil {
		return workMap // a short map
	}
	return time.Duration(min(m.Length, maxRegions*regionBlocks)/pageBlocks) * workPage
}

// regionOf is how many blocks a Want is for.
func regionOf(body []byte) uint64 {
	var m wire.Want
	if wire.ParseWant(body, &m) != nil {
		return 0
	}
	if m.Length == 0 {
		return maxRegions * regionBlocks
	}
	return min(m.Length, regionBlocks)
}

// bucket fills with time, up to burst, and empties with work.
type bucket struct {
	mu    sync.Mutex
	spent time.Duration // more than what has come in; negative up to -burst: saved
	at    time.Time
}

// spend takes work out, and returns how long to wait until the bucket is no
// longer in debt.
func (b *bucket) spend(now time.Time, work time.Duration, rate float64, burst time.Duration) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.at.IsZero() {
		b.spent = -burst
	} else {
		b.spent = max(-burst, b.spent-time.Duration(float64(now.Sub(b.at))*rate))
	}
	b.at = now
	if b.spent += work; b.spent <= 0 {
		return 0
	}
	return time.Duration(float64(b.spent) / rate)
}

// work charges a message of the remote, and waits while its budget is spent.
// False: the stream has ended. Reading goroutine.
func (s *Stream) work(cost time.Duration) bool {
	if s.owed += cost; s.owed < workStep {
		return true
	}
	s.owed += time.Duration(s.late.Swap(0))
	now := time.Now()
	wait := s.spent.spend(now, s.owed, workRate, workBurst)
	wait = max(wait, s.e.spent.spend(now, s.owed, workShare*float64(runtime.GOMAXPROCS(0)), workShareBurst))
	s.owed = 0
	if wait = min(wait, workWait); wait == 0 {
		return true
	}
	if !s.flush() {
		return false
	}
	s.throttled.Add(int64(wait))
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.done:
		return false
	}
}
