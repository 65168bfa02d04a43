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
	// The streams of an engine together may take half of all cores. When they want
	// more, each may take an equal part: one that takes less does not wait for what
	// the others owe.
	workShare      = 0.5
	workShareBurst = 100 * time.Millisecond
	// workStep is how much is added up before the clock is looked at.
	workStep = 50 * time.Microsecond
	// workWait is the longest that a stream is not read for it, much less than a
	// remote that is alive may be silent.
	workWait = time.Second
	// showWait is the longest that a stream is not answered for the maps it was
	// shown. It is read meanwhile.
	showWait = 5 * time.Second
)

// What the messages cost, about, as measured on one core of a small server. Maps
// of ours that are shown are charged when they are made, see Stream.shown.
const (
	workSmall   = 2 * time.Microsecond // a Have, and the look at the table after it
	workOpen    = 5 * time.Microsecond // a Feed, with its capability
	workCancel  = 4 * time.Microsecond // it looks at up to cancelReach requests
	workMap     = 20 * time.Microsecond
	workMapByte = 11 * time.Nanosecond  // of the code of a map
	workNote    = 2 * time.Microsecond  // of a page of a map that short runs make up
	workPage    = 20 * time.Nanosecond  // of a range that is announced or taken back
	workLook    = 500 * time.Nanosecond // at a kilobyte of our map, to show it
	workShow    = 12 * time.Nanosecond  // of a byte of its code: it depends on what is here
	workProve   = 50 * time.Nanosecond  // for each block of a run that is proven and then does not fit
	workTable   = time.Microsecond      // for each ragged page of the feed, where a Feed has the table made
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
		return workMap // the rest is known when the map is shown
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

// forgive ends a debt.
func (b *bucket) forgive() {
	b.mu.Lock()
	b.spent = min(b.spent, 0)
	b.mu.Unlock()
}

// crowd counts the streams of an engine that work: those charged in this period,
// of workWait, or in the one before.
type crowd struct {
	mu     sync.Mutex
	period int
	began  time.Time // the period
	here   int       // streams charged in it
	before int       // in the one before, and not yet in it
}

// count notes that a stream is charged, and returns how many are.
func (w *crowd) count(s *Stream, now time.Time) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if gone := now.Sub(w.began); gone >= 2*workWait {
		w.began, w.period, w.before, w.here = now, w.period+2, 0, 0
	} else if gone >= workWait {
		w.began, w.period, w.before, w.here = now, w.period+1, w.here, 0
	}
	switch s.period {
	case w.period:
	case w.period - 1:
		w.before--
		fallthrough
	default:
		w.here++
	}
	s.period = w.period
	return w.here + w.before
}

// charge takes work out of the budgets, and returns how long to wait.
func (s *Stream) charge(work time.Duration) time.Duration {
	now := time.Now()
	own := s.spent.spend(now, work, workRate, workBurst)
	n := s.e.crowd.count(s, now)
	rate := workShare * float64(runtime.GOMAXPROCS(0))
	part := s.part.spend(now, work, rate/float64(n), workShareBurst/time.Duration(n))
	all := s.e.spent.spend(now, work, rate, workShareBurst)
	if all == 0 {
		s.part.forgive() // nobody else wanted it
		return own
	}
	return max(own, min(part, all))
}

// work charges a message of the remote, and waits while its budget is spent.
// False: the stream has ended. Reading goroutine.
func (s *Stream) work(cost time.Duration) bool {
	if s.owed += cost; s.owed < workStep {
		return true
	}
	wait := s.charge(s.owed + time.Duration(s.late.Swap(0)))
	s.owed = 0
	return wait == 0 || s.flush() && s.rest(min(wait, workWait))
}

// shown charges a map that was shown, and waits like work. The reading goroutine
// would hear of the cost too late, when the queue is full of such questions.
// Serving goroutine.
func (s *Stream) shown(cost time.Duration) bool {
	wait := s.charge(cost)
	return wait == 0 || s.rest(min(wait, showWait))
}

// rest waits. False: the stream has ended.
func (s *Stream) rest(wait time.Duration) bool {
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
