package discovery_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	ds "github.com/ipfs/go-datastore"
	dsq "github.com/ipfs/go-datastore/query"
	dssync "github.com/ipfs/go-datastore/sync"
	"github.com/libp2p/go-libp2p"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p-kad-dht/records"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
	"github.com/libp2p/go-msgio"
	"google.golang.org/protobuf/proto"

	"github.com/go-hypercore/hypercore/discovery"
)

// A remote that announces keys without end displaces its own records only.
func TestRecordFlood(t *testing.T) {
	t.Parallel()
	store := dssync.MutexWrap(ds.NewMapDatastore())
	server := join(t, discovery.Config{Server: true, Store: store})
	cfg := discovery.Config{Bootstrap: []peer.AddrInfo{server.info()}}
	seeder := join(t, cfg)
	topic := random(t)
	if err := seeder.Announce(topic); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "announced", func() bool { return seeder.Status(topic).Overlays[0].Holders > 0 })

	flooder := newHost(t, libp2p.NoListenAddrs)
	defer flooder.Close()
	if err := flooder.Connect(t.Context(), server.info()); err != nil {
		t.Fatal(err)
	}
	s, err := flooder.NewStream(t.Context(), server.ID(), "/hypercore/test/kad/1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	w, r := msgio.NewVarintWriter(s), msgio.NewVarintReaderSize(s, 4<<20)
	send := func(m *pb.Message) {
		b, err := proto.Marshal(m)
		if err == nil {
			err = w.WriteMsg(b)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	flood := func(i int) []byte { return fmt.Appendf(nil, "key %d", i) }
	me := &pb.Message_Peer{Id: []byte(flooder.ID()), Addrs: [][]byte{server.Addrs()[0].Bytes()}}
	n := discovery.HeldPerPeer + 100
	for i := range n {
		send(&pb.Message{Type: pb.Message_ADD_PROVIDER, Key: flood(i), ProviderPeers: []*pb.Message_Peer{me}})
	}
	providers := func(key []byte) (n int) {
		send(&pb.Message{Type: pb.Message_GET_PROVIDERS, Key: key})
		b, err := r.ReadMsg()
		if err != nil {
			t.Fatal(err)
		}
		var m pb.Message
		if err := proto.Unmarshal(b, &m); err != nil {
			t.Fatal(err)
		}
		return len(m.ProviderPeers)
	}
	if first, last := providers(flood(99)), providers(flood(n-1)); first != 0 || last != 1 {
		t.Errorf("providers of the first and the last key: %d, %d; want 0, 1", first, last)
	}
	if first, held := providers(flood(100)), providers(topic.Multihash()); first != 1 || held != 1 {
		t.Errorf("providers of the oldest key held and of the seeder's: %d, %d; want 1, 1", first, held)
	}
	if n, want := len(query(t, store, "/hypercore/test/dht/providers")), discovery.HeldPerPeer+1; n != want {
		t.Errorf("%d records on disk, want %d", n, want)
	}
}

func query(t *testing.T, store ds.Datastore, prefix string) []dsq.Entry {
	t.Helper()
	res, err := store.Query(t.Context(), dsq.Query{Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	es, err := res.Rest()
	if err != nil {
		t.Fatal(err)
	}
	return es
}

// manager is kad-dht's, over a store with small limits.
type manager struct {
	*records.ProviderManager
	t      *testing.T
	counts func() (map[string]int, error)
}

const ownID = peer.ID("this host")

func newManager(t *testing.T, below ds.Batching, perPeer, perKey, total int) manager {
	t.Helper()
	s, err := discovery.NewRecordStore(ownID, below, perPeer, perKey, total)
	if err != nil {
		t.Fatal(err)
	}
	ps, err := pstoremem.NewPeerstore()
	if err != nil {
		t.Fatal(err)
	}
	pm, err := records.NewProviderManager(ownID, ps, s, records.Cache(discovery.NoCache))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pm.Close(); ps.Close() })
	return manager{pm, t, s.Counts}
}

func (m manager) add(key string, p peer.ID) {
	m.t.Helper()
	if err := m.AddProvider(m.t.Context(), []byte(key), peer.AddrInfo{ID: p}); err != nil {
		m.t.Fatal(err)
	}
}

func (m manager) providers(key string) (ids []peer.ID) {
	m.t.Helper()
	infos, err := m.GetProviders(m.t.Context(), []byte(key))
	if err != nil {
		m.t.Fatal(err)
	}
	for _, info := range infos {
		ids = append(ids, info.ID)
	}
	slices.Sort(ids)
	return ids
}

// Together flooders get what others leave: where all is full, the peers that
// have most make room.
func TestRecordsOfManyFlooders(t *testing.T) {
	m := newManager(t, nil, 10, 5, 40)
	for i := range 20 {
		m.add(fmt.Sprint("own ", i), ownID)
	}
	for i := range 5 {
		m.add(fmt.Sprint("honest ", i), "honest")
	}
	for i := range 100 {
		for f := range 6 {
			m.add(fmt.Sprint("flood ", f, i), peer.ID(fmt.Sprint("flooder ", f)))
		}
	}
	m.add("late", "latecomer")
	counts, err := m.counts()
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, n := range counts {
		total += n
	}
	if total != 40+20 {
		t.Errorf("%d records are held, want 40 and 20 of this host", total)
	}
	for i := range 20 {
		if got := m.providers(fmt.Sprint("own ", i)); len(got) != 1 {
			t.Fatalf("record %d of this host is gone", i)
		}
	}
	for i := range 5 {
		if got := m.providers(fmt.Sprint("honest ", i)); len(got) != 1 {
			t.Errorf("honest record %d is gone", i)
		}
	}
	if got := m.providers("late"); len(got) != 1 {
		t.Error("no room for the latecomer")
	}
}

// A key keeps those who announced it last.
func TestRecordsOfOneKey(t *testing.T) {
	m := newManager(t, nil, 10, 3, 100)
	m.add("key", ownID)
	for _, p := range []peer.ID{"a", "b", "c", "a", "d", "e"} {
		m.add("key", p)
	}
	if got, want := m.providers("key"), []peer.ID{"a", "d", "e", ownID}; !slices.Equal(got, want) {
		t.Errorf("providers %q, want %q", got, want)
	}
}

// Records survive a restart, and so does their order; what is no record does not.
func TestRecordsAreKept(t *testing.T) {
	below := dssync.MutexWrap(ds.NewMapDatastore())
	m := newManager(t, below, 10, 10, 100)
	for i := range 12 {
		m.add(fmt.Sprint(i), "peer")
	}
	for _, k := range []string{"/providers/XX", "/providers/XX/YY/ZZ", "/providers/XX/YY"} {
		if err := below.Put(t.Context(), ds.RawKey(k), nil); err != nil {
			t.Fatal(err)
		}
	}
	m.Close()

	m = newManager(t, below, 10, 10, 100)
	if n := len(query(t, below, "/providers")); n != 10 {
		t.Errorf("%d records below, want 10", n)
	}
	m.add("12", "peer") // displaces the oldest one, as before
	if got := len(m.providers("2")); got != 0 {
		t.Error("the oldest record is still there")
	}
	for i := 3; i <= 12; i++ {
		if len(m.providers(fmt.Sprint(i))) != 1 {
			t.Errorf("record %d is gone", i)
		}
	}

	m.Close()
	m = newManager(t, below, 3, 10, 100)
	if n := len(query(t, below, "/providers")); n != 3 {
		t.Errorf("with a smaller limit, %d records below, want 3", n)
	}
	if _, err := m.counts(); err != nil {
		t.Error(err)
	}
}

// Records expire as those of kad-dht's own store do.
func TestRecordsExpire(t *testing.T) {
	simulate(t, func(t *testing.T, s *simulation) {
		store, err := discovery.NewRecordStore(ownID, nil, 10, 10, 100)
		if err != nil {
			t.Fatal(err)
		}
		ps, err := pstoremem.NewPeerstore()
		if err != nil {
			t.Fatal(err)
		}
		defer ps.Close()
		pm, err := records.NewProviderManager(ownID, ps, store, records.ProvideValidity(2*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		defer pm.Close()
		for i := range 8 {
			if err := pm.AddProvider(t.Context(), []byte{byte(i)}, peer.AddrInfo{ID: "peer"}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(3*time.Hour + time.Minute)
		if counts, err := store.Counts(); err != nil || len(counts) != 0 {
			t.Errorf("held after three hours: %v, %v", counts, err)
		}
	})
}

// Whatever comes, the limits hold and the store agrees with itself.
func TestRecordLimits(t *testing.T) {
	below := dssync.MutexWrap(ds.NewMapDatastore())
	m := newManager(t, below, 6, 4, 30)
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range 5000 {
		p := ownID
		if n := rnd.IntN(12); n > 0 {
			p = peer.ID(fmt.Sprint("peer ", n))
		}
		m.add(fmt.Sprint(rnd.IntN(20)), p)
		if i%10 > 0 {
			continue
		}
		counts, err := m.counts()
		if err != nil {
			t.Fatal(err)
		}
		own, total := 0, 0
		for k := range 20 {
			ids := m.providers(fmt.Sprint(k))
			if slices.Contains(ids, ownID) {
				own++
				ids = ids[:len(ids)-1] // it is the last one
			}
			if len(ids) > 4 {
				t.Fatalf("a key has %d providers", len(ids))
			}
		}
		for _, n := range counts {
			total += n
		}
		if total-own > 30 || len(query(t, below, "/providers")) != total {
			t.Fatalf("%d records are held, %d of them of this host, %d below", total, own, len(query(t, below, "/providers")))
		}
	}
}

// A store below that fails is told, and nothing is held that is not there.
func TestRecordsFullDisk(t *testing.T) {
	store, err := discovery.NewRecordStore(ownID, fullStore{dssync.MutexWrap(ds.NewMapDatastore())}, 10, 10, 100)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Put(t.Context(), ds.NewKey("/providers/AA/BB"), []byte{2}); !errors.Is(err, errFull) {
		t.Errorf("err = %v, want %v", err, errFull)
	}
	if counts, err := store.Counts(); err != nil || len(counts) != 0 {
		t.Errorf("held: %v, %v", counts, err)
	}
}
