package protocol

import (
	"slices"

	"github.com/go-hypercore/hypercore/feed"
)

// What is known of a feed among the remotes that have it open, for people who
// ask why a download does not go on.

// Survey tells which of the blocks that are not here somebody else has.
type Survey struct {
	// Length is the number of blocks that are known to exist: the feed's own
	// length, or what a remote has announced.
	Length uint64
	// Here is how many of them are here, Missing how many of the wanted ones are not.
	Here, Missing uint64
	// Nowhere is how many of the missing ones no remote has, among the remotes
	// whose have-map has come. 0 while there is none.
	Nowhere uint64
	// Ranges are the first ranges of those, at most SurveyOptions.Ranges.
	Ranges []feed.Span
	// Unknown is how many of the missing ones lie in parts of the have-maps that
	// have not been asked for.
	Unknown uint64
	// Cut tells that the maps are too ragged to be looked at to the end: the
	// counts are of the part before block At.
	Cut bool
	At  uint64
	// Peers are the remotes that have the feed open.
	Peers []Holding
}

// Offers reports whether the remote can be of use to this side for a feed that both have
// open: nothing is missing here, or the remote has served blocks, is as far as this side,
// or has blocks that are missing here, as far as its map is known. An announced length
// that it did not prove counts for nothing.
func (s *Stream) Offers(dk feed.DiscoveryKey) bool {
	s.mu.Lock()
	c := s.channels[dk]
	ok := c != nil && c.joined
	s.mu.Unlock()
	if !ok {
		return false
	}
	sw := c.sw
	st := sw.f.Stats()
	sw.mu.Lock()
	defer sw.mu.Unlock()
	switch {
	case st.Writable, st.Length > 0 && st.Blocks == st.Length, c.tally.downBlocks > 0:
		return true
	case c.peer == nil || !c.haveKnown || c.claim.doubted:
		return false
	case c.length >= max(1, st.Length):
		return true
	}
	var v Survey
	steps := maxSurveySteps
	sw.survey(&v, []*channel{c}, 0, c.length, 0, &steps)
	return v.Nowhere < v.Missing || v.Cut
}

// Holding is what one remote has.
type Holding struct {
	ID     []byte // StreamOptions.RemoteID
	Label  string // StreamOptions.Label
	Known  bool   // its have-map has come
	Blocks uint64 // in the part of it that was asked for
	Length uint64 // index after the highest block it announced
}

// SurveyOptions bound a Survey.
type SurveyOptions struct {
	Wanted []feed.Range // only these blocks matter; nil: all
	Ranges int          // most ranges returned
}

// maxSurveySteps bounds the runs of blocks a survey goes through: remotes make
// their maps as ragged as they like, and their lengths as great.
const maxSurveySteps = 1 << 14

// Survey looks at the have-maps of all remotes of a feed. Its second result is
// false if the feed was not added.
func (e *Engine) Survey(dk feed.DiscoveryKey, o SurveyOptions) (Survey, bool) {
	sw := e.swarm(dk)
	if sw == nil {
		return Survey{}, false
	}
	st := sw.f.Stats()
	sw.mu.Lock()
	defer sw.mu.Unlock()
	s := Survey{Length: max(st.Length, sw.known.Load()), Here: st.Blocks}
	var maps []*channel
	for _, c := range sw.channels {
		h := Holding{ID: slices.Clone(c.s.o.RemoteID), Label: c.s.o.Label, Known: c.haveKnown, Length: c.length}
		if c.peer != nil {
			h.Blocks = c.peer.Count(0, s.Length)
			if c.haveKnown {
				maps = append(maps, c)
			}
		}
		s.Peers = append(s.Peers, h)
	}
	wanted := o.Wanted
	if wanted == nil {
		wanted = []feed.Range{{}}
	}
	steps := maxSurveySteps
	for _, r := range wanted {
		end := s.Length
		if r.End > 0 {
			end = min(end, r.End)
		}
		sw.survey(&s, maps, r.Start, end, o.Ranges, &steps)
	}
	return s, true
}

// survey goes through [at, end) run by run. mu held.
func (sw *swarm) survey(s *Survey, maps []*channel, at, end uint64, ranges int, steps *int) {
	for ; at < end; *steps-- {
		if at = sw.f.NextMissing(at); at >= end {
			return
		}
		if *steps <= 0 {
			s.Cut, s.At = true, at
			return
		}
		// The run of missing blocks ends where the feed has one again.
		stop := min(end, sw.nextHere(at, end))
		had, unknown := false, false
		for _, c := range maps {
			switch {
			case !c.mapped(at):
				unknown = true
				stop = min(stop, (at/regionBlocks+1)*regionBlocks)
			case c.peer.Has(at):
				had = true
				stop = min(stop, c.peer.NextLacked(at))
			default:
				stop = min(stop, (at/regionBlocks+1)*regionBlocks)
				if next, ok := c.peer.NextHad(at); ok {
					stop = min(stop, next)
				}
			}
		}
		n := stop - at
		s.Missing += n
		switch {
		case had || len(maps) == 0:
		case unknown:
			s.Unknown += n
		default:
			s.Nowhere += n
			if last := len(s.Ranges) - 1; last >= 0 && s.Ranges[last].End == at {
				s.Ranges[last].End = stop
			} else if len(s.Ranges) < ranges {
				s.Ranges = append(s.Ranges, feed.Span{Start: at, End: stop})
			}
		}
		at = stop
	}
}

// mapped tells whether the remote has shown its map of the region of a block, or
// cannot have it: it is beyond what the remote announced. sw.mu held.
func (c *channel) mapped(block uint64) bool {
	if c.whole || block >= c.length {
		return true
	}
	return slices.ContainsFunc(c.regions, func(r region) bool { return r.answered && r.n == block/regionBlocks })
}

// nextHere is the first block at from or after it, and before end, that is here;
// else end. It looks at a bounded part and may return less.
func (sw *swarm) nextHere(from, end uint64) uint64 {
	const most = 1 << 16
	length := min(end, sw.f.Len())
	if from >= length {
		return end // nothing is here beyond the length
	}
	start := from &^ 7
	bits := sw.f.Bitmap(nil, start, (min(most, length-start)+7)&^7)
	for i := range uint64(len(bits)) * 8 {
		if b := start + i; b > from && b < length && bits[i/8]<<(i%8)&0x80 != 0 {
			return b
		}
	}
	if stop := start + uint64(len(bits))*8; stop < length {
		return stop
	}
	return end
}

// FeedState is how far the opening of a feed on a stream has come.
type FeedState struct {
	Offered bool // this side has opened it
	Bound   bool // the remote has opened it
	// Verified: the remote has proven that it knows the public key; in V6, that of
	// the stream's first feed, by a Handshake that could be read.
	Verified bool
	Open     bool // both sides have it open
}

// FeedState tells how it stands with one feed on the stream.
func (s *Stream) FeedState(dk feed.DiscoveryKey) FeedState {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.channels[dk]
	if c == nil {
		return FeedState{}
	}
	return FeedState{Offered: c.offered, Bound: c.bound, Verified: c.verified || s.o.Dialect == V6 && !s.o.Plain && c.joined && s.hello != nil, Open: c.joined && !c.gone}
}
