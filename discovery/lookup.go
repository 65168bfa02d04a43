package discovery

import (
	"context"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// maxLooks run at a time; each asks up to ten servers in parallel.
	maxLooks = 24
	// maxProviders bounds the peers taken from one look on one overlay.
	maxProviders = 200
	// maxLingering looks for one topic may go on while a next one is taken.
	maxLingering = 4
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
	patience     time.Duration // after which the next look does not wait for the end of one
}

var (
	// ownPace: a look costs a few messages between few servers, and a writer
	// that comes up now shall be seen within a second or two.
	ownPace = pace{first: 200 * time.Millisecond, eager: time.Second, looks: 30, lazy: 20 * time.Second, calm: 20 * time.Second, calmMax: 3 * time.Minute, patience: 800 * time.Millisecond}
	// aminoPace: a look asks some fifty servers of others.
	aminoPace = pace{first: time.Second, eager: 10 * time.Second, looks: 8, lazy: 5 * time.Minute, calm: 3 * time.Minute, calmMax: 20 * time.Minute, patience: 15 * time.Second}
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
	// lingering looks have not ended, but the next one does not wait for them.
	lingering int
	streak    int // looks since the back-off began
	took      int // looks in all
	last      time.Time
	found     int // distinct peers of the last look
	bare      int // peers of the last look whose addresses nobody knew
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
// Servers that are gone can hold a look up for as long as a dial may last;
// after a while the next look need not wait for it.
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
	done := make(chan struct{})
	d.wg.Go(func() { wg.Wait(); close(done) })
	late := time.NewTimer(d.pace().patience)
	defer late.Stop()
	select {
	case <-done:
		d.took(e, &f, asked, true)
	case <-late.C:
		if d.took(e, &f, asked, false) {
			<-done
			d.over(e)
		} else {
			<-done
			d.took(e, &f, asked, true)
		}
	}
}

// took notes the outcome of a look and plans the next one. A look that is not
// over counts on; it returns false, having done nothing, if too many are not.
func (d *Discovery) took(e *topic, f *finding, asked, over bool) bool {
	f.mu.Lock()
	found, bare := len(f.seen)-f.bare, f.bare
	f.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	l := &e.look
	if over {
		d.running--
	} else {
		if l.lingering >= maxLingering {
			return false
		}
		l.lingering++
	}
	l.running = false
	if asked {
		l.streak++
		l.took++
		l.last = time.Now()
		l.found, l.bare = found, bare
	}
	switch {
	case len(e.searches) == 0:
		l.again = false
		d.forget(e)
	case len(d.overlays) == 0: // nobody will ever be asked
	case l.again:
		l.again, l.streak = false, 0
		d.queue.put(e, time.Now())
	default:
		p := d.pace()
		wait := p.eager // nobody to ask: the first peer of an overlay hurries all topics
		if asked {
			wait = p.wait(l.streak, e.enough())
		}
		d.queue.put(e, time.Now().Add(jitter(max(wait, perTopic*time.Duration(len(d.queue))))))
	}
	signal(d.wake)
	return true
}

// over notes that a look that the next one did not wait for has ended.
func (d *Discovery) over(e *topic) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.running--
	e.look.lingering--
	signal(d.wake)
}

// pace is that of the network.
func (d *Discovery) pace() pace {
	if len(d.overlays) > 0 && (d.overlays[0].name == NetworkAmino || !d.overlays[0].ours) {
		return aminoPace
	}
	return ownPace
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
