package discovery

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// maxLooks run at a time; each asks up to ten servers in parallel.
	maxLooks = 16
	// maxProviders bounds the peers taken from one look on one overlay.
	maxProviders = 200
	// lookTimeout bounds a look.
	lookTimeout = time.Minute
	// maxResolve records without addresses are completed per look, within
	// resolveTimeout each.
	maxResolve     = 8
	resolveTimeout = 20 * time.Second
	// perTopic keeps the looks of all topics together below 50 per second.
	perTopic = 20 * time.Millisecond
)

// pace says how long to wait between two looks for a topic.
type pace struct {
	first, eager time.Duration // while peers are wanted: from first growing to eager
	looks        int           // for so many looks
	lazy         time.Duration // then growing to lazy
	calm         time.Duration // when there are enough, growing to calmMax
	calmMax      time.Duration
}

var (
	// ownPace: a look costs a few messages between few servers, and a writer
	// that comes up now shall be seen within a second or two.
	ownPace = pace{first: 200 * time.Millisecond, eager: time.Second, looks: 30, lazy: 20 * time.Second, calm: 20 * time.Second, calmMax: 3 * time.Minute}
	// aminoPace: a look asks some fifty servers of others.
	aminoPace = pace{first: 3 * time.Second, eager: 10 * time.Second, looks: 5, lazy: 5 * time.Minute, calm: 3 * time.Minute, calmMax: 20 * time.Minute}
)

// wait returns the time until the next look after n looks since the start or
// since it last became known whether there are enough peers, before jitter.
func (p pace) wait(n int, enough bool) time.Duration {
	grow := func(from, to time.Duration, n int) time.Duration {
		for ; n > 0 && from < to; n-- {
			from += from / 2
		}
		return min(from, to)
	}
	switch {
	case enough:
		return grow(p.calm, p.calmMax, n-1)
	case n <= p.looks:
		return grow(p.first, p.eager, n-1)
	}
	return grow(p.eager, p.lazy, n-p.looks)
}

// look is the state of the looks for one topic; Discovery.mu guards it.
type look struct {
	index   int       // in the queue, -1 outside
	next    time.Time // when in the queue
	running bool
	again   bool // look once more when the present look ends
	streak  int  // looks since the back-off began
	took    int  // looks in all
	last    time.Time
	found   int // distinct peers of the last look
	bare    int // peers of the last look whose addresses nobody knew
}

// Search is one wish for the peers of a topic.
type Search struct {
	d     *Discovery
	topic Topic
	fn    func(peer.AddrInfo)

	enough bool // see Enough; Discovery.mu guards it
}

// Find calls fn for each peer of t found, at once and again each time a
// later look finds it, until Stop. fn is called from several goroutines, must
// not block and must not call Stop.
func (d *Discovery) Find(t Topic, fn func(peer.AddrInfo)) (*Search, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, ErrClosed
	}
	s := &Search{d: d, topic: t, fn: fn}
	e := d.get(t)
	if e.searches == nil {
		e.searches = map[*Search]struct{}{}
	}
	e.searches[s] = struct{}{}
	d.hurry(e, true)
	return s, nil
}

// Enough tells whether the searcher has peers that serve. With enough, looks
// are rare; without, which is the state at the start, they begin at once and
// quickly. What the DHT returns does not tell: it may all be out of date.
func (s *Search) Enough(enough bool) {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	e := s.d.topics[s.topic]
	if e == nil || s.enough == enough {
		return
	}
	s.enough = enough
	if e.look.streak = 0; !enough {
		s.d.hurry(e, true)
	}
}

// Again starts over: a look now, and quick ones after it unless there are
// enough peers.
func (s *Search) Again() {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	if e := s.d.topics[s.topic]; e != nil {
		s.d.hurry(e, true)
	}
}

// Stop ends the search. A call of its function may still be under way.
func (s *Search) Stop() {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	e := s.d.topics[s.topic]
	if e == nil {
		return
	}
	delete(e.searches, s)
	if len(e.searches) == 0 {
		s.d.queue.remove(e)
		s.d.forget(e)
	}
}

// Lookup delivers the peers of t, each as soon as it is found and again each
// time a later look finds it, until ctx ends or the Discovery is closed; then
// the channel is closed. A receiver that is slow misses repetitions, not
// peers.
func (d *Discovery) Lookup(ctx context.Context, t Topic) <-chan peer.AddrInfo {
	out := make(chan peer.AddrInfo)
	var mu sync.Mutex
	var waiting []peer.AddrInfo // at most one entry per peer
	more := make(chan struct{}, 1)
	s, err := d.Find(t, func(info peer.AddrInfo) {
		mu.Lock()
		defer mu.Unlock()
		for i := range waiting {
			if waiting[i].ID == info.ID {
				waiting[i] = info
				return
			}
		}
		if len(waiting) < 4*maxProviders {
			waiting = append(waiting, info)
			signal(more)
		}
	})
	if err != nil {
		close(out)
		return out
	}
	d.wg.Go(func() {
		defer close(out)
		defer s.Stop()
		for {
			mu.Lock()
			batch := waiting
			waiting = nil
			mu.Unlock()
			for _, info := range batch {
				select {
				case out <- info:
				case <-ctx.Done():
					return
				case <-d.ctx.Done():
					return
				}
			}
			select {
			case <-more:
			case <-ctx.Done():
				return
			case <-d.ctx.Done():
				return
			}
		}
	})
	return out
}

// hurry puts e in front of the queue; fresh starts its back-off over. d.mu
// is held.
func (d *Discovery) hurry(e *topic, fresh bool) {
	if len(e.searches) == 0 || d.closed {
		return
	}
	if fresh {
		e.look.streak = 0
	}
	if e.look.running {
		e.look.again = e.look.again || fresh
		return
	}
	d.queue.put(e, time.Now())
	signal(d.wake)
}

// hurryAll takes a look now for each topic without enough peers, and with
// fresh starts the back-off of those over.
func (d *Discovery) hurryAll(fresh bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.topics {
		if !e.enough() {
			d.hurry(e, fresh)
		}
	}
}

// enough tells whether every searcher has enough peers.
func (e *topic) enough() bool {
	for s := range e.searches {
		if !s.enough {
			return false
		}
	}
	return true
}

// schedule starts the looks that are due.
func (d *Discovery) schedule() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		d.mu.Lock()
		now := time.Now()
		wait := time.Hour
		for d.running < maxLooks && len(d.queue) > 0 && !d.closed {
			e := d.queue[0]
			if left := e.look.next.Sub(now); left > 0 {
				wait = left
				break
			}
			d.queue.remove(e)
			e.look.running = true
			d.running++
			d.wg.Go(func() { d.take(e) })
		}
		d.mu.Unlock()
		timer.Reset(wait)
		select {
		case <-d.ctx.Done():
			return
		case <-d.wake:
		case <-timer.C:
		}
	}
}

// take looks once for e on every overlay and puts it back into the queue.
func (d *Discovery) take(e *topic) {
	ctx, cancel := context.WithTimeout(d.ctx, lookTimeout)
	defer cancel()
	f := finding{d: d, topic: e, seen: map[peer.ID]bool{}}
	var wg sync.WaitGroup
	asked := false
	for _, o := range d.overlays {
		if o.size() == 0 {
			continue
		}
		asked = true
		wg.Go(func() { f.on(ctx, o) })
	}
	wg.Wait()

	d.mu.Lock()
	defer d.mu.Unlock()
	d.running--
	l := &e.look
	l.running = false
	found := len(f.seen) - f.bare
	if asked {
		l.streak++
		l.took++
		l.last = time.Now()
		l.found, l.bare = found, f.bare
	}
	switch {
	case len(e.searches) == 0:
		l.again = false
		d.forget(e)
	case l.again:
		l.again, l.streak = false, 0
		d.queue.put(e, time.Now())
	default:
		p := ownPace
		if len(d.overlays) > 0 && (d.overlays[0].name == NetworkAmino || !d.overlays[0].ours) {
			p = aminoPace
		}
		wait := p.eager // nobody to ask: the first peer of an overlay hurries all topics
		if asked {
			wait = p.wait(l.streak, e.enough())
		}
		d.queue.put(e, time.Now().Add(jitter(max(wait, perTopic*time.Duration(len(d.queue))))))
	}
	signal(d.wake)
}

// finding collects what one look finds.
type finding struct {
	d     *Discovery
	topic *topic

	mu   sync.Mutex
	seen map[peer.ID]bool
	bare int
}

// on asks one overlay.
func (f *finding) on(ctx context.Context, o *overlay) {
	var wg sync.WaitGroup
	defer wg.Wait()
	resolving := 0
	// The channel is drained to its end, also after ctx: the query hangs
	// otherwise.
	for info := range o.finder.FindProvidersAsync(ctx, f.topic.id.CID(), maxProviders) {
		if info.ID == f.d.host.ID() {
			continue
		}
		if len(info.Addrs) > 0 || f.d.reachable(info.ID) {
			f.deliver(info)
			continue
		}
		if o.peerRouting == nil || resolving == maxResolve {
			f.miss(info.ID)
			continue
		}
		resolving++
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
			defer cancel()
			full, err := o.peerRouting.FindPeer(ctx, info.ID)
			if err != nil || len(full.Addrs) == 0 {
				f.miss(info.ID)
				return
			}
			f.deliver(full)
		})
	}
}

// reachable tells whether p can be dialled without addresses from a record.
func (d *Discovery) reachable(p peer.ID) bool {
	return d.host.Network().Connectedness(p) == network.Connected || len(d.host.Peerstore().Addrs(p)) > 0
}

func (f *finding) deliver(info peer.AddrInfo) {
	f.mu.Lock()
	f.seen[info.ID] = true
	f.mu.Unlock()
	f.d.mu.Lock()
	fns := make([]func(peer.AddrInfo), 0, 1)
	for s := range f.topic.searches {
		fns = append(fns, s.fn)
	}
	f.d.mu.Unlock()
	for _, fn := range fns {
		fn(info)
	}
}

func (f *finding) miss(p peer.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.seen[p] {
		f.seen[p] = true
		f.bare++
	}
}

// lookQueue is a heap of the topics waiting for their next look.
type lookQueue []*topic

func (q lookQueue) Len() int           { return len(q) }
func (q lookQueue) Less(i, j int) bool { return q[i].look.next.Before(q[j].look.next) }
func (q lookQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].look.index, q[j].look.index = i, j
}
func (q *lookQueue) Push(x any) {
	e := x.(*topic)
	e.look.index = len(*q)
	*q = append(*q, e)
}
func (q *lookQueue) Pop() any {
	old := *q
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	e.look.index = -1
	return e
}

// put adds e for the time at, or moves it there if that is earlier.
func (q *lookQueue) put(e *topic, at time.Time) {
	if e.look.index < 0 {
		e.look.next = at
		heap.Push(q, e)
	} else if at.Before(e.look.next) {
		e.look.next = at
		heap.Fix(q, e.look.index)
	}
}

func (q *lookQueue) remove(e *topic) {
	if e.look.index >= 0 {
		heap.Remove(q, e.look.index)
	}
}
