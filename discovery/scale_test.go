package discovery_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	dht "github.com/libp2p/go-libp2p-kad-dht"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"

	ds "github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	"github.com/libp2p/go-libp2p"

	"github.com/go-hypercore/hypercore/discovery"
	"github.com/go-hypercore/hypercore/internal/simtest"
)

// finder is one node that looks for one topic.
type finder struct {
	by    member
	topic discovery.Topic
	owner peer.ID
}

// findAll lets them look, one every gap, and returns how long each took, the
// shortest first. Those that found nothing within limit are counted.
func findAll(t *testing.T, finders []finder, gap, limit time.Duration) (took []time.Duration, failed int) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, f := range finders {
		time.Sleep(gap)
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			start := time.Now()
			found := false
			for info := range f.by.Lookup(ctx, f.topic) {
				if found = info.ID == f.owner && len(info.Addrs) > 0; found {
					break
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if found {
				took = append(took, time.Since(start))
			} else {
				failed++
			}
		})
	}
	wg.Wait()
	slices.Sort(took)
	return took, failed
}

// percentile of sorted durations, in round trips.
func percentile(sorted []time.Duration, p int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[min(len(sorted)-1, len(sorted)*p/100)]) / float64(simtest.RoundTrip)
}

// A thousand nodes, forty of which are DHT servers and the others behind NATs;
// two hundred feeds, each looked for by twenty nodes. Then a fifth of all nodes,
// servers too, is gone without a word, and every feed that is left is found by
// nodes that never asked for it.
func TestThousandNodes(t *testing.T) {
	nodes, servers, topics, finds := 60, 12, 15, 4
	if simtest.Full() {
		nodes, servers, topics, finds = 1000, 40, 200, 20
	}
	if testing.Short() {
		t.Skip("simulates a network")
	}
	simulate(t, func(t *testing.T, s *simulation) {
		var boot []peer.AddrInfo
		var all, clients []member
		for i := range nodes {
			cfg := discovery.Config{Network: "test", Bootstrap: boot, Server: i < servers}
			var opts []libp2p.Option
			if i >= servers {
				// Few connections, so that a thousand nodes fit into memory; real ones
				// keep more and dial less.
				few, err := connmgr.NewConnManager(12, 16, connmgr.WithGracePeriod(5*time.Second))
				if err != nil {
					t.Fatal(err)
				}
				opts = append(opts, libp2p.ForceReachabilityPrivate(), libp2p.ConnectionManager(few))
			}
			m := s.joinAt(i, cfg, opts...)
			if i < 4 {
				boot = append(boot, m.info())
			}
			all = append(all, m)
			if i >= servers {
				clients = append(clients, m)
			}
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		ids := make([]discovery.Topic, topics)
		owners := make([]member, topics)
		for i := range ids {
			ids[i] = random(t)
			owners[i] = clients[i%len(clients)]
			if err := owners[i].Announce(ids[i]); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Second)

		look := func(what string, among []member, alive func(member) bool) {
			var list []finder
			for i := range ids {
				if !alive(owners[i]) {
					continue
				}
				for n := 0; n < finds; {
					if by := among[rand.IntN(len(among))]; alive(by) && by.ID() != owners[i].ID() {
						list = append(list, finder{by, ids[i], owners[i].ID()})
						n++
					}
				}
			}
			rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
			took, failed := findAll(t, list, 10*time.Millisecond, time.Minute)
			t.Logf("%d nodes, %d servers, %s: %d of %d finds; p50 %.1f, p99 %.1f, slowest %.1f round trips",
				nodes, servers, what, len(took), len(list), percentile(took, 50), percentile(took, 99), percentile(took, 100))
			if failed > 0 {
				t.Errorf("%s: %d of %d finds failed", what, failed, len(list))
			}
		}
		look("all up", clients, func(member) bool { return true })

		gone := map[peer.ID]bool{}
		for i, m := range all {
			if i%5 == 4 { // the first four are how the others came in
				gone[m.ID()] = true
				s.Vanish(m.Host)
			}
		}
		look("a fifth just vanished", clients, func(m member) bool { return !gone[m.ID()] })
		time.Sleep(time.Minute)
		look("a minute later", clients, func(m member) bool { return !gone[m.ID()] })
	})
}

// counts of the requests that servers were sent.
type requests struct {
	mu     sync.Mutex
	counts map[pb.Message_MessageType]int
}

func (r *requests) hook(_ context.Context, _ network.Stream, m *pb.Message) {
	r.mu.Lock()
	r.counts[m.GetType()]++
	r.mu.Unlock()
}

func (r *requests) take() (findNode, addProvider int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	findNode, addProvider = r.counts[pb.Message_FIND_NODE], r.counts[pb.Message_ADD_PROVIDER]
	clear(r.counts)
	return findNode, addProvider
}

// One process announces thousands of feeds, with a fraction of the lookups that
// one after the other needs, and announces nothing again when it is restarted.
func TestThousandsOfFeeds(t *testing.T) {
	topics, servers, single := 500, 25, 50
	if simtest.Full() {
		topics, single = 10_000, 200
	}
	if testing.Short() {
		t.Skip("simulates a network")
	}
	simulate(t, func(t *testing.T, s *simulation) {
		reqs := &requests{counts: map[pb.Message_MessageType]int{}}
		var boot []peer.AddrInfo
		var dhts []*dht.IpfsDHT
		defer func() {
			for _, d := range dhts {
				d.Close()
			}
		}()
		for i := range servers {
			h := s.Host(simtest.Public(i), lineRate)
			d, err := dht.New(h, dht.ProtocolPrefix("/hypercore/test"), dht.Mode(dht.ModeServer),
				dht.BootstrapPeers(boot...), dht.DisableValues(), dht.OnRequestHook(reqs.hook))
			if err != nil {
				t.Fatal(err)
			}
			dhts = append(dhts, d)
			if err := d.Bootstrap(t.Context()); err != nil {
				t.Fatal(err)
			}
			if i < 4 {
				boot = append(boot, peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()})
			}
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(30 * time.Second)

		// One after the other.
		plain, err := dht.New(s.Host(simtest.Public(servers), lineRate), dht.ProtocolPrefix("/hypercore/test"), dht.Mode(dht.ModeClient), dht.BootstrapPeers(boot...))
		if err != nil {
			t.Fatal(err)
		}
		if err := plain.Bootstrap(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		reqs.take()
		for range single {
			if err := plain.Provide(t.Context(), random(t).CID(), true); err != nil {
				t.Fatal(err)
			}
		}
		each, _ := reqs.take()
		plain.Close()

		store := dssync.MutexWrap(ds.NewMapDatastore())
		id := key(t)
		cfg := discovery.Config{Network: "test", Bootstrap: boot, Store: store}
		ids := make([]discovery.Topic, topics)
		for i := range ids {
			ids[i] = random(t)
		}
		start := func() member {
			return s.joinAt(servers+1, cfg, libp2p.Identity(id), libp2p.ForceReachabilityPrivate())
		}
		m := start()
		time.Sleep(5 * time.Second)
		reqs.take()
		began := time.Now()
		if err := m.AnnounceAll(ids...); err != nil {
			t.Fatal(err)
		}
		for slices.ContainsFunc(ids, func(id discovery.Topic) bool { return m.Status(id).Overlays[0].Holders < min(20, servers) }) {
			if time.Sleep(time.Second); time.Since(began) > time.Hour {
				t.Fatal("not all announced within an hour")
			}
		}
		took := time.Since(began)
		time.Sleep(time.Minute)
		swept, records := reqs.take()
		t.Logf("%d feeds announced in %v with %d lookup requests and %d records; one after the other %.1f requests each: 1/%.0f",
			topics, took.Round(time.Second), swept, records, float64(each)/float64(single), float64(each)*float64(topics)/float64(single)/float64(swept))
		if 20*swept*single > each*topics {
			t.Error("announcing takes more than a twentieth of the lookups")
		}

		m.stop(t)
		time.Sleep(10 * time.Second)
		reqs.take()
		m = start()
		if err := m.AnnounceAll(ids...); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		_, again := reqs.take()
		t.Logf("after a restart: %d records sent again", again)
		if again > servers {
			t.Errorf("a restart sent %d records again", again)
		}
		reader := s.joinAt(servers+2, discovery.Config{Network: "test", Bootstrap: boot})
		time.Sleep(5 * time.Second)
		var list []finder
		for range 50 {
			list = append(list, finder{reader, ids[rand.IntN(len(ids))], m.ID()})
		}
		found, failed := findAll(t, list, time.Second, time.Minute)
		t.Logf("found: p50 %.1f, slowest %.1f round trips", percentile(found, 50), percentile(found, 100))
		if failed > 0 {
			t.Errorf("%d of %d not found", failed, len(list))
		}
	})
}
