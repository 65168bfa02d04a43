package node

import (
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// PeerEntry is what a node knows of one peer, over all feeds.
type PeerEntry struct {
	ID        peer.ID
	Addr      ma.Multiaddr // of the best connection; nil without
	Connected bool
	Relayed   bool
	Since     time.Time // of the stream, else of the connection
	Stream    bool      // a replication stream is open
	Feeds     int       // open on both sides of it
	In, Out   uint64    // bytes of it
	Reserved  int       // bytes of memory reserved for it

	Rule     *Rule     // the operator's; nil for most
	Offences int       // what it did wrong lately
	Offence  error     // the last of it
	Refused  time.Time // not welcome before; zero if it is
}

// Peers lists the peers with a connection, and those that did something wrong
// lately, up to 1024 of them, by ID. Rules about others are in Rules.
func (n *Node) Peers() []PeerEntry {
	now := time.Now()
	m := map[peer.ID]*PeerEntry{}
	for _, c := range n.host.Network().Conns() {
		id := c.RemotePeer()
		if e := m[id]; e == nil || e.Relayed && !isRelayed(c.RemoteMultiaddr()) {
			m[id] = &PeerEntry{ID: id, Connected: true, Addr: c.RemoteMultiaddr(), Relayed: isRelayed(c.RemoteMultiaddr()), Since: c.Stat().Opened}
		}
	}
	p := n.peers
	p.mu.Lock()
	for _, st := range p.m {
		if e := m[st.id]; e != nil && st.link != nil {
			l := st.link
			s := l.stream.Stats()
			e.Stream, e.Since, e.Addr, e.Relayed = true, l.opened, l.raw.Conn().RemoteMultiaddr(), l.relayed
			e.Feeds, e.In, e.Out = s.Feeds, s.BytesIn, s.BytesOut
			_, e.Reserved = l.stream.Memory()
		}
	}
	for id, o := range p.offenders {
		if o.over(now) {
			continue
		}
		e := m[id]
		if e == nil {
			e = &PeerEntry{ID: id}
			m[id] = e
		}
		e.Offences, e.Offence = o.n, o.why
		if o.until.After(now) {
			e.Refused = o.until
		}
	}
	p.mu.Unlock()
	out := make([]PeerEntry, 0, len(m))
	for _, e := range m {
		if r, ok := n.rules.about(e.ID, e.Addr); ok {
			e.Rule = &r
		}
		out = append(out, *e)
	}
	slices.SortFunc(out, func(a, b PeerEntry) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return out
}

// keepAllowed saves the connection of an allowed peer from trimming.
func (n *Node) keepAllowed(c network.Conn) {
	if n.rules.allows(c.RemotePeer(), c.RemoteMultiaddr()) {
		n.host.ConnManager().Protect(c.RemotePeer(), allowTag)
	}
}
