// Package simtest has networks of libp2p hosts in virtual time for tests: QUIC
// over simulated links inside a testing/synctest bubble, so that minutes of a
// thousand nodes pass in seconds and nothing leaves the process.
package simtest

import (
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/x/simlibp2p"
	"github.com/marcopolo/simnet"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/go-hypercore/hypercore/internal/bubble"
)

// Full tells whether networks are to be simulated at the size that the
// documents speak of, which takes minutes: HYPERCORE_SCALE=full.
func Full() bool { return os.Getenv("HYPERCORE_SCALE") == "full" }

// RoundTrip is that between any two hosts.
const RoundTrip = 40 * time.Millisecond

// lost is the latency of a packet that never arrives.
const lost = 1000 * time.Hour

// Network is a simulated network. Its methods belong to the bubble of Run.
type Network struct {
	t  testing.TB
	nw *simnet.Simnet

	mu      sync.Mutex
	cleanup []func()
	gone    map[string]bool // addresses from and at which nothing arrives
}

// Run calls f in a bubble with a network. What Defer was given is done when f
// returns, the last first.
func Run(t *testing.T, f func(t *testing.T, n *Network)) {
	t.Helper()
	bubble.Test(t, func(t *testing.T) {
		n := &Network{t: t, gone: map[string]bool{}}
		n.nw = &simnet.Simnet{LatencyFunc: n.latency}
		n.nw.Start()
		defer n.nw.Close()
		defer n.end()
		f(t, n)
	})
}

// Defer has fn called at the end of Run, when goroutines of the bubble have to
// end: t.Cleanup is too late for that.
func (n *Network) Defer(fn func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cleanup = append(n.cleanup, fn)
}

func (n *Network) end() {
	for {
		n.mu.Lock()
		k := len(n.cleanup)
		if k == 0 {
			n.mu.Unlock()
			return
		}
		fn := n.cleanup[k-1]
		n.cleanup = n.cleanup[:k-1]
		n.mu.Unlock()
		fn()
	}
}

// Public returns the nth public IPv4 address.
func Public(n int) string { return simnet.IntToPublicIPv4(n).String() }

// Host returns a host that listens for QUIC at an address, on a line with mbps
// Mbit/s in each direction. It is closed at the end.
func (n *Network) Host(ip string, mbps int, opts ...libp2p.Option) host.Host {
	n.t.Helper()
	link := simnet.LinkSettings{BitsPerSecond: mbps * simlibp2p.OneMbps}
	h, err := libp2p.New(append([]libp2p.Option{
		libp2p.ListenAddrStrings(fmt.Sprintf("/ip4/%s/udp/8000/quic-v1", ip)),
		simlibp2p.QUICSimnet(n.nw, simnet.NodeBiDiLinkSettings{Downlink: link, Uplink: link}),
		libp2p.DisableIdentifyAddressDiscovery(), libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.DisableMetrics(), libp2p.DisableRelay()}, opts...)...)
	if err != nil {
		n.t.Fatal(err)
	}
	n.Defer(func() { h.Close() })
	return h
}

// Vanish cuts a host off at once, without a word to anybody.
func (n *Network) Vanish(h host.Host) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range h.Addrs() {
		// What comes after the port is no part of the packets' addresses.
		udp, _ := ma.SplitFunc(a, func(c ma.Component) bool { return c.Protocol().Code == ma.P_QUIC_V1 })
		if at, err := manet.ToNetAddr(udp); err == nil {
			n.gone[at.String()] = true
		}
	}
}

func (n *Network) latency(p *simnet.Packet) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.gone) > 0 && (n.gone[p.From.String()] || n.gone[p.To.String()]) {
		return lost
	}
	return RoundTrip / 2
}
