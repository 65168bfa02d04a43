package feed

import "time"

// Appends are committed at once if somebody waits to hear of them. Else what comes
// during a commit has the next one, which leaves the disk and the processor restTimes
// as long for others as this one took: while the blocks of a file are synced, who
// appends to it waits for the file system now and then.
//
// Downloads are not committed one by one. While nobody waits to hear of them they
// wait for company, because a crash only costs fetching them again. Else the first
// is committed at once, so that it can be announced, and what comes meanwhile with
// the next commit, which leaves the disk as much time for others as the last one
// took, and the processor at least audienceTime.
const (
	restTimes    = 3
	lazyBytes    = 64 << 20
	lazyTime     = time.Second
	audienceTime = 5 * time.Millisecond
)

// lazy is the downloads that wait.
type lazy struct {
	since time.Time // of the first
	bytes int
}

// changed notes a change that has to become durable. mu held.
func (f *Feed) changed() {
	f.changes++
	f.kick()
}

// linger is how long the committer waits for more before it ends: its stack has
// grown to what a commit takes, and a new one would have to.
const linger = time.Second

// kick starts the committer, or wakes it. mu held. It lives little longer than there
// is something to commit, so that an idle feed has no goroutine.
func (f *Feed) kick() {
	if f.looping {
		if at, ok := f.due(); ok && !f.nap.IsZero() && !at.Before(f.nap) {
			return // it comes in time
		}
		select {
		case f.wake <- struct{}{}:
		default:
		}
		return
	}
	if f.closing || f.opts.ReadOnly {
		return
	}
	f.looping = true
	if f.wake == nil {
		f.wake = make(chan struct{}, 1)
	}
	f.loops.Go(f.committer)
}

// committer commits what is due, one group after the other, until nothing is
// left.
func (f *Feed) committer() {
	var timer *time.Timer
	sleep := func(d time.Duration, wake chan struct{}) (over bool) {
		if timer == nil {
			timer = time.NewTimer(d)
		} else {
			timer.Reset(d)
		}
		select {
		case <-timer.C:
			over = true
		case <-wake:
		}
		timer.Stop()
		return over
	}
	for lingered := false; ; {
		f.mu.Lock()
		at, due := f.due()
		f.resting = !due && !lingered && !f.closing && f.failed == nil
		settle := !due && !f.resting && f.owes && !f.closing && f.failed == nil
		if !due && !f.resting && !settle {
			f.looping = false
			f.mu.Unlock()
			return
		}
		rest := f.resting
		f.owes = f.owes && !settle
		f.nap = at
		f.mu.Unlock()
		lingered = false
		if settle {
			f.commit(false) // of nothing new: it writes a slot
			continue
		}
		if rest {
			lingered = sleep(linger, f.wake)
			continue
		}
		if wait := time.Until(at); wait > 0 {
			sleep(wait, f.wake)
			continue
		}
		if f.opts.Durability == AppendDurable {
			f.gather(sleep)
			f.tryJoin()
		}
		f.commit(false) // a failure is in f.failed, due tells
	}
}

// due returns until when the next commit can wait, the zero time if it cannot; not ok
// if there is nothing to commit. mu held.
func (f *Feed) due() (at time.Time, ok bool) {
	switch {
	case f.closing, f.failed != nil:
		return at, false
	case len(f.joints) > 0 && !f.stalled.Load():
		return at, true
	case f.changes == f.committed:
		return at, false
	case f.hurry > f.committed, f.lazy.bytes >= lazyBytes, f.eager && f.audience:
		return at, true
	case f.eager:
		return f.landedAt.Add(min(lazyTime, restTimes*f.took)), true
	case f.lazy.since.IsZero():
		return at, true
	case f.audience:
		return f.landedAt.Add(min(lazyTime, max(audienceTime, f.took))), true
	}
	return f.lazy.since.Add(lazyTime), true
}

// gather lets the appenders that the last commit has released get into this one,
// beside those who came while it ran: it waits until there are as many as there
// were then, but no longer than the last commit took. If they do not come it has
// waited in vain only once.
func (f *Feed) gather(sleep func(time.Duration, chan struct{}) bool) {
	f.mu.Lock()
	limit := f.took
	if f.waiting() >= f.waited || limit == 0 || f.closing {
		f.mu.Unlock()
		return
	}
	f.expected = f.waited
	if f.enough == nil {
		f.enough = make(chan struct{}, 1)
	}
	f.mu.Unlock()
	sleep(limit, f.enough)
	f.mu.Lock()
	f.expected = 0
	select {
	case <-f.enough:
	default:
	}
	f.mu.Unlock()
}

// gathered tells gather, if that waits for no more than who waits now. mu held.
func (f *Feed) gathered() {
	if f.expected > 0 && f.waiting() >= f.expected {
		f.expected = 0
		f.enough <- struct{}{} // has room: once for each gather
	}
}
