package node

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/go-hypercore/hypercore/discovery"
)

// Status describes a node.
type Status struct {
	ID           peer.ID
	Addrs        []ma.Multiaddr // with /p2p/ID
	Listen       []ma.Multiaddr
	Loopback     bool     // sends nothing off the machine
	Reachability string   // "Public", "Private" or "Unknown" (AutoNAT)
	Reachable    []string // addresses confirmed from outside (AutoNAT v2)
	NAT          []string // "TCP endpoint-independent", …
	Relays       []peer.ID
	Network      string
	Feeds        int
	Topics       int
	Connections  int
	Streams      int // replication streams
	In, Out      uint64
}

// Status tells how it stands with the node.
func (n *Node) Status() Status {
	s := Status{
		ID: n.ID(), Addrs: n.Addrs(), Listen: n.host.Network().ListenAddresses(),
		Loopback: n.hosting.loopback, Network: n.cfg.Network,
		Connections: len(n.host.Network().Conns()),
	}
	if s.Network == "" {
		s.Network = discovery.NetworkAmino
	}
	s.In, s.Out = n.Traffic()
	for _, a := range s.Addrs {
		if !isRelayed(a) {
			continue
		}
		if v, err := a.ValueForProtocol(ma.P_P2P); err == nil {
			if id, err := peer.Decode(v); err == nil && !slices.Contains(s.Relays, id) {
				s.Relays = append(s.Relays, id)
			}
		}
	}
	n.peers.mu.Lock()
	for _, st := range n.peers.m {
		if st.link != nil {
			s.Streams++
		}
	}
	n.peers.mu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	s.Feeds, s.Topics = len(n.feeds), len(n.topics)
	s.Reachability = n.net.reachability.String()
	for _, a := range n.net.reachable {
		s.Reachable = append(s.Reachable, a.String())
	}
	for t, d := range n.net.nat {
		s.NAT = append(s.NAT, t.String()+" "+d.String())
	}
	slices.Sort(s.NAT)
	return s
}

// JoinStatus tells how it stands with a join.
type JoinStatus struct {
	Discovery  discovery.Status
	Candidates int // peers found and not given up
	Connected  int
	Peers      []PeerStatus
	// Reasons says for a person what keeps the topic from being served;
	// empty when nothing is known to.
	Reasons []string
}

// PeerStatus tells how it stands with one peer.
type PeerStatus struct {
	ID        peer.ID
	How       string // "fixed", "mdns", "dht" or "incoming"
	Addr      ma.Multiaddr
	Connected bool
	Relayed   bool
	Limited   bool // relayed by one that carries little
	Stream    bool // a replication stream is open
	Dialing   bool
	Fails     int       // attempts in a row
	Next      time.Time // of the next attempt
	Err       error     // of the last attempt, or the end of the last stream
	Refused   time.Time // not welcome before; zero for honest peers
}

// Status tells how it stands with the join.
func (j *Join) Status() JoinStatus {
	s := JoinStatus{Discovery: j.n.disc.Status(topicOf(j.t.dk))}
	j.t.mu.Lock()
	s.Candidates = j.t.candidates
	j.t.mu.Unlock()
	now := time.Now()
	failed, dialing, limited := 0, 0, 0
	why := map[string]int{}
	j.n.peers.mu.Lock()
	for _, st := range j.n.peers.m {
		if _, ok := st.topics[j.t.dk]; !ok && !st.fixed && !st.lan {
			continue
		}
		p := st.status(j.n, now)
		s.Peers = append(s.Peers, p)
		switch {
		case p.Connected:
			s.Connected++
			if p.Limited {
				limited++
			}
		case p.Dialing:
			dialing++
		case p.Err != nil:
			failed++
			why[reason(p.Err)]++
		}
	}
	j.n.peers.mu.Unlock()
	slices.SortFunc(s.Peers, func(a, b PeerStatus) int { return strings.Compare(string(a.ID), string(b.ID)) })
	if s.Connected > 0 {
		if limited == s.Connected {
			s.Reasons = append(s.Reasons, fmt.Sprintf("%s reached through a relay only, which carries little: no hole punch got through yet (symmetric NAT, or a router that answers for closed ports)", plural(limited, "peer")))
		}
		return s
	}
	s.Reasons = append(s.Reasons, s.Discovery.Reasons...)
	if failed > 0 {
		s.Reasons = append(s.Reasons, fmt.Sprintf("%s found, none reached: %s", plural(failed, "peer"), most(why)))
	}
	if dialing > 0 {
		s.Reasons = append(s.Reasons, fmt.Sprintf("dialling %s", plural(dialing, "peer")))
	}
	return s
}

func (st *peerState) status(n *Node, now time.Time) PeerStatus {
	p := PeerStatus{ID: st.id, How: "incoming", Connected: connected(n.host, st.id), Stream: st.link != nil, Dialing: st.redial != nil, Fails: st.fails, Err: st.err}
	switch {
	case st.fixed:
		p.How = "fixed"
	case st.lan:
		p.How = "mdns"
	case len(st.topics) > 0:
		p.How = "dht"
	}
	if st.link != nil {
		p.Addr, p.Relayed = st.link.raw.Conn().RemoteMultiaddr(), st.link.relayed
		p.Limited = st.link.raw.Conn().Stat().Limited
	}
	if st.next.After(now) {
		p.Next = st.next
	}
	if st.refused.After(now) {
		p.Refused = st.refused
	}
	return p
}

// StreamAddr returns the remote address of the connection that carries the
// replication stream with a peer, nil without one. On a relay it holds
// /p2p-circuit.
func (n *Node) StreamAddr(id peer.ID) ma.Multiaddr {
	n.peers.mu.Lock()
	defer n.peers.mu.Unlock()
	if st := n.peers.m[id]; st != nil && st.link != nil {
		return st.link.raw.Conn().RemoteMultiaddr()
	}
	return nil
}

// reason shortens the error of an attempt to what a person can use.
func reason(err error) string {
	text := err.Error()
	for _, known := range []string{
		"connection refused", "no route to host", "network is unreachable", "i/o timeout", "context deadline exceeded",
		"gater disallows connection", "no addresses", "no good addresses", "peer id mismatch", "NO_RESERVATION",
		"RESOURCE_LIMIT_EXCEEDED", "speaks no replication protocol",
	} {
		if strings.Contains(text, known) {
			return known
		}
	}
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// most returns the most frequent of counted texts.
func most(counts map[string]int) (text string) {
	best := 0
	for t, n := range counts {
		if n > best || n == best && t < text {
			text, best = t, n
		}
	}
	return text
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
