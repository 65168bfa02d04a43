package node

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// maxPunches bounds the peers whose hole punches are remembered.
const maxPunches = 1024

// Punch tells how hole punching with one peer went last.
type Punch struct {
	At       time.Time // of the last thing that happened; zero: never tried
	Running  bool
	OK       bool   // a direct connection came of it
	Attempts int    // since the first
	Err      string // why the last one failed
}

// punches remembers the hole punches of the host. It is the tracer of
// libp2p's service, called from its goroutines.
type punches struct {
	mu sync.Mutex // guards m
	m  map[peer.ID]Punch
}

var _ holepunch.EventTracer = (*punches)(nil)

// Trace takes an event of the service.
func (p *punches) Trace(e *holepunch.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, known := p.m[e.Remote]
	if !known && len(p.m) >= maxPunches {
		for id := range p.m { // any
			delete(p.m, id)
			break
		}
	}
	switch v := e.Evt.(type) {
	case *holepunch.DirectDialEvt: // the peer was dialled without a punch
		s.OK, s.Err, s.Running = v.Success, v.Error, false
	case *holepunch.ProtocolErrorEvt:
		s.OK, s.Err, s.Running = false, v.Error, false
	case *holepunch.StartHolePunchEvt:
		s.Running = true
	case *holepunch.HolePunchAttemptEvt:
		s.Attempts++
	case *holepunch.EndHolePunchEvt:
		s.OK, s.Err, s.Running = v.Success, v.Error, false
	default:
		return
	}
	s.At = time.Unix(0, e.Timestamp)
	if p.m == nil {
		p.m = map[peer.ID]Punch{}
	}
	p.m[e.Remote] = s
}

// of returns what is known of a peer.
func (p *punches) of(id peer.ID) Punch {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.m[id]
}

// maxOutside bounds the IP addresses of this host that a peer is told beside those
// libp2p tells.
const maxOutside = 4

// holes completes what this host tells a peer that a hole is to be punched to. libp2p
// tells addresses that peers saw, but only of connections from a port that is listened
// on, at an interface that was there up to a minute ago. That leaves a transport out
// over which nobody was reached, mostly TCP, and there is none at all when only TCP got
// through just after this host moved, or when its connections are from other ports
// because the old ones are not over yet. Without any libp2p does not even try. But
// routers of the better kind keep a port if it is free, and nodes listen on the same one
// for TCP and UDP: so each transport is told at each address outside with the port
// listened on. A guess that is wrong costs a packet.
type holes struct{ hs *hosting }

var _ holepunch.AddrFilter = holes{}

// FilterLocal completes the addresses of this host.
func (f holes) FilterLocal(_ peer.ID, addrs []ma.Multiaddr) []ma.Multiaddr {
	if !f.hs.started.Load() {
		return addrs
	}
	var seen []sighting
	if n := f.hs.node.Load(); n != nil {
		seen = n.sightings()
	}
	return completed(addrs, f.hs.host.Network().ListenAddresses(), seen)
}

// FilterRemote leaves those of the peer as they are.
func (holes) FilterRemote(_ peer.ID, addrs []ma.Multiaddr) []ma.Multiaddr { return addrs }

// completed returns known addresses of this host and those that are missing, for the
// transports listened on, from what peers saw.
func completed(known, listen []ma.Multiaddr, seen []sighting) []ma.Multiaddr {
	out := slices.Clone(known)
	for _, ip := range outside(known, seen) {
		for _, l := range listen {
			lp, udp, ok := endpoint(l)
			if !ok || !plainTransport(l) || lp.Addr().IsLoopback() || lp.Addr().Is4() != ip.Is4() || told(out, ip, udp) || len(out) >= maxAddrs {
				continue
			}
			port := lp.Port()
			for _, o := range seen {
				if o.udp == udp && o.external.Addr() == ip && o.local.Port() == lp.Port() {
					port = o.external.Port() // the last says what is now
				}
			}
			out = append(out, plainAddr(netip.AddrPortFrom(ip, port), udp))
		}
	}
	return out
}

// outside returns the IP addresses of this host: those of known ones, and at most
// maxOutside public ones that peers saw, the last first.
func outside(known []ma.Multiaddr, seen []sighting) (ips []netip.Addr) {
	for _, a := range known {
		if ap, _, ok := endpoint(a); ok && !slices.Contains(ips, ap.Addr()) {
			ips = append(ips, ap.Addr())
		}
	}
	n := len(ips)
	for _, o := range slices.Backward(seen) {
		ip := o.external.Addr()
		if len(ips)-n < maxOutside && !slices.Contains(ips, ip) && manet.IsPublicAddr(plainAddr(o.external, o.udp)) {
			ips = append(ips, ip)
		}
	}
	return ips
}

// told tells whether addrs have one at ip for TCP, or QUIC.
func told(addrs []ma.Multiaddr, ip netip.Addr, udp bool) bool {
	return slices.ContainsFunc(addrs, func(a ma.Multiaddr) bool {
		ap, is, ok := endpoint(a)
		return ok && is == udp && ap.Addr() == ip && plainTransport(a)
	})
}

// plainTransport tells whether a is TCP or QUIC with nothing on top, which
// are what holes are punched with.
func plainTransport(a ma.Multiaddr) bool {
	switch last := a[len(a)-1].Protocol().Code; last {
	case ma.P_TCP, ma.P_QUIC_V1:
		return true
	}
	return false
}

// plainAddr is the multiaddr of TCP, or of QUIC.
func plainAddr(ap netip.AddrPort, udp bool) ma.Multiaddr {
	family, transport := "ip6", "tcp/%d"
	if ap.Addr().Is4() {
		family = "ip4"
	}
	if udp {
		transport = "udp/%d/quic-v1"
	}
	return ma.StringCast(fmt.Sprintf("/%s/%s/"+transport, family, ap.Addr(), ap.Port()))
}
