package node

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/go-hypercore/hypercore/discovery"
	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node/diagnosis"
	"github.com/go-hypercore/hypercore/protocol"
)

// FactsOptions say what Facts are wanted.
type FactsOptions struct {
	// Key is the feed to tell about, which should be open in the node; zero:
	// the node only.
	Key feed.Key
	// Wanted are the blocks that matter; nil: all.
	Wanted []feed.Range
	// Ask the nodes of the DHT whether they have the announcement of the feed,
	// for askTimeout at most. Without, nothing is sent.
	Ask bool
}

const (
	// askTimeout bounds asking the DHT.
	askTimeout = 5 * time.Second
	// maxFactPeers bounds the peers told about, and maxFactRanges the ranges
	// of blocks that nobody has.
	maxFactPeers  = 64
	maxFactRanges = 16
)

// Facts gathers what package diagnosis judges.
func (n *Node) Facts(ctx context.Context, o FactsOptions) diagnosis.Facts {
	dk := o.Key.Discovery()
	st, ds := n.Status(), n.disc.Status(topicOf(dk))
	f := diagnosis.Facts{At: time.Now(), Node: nodeFacts(st, ds)}
	for _, ov := range ds.Overlays {
		f.Networks = append(f.Networks, networkFacts(ov))
	}
	if o.Key.IsZero() {
		return f
	}
	x := n.feedFacts(o, ds)
	if o.Ask && x.Announce {
		n.askHolders(ctx, dk, x)
	}
	f.Feed = x
	return f
}

func nodeFacts(st Status, ds discovery.Status) diagnosis.Node {
	x := diagnosis.Node{
		ID: st.ID.String(), Seconds: st.Age.Seconds(), Listen: texts(st.Listen), Addrs: texts(st.Addrs), Loopback: st.Loopback, Server: st.Server,
		Reachability: st.Reachability, Assumed: st.Assumed, Reachable: st.Reachable, Unreachable: st.Unreachable, Unchecked: st.Unchecked,
		NATTCP: string(st.NATTCP), NATUDP: string(st.NATUDP),
		PortMap:     diagnosis.PortMap{Wanted: st.PortMap.Wanted, Router: st.PortMap.Router, Mapped: texts(st.PortMap.Mapped)},
		Connections: st.Connections, MDNS: st.MDNS, LAN: ds.LAN,
	}
	for _, id := range st.Relays {
		x.Relays = append(x.Relays, id.String())
	}
	if ds.LANErr != nil {
		x.MDNSError = ds.LANErr.Error()
	}
	return x
}

func networkFacts(o discovery.OverlayStatus) diagnosis.Network {
	x := diagnosis.Network{Name: o.Name, Protocol: o.Protocol, Server: o.Server, Peers: o.Peers, Addrs: o.Addrs}
	for _, b := range o.Bootstrap {
		x.Bootstrap = append(x.Bootstrap, diagnosis.Bootstrap{
			ID: b.ID.String(), Addrs: texts(b.Addrs), Connected: b.Connected, Serves: b.Serves, Networks: b.Networks,
			Tried: !b.Tried.IsZero(), Trouble: string(troubleOf(b.Err)), Error: errText(b.Err),
		})
	}
	return x
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// feedFacts tells about a feed.
func (n *Node) feedFacts(o FactsOptions, ds discovery.Status) *diagnosis.Feed {
	dk := o.Key.Discovery()
	x := &diagnosis.Feed{Key: o.Key.String(), DiscoveryKey: dk.String(), Announce: ds.Announce, Lookup: ds.Wanted, Looks: ds.Looks, Found: ds.Found, Bare: ds.Bare}
	for _, ov := range ds.Overlays {
		if ds.Announce {
			x.Announced = append(x.Announced, diagnosis.Announcement{Network: ov.Name, Nodes: ov.Holders, Until: ov.Expires, Error: errText(ov.LastErr)})
		}
	}
	if f := n.Feed(o.Key); f != nil {
		st := f.Stats()
		x.Held, x.Here, x.Writable, x.Static = true, true, f.Writable(), f.Static()
		x.Length, x.Blocks, x.Error = st.Length, st.Blocks, errText(st.Err)
		x.Guarded = errors.Is(st.Err, feed.ErrBehind) || errors.Is(st.Err, feed.ErrOtherWriter)
	}
	holdings := map[string]protocol.Holding{}
	if s, ok := n.engine.Survey(dk, protocol.SurveyOptions{Wanted: o.Wanted, Ranges: maxFactRanges}); ok {
		x.Length, x.Missing, x.Nowhere, x.Unknown = s.Length, s.Missing, s.Nowhere, s.Unknown
		for _, r := range s.Ranges {
			x.Ranges = append(x.Ranges, diagnosis.Span(r))
		}
		for _, h := range s.Peers {
			holdings[holderID(h)] = h
		}
	}
	n.peerFacts(x, dk, holdings)
	n.tcpFacts(x, o.Key, holdings)
	slices.SortFunc(x.Peers, func(a, b diagnosis.Peer) int {
		return cmp.Or(cmp.Compare(order(a), order(b)), strings.Compare(a.ID, b.ID))
	})
	x.Peers = x.Peers[:min(len(x.Peers), maxFactPeers)]
	return x
}

// order puts the peers that serve first, then the connected ones.
func order(p diagnosis.Peer) int {
	switch {
	case p.Accepted:
		return 0
	case p.Connected:
		return 1
	}
	return 2
}

// holderID is the ID of a remote as facts name it.
func holderID(h protocol.Holding) string {
	if len(h.ID) > 0 {
		return peer.ID(h.ID).String()
	}
	return strings.TrimPrefix(h.Label, "tcp:")
}

// peerFacts tells about the peers of a topic, and those that came by
// themselves. What it tells of is taken out of holdings.
func (n *Node) peerFacts(x *diagnosis.Feed, dk feed.DiscoveryKey, holdings map[string]protocol.Holding) {
	var list []PeerStatus
	if t := n.joined(dk); t != nil {
		list = (&Join{n: n, t: t}).Status().Peers
	}
	for id := range holdings { // incoming
		pid, err := peer.Decode(id)
		if err == nil && !slices.ContainsFunc(list, func(p PeerStatus) bool { return p.ID == pid }) {
			if p, ok := n.peers.status(pid, dk); ok {
				list = append(list, p)
			}
		}
	}
	for _, p := range list {
		id := p.ID.String()
		h, open := holdings[id]
		delete(holdings, id)
		x.Peers = append(x.Peers, diagnosis.Peer{
			ID: id, How: p.How, Found: texts(p.Found), Connected: p.Connected, Addr: addrText(p.Addr), Inbound: p.Inbound,
			Relayed: p.Relayed, Limited: p.Limited,
			Punched: p.Punch.OK && !p.Relayed, Punching: p.Punch.Running, PunchAttempts: p.Punch.Attempts, PunchError: p.Punch.Err,
			Protocol: p.Protocol, Seconds: p.Since.Seconds(), Offered: p.Feed.Offered, Asked: p.Feed.Bound, Accepted: p.Feed.Open && open,
			Known: h.Known, Blocks: h.Blocks, Length: h.Length,
			Dialing: p.Dialing, Fails: p.Fails, Next: p.Next, Trouble: string(p.Trouble), Error: errText(p.Err), Refused: !p.Refused.IsZero(),
		})
	}
}

// status describes one peer.
func (p *peers) status(id peer.ID, dk feed.DiscoveryKey) (PeerStatus, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	st := p.m[id]
	if st == nil {
		return PeerStatus{}, false
	}
	s := st.status(p.n, time.Now())
	if st.link != nil {
		s.Feed = st.link.stream.FeedState(dk)
	}
	return s, true
}

func addrText(a ma.Multiaddr) string {
	if a == nil {
		return ""
	}
	return a.String()
}

// tcpFacts tells about peers without libp2p.
func (n *Node) tcpFacts(x *diagnosis.Feed, key feed.Key, holdings map[string]protocol.Holding) {
	for _, c := range n.tcp.of(key) {
		p := diagnosis.Peer{ID: c.addr, How: diagnosis.HowTCP, Fails: c.fails, Trouble: string(troubleOf(c.err)), Error: errText(c.err)}
		if c.stream != nil {
			st := c.stream.FeedState(key.Discovery())
			p.Connected, p.Protocol, p.Seconds = true, string(protocol.V6ID), time.Since(c.since).Seconds()
			p.Offered, p.Asked = st.Offered, st.Bound
			p.Fails, p.Trouble, p.Error = 0, "", ""
		}
		if h, ok := holdings[c.addr]; ok {
			tcpHolding(&p, h)
			delete(holdings, c.addr)
		}
		x.Peers = append(x.Peers, p)
	}
	for id, h := range holdings { // accepted by ListenTCP
		if len(h.ID) == 0 {
			p := diagnosis.Peer{ID: id, How: diagnosis.HowIncoming}
			tcpHolding(&p, h)
			x.Peers = append(x.Peers, p)
		}
	}
}

func tcpHolding(p *diagnosis.Peer, h protocol.Holding) {
	p.Connected, p.Offered, p.Asked, p.Accepted = true, true, true, true
	p.Protocol = string(protocol.V6ID)
	p.Known, p.Blocks, p.Length = h.Known, h.Blocks, h.Length
	p.Fails, p.Trouble, p.Error = 0, "", ""
}

// askHolders asks the DHT who has the announcement.
func (n *Node) askHolders(ctx context.Context, dk feed.DiscoveryKey, x *diagnosis.Feed) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	have, asked, err := n.disc.Holders(ctx, topicOf(dk), n.ID())
	for i := range x.Announced {
		if a := &x.Announced[i]; a.Network != diagnosis.LAN {
			a.Asked, a.Confirmed = asked, have
			if err != nil {
				a.Error = err.Error()
			}
			return
		}
	}
}
