package node

import (
	"math"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/x/rate"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/pbnjay/memory"
)

const (
	// service is the name of the replication streams' scope in the resource
	// manager.
	service = "hypercore.replicate"
	// minMemory and maxMemory bound the eighth of the machine's memory that all
	// replication streams together may keep unless Config.Memory says it.
	minMemory, maxMemory = 128 << 20, 4 << 30
	// streamsPerPeer bounds replication streams of one peer at a time. One is
	// kept; the others are those being replaced: after simultaneous opens,
	// after a reconnect that only one side has noticed, from a relay to a
	// direct connection.
	streamsPerPeer = 8
	// muxMemory is what yamux reserves for each stream.
	muxMemory = 256 << 10
	// connMemory is a guess at what a connection with its streams takes, for
	// sizing their number by the machine's memory: an eighth of it.
	connMemory         = 256 << 10
	minConns, maxConns = 256, 4096
	// homeConns is how many connections a node keeps that nobody relies on;
	// home routers track few thousand, and DHT clients open many.
	homeConns = 256
	// connsPerIP replaces libp2p's 8: offices, carriers and a lab's NAT
	// routers put many peers behind one address, each with several dials.
	connsPerIP = 64
	// connsPerLAN is the same for configured peers, and for private IPv6 ranges,
	// where each host has as many addresses as it likes.
	connsPerLAN = 512
	// connRate and connBurst bound new connections per address.
	connRate, connBurst = 4, 64
)

// conns is how many connections this machine can carry.
func (c Config) conns() int {
	if c.MaxConns > 0 {
		return max(c.MaxConns, 16)
	}
	n := int(min(memory.TotalMemory()/8/connMemory, maxConns))
	if n == 0 { // unknown
		n = minConns
	}
	return max(n, minConns)
}

// memory is what replication streams may keep together, in bytes.
func (c Config) memory() int64 {
	if c.Memory > 0 {
		return c.Memory
	}
	return int64(min(max(memory.TotalMemory()/8, minMemory), maxMemory))
}

// watermarks are the numbers of connections the connection manager trims to
// and from, below those the resource manager refuses at.
func (c Config) watermarks() (low, high int) {
	high = c.conns() * 3 / 4
	if !c.Server && c.MaxConns == 0 {
		high = min(high, homeConns)
	}
	return high * 3 / 4, high
}

// resources sizes libp2p's resource manager for one replication stream per
// peer, and for the memory that all of them may keep; what each keeps is
// reserved as it grows, see scopeMemory.
func (c Config) resources(ids []protocol.ID) (network.ResourceManager, error) {
	conns, budget := c.conns(), c.memory()
	l := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&l)
	all := rcmgr.BaseLimit{
		Streams: 2 * conns, StreamsInbound: 2 * conns, StreamsOutbound: 2 * conns,
		Memory: budget,
	}
	one := rcmgr.BaseLimit{
		Streams: 2 * streamsPerPeer, StreamsInbound: streamsPerPeer, StreamsOutbound: streamsPerPeer,
		Memory: peerMemory,
	}
	none := rcmgr.BaseLimitIncrease{}
	for _, id := range ids {
		l.AddProtocolLimit(id, all, none)
		l.AddProtocolPeerLimit(id, one, none)
	}
	l.AddServiceLimit(service, all, none)
	l.AddServicePeerLimit(service, one, none)
	scaled := l.AutoScale()
	was := scaled.ToPartialLimitConfig()
	sys := was.System
	up64 := func(have rcmgr.LimitVal64, want int64) rcmgr.LimitVal64 {
		if have == rcmgr.Unlimited64 || int64(have) >= want {
			return have
		}
		return rcmgr.LimitVal64(want)
	}
	up := func(have rcmgr.LimitVal, want int) rcmgr.LimitVal {
		if have == rcmgr.Unlimited || int(have) >= want {
			return have
		}
		return rcmgr.LimitVal(want)
	}
	fixed := rcmgr.PartialLimitConfig{System: rcmgr.ResourceLimits{
		Conns:           up(sys.Conns, conns),
		ConnsInbound:    up(sys.ConnsInbound, conns),
		ConnsOutbound:   up(sys.ConnsOutbound, conns),
		Streams:         up(sys.Streams, 8*conns),
		StreamsInbound:  up(sys.StreamsInbound, 4*conns),
		StreamsOutbound: up(sys.StreamsOutbound, 4*conns),
		Memory:          up64(sys.Memory, 2*budget+int64(conns)*muxMemory),
	},
		PeerDefault: rcmgr.ResourceLimits{Memory: up64(was.PeerDefault.Memory, peerMemory+2*muxWindow)},
		Stream:      rcmgr.ResourceLimits{Memory: up64(was.Stream.Memory, peerMemory)},
	}.Build(scaled)

	v4, v6, rates := c.perIP()
	opts := []rcmgr.Option{
		rcmgr.WithLimitPerSubnet(
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: connsPerIP}},
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 56, ConnCount: connsPerIP}, {PrefixLength: 48, ConnCount: 8 * connsPerIP}}),
		rcmgr.WithNetworkPrefixLimit(v4, v6),
		rcmgr.WithConnRateLimiters(rates),
	}
	if c.Registerer == nil {
		opts = append(opts, rcmgr.WithMetricsDisabled())
	}
	return rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(fixed), opts...)
}

// perIP lifts the limits per address for loopback and for configured peers, and for
// private ranges those of the rate. How many connections come from a private range is
// not bounded for all of it: one host would have them all.
func (c Config) perIP() (v4, v6 []rcmgr.NetworkPrefixLimit, rates *rate.Limiter) {
	rates = &rate.Limiter{SubnetRateLimiter: rate.SubnetLimiter{
		IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: rate.Limit{RPS: connRate, Burst: connBurst}}},
		IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 56, Limit: rate.Limit{RPS: connRate, Burst: connBurst}}},
		GracePeriod:      time.Minute,
	}}
	anyRate := func(p netip.Prefix) {
		rates.NetworkPrefixLimits = append(rates.NetworkPrefixLimits, rate.PrefixLimit{Prefix: p})
	}
	add := func(p netip.Prefix, n int) {
		anyRate(p)
		limit := rcmgr.NetworkPrefixLimit{Network: p, ConnCount: n}
		if p.Addr().Is4() {
			v4 = append(v4, limit)
		} else {
			v6 = append(v6, limit)
		}
	}
	for _, s := range []string{"127.0.0.0/8", "::1/128"} {
		add(netip.MustParsePrefix(s), math.MaxInt)
	}
	for _, s := range []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"} {
		anyRate(netip.MustParsePrefix(s))
	}
	add(netip.MustParsePrefix("fc00::/7"), connsPerLAN)
	for _, list := range [][]peer.AddrInfo{c.Bootstrap, c.Peers} {
		for _, info := range list {
			for _, a := range info.Addrs {
				if raw, err := manet.ToIP(a); err == nil {
					if ip, ok := netip.AddrFromSlice(raw); ok {
						ip = ip.Unmap()
						add(netip.PrefixFrom(ip, ip.BitLen()), connsPerLAN)
					}
				}
			}
		}
	}
	return v4, v6, rates
}
