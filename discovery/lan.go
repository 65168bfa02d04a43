package discovery

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

const (
	// maxLAN peers found by mDNS are kept connected; a larger local network
	// is joined through them.
	maxLAN = 32
	// maxLANKnown bounds what multicast packets can make us remember.
	maxLANKnown = 512
	// lanDials run at a time, lanTimeout bounds each, and a peer that cannot
	// be reached is tried again after lanRetry, growing to lanRetryMax.
	lanDials    = 8
	lanTimeout  = 5 * time.Second
	lanRetry    = time.Second
	lanRetryMax = time.Minute
)

// newMDNS makes the service; tests replace it, since they must not send
// multicast packets.
var newMDNS = func(h host.Host, n mdns.Notifee) mdns.Service { return mdns.NewMdnsService(h, ServiceMDNS, n) }

// lan finds peers of the local network by mDNS and connects to them; what
// they speak then makes them members of the overlays.
type lan struct {
	d      *Discovery
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	wake   chan struct{}

	// mu guards the fields below.
	mu      sync.Mutex
	closed  bool
	peers   map[peer.ID]*lanPeer
	service mdns.Service // nil while there is no network interface
	err     error        // why there is none
}

type lanPeer struct {
	info  peer.AddrInfo
	seen  time.Time
	busy  bool
	fails int
	next  time.Time
}

func newLAN(d *Discovery) *lan {
	l := &lan{d: d, peers: map[peer.ID]*lanPeer{}, wake: make(chan struct{}, 1)}
	l.ctx, l.cancel = context.WithCancel(d.ctx)
	l.wg.Go(l.listen)
	l.wg.Go(l.dial)
	return l
}

// listen runs the mDNS service, anew when the addresses of the interfaces
// change: it only knows those it began with.
func (l *lan) listen() {
	var addrs []string
	var changes <-chan any
	if sub, err := l.d.host.EventBus().Subscribe(new(event.EvtLocalAddressesUpdated)); err == nil {
		defer sub.Close()
		changes = sub.Out()
	}
	defer l.stop()
	for {
		if now := interfaceAddrs(); !slices.Equal(now, addrs) {
			addrs = now
			l.restart()
		}
		select {
		case <-l.ctx.Done():
			return
		case <-changes:
			if !sleep(l.ctx, settleTime) {
				return
			}
		case <-time.After(10 * time.Second): // an interface may come without an event
		}
	}
}

func (l *lan) restart() {
	l.stop()
	s := newMDNS(l.d.host, l)
	err := s.Start()
	if err != nil {
		log.Infow("no mDNS", "error", err)
		_ = s.Close() // releases what a failed start left
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err = err; err == nil {
		l.service = s
	}
}

func (l *lan) stop() {
	l.mu.Lock()
	s := l.service
	l.service = nil
	l.mu.Unlock()
	if s != nil {
		if err := s.Close(); err != nil {
			log.Debugw("closing mDNS", "error", err)
		}
	}
}

func (l *lan) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.cancel()
	l.wg.Wait()
}

// HandlePeerFound is called by the mDNS service for each answer heard.
func (l *lan) HandlePeerFound(info peer.AddrInfo) {
	info.Addrs = lanAddrs(info.Addrs)
	if info.ID == l.d.host.ID() || len(info.Addrs) == 0 {
		return
	}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	p := l.peers[info.ID]
	if p == nil {
		if len(l.peers) >= maxLANKnown {
			l.mu.Unlock()
			return
		}
		p = &lanPeer{}
		l.peers[info.ID] = p
	}
	fresh := !sameAddrs(p.info.Addrs, info.Addrs)
	p.info, p.seen = info, time.Now()
	if fresh {
		p.fails, p.next = 0, p.seen
	}
	l.mu.Unlock()
	signal(l.wake)
	if l.d.cfg.OnLAN != nil {
		l.d.cfg.OnLAN(info)
	}
}

// dial keeps up to maxLAN of the peers found connected.
func (l *lan) dial() {
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, lanDials)
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	for {
		select {
		case <-l.ctx.Done():
			return
		case <-l.wake:
		case <-timer.C:
		}
		for _, p := range l.due(time.Now()) {
			select {
			case slots <- struct{}{}:
			case <-l.ctx.Done():
				return
			}
			wg.Go(func() { defer func() { <-slots }(); l.try(p) })
		}
		timer.Reset(time.Second)
	}
}

func (l *lan) due(now time.Time) (due []*lanPeer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	have := 0
	for id, p := range l.peers {
		if p.busy || connected(l.d.host, id) {
			have++
		}
	}
	for id, p := range l.peers {
		if p.busy || connected(l.d.host, id) || p.next.After(now) {
			continue
		}
		if have++; have > maxLAN {
			break
		}
		p.busy = true
		due = append(due, p)
	}
	return due
}

func (l *lan) try(p *lanPeer) {
	l.mu.Lock()
	info := p.info
	l.mu.Unlock()
	clearBackoff(l.d.host, info.ID)
	ctx, cancel := context.WithTimeout(l.ctx, lanTimeout)
	err := l.d.host.Connect(ctx, info)
	cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	p.busy = false
	if err == nil {
		p.fails, p.next = 0, time.Now().Add(lanRetry)
		return
	}
	p.fails++
	p.next = time.Now().Add(jitter(min(lanRetry<<min(p.fails-1, 10), lanRetryMax)))
	if p.fails > 8 { // gone; mDNS tells when it is back
		delete(l.peers, info.ID)
	}
}

// count returns how many peers of the local network are known.
func (l *lan) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.peers)
}

// lanOptions are the options of the DHT of the local network: always a
// server, and neither members nor addresses from elsewhere.
func lanOptions() []dht.Option {
	return append(ownOptions(),
		dht.Mode(dht.ModeServer),
		dht.AddressFilter(lanAddrs),
		dht.QueryFilter(func(_ any, info peer.AddrInfo) bool { return len(lanAddrs(info.Addrs)) > 0 }),
		dht.RoutingTableFilter(func(d any, p peer.ID) bool {
			h, ok := d.(interface{ Host() host.Host })
			return ok && onLAN(h.Host(), p)
		}))
}

// onLAN tells whether there is a connection to p within the local network.
func onLAN(h host.Host, p peer.ID) bool {
	return slices.ContainsFunc(h.Network().ConnsToPeer(p), func(c network.Conn) bool { return isLAN(c.RemoteMultiaddr()) })
}

// lanHost is the host as the DHT of the local network sees it. The filters of
// that DHT are for what it asks others; here those that ask it from elsewhere
// are refused.
type lanHost struct{ host.Host }

func (h lanHost) SetStreamHandler(p protocol.ID, handle network.StreamHandler) {
	h.Host.SetStreamHandler(p, func(s network.Stream) {
		if !onLAN(h.Host, s.Conn().RemotePeer()) {
			_ = s.Reset()
			return
		}
		handle(s)
	})
}

// lanAddrs keeps the addresses of the local network.
func lanAddrs(as []ma.Multiaddr) []ma.Multiaddr { return ma.FilterAddrs(as, isLAN) }

// isLAN tells whether a is an address of a network this machine is on: one
// of a private range, or of the subnet of one of its interfaces. Loopback,
// IPv6 link-local and relayed addresses are not.
func isLAN(a ma.Multiaddr) bool {
	if isRelayed(a) {
		return false
	}
	raw, err := manet.ToIP(a)
	if err != nil {
		return false
	}
	ip, ok := netip.AddrFromSlice(raw)
	if ip = ip.Unmap(); !ok || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsUnspecified() || ip.IsMulticast() {
		return false
	}
	return ip.IsPrivate() || onLink(ip)
}

func isRelayed(a ma.Multiaddr) bool {
	_, err := a.ValueForProtocol(ma.P_CIRCUIT)
	return err == nil
}

// subnets caches the networks of the interfaces: isLAN is asked often.
var subnets struct {
	sync.Mutex
	until time.Time
	nets  []netip.Prefix
}

func onLink(ip netip.Addr) bool {
	subnets.Lock()
	defer subnets.Unlock()
	if now := time.Now(); now.After(subnets.until) {
		subnets.nets, subnets.until = subnets.nets[:0], now.Add(30*time.Second)
		addrs, err := net.InterfaceAddrs()
		if err != nil {
			return false
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Bits() > 0 && !p.IsSingleIP() {
				subnets.nets = append(subnets.nets, p.Masked())
			}
		}
	}
	return slices.ContainsFunc(subnets.nets, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// interfaceAddrs lists the addresses of this machine, sorted.
func interfaceAddrs() []string {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	out := make([]string, 0, len(addrs))
	for _, a := range addrs {
		out = append(out, a.String())
	}
	slices.Sort(out)
	return out
}

func sameAddrs(a, b []ma.Multiaddr) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(x ma.Multiaddr) bool { return !ma.Contains(b, x) })
}
