package node

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"

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
	loopback bool // nothing leaves this machine
	public   bool // every address of this machine is a public one

	// mu guards the fields below.
	mu    sync.RWMutex
	local map[peer.ID]bool // may be dialled in private ranges by a public machine
}

func newGater(loopback bool) *gater {
	public, private := interfaces()
	return &gater{loopback: loopback, public: public && !private, local: map[peer.ID]bool{}}
}

// allowPrivate lets a public machine dial private addresses of p: it was
// configured, or found in the local network.
func (g *gater) allowPrivate(p peer.ID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.local[p] = true
}

func (g *gater) InterceptPeerDial(peer.ID) bool { return true }

// InterceptAddrDial keeps a loopback-only node on the machine, and a node on
// the open internet from probing private ranges: providers behind a NAT
// announce such addresses, and hosters take dials to them for an attack.
func (g *gater) InterceptAddrDial(p peer.ID, a ma.Multiaddr) bool {
	if g.loopback {
		return manet.IsIPLoopback(a)
	}
	if !g.public || !isPrivate(a) {
		return true
	}
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.local[p]
}

func (g *gater) InterceptAccept(c network.ConnMultiaddrs) bool {
	return !g.loopback || manet.IsIPLoopback(c.RemoteMultiaddr())
}

func (g *gater) InterceptSecured(network.Direction, peer.ID, network.ConnMultiaddrs) bool {
	return true
}

func (g *gater) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }

// cgnat is the shared address space of carriers (RFC 6598).
var cgnat = netip.MustParsePrefix("100.64.0.0/10")

func isPrivate(a ma.Multiaddr) bool {
	raw, err := manet.ToIP(a)
	if err != nil {
		return false
	}
	ip, ok := netip.AddrFromSlice(raw)
	ip = ip.Unmap()
	return ok && (ip.IsPrivate() || ip.IsLinkLocalUnicast() || cgnat.Contains(ip))
}

// interfaces tells whether this machine has public and private addresses.
func interfaces() (public, private bool) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false, false
	}
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		ip, ok := netip.AddrFromSlice(n.IP)
		ip = ip.Unmap()
		switch {
		case !ok || ip.IsLoopback() || ip.IsLinkLocalUnicast():
		case ip.IsPrivate() || cgnat.Contains(ip):
			private = true
		default:
			public = true
		}
	}
	return public, private
}

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
