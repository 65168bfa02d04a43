package protocol

import (
	"slices"
	"time"

	"github.com/go-hypercore/hypercore/feed"
)

// PeerStats is what is known of one remote that has a feed open.
type PeerStats struct {
	ID      []byte // StreamOptions.RemoteID
	Label   string // StreamOptions.Label
	Dialect Dialect
	// Accepted: the remote has proven that it knows the public key. Always true
	// for a remote that is listed: others are told nothing.
	Accepted bool
	// Length is the index after the highest block the remote has announced.
	Length uint64
	// Doubted: it was asked to prove a Length above the feed's own, and did not. It
	// counts for nothing until it does.
	Doubted bool
	// HaveKnown: its have-map has come, so a Length of 0 means an empty feed.
	HaveKnown bool
	// Wants: the remote has asked to be told what is here.
	Wants bool

	DownloadedBlocks, DownloadedBytes uint64 // of this feed, verified
	UploadedBlocks, UploadedBytes     uint64 // of this feed

	Rate     float64       // bytes per second it answers with, lately
	RTT      time.Duration // shortest answer time, 0 before the first
	InFlight int           // blocks asked for and not answered
	Window   int           // how many may be
	Stalled  bool          // it has not answered for long

	BytesIn, BytesOut uint64 // of the whole stream, as on the connection
}

// Peers returns the remotes that have a feed open. Nil if the feed was not added.
func (e *Engine) Peers(dk feed.DiscoveryKey) []PeerStats {
	sw := e.swarm(dk)
	if sw == nil {
		return nil
	}
	sw.mu.Lock()
	defer sw.mu.Unlock()
	out := make([]PeerStats, 0, len(sw.channels))
	for _, c := range sw.channels {
		p := PeerStats{
			ID: slices.Clone(c.s.o.RemoteID), Label: c.s.o.Label, Dialect: c.s.o.Dialect, Accepted: true,
			Length: c.length, Doubted: c.claim.doubted, HaveKnown: c.haveKnown, Wants: c.wanted.Load(),
			DownloadedBlocks: c.tally.downBlocks, DownloadedBytes: c.tally.downBytes,
			UploadedBlocks: c.tally.upBlocks.Load(), UploadedBytes: c.tally.upBytes.Load(),
			BytesIn: c.s.r.Received(), BytesOut: c.s.w.Written(),
		}
		if c.peer != nil {
			p.Rate, p.RTT, p.InFlight, p.Window, p.Stalled = c.peer.Rate(), c.peer.RTT(), c.peer.InFlight(), c.peer.Window(), c.peer.Stalled()
		}
		out = append(out, p)
	}
	return out
}

// StreamStats is the state of a stream.
type StreamStats struct {
	Label             string
	RemoteID          []byte
	Dialect           Dialect
	Feeds             int // open on both sides
	Offered           int // opened by one side only
	BytesIn, BytesOut uint64
	Age               time.Duration
	Opened            bool // the remote's handshake has come
	Ended             bool
	// Throttled is for how long in all the stream was not read, or not answered,
	// because its messages asked for more work than one remote may.
	Throttled time.Duration
}

// Stats returns the state now.
func (s *Stream) Stats() StreamStats {
	st := StreamStats{
		Label: s.o.Label, RemoteID: slices.Clone(s.o.RemoteID), Dialect: s.o.Dialect,
		BytesIn: s.r.Received(), BytesOut: s.w.Written(), Age: time.Since(s.born), Throttled: time.Duration(s.throttled.Load()),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.channels {
		if c.joined {
			st.Feeds++
		} else {
			st.Offered++
		}
	}
	st.Opened, st.Ended = s.hello != nil, s.ended
	return st
}

// Streams returns the streams that run.
func (e *Engine) Streams() []*Stream {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := make([]*Stream, 0, len(e.streams))
	for s := range e.streams {
		out = append(out, s)
	}
	return out
}
