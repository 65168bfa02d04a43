package discovery_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/libp2p/go-libp2p/x/simlibp2p"
	"github.com/marcopolo/simnet"

	"github.com/go-hypercore/hypercore/discovery"
)

// simulation is a network in virtual time; 20 ms each way.
type simulation struct {
	t    *testing.T
	nw   *simnet.Simnet
	all  []member
	bare []host.Host // without a Discovery
	next int

	mu   sync.Mutex
	gone map[string]bool // addresses that vanished: nothing arrives from or at them
}

func simulate(t *testing.T, f func(t *testing.T, s *simulation)) {
	synctest.Test(t, func(t *testing.T) {
		s := &simulation{t: t, gone: map[string]bool{}}
		s.nw = &simnet.Simnet{LatencyFunc: s.latency}
		s.nw.Start()
		defer func() {
			for _, m := range s.all {
				m.Discovery.Close()
				m.Host.Close()
			}
			for _, h := range s.bare {
				h.Close()
			}
			s.nw.Close()
		}()
		f(t, s)
	})
}

// latency is for ever for what is to be lost.
func (s *simulation) latency(p *simnet.Packet) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.gone) > 0 && (s.gone[p.From.String()] || s.gone[p.To.String()]) {
		return 1000 * time.Hour
	}
	return roundTrip / 2
}

// vanish cuts a member off at once, without a word to anybody.
func (s *simulation) vanish(m member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range m.Addrs() {
		if udp, err := manet.ToNetAddr(udpOnly(a)); err == nil {
			s.gone[udp.String()] = true
		}
	}
}

// udpOnly is an address without what comes after the port.
func udpOnly(a ma.Multiaddr) ma.Multiaddr {
	head, _ := ma.SplitFunc(a, func(c ma.Component) bool { return c.Protocol().Code == ma.P_QUIC_V1 })
	return head
}

// leave closes a member.
func (s *simulation) leave(m member) {
	s.t.Helper()
	s.all = slices.DeleteFunc(s.all, func(o member) bool { return o.Host == m.Host })
	m.stop(s.t)
}

// host returns a host at an address.
func (s *simulation) host(ip string, opts ...libp2p.Option) host.Host {
	s.t.Helper()
	link := simnet.LinkSettings{BitsPerSecond: 50 * simlibp2p.OneMbps}
	h, err := libp2p.New(append([]libp2p.Option{
		libp2p.ListenAddrStrings(fmt.Sprintf("/ip4/%s/udp/8000/quic-v1", ip)),
		simlibp2p.QUICSimnet(s.nw, simnet.NodeBiDiLinkSettings{Downlink: link, Uplink: link}),
		libp2p.DisableIdentifyAddressDiscovery(), libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.DisableMetrics(), libp2p.DisableRelay()}, opts...)...)
	if err != nil {
		s.t.Fatal(err)
	}
	return h
}

// hostAt returns a host without a Discovery, the nth of the public ones.
func (s *simulation) hostAt(n int) host.Host {
	s.t.Helper()
	h := s.host(simnet.IntToPublicIPv4(n).String())
	s.bare = append(s.bare, h)
	return h
}

// joinAt starts the nth of the public members.
func (s *simulation) joinAt(n int, cfg discovery.Config, opts ...libp2p.Option) member {
	s.t.Helper()
	return s.mount(s.host(simnet.IntToPublicIPv4(n).String(), opts...), cfg)
}

// join starts the next member of a subnet.
func (s *simulation) join(subnet string, cfg discovery.Config) member {
	s.t.Helper()
	s.next++
	return s.mount(s.host(fmt.Sprintf("%s.%d", subnet, s.next)), cfg)
}

func (s *simulation) mount(h host.Host, cfg discovery.Config) member {
	s.t.Helper()
	d, err := discovery.New(h, cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	m := member{h, d}
	s.all = append(s.all, m)
	return m
}

// Five nodes of a LAN, nothing configured, no way out: mDNS tells each of
// one other only, and topics are resolved through the DHT that they form.
func TestLANWithoutInternet(t *testing.T) {
	simulate(t, func(t *testing.T, s *simulation) {
		var told []peer.AddrInfo
		var nodes []member
		for range 5 {
			nodes = append(nodes, s.join("192.168.7", discovery.Config{
				Network: discovery.NetworkNone, MDNS: true, OnLAN: func(info peer.AddrInfo) { told = append(told, info) }}))
		}
		for i, m := range nodes[1:] {
			m.FoundByMDNS(nodes[i].info())
		}
		if len(told) != 4 {
			t.Errorf("OnLAN told of %d peers, want 4", len(told))
		}
		topics := make([]discovery.Topic, len(nodes))
		for i, m := range nodes {
			topics[i] = random(t)
			if err := m.Announce(topics[i]); err != nil {
				t.Fatal(err)
			}
		}
		start := time.Now()
		for i, owner := range nodes {
			for j, m := range nodes {
				if i == j {
					continue
				}
				ctx, cancel := context.WithCancel(t.Context())
				await(t, m.Lookup(ctx, topics[i]), owner.ID(), 10*time.Second)
				cancel()
			}
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("20 finds took %v", took)
		} else {
			t.Logf("20 finds after %v", took)
		}
		// A peer with nothing but an address elsewhere is none of the LAN.
		nodes[0].FoundByMDNS(peer.AddrInfo{ID: "x", Addrs: []ma.Multiaddr{ma.StringCast("/ip4/1.2.3.4/udp/1/quic-v1")}})
		if st := nodes[0].Status(topics[0]); st.LAN != 0 || st.Overlays[0].Peers != 4 || st.Overlays[0].Name != "lan" {
			t.Errorf("status: %d found by mDNS, %d peers on %s", st.LAN, st.Overlays[0].Peers, st.Overlays[0].Name)
		}
	})
}

// Records outlive their validity because they are sent again, and a topic
// that was given up runs out.
func TestReannounce(t *testing.T) {
	defer discovery.ShortLives()()
	simulate(t, func(t *testing.T, s *simulation) {
		boot := s.join("45.0.0", discovery.Config{Network: "test", Server: true})
		cfg := discovery.Config{Network: "test", Bootstrap: []peer.AddrInfo{boot.info()}}
		seeder := s.join("45.0.0", cfg)
		kept, given := random(t), random(t)
		if err := seeder.AnnounceAll(kept, given); err != nil {
			t.Fatal(err)
		}
		reader := s.join("45.0.0", cfg)
		ctx, cancel := context.WithCancel(t.Context())
		await(t, reader.Lookup(ctx, kept), seeder.ID(), 10*time.Second)
		cancel()
		seeder.Unannounce(given)
		time.Sleep(3 * time.Hour)
		late := s.join("45.0.0", cfg)
		await(t, late.Lookup(t.Context(), kept), seeder.ID(), 10*time.Second)
		if n, asked, err := late.Holders(t.Context(), given, seeder.ID()); err != nil || n > 0 || asked == 0 {
			t.Errorf("three hours after Unannounce %d of %d servers hold the record (%v)", n, asked, err)
		}
	})
}

// Eleven nodes, twenty topics: each find takes a few round trips, and dead
// providers do not slow it down.
func TestFindsInRoundTrips(t *testing.T) {
	simulate(t, func(t *testing.T, s *simulation) {
		boot := s.join("45.0.0", discovery.Config{Network: "test", Server: true})
		cfg := discovery.Config{Network: "test", Bootstrap: []peer.AddrInfo{boot.info()}}
		var nodes []member
		for range 10 {
			nodes = append(nodes, s.join("45.0.0", cfg))
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(5 * time.Second)
		topics := make([]discovery.Topic, 20)
		for i := range topics {
			topics[i] = random(t)
			// Three announce and at most one of them vanishes.
			for _, k := range []int{i, i + 3, i + 6} {
				if err := nodes[k%7].Announce(topics[i]); err != nil {
					t.Fatal(err)
				}
			}
		}
		time.Sleep(5 * time.Second)
		for _, m := range nodes[:2] {
			m.Discovery.Close()
			m.Host.Close()
		}
		var slowest time.Duration
		for i, topic := range topics {
			ctx, cancel := context.WithCancel(t.Context())
			owner := i % 7
			if owner < 2 {
				owner += 3
			}
			reader := nodes[7+rand.IntN(3)]
			slowest = max(slowest, await(t, reader.Lookup(ctx, topic), nodes[owner].ID(), 20*time.Second))
			cancel()
		}
		t.Logf("slowest of %d finds: %v, that is %.1f round trips", len(topics), slowest, float64(slowest)/float64(40*time.Millisecond))
	})
}
