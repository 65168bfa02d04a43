package discovery_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	ds "github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/go-hypercore/hypercore/discovery"
	"github.com/go-hypercore/hypercore/internal/leaktest"
	"github.com/go-hypercore/hypercore/internal/port"
)

func TestMain(m *testing.M) {
	restore := discovery.FakeMDNS()
	code := m.Run()
	restore()
	os.Exit(code)
}

// member is one host with its Discovery.
type member struct {
	host.Host
	*discovery.Discovery
}

func (m member) info() peer.AddrInfo { return peer.AddrInfo{ID: m.ID(), Addrs: m.Addrs()} }

func (m member) stop(t testing.TB) {
	t.Helper()
	if err := m.Discovery.Close(); err != nil {
		t.Errorf("closing discovery: %v", err)
	}
	if err := m.Host.Close(); err != nil {
		t.Errorf("closing host: %v", err)
	}
}

func key(t testing.TB) crypto.PrivKey {
	t.Helper()
	k, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// loopback returns an address that nobody listens at, and that stays so until a
// test does.
func loopback(t testing.TB) ma.Multiaddr {
	t.Helper()
	p, err := port.Free()
	if err != nil {
		t.Fatal(err)
	}
	return ma.StringCast(fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", p))
}

// at makes a host listen there and nowhere else.
func at(addrs []ma.Multiaddr) libp2p.Option {
	return func(cfg *libp2p.Config) error {
		cfg.ListenAddrs = addrs
		return nil
	}
}

func newHost(t testing.TB, opts ...libp2p.Option) host.Host {
	t.Helper()
	leaktest.Check(t)
	h, err := libp2p.New(append([]libp2p.Option{
		libp2p.ListenAddrs(loopback(t)), libp2p.DisableMetrics(), libp2p.DisableRelay()}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// join starts a member of the private network "test" on loopback.
func join(t testing.TB, cfg discovery.Config, opts ...libp2p.Option) member {
	t.Helper()
	if cfg.Network == "" {
		cfg.Network = "test"
	}
	cfg.Local = true
	h := newHost(t, opts...)
	d, err := discovery.New(h, cfg)
	if err != nil {
		t.Fatal(err)
	}
	m := member{h, d}
	t.Cleanup(func() { m.Discovery.Close(); m.Host.Close() })
	return m
}

func random(t testing.TB) (topic discovery.Topic) {
	t.Helper()
	if _, err := rand.Read(topic[:]); err != nil {
		t.Fatal(err)
	}
	return topic
}

// await reads from ch until want arrives and returns how long it took.
func await(t testing.TB, ch <-chan peer.AddrInfo, want peer.ID, limit time.Duration) time.Duration {
	t.Helper()
	start := time.Now()
	timeout := time.After(limit)
	for {
		select {
		case info, ok := <-ch:
			if !ok {
				t.Fatalf("channel closed before %s was found", want)
			}
			if info.ID == want && len(info.Addrs) > 0 {
				return time.Since(start)
			}
		case <-timeout:
			t.Fatalf("%s not found in %v", want.ShortString(), limit)
		}
	}
}

func TestFindThroughBootstrap(t *testing.T) {
	t.Parallel()
	boot := join(t, discovery.Config{Server: true})
	cfg := discovery.Config{Bootstrap: []peer.AddrInfo{boot.info()}}
	seeder, reader := join(t, cfg), join(t, cfg)
	topic := random(t)
	if err := seeder.Announce(topic); err != nil {
		t.Fatal(err)
	}
	t.Logf("found after %v", await(t, reader.Lookup(t.Context(), topic), seeder.ID(), 20*time.Second))
	// A second topic, when everybody is connected, takes a moment only.
	second := random(t)
	if err := seeder.Announce(second); err != nil {
		t.Fatal(err)
	}
	t.Logf("second topic after %v", await(t, reader.Lookup(t.Context(), second), seeder.ID(), 20*time.Second))
	// The server has the record before the seeder knows that it has.
	waitFor(t, "the seeder knows that it is announced", func() bool { return seeder.Status(topic).Overlays[0].Holders > 0 })
	st := seeder.Status(topic)
	if o := st.Overlays[0]; !st.Announce || o.Announced.IsZero() || o.Expires.Before(time.Now()) {
		t.Errorf("status of an announced topic: %+v", o)
	}
	n, asked, err := reader.Holders(t.Context(), topic, seeder.ID())
	if err != nil || n == 0 || asked < n {
		t.Errorf("Holders = %d of %d, %v", n, asked, err)
	}
}

// A writer that comes up while a reader is looking is found; TestFindsInTime
// says how fast.
func TestFindLateWriter(t *testing.T) {
	t.Parallel()
	boot := join(t, discovery.Config{Server: true})
	cfg := discovery.Config{Bootstrap: []peer.AddrInfo{boot.info()}}
	reader := join(t, cfg)
	topic := random(t)
	found := reader.Lookup(t.Context(), topic)
	time.Sleep(time.Second)
	seeder := join(t, cfg)
	if err := seeder.Announce(topic); err != nil {
		t.Fatal(err)
	}
	t.Logf("found %v after the writer began", await(t, found, seeder.ID(), 20*time.Second))
}

func TestBootstrapLastAndRestarted(t *testing.T) {
	t.Parallel()
	id := key(t)
	probe := newHost(t, libp2p.Identity(id))
	addr := peer.AddrInfo{ID: probe.ID(), Addrs: probe.Addrs()}
	if err := probe.Close(); err != nil { // the address is free again
		t.Fatal(err)
	}
	cfg := discovery.Config{Bootstrap: []peer.AddrInfo{addr}}
	startBoot := func() member {
		return join(t, discovery.Config{Server: true}, libp2p.Identity(id), at(addr.Addrs))
	}
	seeder, reader := join(t, cfg), join(t, cfg)
	topic := random(t)
	if err := seeder.Announce(topic); err != nil {
		t.Fatal(err)
	}
	found := reader.Lookup(t.Context(), topic)
	time.Sleep(700 * time.Millisecond)
	if st := reader.Status(topic); len(st.Reasons) == 0 || !strings.Contains(st.Reasons[0], "not reached") {
		t.Errorf("reasons without bootstrap: %q", st.Reasons)
	}
	boot := startBoot()
	t.Logf("bootstrap last: found after %v", await(t, found, seeder.ID(), 30*time.Second))

	// The bootstrap node loses its memory; the reader leaves and a new one,
	// that knows only the bootstrap node, must find the seeder.
	reader.stop(t)
	boot.stop(t)
	startBoot()
	newcomer := join(t, cfg)
	t.Logf("bootstrap restarted: found after %v", await(t, newcomer.Lookup(t.Context(), topic), seeder.ID(), 30*time.Second))
}

// A server with a store still knows, after a restart, where the providers
// are whose records it holds.
func TestServerRemembersAddresses(t *testing.T) {
	t.Parallel()
	id, store := key(t), dssync.MutexWrap(ds.NewMapDatastore())
	boot := join(t, discovery.Config{Server: true, Store: store}, libp2p.Identity(id))
	addrs := boot.Addrs()
	cfg := discovery.Config{Bootstrap: []peer.AddrInfo{boot.info()}}
	seeder := join(t, cfg)
	topic := random(t)
	if err := seeder.Announce(topic); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the server has the record", func() bool {
		n, _, err := seeder.Holders(t.Context(), topic, seeder.ID())
		return err == nil && n > 0
	})
	seeder.stop(t)
	boot.stop(t)
	join(t, discovery.Config{Server: true, Store: store}, libp2p.Identity(id), at(addrs))
	await(t, join(t, cfg).Lookup(t.Context(), topic), seeder.ID(), 8*time.Second)
}

// A provider that vanished must not keep the next one from being found.
func TestProviderRestartsElsewhere(t *testing.T) {
	t.Parallel()
	boot := join(t, discovery.Config{Server: true})
	cfg := discovery.Config{Bootstrap: []peer.AddrInfo{boot.info()}}
	topic := random(t)
	first := join(t, cfg)
	if err := first.Announce(topic); err != nil {
		t.Fatal(err)
	}
	reader := join(t, cfg)
	found := reader.Lookup(t.Context(), topic)
	await(t, found, first.ID(), 8*time.Second)
	first.stop(t)
	second := join(t, cfg)
	if err := second.Announce(topic); err != nil {
		t.Fatal(err)
	}
	t.Logf("found after %v", await(t, found, second.ID(), 20*time.Second))
}

// The announced keys survive a restart and are not sent again when neither
// the addresses changed nor the records ran out; keys nobody announces any
// more are dropped.
func TestRestartSendsNothing(t *testing.T) {
	t.Parallel()
	boot := join(t, discovery.Config{Server: true})
	id := key(t)
	store := dssync.MutexWrap(ds.NewMapDatastore())
	cfg := discovery.Config{Bootstrap: []peer.AddrInfo{boot.info()}, Store: store}
	var topics []discovery.Topic
	for range 50 {
		topics = append(topics, random(t))
	}
	m := join(t, cfg, libp2p.Identity(id))
	addrs := m.Addrs()
	if err := m.AnnounceAll(topics...); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "all announced", func() bool {
		return !slices.ContainsFunc(topics, func(t discovery.Topic) bool { return m.Status(t).Overlays[0].Holders == 0 })
	})
	// Closed while it sends, the next run would send everything again. Between
	// the first announcements and their repetition it is idle for a moment.
	idle := 0
	waitFor(t, "nothing is being sent any more", func() bool {
		if idle++; !m.Idle() {
			idle = 0
		}
		return idle == 30
	})
	m.stop(t)

	again := join(t, cfg, libp2p.Identity(id), at(addrs))
	if err := again.AnnounceAll(topics...); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the server was asked", func() bool { return again.Sent() > 0 })
	time.Sleep(time.Second)
	// One is the record the server was asked for.
	if n := again.Sent(); n > 1 {
		t.Errorf("a restart sent %d records, want none", n)
	}
	again.stop(t)

	// On another port everything is told again.
	moved := join(t, cfg, libp2p.Identity(id))
	if err := moved.AnnounceAll(topics...); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "announced with the new address", func() bool { return moved.Sent() >= 50 })
	reader := join(t, discovery.Config{Bootstrap: cfg.Bootstrap})
	for info := range reader.Lookup(t.Context(), topics[7]) {
		if ma.Contains(info.Addrs, moved.Addrs()[0]) {
			break
		}
	}
}

func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in ten seconds: %s", what)
		}
	}
}

// An application may pass in its own DHT.
func TestOwnRouting(t *testing.T) {
	t.Parallel()
	boot := join(t, discovery.Config{Server: true, Network: "app"})
	own := func() member {
		h := newHost(t)
		kad, err := dht.New(h, dht.ProtocolPrefix("/hypercore/app"), dht.Mode(dht.ModeServer), dht.BootstrapPeers(boot.info()))
		if err != nil {
			t.Fatal(err)
		}
		if err := kad.Bootstrap(t.Context()); err != nil {
			t.Fatal(err)
		}
		d, err := discovery.New(h, discovery.Config{Routing: kad, Local: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			d.Close()
			if err := kad.Close(); err != nil {
				t.Errorf("the application's DHT: %v", err)
			}
			h.Close()
		})
		return member{h, d}
	}
	a, b := own(), own()
	topic := random(t)
	if err := a.Announce(topic); err != nil {
		t.Fatal(err)
	}
	await(t, b.Lookup(t.Context(), topic), a.ID(), 10*time.Second)
}

func TestNetworkNames(t *testing.T) {
	for name, ok := range map[string]bool{"": true, "amino": true, "none": true, "my-net.1": true, "lan": false, "Upper": false, "a/b": false, "-x": false, strings.Repeat("a", 41): false} {
		if err := discovery.CheckNetwork(name); (err == nil) != ok || !ok && !errors.Is(err, discovery.ErrNetworkName) {
			t.Errorf("CheckNetwork(%q) = %v", name, err)
		}
	}
	h := newHost(t)
	defer h.Close()
	if _, err := discovery.New(h, discovery.Config{Network: "a b"}); !errors.Is(err, discovery.ErrNetworkName) {
		t.Errorf("New with a bad name: %v", err)
	}
}

func TestWrongNetworkIsExplained(t *testing.T) {
	t.Parallel()
	boot := join(t, discovery.Config{Server: true, Network: "right"})
	m := join(t, discovery.Config{Network: "wrong", Bootstrap: []peer.AddrInfo{boot.info()}})
	topic := random(t)
	ctx, cancel := context.WithCancel(t.Context())
	found := m.Lookup(ctx, topic)
	waitFor(t, "the reason", func() bool {
		rs := m.Status(topic).Reasons
		return len(rs) > 0 && strings.Contains(rs[0], "serves network right, not wrong")
	})
	cancel()
	for range found {
	}
	if m.Status(topic).Wanted {
		t.Error("still wanted after the context ended")
	}
}

func TestClosed(t *testing.T) {
	m := join(t, discovery.Config{})
	found := m.Lookup(t.Context(), random(t))
	start := time.Now()
	if err := errors.Join(m.Discovery.Close(), m.Discovery.Close()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("Close took %v: it waited for a timeout", took)
	}
	if _, ok := <-found; ok {
		t.Error("found something")
	}
	if err := m.Announce(random(t)); !errors.Is(err, discovery.ErrClosed) {
		t.Errorf("Announce after Close: %v", err)
	}
	if _, ok := <-m.Lookup(t.Context(), random(t)); ok {
		t.Error("Lookup after Close delivers")
	}
}

func TestTopic(t *testing.T) {
	var topic discovery.Topic
	for i := range topic {
		topic[i] = byte(i)
	}
	if got, want := fmt.Sprintf("%x", []byte(topic.Multihash())), "a0e40220"+topic.String(); got != want {
		t.Errorf("multihash %s, want %s", got, want)
	}
	if got := topic.CID(); got.Prefix().Codec != 0x55 || got.Version() != 1 {
		t.Errorf("CID %v", got)
	}
	if back, err := discovery.ParseTopic(topic.String()); err != nil || back != topic {
		t.Errorf("ParseTopic: %v, %v", back, err)
	}
	for _, s := range []string{"", "00", strings.Repeat("g", 64)} {
		if _, err := discovery.ParseTopic(s); err == nil {
			t.Errorf("ParseTopic(%q) accepted", s)
		}
	}
}

// While nobody is found the looks are at most a second apart for half a
// minute, then slow down, and with enough peers they are slow at once.
func TestPace(t *testing.T) {
	var sum time.Duration
	for n := 1; n <= 30; n++ {
		w := discovery.OwnWait(n, false)
		if w > time.Second {
			t.Errorf("look %d: wait %v", n, w)
		}
		sum += w
	}
	if sum < 25*time.Second {
		t.Errorf("eager for %v only", sum)
	}
	for n, last := 31, time.Duration(0); n < 100; n++ {
		if w := discovery.OwnWait(n, false); w < last || w > 20*time.Second {
			t.Errorf("look %d: wait %v after %v", n, w, last)
		} else {
			last = w
		}
	}
	if w := discovery.OwnWait(1, true); w != 20*time.Second {
		t.Errorf("with enough: %v", w)
	}
	if w := discovery.OwnWait(100, true); w != 3*time.Minute {
		t.Errorf("with enough for long: %v", w)
	}
}

// A topic of a former run that is announced while the keys of that run are
// dropped stays announced.
func TestAnnouncedWhilePruned(t *testing.T) {
	store := dssync.MutexWrap(ds.NewMapDatastore())
	gone, late := random(t), random(t)
	former := join(t, discovery.Config{Store: store})
	if err := former.AnnounceAll(gone, late); err != nil {
		t.Fatal(err)
	}
	former.stop(t)

	var m member
	announced := make(chan error, 1)
	defer discovery.BeforeDrop(func() {
		go func() { announced <- m.Announce(late) }()
		time.Sleep(200 * time.Millisecond) // it may have to wait for the end of this
	})()
	m = join(t, discovery.Config{Store: store})
	m.Prune()
	if err := <-announced; err != nil {
		t.Fatal(err)
	}
	stored, err := m.Stored()
	if err != nil {
		t.Fatal(err)
	}
	if !stored[late] || stored[gone] {
		t.Errorf("announced from time to time: %v, what nobody announces: %v; want true, false", stored[late], stored[gone])
	}
}

// A store that cannot be written to is an error of New, not its end.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	defer h.Close()
	store := fullStore{dssync.MutexWrap(ds.NewMapDatastore())}
	d, err := discovery.New(h, discovery.Config{Network: "test", Local: true, Store: store})
	if !errors.Is(err, errFull) || d != nil {
		t.Errorf("New returned %v, %v; want %v", d, err, errFull)
	}
}

// fullStore is a datastore on a full disk.
type fullStore struct{ ds.Batching }

var errFull = errors.New("no space left on device")

func (fullStore) Put(context.Context, ds.Key, []byte) error { return errFull }
