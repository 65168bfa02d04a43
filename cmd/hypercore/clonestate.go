package main

import "github.com/go-hypercore/hypercore/feed"

// cloneState is one look at a clone.
type cloneState struct {
	length    uint64 // the longest that anybody told, or is here
	announced uint64 // the longest that was announced from here, maybe more than anybody told
	want      uint64 // blocks wanted of length
	total     uint64 // the same, of announced if that is more
	have      uint64 // blocks of those that are here
	stats     feed.Stats
	bytes     uint64 // of the blocks that are here
	peers     int
	told      int // peers that have said what they have, and are believed
	receive   uint64
	sent      uint64
}

func (cl *cloning) look() cloneState {
	s := cloneState{stats: cl.f.Stats()}
	s.announced = max(s.stats.Announced, cl.known)
	s.length, s.bytes = s.stats.Length, cl.bytes+s.stats.DownloadedBytes
	for _, p := range cl.n.Engine().Peers(cl.f.DiscoveryKey()) {
		s.peers++
		if p.HaveKnown && !p.Doubted {
			s.told++
			s.length = max(s.length, p.Length)
		}
	}
	s.receive, s.sent = cl.n.Traffic()
	if len(cl.o.wanted) == 0 {
		s.want, s.have = s.length, s.stats.Blocks
		s.total = max(s.want, s.announced)
		return s
	}
	for _, r := range cl.o.wanted {
		end := r.End
		if end == 0 || end > s.length {
			end = max(s.length, r.Start)
		}
		s.want += end - r.Start
		s.have += cl.f.Downloaded(r.Start, end)
	}
	if s.total = s.want; cl.o.wanted[0] == (feed.Range{}) { // everything
		s.total = max(s.total, s.announced)
	}
	return s
}

// complete tells whether everything that is known to exist and is wanted is here. The
// feed may be shorter here than at others: nothing makes it grow when nothing is wanted.
func (s cloneState) complete() bool {
	return s.told > 0 && s.have >= s.want
}
