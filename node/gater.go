package node

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// gater decides which addresses may be dialled and whose connections are
// accepted. It implements connmgr.ConnectionGater.
type gater struct {
	// Constant.
	loopback bool      // nothing leaves this machine
	wide     bool      // the network reaches over the internet, see Config.wide
	rules    *ruleBook // nil: none
	pace     *pace     // of dials; nil on a node that stays on this machine

	// mu guards the fields below.
	mu    sync.RWMutex
	known map[peer.ID]bool // configured, may be dialled at any private address
	local map[peer.ID]bool // of the local network, the same but for loopback
	on    attachment       // of this machine
	until time.Time        // when on is looked at again
}

// attachmentFor is how long the addresses of this machine are taken for the
// same without looking.
const attachmentFor = 5 * time.Second

func newGater(loopback, wide bool) *gater {
	g := &gater{loopback: loopback, wide: wide, known: map[peer.ID]bool{}, local: map[peer.ID]bool{}}
	if !loopback {
		g.pace = newPace()
	}
	return g
}

// allowPrivate lets the private addresses of p be dialled: it was configured.
func (g *gater) allowPrivate(p peer.ID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.known[p] = true
}

// allowLocal lets those of a peer of the local network be dialled, but not this machine,
// where it need not be: records of it may name any port here.
func (g *gater) allowLocal(p peer.ID, allowed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if allowed {
		g.local[p] = true
	} else {
		delete(g.local, p)
	}
}

// InterceptPeerDial refuses whom the rules block, and lets the others wait for
// their turn.
func (g *gater) InterceptPeerDial(p peer.ID) bool {
	return !g.rules.blocks(p, nil) && (g.pace == nil || g.pace.wait())
}

// InterceptAddrDial keeps a loopback-only node on the machine, and a node in a
// network that reaches over the internet from probing private ranges it is not
// in: providers behind a NAT announce such addresses, anybody can announce any,
// and hosters take dials to them for an attack.
func (g *gater) InterceptAddrDial(p peer.ID, a ma.Multiaddr) bool {
	if g.rules.blocks(p, a) {
		return false
	}
	if g.loopback {
		return manet.IsIPLoopback(a)
	}
	ip, ok := dialled(a)
	switch {
	case !ok:
		return true // a name, which is looked at again when it is resolved
	case !ip.IsValid(), ip.IsUnspecified(), ip.IsMulticast(), ip == broadcast:
		return false
	case !g.wide || isRelayed(a):
		return true
	case ip.IsLoopback(): // anybody can say that he is here
		g.mu.RLock()
		defer g.mu.RUnlock()
		return g.known[p]
	case privateRange(ip) < 0:
		return true
	}
	g.mu.RLock()
	allowed, fresh := g.known[p] || g.local[p] || g.on.reaches(ip), time.Now().Before(g.until)
	g.mu.RUnlock()
	if fresh || allowed {
		return allowed
	}
	now := attached() // the machine may have moved
	g.mu.Lock()
	defer g.mu.Unlock()
	g.on, g.until = now, time.Now().Add(attachmentFor)
	return g.known[p] || g.local[p] || g.on.reaches(ip)
}

var (
	broadcast = netip.MustParseAddr("255.255.255.255")
	nat64     = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052: an IPv4 address is in its end
)

// dialled returns the IP address that a is dialled at, of a translated one that behind the
// translator; false if it begins with something else.
func dialled(a ma.Multiaddr) (netip.Addr, bool) {
	raw, err := manet.ToIP(a)
	if err != nil {
		return netip.Addr{}, false
	}
	ip, _ := netip.AddrFromSlice(raw)
	if ip = ip.Unmap(); nat64.Contains(ip) {
		b := ip.As16()
		return netip.AddrFrom4([4]byte(b[12:])), true
	}
	return ip, true
}

func (g *gater) InterceptAccept(c network.ConnMultiaddrs) bool {
	if g.rules.blocks("", c.RemoteMultiaddr()) {
		return false
	}
	return !g.loopback || manet.IsIPLoopback(c.RemoteMultiaddr())
}

func (g *gater) InterceptSecured(_ network.Direction, p peer.ID, c network.ConnMultiaddrs) bool {
	return !g.rules.blocks(p, c.RemoteMultiaddr())
}

func (g *gater) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }

// localNames is the DNS resolver of a loopback-only node: a question to a
// name server would leave the machine.
type localNames struct{}

func (localNames) ResolveDNSAddr(_ context.Context, _ peer.ID, a ma.Multiaddr, _, _ int) ([]ma.Multiaddr, error) {
	return nil, fmt.Errorf("%w: %s not resolved", ErrLoopback, a)
}

func (localNames) ResolveDNSComponent(_ context.Context, a ma.Multiaddr, _ int) ([]ma.Multiaddr, error) {
	first, rest := ma.SplitFirst(a)
	if first == nil || first.Value() != "localhost" {
		return nil, fmt.Errorf("%w: %s not resolved", ErrLoopback, a)
	}
	ip := "/ip4/127.0.0.1"
	if first.Protocol().Code == ma.P_DNS6 {
		ip = "/ip6/::1"
	}
	out := ma.StringCast(ip)
	if rest != nil {
		out = out.Encapsulate(rest)
	}
	return []ma.Multiaddr{out}, nil
}
