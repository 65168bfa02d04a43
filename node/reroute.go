package node

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/go-hypercore/hypercore/feed"
)

// A host that moves to another network keeps its connections for half a minute
// and more: TCP waits for answers that cannot come, and QUIC goes on from the
// new address without anybody learning it, so that the host tells others, and
// those that want to punch a hole to it, an address that is no longer its own.
// Here connections end when their packets would leave from another address
// than they began with, and what was lost with them is made again.

const (
	// recallFor is how long a peer that was lost because this host moved, or
	// its network was gone, is called back though nobody here looks for it: it
	// does not know where this host is.
	recallFor = time.Minute
	// maxRoutes bounds the connections whose source is remembered; there are
	// no more connections.
	maxRoutes = maxConns
)

// routes knows from which address the packets of each connection left when
// it was made.
type routes struct {
	mu      sync.Mutex // guards the fields below
	source  map[network.Conn]netip.Addr
	ips     []netip.Addr // of this machine, when last looked at
	pending bool         // connections were kept for want of a route
}

// opened notes a new connection. Those through a relay end with the one they
// are part of.
func (r *routes) opened(c network.Conn) {
	src := sourceTo(c.RemoteMultiaddr())
	if !src.IsValid() || src.IsLoopback() || isRelayed(c.RemoteMultiaddr()) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.source == nil {
		r.source = map[network.Conn]netip.Addr{}
	}
	if len(r.source) < maxRoutes {
		r.source[c] = src
	}
}

func (r *routes) closed(c network.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.source, c)
}

// stale returns the connections that began at an address which this machine no
// longer has and that would go on from another one. While there is no route at
// all nothing is stale: the cable may be put back.
func (r *routes) stale(now attachment) (conns []network.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	same := slices.Equal(now.ips, r.ips)
	r.ips = now.ips
	if same && !r.pending {
		return nil
	}
	r.pending = false
	for c, src := range r.source {
		if slices.Contains(now.ips, src) {
			continue
		}
		if sourceTo(c.RemoteMultiaddr()).IsValid() {
			conns = append(conns, c)
		} else {
			r.pending = true
		}
	}
	return conns
}

// sourceTo returns the address from which packets to a leave this machine; not
// valid without a route. It sends nothing.
func sourceTo(a ma.Multiaddr) netip.Addr {
	ap, _, ok := endpoint(a)
	if !ok {
		return netip.Addr{}
	}
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(ap))
	if err != nil {
		return netip.Addr{}
	}
	defer c.Close()
	local, ok := c.LocalAddr().(*net.UDPAddr)
	if !ok {
		return netip.Addr{}
	}
	return local.AddrPort().Addr().Unmap()
}

// reroute ends the connections that did not move with this host, and calls
// back the peers that were lost with them.
func (n *Node) reroute() {
	conns := n.routes.stale(attached())
	if len(conns) == 0 {
		return
	}
	log.Infow("this host moved to another network", "connections", len(conns))
	lost := map[peer.ID]bool{}
	for _, c := range conns {
		lost[c.RemotePeer()] = true
	}
	n.peers.recall(lost)
	for _, c := range conns {
		n.wg.Go(func() { _ = c.Close() })
	}
	n.peers.moved()
}

// recall makes peers wanted for a while, to offer them again what they had in
// common with this host.
func (p *peers) recall(lost map[peer.ID]bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id := range lost {
		st := p.m[id]
		if st == nil || p.closed {
			continue
		}
		if st.link != nil {
			st.common = st.link.stream.Feeds()
		}
		if len(st.common) > 0 {
			st.recall = time.Now().Add(recallFor)
			p.keep(st)
		}
	}
}

// recalled returns the feeds that a peer which is called back had in common
// with this host. p.mu is held.
func (p *peers) recalled(st *peerState) []feed.Key {
	if time.Now().After(st.recall) {
		return nil
	}
	var keys []feed.Key
	for _, dk := range st.common {
		if k, ok := p.n.sharedKey(dk); ok {
			keys = append(keys, k)
		}
	}
	return keys
}
