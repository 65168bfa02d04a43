package node

import (
	"net/netip"
	"slices"
	"strconv"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	bhost "github.com/libp2p/go-libp2p/p2p/host/basic"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// How this host looks from outside: what AutoNAT says of its addresses, what
// its router does with its ports.

// netState is what the host told about its reachability; Node.mu guards it.
type netState struct {
	reachability                      network.Reachability
	nat                               map[network.NATTransportProtocol]network.NATDeviceType
	reachable, unreachable, unchecked []ma.Multiaddr
	seen                              []sighting // of open connections, at most maxSightings
}

// maxSightings bounds the connections that are remembered to tell what kind
// of NAT is in the way: more peers say nothing new.
const maxSightings = 32

// sighting is what one peer saw of this host: the address a connection came
// from. Peers may lie: it informs, and is told to those who punch holes to this host,
// as what libp2p has from one peer is.
type sighting struct {
	conn     interface{ IsClosed() bool }
	udp      bool
	local    netip.AddrPort // of the connection here
	observer netip.AddrPort // the peer's
	external netip.AddrPort // what the peer saw
}

// learn takes an event of the host. Node.mu is held.
func (s *netState) learn(e any) {
	switch e := e.(type) {
	case event.EvtLocalReachabilityChanged:
		s.reachability = e.Reachability
	case event.EvtHostReachableAddrsChanged:
		s.reachable, s.unreachable, s.unchecked = e.Reachable, e.Unreachable, e.Unknown
	case event.EvtNATDeviceTypeChanged:
		if s.nat == nil {
			s.nat = map[network.NATTransportProtocol]network.NATDeviceType{}
		}
		s.nat[e.TransportProtocol] = e.NatDeviceType
	case event.EvtPeerIdentificationCompleted:
		if e.Conn != nil && e.ObservedAddr != nil {
			s.sight(e.Conn, e.Conn.LocalMultiaddr(), e.Conn.RemoteMultiaddr(), e.ObservedAddr)
		}
	}
}

// sight notes what the peer at remote saw.
func (s *netState) sight(conn interface{ IsClosed() bool }, local, remote, observed ma.Multiaddr) {
	l, udp, ok := endpoint(local)
	r, rudp, rok := endpoint(remote)
	x, xudp, xok := endpoint(observed)
	if !ok || !rok || !xok || udp != rudp || udp != xudp || r.Addr().IsLoopback() || x.Addr().Is4() != l.Addr().Is4() {
		return
	}
	s.seen = slices.DeleteFunc(s.seen, func(o sighting) bool { return o.conn.IsClosed() })
	if len(s.seen) < maxSightings {
		s.seen = append(s.seen, sighting{conn: conn, udp: udp, local: l, observer: r, external: x})
	}
}

// sightings returns what peers saw of this host over connections that are open, in
// their order.
func (n *Node) sightings() []sighting {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(n.net.seen), func(o sighting) bool { return o.conn.IsClosed() })
}

// endpoint is the IP address and port of a direct address.
func endpoint(a ma.Multiaddr) (ap netip.AddrPort, udp, ok bool) {
	if a == nil || isRelayed(a) {
		return ap, false, false
	}
	raw, err := manet.ToIP(a)
	if err != nil {
		return ap, false, false
	}
	ip, ok := netip.AddrFromSlice(raw)
	if !ok {
		return ap, false, false
	}
	for _, code := range []int{ma.P_TCP, ma.P_UDP} {
		if v, err := a.ValueForProtocol(code); err == nil {
			port, err := strconv.ParseUint(v, 10, 16)
			return netip.AddrPortFrom(ip.Unmap(), uint16(port)), code == ma.P_UDP, err == nil
		}
	}
	return ap, false, false
}

// NATKind tells what a router does with the ports of this host.
type NATKind string

// Kinds of NAT, as RFC 4787 names them.
const (
	NATUnknown NATKind = "unknown" // fewer than two peers at different addresses have told
	NATNone    NATKind = "none"    // peers see the very address this host has
	// NATIndependent: one external port for all peers. Hole punching works.
	NATIndependent NATKind = "endpoint-independent"
	// NATDependent, often called symmetric: another external port for each
	// peer. Hole punching works only if the other side's NAT is better.
	NATDependent NATKind = "endpoint-dependent"
)

// kind tells what the peers that are connected over one transport saw.
// ports are those this host listens on: connections from other ports do not
// tell of them.
func (s *netState) kind(udp bool, ports map[uint16]bool) NATKind {
	var first sighting
	hosts := map[netip.Addr]bool{}
	same, mapped := true, false
	for _, o := range s.seen {
		if o.udp != udp || !o.local.Addr().Is4() || !ports[o.local.Port()] || o.conn.IsClosed() {
			continue // IPv6 is not translated
		}
		if !first.external.IsValid() {
			first = o
		}
		if o.local != first.local {
			continue
		}
		hosts[o.observer.Addr()] = true
		same = same && o.external == first.external
		mapped = mapped || o.external.Addr() != o.local.Addr()
	}
	switch {
	case len(hosts) > 0 && !mapped && same:
		return NATNone
	case !same:
		return NATDependent
	case len(hosts) > 1:
		return NATIndependent
	}
	return NATUnknown
}

// NAT tells what kind of NAT is in the way over TCP and over UDP (QUIC): what
// libp2p concluded, else what the peers that are connected saw.
func (n *Node) NAT() (tcp, udp NATKind) {
	ports := map[bool]map[uint16]bool{false: {}, true: {}}
	for _, a := range n.host.Network().ListenAddresses() {
		if ap, udp, ok := endpoint(a); ok {
			ports[udp][ap.Port()] = true
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	kinds := [2]NATKind{n.net.kind(false, ports[false]), n.net.kind(true, ports[true])}
	for i, t := range []network.NATTransportProtocol{network.NATTransportTCP, network.NATTransportUDP} {
		if kinds[i] != NATUnknown {
			continue
		}
		switch n.net.nat[t] {
		case network.NATDeviceTypeEndpointIndependent:
			kinds[i] = NATIndependent
		case network.NATDeviceTypeEndpointDependent:
			kinds[i] = NATDependent
		}
	}
	return kinds[0], kinds[1]
}

// PortMap tells how it stands with port mapping (UPnP, NAT-PMP, PCP).
type PortMap struct {
	Wanted bool           // routers are asked
	Router bool           // one answered
	Mapped []ma.Multiaddr // addresses outside, one per port; empty while there is none
}

// portMap asks the host's NAT manager.
func (n *Node) portMap() PortMap {
	m := n.hosting.ports
	if m == nil {
		return PortMap{}
	}
	p := PortMap{Wanted: true, Router: m.HasDiscoveredNAT()}
	for _, a := range n.host.Network().ListenAddresses() {
		ext := m.GetMapping(a)
		if ext == nil {
			continue
		}
		ap, udp, ok := endpoint(ext)
		if ok && !slices.ContainsFunc(p.Mapped, func(have ma.Multiaddr) bool {
			h, hudp, _ := endpoint(have)
			return h == ap && hudp == udp
		}) {
			p.Mapped = append(p.Mapped, ext)
		}
	}
	return p
}

// mapPorts makes the host's NAT manager and keeps hold of it.
func (hs *hosting) mapPorts(nw network.Network) bhost.NATManager {
	hs.ports = bhost.NewNATManager(nw)
	return hs.ports
}
