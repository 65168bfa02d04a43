package discovery

import (
	"context"
	"sync"
	"time"
)

const (
	// repeatWorkers announce at a time through a content routing of the
	// application, and repeatTimeout bounds each announcement.
	repeatWorkers = 4
	repeatTimeout = 2 * time.Minute
	// repeatFirst is the wait after a failure; it doubles up to repeatMax.
	repeatFirst = 2 * time.Second
	repeatMax   = 10 * time.Minute
)

// repeater announces topic by topic through a routing of which nothing is
// known but its interface. Its state is in memory.
type repeater struct {
	o      *overlay
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	wake   chan struct{}

	// mu guards the fields below.
	mu    sync.Mutex
	tasks map[Topic]*task
}

type task struct {
	topic Topic
	next  time.Time
	fails int
	busy  bool
	again bool // announce once more when the present attempt is over
}

func newRepeater(o *overlay) *repeater {
	r := &repeater{o: o, wake: make(chan struct{}, 1), tasks: map[Topic]*task{}}
	r.ctx, r.cancel = context.WithCancel(o.ctx)
	r.wg.Go(r.run)
	return r
}

func (r *repeater) add(force bool, ts []Topic) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range ts {
		k := r.tasks[t]
		switch {
		case k == nil:
			r.tasks[t] = &task{topic: t, next: time.Now()}
		case force && k.busy:
			k.again = true
		case force:
			k.next, k.fails = time.Now(), 0
		}
	}
	signal(r.wake)
	return nil
}

func (r *repeater) drop(ts []Topic) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range ts {
		delete(r.tasks, t)
	}
	return nil
}

func (r *repeater) settled(context.Context) bool { return true }

func (r *repeater) busy(context.Context) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range r.tasks {
		if k.busy {
			return true
		}
	}
	return false
}

func (r *repeater) run() {
	slots := make(chan struct{}, repeatWorkers)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-r.wake:
		case <-timer.C:
		}
		if r.o.pass(r.ctx) != nil {
			return
		}
		due, wait := r.due(time.Now())
		for _, k := range due {
			select {
			case slots <- struct{}{}:
			case <-r.ctx.Done():
				return
			}
			r.wg.Go(func() { defer func() { <-slots }(); r.provide(k) })
		}
		timer.Reset(wait)
	}
}

func (r *repeater) due(now time.Time) (due []*task, wait time.Duration) {
	wait = time.Minute
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range r.tasks {
		if left := k.next.Sub(now); left > 0 {
			wait = min(wait, left)
		} else if !k.busy {
			k.busy = true
			due = append(due, k)
		}
	}
	return due, wait
}

func (r *repeater) provide(k *task) {
	ctx, cancel := context.WithTimeout(r.ctx, repeatTimeout)
	err := r.o.finder.Provide(ctx, k.topic.CID(), true)
	cancel()
	if r.ctx.Err() != nil {
		return
	}
	r.mu.Lock()
	k.busy = false
	switch {
	case k.again:
		k.again, k.next = false, time.Now()
	case err == nil:
		k.fails, k.next = 0, time.Now().Add(jitter(aminoReprovide*3/4))
	default:
		k.fails++
		k.next = time.Now().Add(jitter(min(repeatFirst<<min(k.fails-1, 10), repeatMax)))
	}
	signal(r.wake)
	r.mu.Unlock()

	r.o.mu.Lock()
	defer r.o.mu.Unlock()
	if err != nil {
		r.o.sends.failed++
		r.o.sends.lastErr = err
	} else if rec := r.o.records[k.topic]; rec != nil {
		r.o.sends.sent++
		rec.last = time.Now()
	}
}

func (r *repeater) close() error {
	r.cancel()
	r.wg.Wait()
	return nil
}
