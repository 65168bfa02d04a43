package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/autorelay"
	bhost "github.com/libp2p/go-libp2p/p2p/host/basic"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	relayv2 "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/go-hypercore/hypercore/discovery"
)

const (
	// relayBuffer is the copy buffer of the relay service; 64 KiB carry 1.7
	// times what the default 2 KiB do.
	relayBuffer = 64 << 10
	// relayDelay is how long more than one candidate is waited for.
	relayDelay = 2 * time.Second
	// connGrace is how long a new connection is safe from trimming.
	connGrace = 30 * time.Second
	// localDial bounds dials within private ranges and on loopback.
	localDial = 5 * time.Second
	// punchTimeout bounds each attempt to reach a peer directly, at its public
	// address or by a hole punch: libp2p's five seconds are long for a peer
	// whose firewall lets nobody in, which is tried before a punch is.
	punchTimeout = 2500 * time.Millisecond
	// nearUDPDelay is how long TCP has a head start on near addresses.
	nearUDPDelay = 100 * time.Millisecond
)

// hosting is a libp2p host and what belongs to it.
type hosting struct {
	host     host.Host
	ours     bool                 // to be closed
	loopback bool                 // sends nothing off the machine
	punches  bool                 // hole punching is on
	assumed  bool                 // to be behind a NAT or a firewall, before anybody said so
	verdict  network.Reachability // on a host that is assumed so; confirmed's own
	gate     *gater
	ports    bhost.NATManager // asks routers for ports; nil: nobody does. Set before the host is
	punched  punches
	started  atomic.Bool                         // host is set; for what libp2p calls early
	disc     atomic.Pointer[discovery.Discovery] // set once discovery runs; relays are found there
	node     atomic.Pointer[Node]                // set once it learns what peers see of the host
}

// newHost makes the node's host, or wraps the application's.
func newHost(cfg Config, key crypto.PrivKey, book *ruleBook) (*hosting, error) {
	if cfg.Host != nil {
		return &hosting{host: cfg.Host, loopback: loopbackOnly(cfg.Host.Network().ListenAddresses())}, nil
	}
	listen := cfg.Listen
	if listen == nil {
		listen = defaultListen(cfg.Dir)
	}
	for _, a := range cfg.Listen {
		if err := unshared(a); err != nil {
			return nil, err
		}
	}
	hs := &hosting{ours: true, loopback: loopbackOnly(listen)}
	hs.gate = newGater(hs.loopback, cfg.wide())
	hs.gate.rules = book
	for _, list := range [][]peer.AddrInfo{cfg.Bootstrap, cfg.Peers} {
		for _, info := range list {
			hs.gate.allowPrivate(info.ID)
		}
	}
	opts, err := hs.options(cfg, key, listen)
	if err != nil {
		return nil, err
	}
	h, err := libp2p.New(opts...)
	if err != nil {
		return nil, fmt.Errorf("node: starting the host: %w", err)
	}
	hs.host = h
	hs.started.Store(true)
	// libp2p is content when one address works.
	if err := allListening(h, cfg.Listen); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return hs, nil
}

// noMoreDials lets those go that wait for their turn to dial.
func (hs *hosting) noMoreDials() {
	if hs.gate != nil && hs.gate.pace != nil {
		hs.gate.pace.end()
	}
}

// disconnect ends all connections of a host that is about to be closed. A listener that
// ends while there are any makes libp2p tell the other side that this host has no
// address any more, and they forget those that they had, also where a server of the
// DHT holds records of this host, which outlast it.
func disconnect(h host.Host) {
	var wg sync.WaitGroup
	for _, c := range h.Network().Conns() {
		wg.Go(func() { c.Close() })
	}
	wg.Wait()
}

func (hs *hosting) options(cfg Config, key crypto.PrivKey, listen []ma.Multiaddr) ([]libp2p.Option, error) {
	rm, err := cfg.resources(protocolIDs())
	if err != nil {
		return nil, fmt.Errorf("node: resource manager: %w", err)
	}
	low, high := cfg.watermarks()
	cm, err := connmgr.NewConnManager(low, high, connmgr.WithGracePeriod(connGrace))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("node: connection manager: %w", err), rm.Close())
	}
	agent := cfg.UserAgent
	if agent == "" {
		agent = "hypercore"
	}
	opts := []libp2p.Option{
		libp2p.Identity(key),
		libp2p.ListenAddrs(listen...),
		libp2p.DefaultTransports, // TCP QUIC WebSocket WebTransport WebRTC
		libp2p.Security(libp2ptls.ID, newTLS), libp2p.Security(noise.ID, noise.New),
		libp2p.ShareTCPListener(),
		libp2p.Muxer(yamux.ID, Muxer()),
		libp2p.ResourceManager(rm), libp2p.ConnectionManager(cm), libp2p.ConnectionGater(hs.gate),
		libp2p.UserAgent(agent),
		libp2p.SwarmOpts(swarm.WithDialTimeoutLocal(localDial), swarm.WithDialRanker(rank)),
	}
	if len(listen) == 0 {
		// NoListenAddrs alone would do without relays, too.
		opts[1] = libp2p.ChainOptions(libp2p.NoListenAddrs, libp2p.EnableRelay())
	}
	if cfg.Registerer != nil {
		rcmgr.MustRegisterWith(cfg.Registerer)
		opts = append(opts, libp2p.PrometheusRegisterer(cfg.Registerer))
	} else {
		opts = append(opts, libp2p.DisableMetrics())
	}
	switch {
	case hs.loopback:
		opts = append(opts, libp2p.MultiaddrResolver(localNames{}))
		if cfg.Server && !cfg.Relay.Off {
			opts = append(opts, libp2p.EnableRelayService(relayOptions(cfg.Relay)...), libp2p.ForceReachabilityPublic())
		}
		return opts, nil
	case cfg.Server:
		// Waiting for AutoNAT's verdict would keep the relay from starting
		// where nobody else can give one.
		opts = append(opts, libp2p.ForceReachabilityPublic(), libp2p.EnableNATService())
		if !cfg.Relay.Off {
			opts = append(opts, libp2p.EnableRelayService(relayOptions(cfg.Relay)...))
		}
	default:
		opts = append(opts, libp2p.EnableAutoRelayWithPeerSource(hs.relays,
			autorelay.WithMinCandidates(1), autorelay.WithNumRelays(2),
			autorelay.WithBootDelay(relayDelay), autorelay.WithBackoff(30*time.Second), autorelay.WithMinInterval(2*time.Second)))
		if !attached().public4 && cfg.wide() {
			// There is a NAT, or a firewall as homes have for IPv6. AutoNAT
			// takes a quarter of a minute to say so, and without a relay nobody
			// can reach this node until then. If the router maps a port, that
			// address is announced beside it; see also hosting.confirmed.
			hs.assumed, hs.verdict = true, network.ReachabilityPrivate
			opts = append(opts, libp2p.ForceReachabilityPrivate())
		}
	}
	hs.punches = true
	opts = append(opts, libp2p.EnableAutoNATv2(), libp2p.EnableHolePunching(holepunch.WithTracer(&hs.punched), holepunch.DirectDialTimeout(punchTimeout), holepunch.WithAddrFilter(holes{hs})))
	if cfg.PortMap == On || cfg.PortMap == Auto && !attached().public4 {
		opts = append(opts, libp2p.NATManager(hs.mapPorts))
	}
	return opts, nil
}

// rank orders the addresses of a peer for dialling. Near ones, on this
// machine or in private ranges, are tried over TCP first: it carries some
// three times what QUIC does for the same work, and a process that dies is
// noticed at once. Others are ordered as libp2p does, QUIC first.
func rank(addrs []ma.Multiaddr) []network.AddrDelay {
	var near, far []ma.Multiaddr
	for _, a := range addrs {
		if !isRelayed(a) && (isLoopback(a) || isPrivate(a)) {
			near = append(near, a)
		} else {
			far = append(far, a)
		}
	}
	out := swarm.DefaultDialRanker(far)
	for _, a := range near {
		d := network.AddrDelay{Addr: a}
		if _, err := a.ValueForProtocol(ma.P_TCP); err != nil {
			d.Delay = nearUDPDelay
		}
		out = append(out, d)
	}
	return out
}

// confirmed is told of the addresses of this host that others have reached
// (AutoNAT v2). A host that was assumed to sit behind a firewall and is reached
// at an address of its own, not of a router, is a public one: it gives its
// relays back and serves the DHT. The verdict of AutoNAT v1 is not asked for
// on such hosts, so nothing speaks against this.
func (hs *hosting) confirmed(reached []ma.Multiaddr) {
	if !hs.assumed {
		return
	}
	on := attached()
	verdict := network.ReachabilityPrivate
	if slices.ContainsFunc(reached, func(a ma.Multiaddr) bool { return manet.IsPublicAddr(a) && !isRelayed(a) && on.has(a) }) {
		verdict = network.ReachabilityPublic
	}
	if verdict == hs.verdict {
		return
	}
	hs.verdict = verdict
	e, err := hs.host.EventBus().Emitter(new(event.EvtLocalReachabilityChanged), eventbus.Stateful)
	if err == nil {
		err = errors.Join(e.Emit(event.EvtLocalReachabilityChanged{Reachability: verdict}), e.Close())
	}
	if err != nil {
		log.Warnw("reachability not told", "error", err)
	}
}

// relays delivers candidates for AutoRelay: peers of the DHT.
func (hs *hosting) relays(ctx context.Context, n int) <-chan peer.AddrInfo {
	if d := hs.disc.Load(); d != nil {
		return d.Servers(ctx, n)
	}
	c := make(chan peer.AddrInfo)
	close(c)
	return c
}

func relayOptions(r RelayLimits) []relayv2.Option {
	rc := relayv2.DefaultResources()
	rc.BufferSize = relayBuffer
	if r.Unlimited {
		rc.Limit = nil
		return []relayv2.Option{relayv2.WithResources(rc)}
	}
	limit := *rc.Limit
	if r.Data > 0 {
		limit.Data = r.Data
	}
	if r.Time > 0 {
		limit.Duration = r.Time
	}
	rc.Limit = &limit
	return []relayv2.Option{relayv2.WithResources(rc)}
}

// allListening tells which of the addresses asked for is not served.
func allListening(h host.Host, want []ma.Multiaddr) error {
	have := h.Network().ListenAddresses()
	for _, w := range want {
		found := false
		for _, a := range have {
			found = found || served(w, a)
		}
		if !found {
			return fmt.Errorf("node: not listening on %s: is the address of this machine, and the port free?", w)
		}
	}
	return nil
}

// served tells whether listening on have is what want asked for: the same
// protocols, the same IP address, the same port unless it was 0. What a
// transport adds behind that, such as certificate hashes, does not matter.
func served(want, have ma.Multiaddr) bool {
	if len(have) < len(want) {
		return false
	}
	for i := range want {
		w, h := want[i], have[i]
		if w.Protocol().Code != h.Protocol().Code {
			return false
		}
		port := w.Protocol().Code == ma.P_TCP || w.Protocol().Code == ma.P_UDP
		if w.Value() != h.Value() && !(port && w.Value() == "0") {
			return false
		}
	}
	return true
}

// isRelayed tells whether a goes through a relay.
func isRelayed(a ma.Multiaddr) bool {
	_, err := a.ValueForProtocol(ma.P_CIRCUIT)
	return err == nil
}

// isLoopback is manet's, for readability at the callers.
func isLoopback(a ma.Multiaddr) bool { return manet.IsIPLoopback(a) }
