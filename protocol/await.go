package protocol

import (
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/protocol/wire"
)

// Who reads at the end of a feed asks a native remote for the next block before
// there is one. The remote parks the request and sends the block when it would
// have announced it: one trip instead of three. A channel has one such request in
// each direction, so it costs the remote no more than the channel does.
//
// Only the block at our length is asked for in this way, while somebody waits for
// just that and nobody has announced it, of the remote that was the first to have
// the newest block. It is not in flight for the table: if another remote announces
// the block it is asked for there, and the request that waits is cancelled when
// the block is here.

// await is a Request of ours that waits at the remote. Guarded by swarm.mu.
type await struct {
	on        bool // it has no answer yet
	cancelled bool
	never     bool // the remote does not keep them
	index     uint64
}

// awaitNext sends the request that waits for the block at length, if it is wanted,
// and takes back one that waits for another block. mu held.
func (sw *swarm) awaitNext(length uint64, now time.Duration) {
	want := sw.tip && !sw.halted && now >= sw.resume && len(sw.demand.Links) == 0 && sw.known.Load() <= length
	for _, c := range sw.channels {
		a := &c.await
		switch {
		case !a.on:
		case sw.tip && a.index == length && !a.cancelled:
			want = false // it is asked for, there
		case !a.cancelled:
			a.cancelled = true
			sw.asks = append(sw.asks, ask{c: c, wait: true, cancel: true, index: a.index})
		}
	}
	if !want {
		return
	}
	var best *channel
	for _, c := range sw.channels {
		if c.awaits() && (best == nil || c == sw.front || best != sw.front && c.length > best.length) {
			best = c
		}
	}
	if best != nil {
		best.await = await{on: true, index: length}
		sw.asks = append(sw.asks, ask{c: best, wait: true, index: length})
	}
}

// awaits reports whether the remote can be asked for a block that it does not have
// yet. sw.mu held.
func (c *channel) awaits() bool {
	return c.peer != nil && c.begun && c.haveKnown && c.s.o.Dialect == Native && !c.s.o.Limited &&
		!c.await.on && !c.await.never && c.probe == nil && c.s.out.room()
}

// awaited reports whether a block is the one that our request has waited for. Then
// the remote has it, as if it had said so. sw.mu held.
func (c *channel) awaited(p *feed.Proof) bool {
	if !c.await.on || p.Index != c.await.index || p.Sizes != nil {
		return false
	}
	c.await = await{}
	c.announced(p.Index, p.Index+1)
	c.peer.Pushed(p.Index)
	return true
}

// awaitRefused reports whether a NoData answers our request that waits. sw.mu held.
func (c *channel) awaitRefused(m *wire.NoData) bool {
	if !c.await.on || m.Index != c.await.index || m.Length != 1 {
		return false
	}
	c.await = await{never: m.Reason != wire.ReasonCancelled}
	return true
}

// parked is a Request of the remote that waits here. Guarded by swarm.mu.
type parked struct {
	on     bool
	index  uint64
	digest uint64
}

// park keeps a Request that waits for a block, if it is not served yet: else it is
// one like any other, and done is false.
func (c *channel) park(m *wire.Request) (done bool, err error) {
	sw := c.sw
	sw.mu.Lock()
	// Under the lock: a block that is not shown now is told of by Available later.
	switch {
	case sw.f.NextUnshown(m.Index) > m.Index:
	case c.parked.on, c.due.Load():
		done, err = true, c.refuse(m.Index, 1, wire.ReasonLater)
	default:
		done, c.parked = true, parked{true, m.Index, m.Nodes}
	}
	sw.mu.Unlock()
	return done, err
}

// unparked takes back the parked request that a Cancel is for; false if there is
// none.
func (c *channel) unparked(m *wire.Cancel) (index uint64, ok bool) {
	c.sw.mu.Lock()
	defer c.sw.mu.Unlock()
	p := &c.parked
	ok = p.on && !m.Hash && m.Bytes == 0 && p.index >= m.Index && p.index-m.Index < m.Length
	p.on = p.on && !ok
	return p.index, ok
}

// unpark has the parked request answered: its block is there. sw.mu held.
func (c *channel) unpark() {
	p := &c.parked
	p.on = false
	c.due.Store(true)
	c.s.jobs.answer(job{c: c, kind: jobBlock, index: p.index, digest: p.digest})
}

// answer lets the server do a job next. It does not wait: the caller sees to it
// that there are few of them.
func (q *jobs) answer(j job) {
	q.mu.Lock()
	if !q.closed {
		q.due = append(q.due, j)
		q.work.Signal()
	}
	q.mu.Unlock()
}
