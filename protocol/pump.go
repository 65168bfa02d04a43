package protocol

import (
	"slices"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/protocol/schedule"
	"github.com/go-hypercore/hypercore/protocol/wire"
)

// ask is what the table wants said to a remote.
type ask struct {
	c          *channel
	from, to   int // runs[from:to]
	cancel     bool
	want       bool // a Want for region from
	hash       bool // a special request
	wait       bool // a Request for index that waits, or with cancel no longer
	index, pos uint64
}

// pump asks every remote for what it should be asked. One goroutine at a time,
// see kick.
func (sw *swarm) pump() {
	if sw.dirty.Swap(false) {
		sw.demand = sw.f.Demand()
		sw.length = ^uint64(0)
	}
	length := sw.f.Len()
	sw.asks, sw.runs = sw.asks[:0], sw.runs[:0]

	sw.mu.Lock()
	sw.listen(length)
	events := sw.news()
	if sw.table == nil || sw.closed != nil {
		if sw.closed == nil {
			sw.inquiries(length)
		}
		ended := sw.takeEnded()
		sw.mu.Unlock()
		sw.report(events)
		finishAll(ended)
		for i := range sw.asks {
			sw.say(&sw.asks[i])
		}
		clear(sw.asks)
		return
	}
	cross := sw.crossing(length)
	if length != sw.length || cross != sw.cross {
		sw.length, sw.cross = length, cross
		sw.table.SetDemand(sw.clip(length, cross))
	}
	now := sw.now()
	if len(sw.demand.Links) == 0 {
		sw.linked = now
	}
	// What a native remote sends while a link is open we might not keep, and it
	// would count on it.
	linking := now-sw.linked < linkPause && len(sw.demand.Links) > 0
	for _, c := range sw.channels {
		if c.peer != nil && c.begun {
			c.peer.Pause(sw.halted || now < sw.resume || linking && c.s.o.Dialect == Native || c.probe != nil || sw.spared(c) || !c.s.out.room())
			sw.wantMore(c)
		}
	}
	sw.size = sw.table.BlockSize()
	if sw.due.Swap(false) {
		sw.tick(now)
	}
	sw.special(length, now)
	if sw.doubt(length, now) {
		events = append(events, sw.news()...)
	}
	sw.awaitNext(length, now)
	sw.table.Plan(now, sw.noteAsk)
	sw.arm()
	sw.endings()
	ended := sw.takeEnded()
	sw.mu.Unlock()

	sw.report(events)
	finishAll(ended)
	for i := range sw.asks {
		sw.say(&sw.asks[i])
	}
	clear(sw.asks) // it would keep streams that have ended
	for _, c := range sw.bad {
		c.s.fail(c.verdict())
	}
	clear(sw.bad)
	sw.bad = sw.bad[:0]
}

// spared reports whether a limited remote is asked for nothing yet: blocks may be
// too large for what carries them. mu held.
func (sw *swarm) spared(c *channel) bool {
	return c.s.o.Limited && sw.table.BlockSize() > limitedSize && time.Since(c.s.born) < limitedSpare
}

// news returns what the feed was not told yet about its peers. mu held.
func (sw *swarm) news() (events []feed.PeerEvent) {
	for _, c := range sw.channels {
		if n := c.believed(); n != c.reported {
			c.reported = n
			events = append(events, feed.PeerEvent{Peer: c.s.o.Label, Length: c.length})
		}
	}
	return events
}

func (sw *swarm) report(events []feed.PeerEvent) {
	for _, e := range events {
		sw.f.ReportPeer(e)
	}
}

func (sw *swarm) takeEnded() []*channel {
	ended := sw.ended
	sw.ended = nil
	return ended
}

func finishAll(cs []*channel) {
	for _, c := range cs {
		c.s.finish(c)
	}
}

// crossing reports whether a remote has announced blocks beyond the length while
// something is here. The first of them is fetched alone: its proof shows that the
// longer history contains ours, and what follows can build on that. (Of V6 peers
// a block that somebody waits for is asked at once, and the feed closes the gap
// afterwards, see feed.Demand.Links.)
func (sw *swarm) crossing(length uint64) bool {
	if length == 0 {
		return false
	}
	for _, c := range sw.channels {
		if c.peer != nil && c.length > length {
			return true
		}
	}
	return false
}

// natives reports whether a native remote is asked for blocks. mu held.
func (sw *swarm) natives() bool {
	return slices.ContainsFunc(sw.channels, func(c *channel) bool { return c.peer != nil && c.s.o.Dialect == Native })
}

// clip turns the feed's demand into the table's.
func (sw *swarm) clip(length uint64, cross bool) schedule.Demand {
	var d schedule.Demand
	limit := ^uint64(0)
	if cross {
		limit = length
	}
	next := false
	sw.far = false
	sw.tip = slices.Contains(sw.demand.Blocks, length)
	direct := !cross || !sw.natives()
	for _, b := range sw.demand.Blocks {
		if b < limit || direct {
			d.Urgent = append(d.Urgent, b)
		} else if b == limit {
			next = true
		} else {
			sw.far = true
		}
	}
	for _, r := range sw.demand.Ranges {
		start, end := r.Start, r.End
		if end == 0 {
			end = ^uint64(0)
		}
		if start <= limit && limit < end {
			next = true
		}
		if end = min(end, limit); start < end {
			if end == ^uint64(0) {
				end = 0
			}
			d.Ranges = append(d.Ranges, schedule.Range{Start: start, End: end, Linear: r.Linear})
		}
	}
	sw.head = next && cross
	sw.far = sw.far && !sw.head
	if sw.head {
		d.Urgent = append([]uint64{length}, d.Urgent...)
	}
	return d
}

// noteAsk is the table's Emit. mu held.
func (sw *swarm) noteAsk(p *schedule.Peer, runs []schedule.Run) { sw.note(p, runs, false) }

func (sw *swarm) note(p *schedule.Peer, runs []schedule.Run, cancel bool) {
	from := len(sw.runs)
	sw.runs = append(sw.runs, runs...)
	sw.asks = append(sw.asks, ask{c: p.Tag.(*channel), from: from, to: len(sw.runs), cancel: cancel})
}

// tick lets time pass in the table. mu held.
func (sw *swarm) tick(now time.Duration) {
	sw.table.Tick(now, schedule.Actions{
		Ask:    sw.noteAsk,
		Cancel: func(p *schedule.Peer, runs []schedule.Run) { sw.note(p, runs, true) },
		Silent: func(p *schedule.Peer) {
			if p.Stalls() >= maxStalls {
				sw.bad = append(sw.bad, p.Tag.(*channel))
			}
		},
	})
	for _, c := range sw.channels {
		if c.probe != nil && now-c.probe.at > specialTimeout {
			sw.bad = append(sw.bad, c)
		}
		c.specials = slices.DeleteFunc(c.specials, func(s special) bool {
			// hypercore 6 does not answer every one; an answer that did not help is not
			// asked for again at once.
			age := now - s.at
			return age > specialTimeout || s.answered && age > specialPause
		})
	}
}

// arm keeps the timer running while something is in flight, or will be asked after
// a pause. mu held.
func (sw *swarm) arm() {
	if sw.ticking {
		return
	}
	busy := len(sw.demand.Links) > 0 && sw.now()-sw.linked < linkPause || sw.table.InFlight() > 0 || sw.table.Resting() || sw.now() < sw.resume
	for _, c := range sw.channels {
		busy = busy || len(c.specials) > 0 || c.probe != nil || c.claim.running || c.peer != nil && sw.spared(c)
	}
	if !busy {
		return
	}
	sw.ticking = true
	if sw.timer == nil {
		sw.timer = time.AfterFunc(schedule.TickInterval, func() {
			sw.mu.Lock()
			sw.ticking = false
			sw.mu.Unlock()
			sw.due.Store(true)
			sw.kick()
		})
		return
	}
	sw.timer.Reset(schedule.TickInterval)
}

// say puts one ask on the wire. No lock is held: digests look at the feed.
func (sw *swarm) say(a *ask) {
	c := a.c
	switch {
	case a.want:
		c.send(func(b []byte) []byte {
			return wire.AppendWant(b, c.local, wire.Want{Start: uint64(a.from) * regionBlocks, Length: regionBlocks})
		})
	case a.hash:
		m := wire.Request{Index: a.index, Bytes: a.pos, Hash: true}
		c.send(func(b []byte) []byte { return wire.AppendRequest(b, c.local, m) })
	case a.wait && a.cancel:
		c.send(func(b []byte) []byte { return wire.AppendCancel(b, c.local, wire.Cancel{Index: a.index}) })
	case a.wait:
		m := wire.Request{Index: a.index, Nodes: sw.f.Digest(a.index), Wait: true}
		c.send(func(b []byte) []byte { return wire.AppendRequest(b, c.local, m) })
	case a.cancel:
		for _, r := range sw.runs[a.from:a.to] {
			for i := r.Start; i < r.End; i++ {
				c.send(func(b []byte) []byte { return wire.AppendCancel(b, c.local, wire.Cancel{Index: i}) })
			}
		}
	default:
		for _, r := range sw.runs[a.from:a.to] {
			sw.request(c, r)
		}
	}
}

// request asks for a run of blocks.
func (sw *swarm) request(c *channel, r schedule.Run) {
	if c.s.o.Dialect == Native && r.Len() > 1 {
		for r.Start < r.End {
			n := min(r.Len(), wire.MaxRunBlocks, max(1, askBytes/max(1, uint64(sw.size))))
			m := wire.RequestRange{Start: r.Start, Length: n}
			m.Nodes, m.Last = sw.f.DigestRun(r.Start, n)
			c.send(func(b []byte) []byte { return wire.AppendRequestRange(b, c.local, m) })
			r.Start += n
		}
		return
	}
	for r.Start < r.End {
		end := min(r.End, r.Start+256)
		var digests [256]uint64
		for i := r.Start; i < end; i++ {
			digests[i-r.Start] = sw.f.Digest(i)
		}
		c.send(func(b []byte) []byte {
			for i := r.Start; i < end; i++ {
				b = wire.AppendRequest(b, c.local, wire.Request{Index: i, Nodes: digests[i-r.Start]})
			}
			return b
		})
		r.Start = end
	}
}

var _ feed.Replicator = (*swarm)(nil)
