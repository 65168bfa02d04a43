package discovery_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-msgio"
	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/proto"

	"github.com/go-hypercore/hypercore/discovery"
	"github.com/go-hypercore/hypercore/internal/simtest"
)

// simulation is a network in virtual time.
type simulation struct {
	*simtest.Network
	t    *testing.T
	next int
}

func simulate(t *testing.T, f func(t *testing.T, s *simulation)) {
	simtest.Run(t, func(t *testing.T, n *simtest.Network) { f(t, &simulation{Network: n, t: t}) })
}

// lineRate of all members, in Mbit/s.
const lineRate = 50

// join starts the next member of a subnet.
func (s *simulation) join(subnet string, cfg discovery.Config) member {
	s.t.Helper()
	s.next++
	return s.mount(s.Host(fmt.Sprintf("%s.%d", subnet, s.next), lineRate), cfg)
}

// joinAt starts the nth of the public members.
func (s *simulation) joinAt(n int, cfg discovery.Config, opts ...libp2p.Option) member {
	s.t.Helper()
	return s.mount(s.Host(simtest.Public(n), lineRate, opts...), cfg)
}

func (s *simulation) mount(h host.Host, cfg discovery.Config) member {
	s.t.Helper()
	d, err := discovery.New(h, cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	s.Defer(func() { d.Close() })
	return member{h, d}
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

// The DHT of the LAN answers a neighbour, and nobody who is connected from
// elsewhere.
func TestLANAnswersLANOnly(t *testing.T) {
	simulate(t, func(t *testing.T, s *simulation) {
		m := s.join("192.168.7", discovery.Config{Network: discovery.NetworkNone, MDNS: true})
		ask := func(from string) error {
			h := s.Host(from, lineRate)
			if err := h.Connect(t.Context(), m.info()); err != nil {
				t.Fatal(err)
			}
			str, err := h.NewStream(t.Context(), m.ID(), "/hypercore/lan/kad/1.0.0")
			if err != nil {
				t.Fatal(err)
			}
			defer str.Reset()
			b, err := proto.Marshal(&pb.Message{Type: pb.Message_FIND_NODE, Key: []byte(h.ID())})
			if err != nil {
				t.Fatal(err)
			}
			if err := msgio.NewVarintWriter(str).WriteMsg(b); err != nil {
				return err
			}
			_, err = msgio.NewVarintReader(str).ReadMsg()
			return err
		}
		if err := ask("192.168.7.9"); err != nil {
			t.Errorf("a neighbour is not answered: %v", err)
		}
		if ask("45.0.0.9") == nil {
			t.Error("somebody on the internet is answered")
		}
	})
}

// A bootstrap peer that closes each connection at once is dialled ever less, and
// one that is gone for a moment, after a connection that lasted, at once.
func TestBootstrapRefuses(t *testing.T) {
	simulate(t, func(t *testing.T, s *simulation) {
		boot := s.join("45.0.0", discovery.Config{Network: "test", Server: true})
		var refuse atomic.Bool
		var refused atomic.Int64
		refuse.Store(true)
		boot.Network().Notify(&network.NotifyBundle{ConnectedF: func(_ network.Network, c network.Conn) {
			if refuse.Load() {
				refused.Add(1)
				go c.Close()
			}
		}})
		m := s.join("45.0.0", discovery.Config{Network: "test", Bootstrap: []peer.AddrInfo{boot.info()}})
		time.Sleep(2 * time.Minute) // within the first one it is eager
		first := refused.Load()
		if first > 60 {
			t.Errorf("dialled %d times in two minutes", first)
		}
		time.Sleep(10 * time.Minute)
		if n := refused.Load() - first; n < 10 || n > 40 {
			t.Errorf("dialled %d times in ten minutes more", n)
		}

		refuse.Store(false)
		time.Sleep(time.Minute)
		for _, c := range m.Network().ConnsToPeer(boot.ID()) {
			c.Close()
		}
		time.Sleep(time.Second)
		if got := m.Network().Connectedness(boot.ID()); got != network.Connected {
			t.Errorf("a second after a lasting connection was lost: %v", got)
		}
	})
}

// After hours of suspension everything is announced again; after a moment of it
// nothing is, unless such moments add up.
func TestSuspended(t *testing.T) {
	suspend, restore := discovery.Suspender()
	defer restore()
	simulate(t, func(t *testing.T, s *simulation) {
		boot := s.join("45.0.0", discovery.Config{Network: "test", Server: true})
		seeder := s.join("45.0.0", discovery.Config{Network: "test", Bootstrap: []peer.AddrInfo{boot.info()}})
		topic := random(t)
		if err := seeder.Announce(topic); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		sent := seeder.Sent()
		if sent == 0 {
			t.Fatal("nothing was announced")
		}
		check := func(slept time.Duration, again bool) {
			t.Helper()
			suspend(slept)
			time.Sleep(2 * time.Minute)
			now := seeder.Sent()
			if (now > sent) != again {
				t.Errorf("after %v of suspension %d records were sent", slept, now-sent)
			}
			sent = now
		}
		check(10*time.Hour, true)
		check(-10*time.Hour, false) // a clock that is put right
		check(30*time.Second, false)
		check(35*time.Minute, false)
		check(35*time.Minute, true)
		check(35*time.Minute, false)
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

// A writer that comes up while somebody looks for it is found within two seconds, at
// first and when another one takes its place; who looks for one that is there finds it
// as fast.
func TestFindsInTime(t *testing.T) {
	simulate(t, func(t *testing.T, s *simulation) {
		boot := s.join("45.0.0", discovery.Config{Network: "test", Server: true})
		cfg := discovery.Config{Network: "test", Bootstrap: []peer.AddrInfo{boot.info()}}
		topic := random(t)
		var writer member
		for round := range 2 {
			reader := s.join("45.0.0", cfg)
			found := reader.Lookup(t.Context(), topic)
			if round > 0 {
				t.Logf("one that is there: found after %v", await(t, found, writer.ID(), 2*time.Second))
				writer.stop(t)
			}
			time.Sleep(time.Second)
			writer = s.join("45.0.0", cfg)
			if err := writer.Announce(topic); err != nil {
				t.Fatal(err)
			}
			t.Logf("one that comes: found after %v", await(t, found, writer.ID(), 2*time.Second))
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
