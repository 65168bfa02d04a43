package node

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	ma "github.com/multiformats/go-multiaddr"
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

// counterparts completes what this host tells a peer that a hole is to be
// punched to. Only the transport over which this host reached others has an
// address that they saw, mostly QUIC; where one of the two lets no UDP through
// that would be none. Routers of the better kind keep the port if it is free,
// and nodes listen on the same one for TCP and UDP: so the other transport is
// told at the same address with the port listened on. A guess that is wrong
// costs a packet.
type counterparts struct{ hs *hosting }

var _ holepunch.AddrFilter = counterparts{}

// FilterLocal completes the addresses of this host.
func (f counterparts) FilterLocal(_ peer.ID, addrs []ma.Multiaddr) []ma.Multiaddr {
	if !f.hs.started.Load() {
		return addrs
	}
	out := slices.Clone(addrs)
	for _, a := range addrs {
		ap, udp, ok := endpoint(a)
		if !ok || len(out) >= maxAddrs {
			continue
		}
		for _, l := range f.hs.host.Network().ListenAddresses() {
			lp, ludp, ok := endpoint(l)
			if !ok || ludp == udp || lp.Addr().Is4() != ap.Addr().Is4() || lp.Addr().IsLoopback() {
				continue
			}
			_, rest := ma.SplitFirst(l)
			if guess := ipAddr(ap.Addr()).Encapsulate(rest); plainTransport(guess) && !ma.Contains(out, guess) {
				out = append(out, guess)
			}
		}
	}
	return out
}

// FilterRemote leaves those of the peer as they are.
func (counterparts) FilterRemote(_ peer.ID, addrs []ma.Multiaddr) []ma.Multiaddr { return addrs }

// plainTransport tells whether a is TCP or QUIC with nothing on top, which
// are what holes are punched with.
func plainTransport(a ma.Multiaddr) bool {
	switch last := a[len(a)-1].Protocol().Code; last {
	case ma.P_TCP, ma.P_QUIC_V1:
		return true
	}
	return false
}

// ipAddr is ip as a multiaddr.
func ipAddr(ip netip.Addr) ma.Multiaddr {
	if ip.Is4() {
		return ma.StringCast("/ip4/" + ip.String())
	}
	return ma.StringCast("/ip6/" + ip.String())
}
