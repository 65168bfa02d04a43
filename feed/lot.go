package feed

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultOpenFeeds is how many feeds of a Lot have their files open at once if
// nothing else is said: five files each, 200 together, so that a program stays
// below 256, which every system allows it.
const DefaultOpenFeeds = 40

// LotOptions of NewLot. The zero value is usable.
type LotOptions struct {
	// Open is how many feeds may have their files open at once; 0:
	// DefaultOpenFeeds. When one more needs its files, the one that was not used
	// for the longest time parks.
	Open int
	// Idle parks a feed that was not used for so long, or up to twice as long, also
	// when there is room. 0: feeds park only to make room for others, so that a
	// program with few feeds keeps their locks.
	Idle time.Duration
	// Look is the time in which the directories of all parked feeds are looked at
	// once, for what other programs have written. 0: a minute. Less than 0: only
	// when a feed is used.
	Look time.Duration
}

// Lot is where feeds park: it bounds how many of those that were opened with it
// (Options.Lot) have their files open. Nobody has to close it: it does nothing
// when no feed is open. It is safe for concurrent use.
type Lot struct {
	// Constant.
	max  int
	idle time.Duration
	look time.Duration

	clock   atomic.Uint64 // goes on with each use of another feed than before; Feed.usedAt is a reading of it
	waiting atomic.Int32  // those who wait for room

	mu      sync.Mutex
	open    int           // feeds whose files are open, or about to be
	awake   []*Feed       // of them those that may park
	parked  []*Feed       // Feed.spot is the index
	next    int           // of parked, to be looked at
	room    chan struct{} // closed when a feed is not in use any more
	mark    uint64        // the clock when idle feeds were last looked for
	idling  *time.Timer   // nil: not running
	looking *time.Timer   // the same
}

// lotPatience is how long a feed that needs its files waits while all that have
// theirs open are in use. Then it opens them anyway: better a few files too many
// than two that wait for each other.
const lotPatience = time.Second

// lookEvery is how often some of the parked feeds are looked at.
const lookEvery = time.Second

// NewLot returns a Lot without feeds.
func NewLot(o LotOptions) *Lot {
	if o.Open <= 0 {
		o.Open = DefaultOpenFeeds
	}
	if o.Look == 0 {
		o.Look = time.Minute
	}
	return &Lot{max: o.Open, idle: max(0, o.Idle), look: o.Look}
}

// LotStatus is the state of a Lot.
type LotStatus struct {
	Max    int // feeds that may have their files open
	Open   int // that have
	Parked int // that have not
}

// Status returns the state now.
func (l *Lot) Status() LotStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	return LotStatus{Max: l.max, Open: l.open, Parked: len(l.parked)}
}

// admit waits until there is room for the files of one more feed, and takes it.
// Feeds park for it, the one first that was not used for the longest time.
func (l *Lot) admit() {
	var patience *time.Timer
	for {
		l.mu.Lock()
		if l.open < l.max {
			l.open++
			l.mu.Unlock()
			return
		}
		victims := slices.Clone(l.awake)
		if l.room == nil {
			l.room = make(chan struct{})
		}
		room := l.room
		l.waiting.Add(1)
		l.mu.Unlock()

		slices.SortFunc(victims, func(a, b *Feed) int { return int(int64(a.usedAt.Load() - b.usedAt.Load())) })
		made, busy := false, false
		for _, v := range victims {
			state := v.park()
			busy = busy || state == parkBusy
			if made = state == parkDone; made {
				break
			}
		}
		late := false
		if !made && busy {
			if patience == nil {
				patience = time.NewTimer(lotPatience)
				defer patience.Stop()
			}
			select {
			case <-room:
			case <-patience.C:
				late = true
			}
		}
		l.waiting.Add(-1)
		if !made && (late || !busy) {
			l.mu.Lock()
			l.open++ // too many
			l.mu.Unlock()
			return
		}
	}
}

// quit gives back what admit took: the files are closed again.
func (l *Lot) quit() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	l.free()
}

// free tells those who wait that there may be room. mu held.
func (l *Lot) free() {
	if l.room != nil {
		close(l.room)
		l.room = nil
	}
}

// left is called when nobody uses the files of a feed any more.
func (l *Lot) left() {
	if l.waiting.Load() == 0 {
		return
	}
	l.mu.Lock()
	l.free()
	l.mu.Unlock()
}

// drive adds a feed whose files are open, for which admit has made room. With
// from it was parked before.
func (l *Lot) drive(f *Feed, from bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if from {
		l.unpark(f)
	}
	f.usedAt.Store(l.clock.Add(1))
	l.awake = append(l.awake, f)
	if l.idle > 0 && l.idling == nil {
		l.mark = l.clock.Load()
		l.idling = time.AfterFunc(l.idle, l.parkIdle)
	}
}

// unpark takes a feed out of parked. mu held.
func (l *Lot) unpark(f *Feed) {
	last := l.parked[len(l.parked)-1]
	l.parked[f.spot], last.spot = last, f.spot
	l.parked = l.parked[:len(l.parked)-1]
	if len(l.parked) == 0 && l.looking != nil {
		l.looking.Stop()
		l.looking = nil
	}
}

// rest takes a feed from the awake ones to the parked ones; its files are closed.
func (l *Lot) rest(f *Feed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stop(f)
	f.spot = len(l.parked)
	l.parked = append(l.parked, f)
	if l.look > 0 && l.looking == nil {
		l.looking = time.AfterFunc(lookEvery, l.lookAround)
	}
}

// stop takes a feed out of the awake ones. mu held.
func (l *Lot) stop(f *Feed) {
	if i := slices.Index(l.awake, f); i >= 0 {
		l.awake = slices.Delete(l.awake, i, i+1)
	}
	if len(l.awake) == 0 && l.idling != nil {
		l.idling.Stop()
		l.idling = nil
	}
	l.open--
	l.free()
}

// leave forgets a feed that is closed.
func (l *Lot) leave(f *Feed, parked bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if parked {
		l.unpark(f)
	} else {
		l.stop(f)
	}
}

// parkIdle parks the feeds that were not used since it last ran.
func (l *Lot) parkIdle() {
	l.mu.Lock()
	if l.idling == nil {
		l.mu.Unlock()
		return
	}
	since := l.mark
	l.mark = l.clock.Add(1)
	awake := slices.Clone(l.awake)
	l.mu.Unlock()
	for _, f := range awake {
		if f.usedAt.Load() < since {
			f.park()
		}
	}
	l.mu.Lock()
	if l.idling != nil {
		l.idling.Reset(l.idle)
	}
	l.mu.Unlock()
}

// lookAround looks at some of the parked feeds, so that each has its turn within
// Look.
func (l *Lot) lookAround() {
	l.mu.Lock()
	if l.looking == nil {
		l.mu.Unlock()
		return
	}
	n := len(l.parked)
	some := make([]*Feed, 0, n)
	for range min(n, int(int64(n)*int64(lookEvery)/int64(max(l.look, lookEvery)))+1) {
		l.next = (l.next + 1) % n
		some = append(some, l.parked[l.next])
	}
	l.mu.Unlock()
	for _, f := range some {
		f.lookAgain()
	}
	l.mu.Lock()
	if l.looking != nil {
		l.looking.Reset(lookEvery)
	}
	l.mu.Unlock()
}
