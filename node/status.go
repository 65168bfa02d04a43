package node

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/go-hypercore/hypercore/discovery"
	"github.com/go-hypercore/hypercore/protocol"
)

// Status describes a node.
type Status struct {
	ID           peer.ID
	Addrs        []ma.Multiaddr // with /p2p/ID
	Listen       []ma.Multiaddr
	Loopback     bool // sends nothing off the machine
	Dials        bool // and listens on nothing
	Server       bool // Config.Server
	Age          time.Duration
	Reachability string // "Public", "Private" or "Unknown" (AutoNAT v1)
	// Assumed: Reachability is what the node took for granted at its start,
	// having no public address of its own, not what AutoNAT found.
	Assumed bool
	// Addresses confirmed from outside, refused by outside, and not tried yet
	// (AutoNAT v2).
	Reachable, Unreachable, Unchecked []string
	NATTCP, NATUDP                    NATKind // see Node.NAT
	PortMap                           PortMap
	Relays                            []peer.ID // that keep a reservation for this node
	MDNS                              bool      // peers are looked for in the LAN
	Network                           string
	Feeds                             int
	Topics                            int
	Connections                       int
	Streams                           int // replication streams
	In, Out                           uint64
}

// Status tells how it stands with the node.
func (n *Node) Status() Status {
	s := Status{
		ID: n.ID(), Addrs: n.Addrs(), Listen: n.host.Network().ListenAddresses(),
		Loopback: n.hosting.loopback, Network: n.cfg.Network, Age: time.Since(n.born), Assumed: n.hosting.assumed || n.hosting.ours && n.cfg.Server && !n.hosting.loopback,
		Connections: len(n.host.Network().Conns()), PortMap: n.portMap(), MDNS: n.mdns, Server: n.cfg.Server,
	}
	s.Dials = len(s.Listen) == 0
	s.NATTCP, s.NATUDP = n.NAT()
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
	s.Reachable, s.Unreachable, s.Unchecked = texts(n.net.reachable), texts(n.net.unreachable), texts(n.net.unchecked)
	return s
}

func texts(as []ma.Multiaddr) (out []string) {
	for _, a := range as {
		out = append(out, a.String())
	}
	return out
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
	How       string         // "fixed", "mdns", "dht" or "incoming"
	Found     []ma.Multiaddr // the addresses it was found at
	Addr      ma.Multiaddr   // of the connection that carries the stream, else of the best one
	Connected bool
	Inbound   bool // it has connected to this node
	Relayed   bool // Addr goes through a relay
	Limited   bool // relayed by one that carries little
	Punch     Punch
	Stream    bool          // a replication stream is open
	Protocol  string        // that it speaks: "/hypercore/replicate/1.0.0" or "/hypercore/6.12.0"
	Since     time.Duration // age of the stream
	Dialing   bool
	Fails     int       // attempts in a row
	Next      time.Time // of the next attempt
	Err       error     // of the last attempt, or the end of the last stream
	Trouble   Trouble   // what kind of error Err is; empty without
	Refused   time.Time // not welcome before; zero for honest peers
	Feed      protocol.FeedState
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
		var state protocol.FeedState
		if st.link != nil {
			state = st.link.stream.FeedState(j.t.dk)
		}
		if _, found := st.topics[j.t.dk]; !found && !st.fixed && !st.lan && !state.Open {
			continue
		}
		p := st.status(j.n, now)
		p.Feed = state
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
			why[p.Trouble.text(p.Err)]++
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

// status describes a peer. peers.mu is held.
func (st *peerState) status(n *Node, now time.Time) PeerStatus {
	p := PeerStatus{
		ID: st.id, How: "incoming", Found: slices.Clone(st.addrs), Connected: connected(n.host, st.id), Stream: st.link != nil,
		Punch: n.hosting.punched.of(st.id), Dialing: st.redial != nil, Fails: st.fails, Err: st.err, Trouble: troubleOf(st.err),
	}
	if st.fixed && len(p.Found) == 0 {
		p.Found = n.host.Peerstore().Addrs(st.id)
	}
	switch {
	case st.fixed:
		p.How = "fixed"
	case st.lan:
		p.How = "mdns"
	case len(st.topics) > 0:
		p.How = "dht"
	}
	c := bestConn(n.host, st.id)
	if st.link != nil {
		c = st.link.raw.Conn()
		p.Protocol, p.Since = string(st.link.raw.Protocol()), now.Sub(st.link.opened)
	}
	if c != nil {
		p.Addr, p.Relayed, p.Limited = c.RemoteMultiaddr(), isRelayed(c.RemoteMultiaddr()), poor(c)
		p.Inbound = c.Stat().Direction == network.DirInbound
	}
	if st.next.After(now) {
		p.Next = st.next
	}
	if until := n.peers.offenders[st.id].until; until.After(now) {
		p.Refused = until
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

// bestConn is a direct connection to a peer, else one through a relay; nil
// without any.
func bestConn(h host.Host, id peer.ID) (best network.Conn) {
	for _, c := range h.Network().ConnsToPeer(id) {
		if best == nil || isRelayed(best.RemoteMultiaddr()) && !isRelayed(c.RemoteMultiaddr()) {
			best = c
		}
	}
	return best
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
