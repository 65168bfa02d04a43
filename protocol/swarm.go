package protocol

import (
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/protocol/schedule"
	"github.com/go-hypercore/hypercore/protocol/wire"
)

// swarm is one feed and all remotes that have it open. It is the feed's
// Replicator. Its table exists while somebody can be asked.
type swarm struct {
	// constant
	e   *Engine
	f   *feed.Feed
	key feed.Key
	dk  feed.DiscoveryKey
	o   FeedOptions

	born  time.Time
	known atomic.Uint64 // highest announced length that is not doubted
	kicks atomic.Int64  // calls of kick that wait; whoever makes it 1 does the work
	dirty atomic.Bool   // the demand has changed
	due   atomic.Bool   // the timer has fired

	mu       sync.Mutex
	detach   func()
	channels []*channel // joined
	front    *channel   // whose remote was the first to have the newest block; nil: nobody's, or it has left
	table    *schedule.Table
	seed     uint64
	timer    *time.Timer
	ticking  bool
	closed   error // not nil: no more
	exts     []*Extension
	halted   bool                   // nothing is asked for any more: the feed is frozen
	resume   time.Duration          // nothing is asked for before: storing has failed
	ended    []*channel             // done, to be closed by pump
	turns    uint64                 // how many hash and seek requests were sent
	claims   map[claimant]keptClaim // see keepClaim
	audience bool                   // as the feed was told

	// of the goroutine that pumps
	demand feed.Demand
	length uint64        // the feed's, as the table's demand was made for
	cross  bool          // the table's demand ends at length and goes on with one block
	far    bool          // somebody waits for a block behind that one
	linked time.Duration // when Links was last empty
	head   bool          // that block is among the table's urgent ones
	tip    bool          // somebody waits for the block at length
	bad    []*channel
	size   float64 // average size of a block
	asks   []ask
	runs   []schedule.Run
}

func newSwarm(e *Engine, f *feed.Feed, key feed.Key, o FeedOptions) *swarm {
	return &swarm{e: e, f: f, key: key, dk: key.Discovery(), o: o, born: time.Now(), seed: rand.Uint64()}
}

// now is the time on the swarm's clock.
func (sw *swarm) now() time.Duration { return time.Since(sw.born) }

// downloads reports whether blocks are asked for on a stream.
func (sw *swarm) downloads(s *Stream) bool {
	switch {
	case sw.o.NoDownload || s.o.NoDownload || sw.f.Writable() && !sw.o.Download:
		return false
	case s.o.Ends && sw.f.Static():
		// A static feed that is complete never gets more: as its writer.
		n := sw.f.Len()
		return n == 0 || sw.f.NextMissing(0) < n
	}
	return true
}

// uploads reports whether blocks are announced and sent on a stream.
func (sw *swarm) uploads(s *Stream) bool { return !sw.o.NoUpload && !s.o.NoUpload }

// join adds a channel; false if the feed is gone.
func (sw *swarm) join(c *channel) bool {
	down := sw.downloads(c.s)
	sw.mu.Lock()
	defer sw.mu.Unlock()
	if sw.closed != nil {
		return false
	}
	if down {
		c.s.late.Add(int64(sw.makeTable()))
		l := schedule.Limits{Blocks: maxInFlight, Cancels: c.s.o.Dialect == Native}
		if c.s.o.Dialect == V6 {
			l.Blocks = maxInFlightV6
		}
		if c.s.o.Limited {
			l.Single = limitedBlocks
		}
		c.peer = sw.table.AddPeer(l)
		c.peer.Tag = c
		c.claim = sw.claims[c.claimant()].claim
		c.turn = sw.turns // who comes anew is not asked before all others
		if len(c.s.o.LocalID) > 0 && len(c.s.o.RemoteID) > 0 {
			c.peer.Identify(nameOf(c.s.o.LocalID), nameOf(c.s.o.RemoteID))
		}
		sw.dirty.Store(true) // the table may be a new one
	}
	sw.channels = append(sw.channels, c)
	c.open.Store(true)
	return true
}

// nameOf is a peer's name for the scheduler. A peer that chooses its ID to be
// first in everyone's order gains nothing: the next in the order take its share
// when they have taken theirs.
func nameOf(id []byte) uint64 {
	h := fnv.New64a()
	h.Write(id)
	return h.Sum64()
}

// makeTable makes the table and fills in what is here. What is wanted is filled in
// by the next pump, to which the length belongs. It returns what it has cost, about:
// who opens a feed again and again has it made each time. mu held.
func (sw *swarm) makeTable() (work time.Duration) {
	if sw.table != nil {
		return 0
	}
	t := schedule.New(sw.seed)
	here := sw.f.LocalBits()
	t.Fill(here)
	if st := sw.f.Stats(); st.Length > 0 {
		t.SeedBlockSize(float64(st.ByteLength) / float64(st.Length))
	}
	sw.table = t
	return time.Duration(here.Mixed()) * workTable
}

// leave takes a channel out; what was asked of it is asked of others at once.
func (sw *swarm) leave(c *channel) {
	sw.mu.Lock()
	i := slices.Index(sw.channels, c)
	if i < 0 {
		sw.mu.Unlock()
		return
	}
	c.open.Store(false)
	c.dropProbe()
	sw.keepClaim(c)
	sw.channels = slices.Delete(sw.channels, i, i+1)
	if sw.front == c {
		sw.front = nil
	}
	if c.peer != nil {
		sw.table.RemovePeer(c.peer)
		for i := range c.regions {
			c.refund(&c.regions[i])
		}
		c.peer = nil
		c.specials = nil
		if sw.table.Peers() == 0 {
			sw.table = nil
		}
	}
	sw.raise()
	length, closed := c.length, sw.closed != nil
	sw.mu.Unlock()
	if !closed {
		sw.f.ReportPeer(feed.PeerEvent{Peer: c.s.o.Label, Left: true, Length: length, Err: c.s.fault()})
	}
	sw.kick()
}

// raise recomputes the known length. mu held.
func (sw *swarm) raise() {
	n := uint64(0)
	for _, c := range sw.channels {
		n = max(n, c.believed())
	}
	sw.known.Store(n)
}

// close ends the swarm: all channels are closed, the streams live on.
func (sw *swarm) close(cause error) {
	sw.mu.Lock()
	if sw.closed != nil {
		sw.mu.Unlock()
		return
	}
	sw.closed = cause
	channels := slices.Clone(sw.channels)
	detach := sw.detach
	if sw.timer != nil {
		sw.timer.Stop()
	}
	sw.mu.Unlock()
	sw.e.drop(sw)
	for _, c := range channels {
		c.s.closeChannel(c, true)
	}
	for _, s := range sw.e.Streams() {
		s.takeBack(sw)
	}
	if detach != nil {
		detach()
	}
}

// The feed calls these; see feed.Replicator.

// DemandChanged asks for what readers wait for.
func (sw *swarm) DemandChanged() {
	sw.dirty.Store(true)
	sw.kick()
}

// Available announces blocks.
func (sw *swarm) Available(start, end uint64) {
	sw.mu.Lock()
	if sw.table != nil {
		sw.table.Here(start, end)
	}
	for _, c := range sw.channels {
		if i := c.parked.index; c.parked.on && start <= i && i < end {
			c.unpark()
			c.tell(start, i)
			c.tell(i+1, end)
		} else {
			c.tell(start, end)
		}
	}
	ending := sw.ending()
	sw.mu.Unlock()
	if ending {
		sw.kick()
	}
}

// tell announces blocks to a remote that has asked for that. sw.mu held.
func (c *channel) tell(start, end uint64) {
	if start < end && c.introduced && c.wanted.Load() && c.sw.uploads(c.s) {
		c.announce(start, end)
	}
}

// Cleared takes back what was announced.
func (sw *swarm) Cleared(start, end uint64) {
	sw.mu.Lock()
	if sw.table != nil {
		sw.table.Gone(start, end)
	}
	for _, c := range sw.channels {
		if c.introduced && c.wanted.Load() && sw.uploads(c.s) {
			local := c.local
			c.send(func(b []byte) []byte {
				return wire.AppendUnhave(b, local, wire.Unhave{Start: start, Length: end - start})
			})
		}
	}
	sw.dirty.Store(true)
	sw.mu.Unlock()
	sw.kick()
}

// KnownLen returns the highest length announced by remotes that are connected and
// not doubted; not more than a feed can have here.
func (sw *swarm) KnownLen() uint64 { return min(sw.known.Load(), feed.MaxLength) }

// FeedClosed closes the channels.
func (sw *swarm) FeedClosed(cause error) {
	if cause == nil {
		cause = ErrClosed
	}
	sw.close(cause)
}

// kickRounds is how often in a row one caller of kick pumps for others.
const kickRounds = 16

// kick makes somebody pump: the caller, or who is at it already. The caller goes
// on after some rounds, and a goroutine of its own takes over: a remote that
// floods announcements must not keep the one that reads an honest remote at it.
func (sw *swarm) kick() {
	if sw.kicks.Add(1) > 1 {
		return
	}
	if !sw.work(kickRounds) {
		go func() {
			for !sw.work(kickRounds) {
			}
		}()
	}
}

// work pumps until nobody waits for it, at most so many rounds; then it is false.
func (sw *swarm) work(rounds int) bool {
	for range rounds {
		n := sw.kicks.Load()
		sw.pump()
		if sw.kicks.CompareAndSwap(n, 0) {
			return true
		}
	}
	return false
}
