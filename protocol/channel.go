package protocol

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/feed/bitfield"
	"github.com/go-hypercore/hypercore/protocol/schedule"
	"github.com/go-hypercore/hypercore/protocol/wire"
)

// channel is one feed on one stream.
type channel struct {
	// constant
	s  *Stream
	dk feed.DiscoveryKey

	// guarded by s.mu
	sw       *swarm        // constant once the channel is joined; nil: the feed is not here
	local    uint64        // our number, constant once joined
	ours     []byte        // the nonce of our Feed (Native)
	at       *binding      // of the remote's number
	nonce    []byte        // of the remote's Feed
	proof    []byte        // its capability
	offered  bool          // our Feed was sent
	own      bool          // on this side's own account
	bound    bool          // the remote's Feed has come
	verified bool          // the remote knows the public key
	joined   bool          // open on both sides
	gone     bool          // closed; never opened again
	entering chan struct{} // not nil: joined, and its swarm is about to know it; closed then
	early    []wire.Frame

	open   atomic.Bool // joined and not gone
	wanted atomic.Bool // the remote has sent a Want: it is told what is here, and what is new
	due    atomic.Bool // the answer to its parked request waits for the server

	// guarded by sw.mu
	peer       *schedule.Peer // nil: nothing is asked of the remote
	introduced bool           // our have-map was sent: from then on it is told what is new
	begun      bool           // the remote's Handshake is here
	regions    []region       // of the remote's have-map, asked for
	unwanted   int            // regions not answered yet
	whole      bool           // the remote sends its whole map at once (before 6.23)
	haveKnown  bool           // its have-map has come
	length     uint64         // what it announced: index after the highest block
	claim      claim          // what of that is not proven
	specials   []special      // hash and seek requests in flight
	turn       uint64         // the lower, the sooner it is asked the next one, see swarm.turns
	compared   bool           // it was asked to prove its last block, or ours
	question   struct {       // what inquire has asked
		index uint64
		on    bool
	}
	probe    *probe        // a second look at an invalid proof is under way
	noWant   time.Duration // when the first Want was sent
	reported uint64        // length, as told to the feed
	sentInfo bool
	gotInfo  bool
	tally    tally
	await    await // our Request that waits for a block at the remote
	parked   parked

	// guarded by s.out.mu
	news []schedule.Run // to be announced when there is room
	over bool           // our half has ended (Native): nothing more is sent

	// of the serving goroutine
	marks     bitfield.Bits // nodes the remote has
	nextBlock uint64        // after the last answer
	lastBytes uint64        // of the last request by bytes
	hasShown  bool          // our length was announced
}

// region is one Want of ours.
type region struct {
	n        uint64 // blocks n*regionBlocks and on
	cost     int    // bytes its map may take, see maxMaps
	checked  int    // cost when it was last counted
	answered bool
}

// special is a request other than for a block.
type special struct {
	index uint64
	bytes uint64 // not 0: a seek
	at    time.Duration

	beyond   bool // for the proof of any greater length: index may be another one
	answered bool
	refused  bool // answered by a refusal
	late     bool // others were asked since
}

// tally counts what went over a channel.
type tally struct {
	downBlocks, downBytes uint64
	upBlocks, upBytes     atomic.Uint64
	unasked               uint64
}

func newChannel(s *Stream, dk feed.DiscoveryKey) *channel { return &channel{s: s, dk: dk} }

// send appends one small message, unless our half has ended.
func (c *channel) send(fn func(b []byte) []byte) {
	o := &c.s.out
	o.mu.Lock()
	if !o.closed && !c.over {
		o.put(fn)
	}
	o.mu.Unlock()
}

// unlessOver makes of a message one that is not sent when our half has ended: the
// number may belong to another feed then.
func (c *channel) unlessOver(fn func(b []byte) []byte) func(b []byte) []byte {
	return func(b []byte) []byte {
		if c.over {
			return b
		}
		return fn(b)
	}
}

// leave takes the channel out of its swarm. It may be called twice.
func (c *channel) leave() {
	c.open.Store(false)
	c.s.mu.Lock()
	sw := c.sw
	c.s.mu.Unlock()
	if sw != nil {
		sw.leave(c)
	}
}

// finish closes a channel that has done its work, and the stream with the last.
func (s *Stream) finish(c *channel) {
	s.closeChannel(c, false)
	s.mu.Lock()
	s.finished++
	want := s.o.ExpectedFeeds
	if want == 0 {
		want = max(1, s.opened)
	}
	end := s.finished >= want && len(s.channels) == 0 || s.o.ExpectedFeeds > 0 && s.finished >= want
	s.mu.Unlock()
	if end {
		s.push(job{kind: jobEnd})
	}
}

// announce tells the remote of new blocks. When it reads slowly the runs are
// kept, joined where they touch, until there is room; when there are too many of
// them, so are neighbours, and announceLate looks what of it is there.
func (c *channel) announce(start, end uint64) {
	o := &c.s.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || c.over {
		return
	}
	if len(c.news) == 0 && len(o.control) < maxControl {
		o.put(func(b []byte) []byte {
			return wire.AppendHave(b, c.local, wire.Have{Start: start, Length: end - start})
		})
		return
	}
	if n := len(c.news); n > 0 && c.news[n-1].End == start {
		c.news[n-1].End = end
		return
	}
	if len(c.news) == 0 {
		o.late = append(o.late, c)
		o.work.Signal()
	}
	if len(c.news) == maxAnnounce {
		c.news = joinRuns(c.news)
	}
	c.news = append(c.news, schedule.Run{Start: start, End: end})
}

// joinRuns makes at most half as many runs of a list, which hold all of it and what
// lies between.
func joinRuns(list []schedule.Run) []schedule.Run {
	slices.SortFunc(list, func(a, b schedule.Run) int { return cmp.Compare(a.Start, b.Start) })
	n := 0
	for i := 0; i < len(list); i += 2 {
		r := list[i]
		if i+1 < len(list) {
			r.End = max(r.End, list[i+1].End)
		}
		list[n] = r
		n++
	}
	return list[:n]
}

// announceLate sends what announce has kept, as far as it may still be shown.
// Writing goroutine.
func (c *channel) announceLate() {
	o := &c.s.out
	var r schedule.Run
	for {
		o.mu.Lock()
		if o.closed || c.over {
			c.news = nil
			o.mu.Unlock()
			return
		}
		if r.Start < r.End { // what is left of the last one
			c.news = append(c.news, r)
		}
		if len(c.news) == 0 || len(o.control) >= maxControl {
			if len(c.news) > 0 {
				o.late = append(o.late, c)
			} else {
				c.news = nil
			}
			o.mu.Unlock()
			return
		}
		last := len(c.news) - 1
		r, c.news = c.news[last], c.news[:last]
		o.mu.Unlock()

		from := c.sw.f.NextShown(r.Start)
		end := min(r.End, c.sw.f.NextUnshown(from))
		if r.Start = max(end, from); from < end {
			c.send(func(b []byte) []byte {
				return wire.AppendHave(b, c.local, wire.Have{Start: from, Length: end - from})
			})
		}
	}
}
