package node_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/leaktest"
	"github.com/go-hypercore/hypercore/internal/port"
	"github.com/go-hypercore/hypercore/node"
	"github.com/go-hypercore/hypercore/store"
)

// quietPort returns a port where nobody listens, and to which a test can come back.
func quietPort(t testing.TB) int {
	t.Helper()
	p, err := port.Free()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// start runs a node on loopback; it is closed with the test.
func start(t testing.TB, cfg node.Config) *node.Node {
	t.Helper()
	leaktest.Check(t)
	if cfg.Listen == nil {
		cfg.Listen = node.Loopback()
	}
	if cfg.Network == "" {
		cfg.Network = "test"
	}
	n, err := node.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Errorf("closing a node: %v", err)
		}
	})
	return n
}

func info(n *node.Node) peer.AddrInfo {
	return peer.AddrInfo{ID: n.ID(), Addrs: n.Host().Addrs()}
}

// writer opens a new feed with blocks in n and shares it.
func writer(t testing.TB, n *node.Node, blocks int) *feed.Feed {
	t.Helper()
	f, err := n.Open(t.Context(), store.Memory(), feed.Options{})
	if err != nil {
		t.Fatal(err)
	}
	data := make([][]byte, blocks)
	for i := range data {
		data[i] = fmt.Appendf(nil, "block %d", i)
	}
	if blocks > 0 {
		if _, err := f.Append(t.Context(), data...); err != nil {
			t.Fatal(err)
		}
	}
	share(t, n, f, node.JoinOptions{Announce: true})
	return f
}

// reader opens the feed of key in n and shares it.
func reader(t testing.TB, n *node.Node, key feed.Key, o node.JoinOptions) *feed.Feed {
	t.Helper()
	f, err := n.Open(t.Context(), store.Memory(), feed.Options{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	share(t, n, f, o)
	return f
}

func share(t testing.TB, n *node.Node, f *feed.Feed, o node.JoinOptions) *node.Join {
	t.Helper()
	j, err := n.Share(t.Context(), f, o)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// wantBlock waits for a block.
func wantBlock(t testing.TB, f *feed.Feed, i uint64) time.Duration {
	t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	b, err := f.Get(ctx, i)
	if err != nil {
		t.Fatalf("block %d: %v", i, err)
	}
	if want := fmt.Appendf(nil, "block %d", i); !bytes.Equal(b, want) {
		t.Fatalf("block %d: %q, want %q", i, b, want)
	}
	return time.Since(began)
}

func TestFindThroughDHT(t *testing.T) {
	t.Parallel()
	boot := start(t, node.Config{Server: true})
	cfg := node.Config{Bootstrap: []peer.AddrInfo{info(boot)}}
	w, r := start(t, cfg), start(t, cfg)
	wf := writer(t, w, 100)
	rf := reader(t, r, wf.Key(), node.JoinOptions{Announce: true, Lookup: true})
	t.Logf("first block after %v", wantBlock(t, rf, 42))
	for i := range uint64(100) {
		wantBlock(t, rf, i)
	}
	// Live: what is appended arrives.
	if _, err := wf.Append(t.Context(), []byte("block 100")); err != nil {
		t.Fatal(err)
	}
	wantBlock(t, rf, 100)
	if s := r.Status(); s.Streams != 1 || !s.Loopback || s.In == 0 {
		t.Errorf("status: %+v", s)
	}
}

func TestTransports(t *testing.T) {
	for _, addr := range []string{
		"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/tcp/0/ws", "/ip4/127.0.0.1/udp/0/quic-v1",
		"/ip4/127.0.0.1/udp/0/quic-v1/webtransport", "/ip4/127.0.0.1/udp/0/webrtc-direct",
	} {
		t.Run(strings.ReplaceAll(addr[len("/ip4/127.0.0.1/"):], "/", " "), func(t *testing.T) {
			t.Parallel()
			listen := []ma.Multiaddr{ma.StringCast(addr)}
			w := start(t, node.Config{Listen: listen, Network: "none"})
			wf := writer(t, w, 10)
			r := start(t, node.Config{Listen: listen, Network: "none", Peers: []peer.AddrInfo{info(w)}})
			wantBlock(t, reader(t, r, wf.Key(), node.JoinOptions{}), 9)
		})
	}
}

// A node without listeners dials.
func TestDialOnly(t *testing.T) {
	t.Parallel()
	w := start(t, node.Config{Network: "none"})
	wf := writer(t, w, 2)
	r := start(t, node.Config{Network: "none", Listen: []ma.Multiaddr{}, MDNS: node.Off, PortMap: node.Off, Peers: []peer.AddrInfo{info(w)}})
	wantBlock(t, reader(t, r, wf.Key(), node.JoinOptions{}), 1)
}

// Fixed peers are offered feeds shared before and after they connect.
func TestFixedPeers(t *testing.T) {
	t.Parallel()
	w := start(t, node.Config{Network: "none"})
	first := writer(t, w, 3)
	r := start(t, node.Config{Network: "none", Peers: []peer.AddrInfo{info(w)}})
	wantBlock(t, reader(t, r, first.Key(), node.JoinOptions{}), 2)
	second := writer(t, w, 3)
	wantBlock(t, reader(t, r, second.Key(), node.JoinOptions{}), 2)
	if s := r.Status(); s.Streams != 1 {
		t.Errorf("%d streams for two feeds", s.Streams)
	}
}

// Both sides open at once, again and again: one stream is kept.
func TestSimultaneousOpen(t *testing.T) {
	t.Parallel()
	a := start(t, node.Config{Network: "none"})
	af := writer(t, a, 5)
	b := start(t, node.Config{Network: "none", Peers: []peer.AddrInfo{info(a)}})
	bf := reader(t, b, af.Key(), node.JoinOptions{})
	wantBlock(t, bf, 0)
	for range 3 {
		c := start(t, node.Config{Network: "none", Peers: []peer.AddrInfo{info(a), info(b)}})
		wantBlock(t, reader(t, c, af.Key(), node.JoinOptions{}), 4)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	// Found by topic on both sides, hence dialled by both.
	boot := start(t, node.Config{Server: true})
	cfg := node.Config{Bootstrap: []peer.AddrInfo{info(boot)}}
	var nodes []*node.Node
	for range 4 {
		nodes = append(nodes, start(t, cfg))
	}
	f := writer(t, nodes[0], 20)
	share(t, nodes[0], f, node.JoinOptions{Announce: true, Lookup: true})
	var feeds []*feed.Feed
	for _, n := range nodes[1:] {
		feeds = append(feeds, reader(t, n, f.Key(), node.JoinOptions{Announce: true, Lookup: true}))
	}
	for _, rf := range feeds {
		wantBlock(t, rf, 19)
	}
	waitFor(t, "a stream between each two", func() bool {
		for _, n := range nodes {
			if n.Status().Streams != 3 {
				return false
			}
		}
		return true
	})
}

// A seeder that is killed and comes back elsewhere, with another identity.
func TestPeerRestarts(t *testing.T) {
	t.Parallel()
	boot := start(t, node.Config{Server: true})
	cfg := node.Config{Bootstrap: []peer.AddrInfo{info(boot)}}
	mem := store.Memory()
	w := start(t, cfg)
	wf, err := w.Open(t.Context(), mem, feed.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wf.Append(t.Context(), []byte("block 0"), []byte("block 1")); err != nil {
		t.Fatal(err)
	}
	if err := wf.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	share(t, w, wf, node.JoinOptions{Announce: true})
	r := start(t, cfg)
	rf := reader(t, r, wf.Key(), node.JoinOptions{Lookup: true})
	wantBlock(t, rf, 1)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	w = start(t, cfg)
	if wf, err = w.Open(t.Context(), mem, feed.Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := wf.Append(t.Context(), []byte("block 2")); err != nil {
		t.Fatal(err)
	}
	share(t, w, wf, node.JoinOptions{Announce: true})
	wantBlock(t, rf, 2)
	t.Logf("back after %v", time.Since(began))
}

// The second reader is served by the first after the writer is gone.
func TestSwarmServesItself(t *testing.T) {
	t.Parallel()
	boot := start(t, node.Config{Server: true})
	cfg := node.Config{Bootstrap: []peer.AddrInfo{info(boot)}}
	w, first, second := start(t, cfg), start(t, cfg), start(t, cfg)
	wf := writer(t, w, 10)
	ff := reader(t, first, wf.Key(), node.JoinOptions{Announce: true, Lookup: true})
	for i := range uint64(10) {
		wantBlock(t, ff, i)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	sf := reader(t, second, wf.Key(), node.JoinOptions{Announce: true, Lookup: true})
	t.Logf("first block after %v", wantBlock(t, sf, 9))
}

func TestJoinWithoutFeed(t *testing.T) {
	t.Parallel()
	boot := start(t, node.Config{Server: true})
	cfg := node.Config{Bootstrap: []peer.AddrInfo{info(boot)}}
	a, b := start(t, cfg), start(t, cfg)
	var dk feed.DiscoveryKey
	rand.Read(dk[:])
	both := node.JoinOptions{Announce: true, Lookup: true}
	aj, err := a.Join(t.Context(), dk, both)
	if err != nil {
		t.Fatal(err)
	}
	bj, err := b.Join(t.Context(), dk, both)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for id := range aj.Peers(ctx) {
		if id != b.ID() {
			t.Errorf("a met %s", id)
		}
		break
	}
	for id := range bj.Peers(ctx) {
		if id != a.ID() {
			t.Errorf("b met %s", id)
		}
		break
	}
	if ctx.Err() != nil {
		t.Fatal("nobody met")
	}
	if s := aj.Status(); s.Connected != 1 || len(s.Peers) != 1 || s.Peers[0].How != "dht" {
		t.Errorf("status: %+v", s)
	}
	aj.Leave()
	aj.Leave()
	for id := range aj.Peers(t.Context()) {
		t.Errorf("met %s after leaving", id)
		break
	}
}

func TestNobodyFoundIsExplained(t *testing.T) {
	t.Parallel()
	listen := ma.StringCast(fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", quietPort(t)))
	dead := start(t, node.Config{Server: true, Listen: []ma.Multiaddr{listen}})
	boot := info(dead)
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	n := start(t, node.Config{Bootstrap: []peer.AddrInfo{boot}})
	var dk feed.DiscoveryKey
	j, err := n.Join(t.Context(), dk, node.JoinOptions{Lookup: true})
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "a reason", func() bool {
		r := j.Status().Reasons
		return len(r) > 0 && strings.Contains(r[0], "connection refused")
	})
}

func TestIdentityPersists(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "home")
	n := start(t, node.Config{Dir: dir})
	id := n.ID()
	st, err := os.Stat(filepath.Join(dir, "identity"))
	if err != nil || st.Mode().Perm() != 0o600 || st.Size() != 68 {
		t.Errorf("identity file: %v, %v", st, err)
	}
	if _, err := node.New(t.Context(), node.Config{Dir: dir, Listen: node.Loopback(), Network: "none"}); !errors.Is(err, node.ErrDirInUse) {
		t.Errorf("a second node on the directory: %v", err)
	}
	if got, err := node.Identity(dir); err != nil || got != id {
		t.Errorf("Identity = %v, %v", got, err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if again := start(t, node.Config{Dir: dir}); again.ID() != id {
		t.Errorf("identity changed from %s to %s", id, again.ID())
	}
	if err := os.WriteFile(filepath.Join(dir, "identity"), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := node.Identity(dir); !errors.Is(err, node.ErrIdentity) {
		t.Errorf("a broken identity: %v", err)
	}
}

// A node on loopback refuses to leave the machine, whatever leads it there.
func TestLoopbackStays(t *testing.T) {
	outside, err := node.ParsePeers("/ip4/203.0.113.7/tcp/4001/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN",
		"/dnsaddr/example.org/p2p/QmcZf59bWwK5XFi76CZX8cbJ4BhTzzA3gU1ZjYZcYW3dwt")
	if err != nil {
		t.Fatal(err)
	}
	n := start(t, node.Config{Network: "amino", Bootstrap: outside, Peers: outside, MDNS: node.On})
	for _, p := range outside {
		if err := n.Host().Connect(t.Context(), p); err == nil {
			t.Errorf("connected to %v", p)
		}
	}
	if _, err := n.ListenTCP("0.0.0.0:0", node.TCPOptions{}); !errors.Is(err, node.ErrLoopback) {
		t.Errorf("ListenTCP on all interfaces: %v", err)
	}
	f := writer(t, n, 1)
	for _, addr := range []string{"203.0.113.7:1", "example.org:1"} {
		if err := n.DialTCP(t.Context(), addr, f.Key(), node.TCPOptions{}); !errors.Is(err, node.ErrLoopback) {
			t.Errorf("DialTCP %s: %v", addr, err)
		}
	}
	if o := n.Discovery().Status(discoveryTopic(f)); len(o.Overlays) != 1 || len(o.Overlays[0].Bootstrap) != 0 {
		t.Errorf("discovery of a loopback node: %+v", o.Overlays)
	}
}

func TestPlainTCP(t *testing.T) {
	t.Parallel()
	for _, o := range []node.TCPOptions{{}, {Plain: true}} {
		w := start(t, node.Config{Network: "none"})
		wf := writer(t, w, 8)
		l, err := w.ListenTCP("127.0.0.1:0", o)
		if err != nil {
			t.Fatal(err)
		}
		r := start(t, node.Config{Network: "none"})
		rf := reader(t, r, wf.Key(), node.JoinOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.DialTCP(ctx, l.Addr().String(), wf.Key(), o) }()
		for i := range uint64(8) {
			wantBlock(t, rf, i)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("DialTCP: %v", err)
		}
		if err := r.DialTCP(t.Context(), l.Addr().String(), feed.Key{1}, o); !errors.Is(err, node.ErrNotOpen) {
			t.Errorf("DialTCP of a feed that is not open: %v", err)
		}
	}
}

func TestOwnHostAndRouting(t *testing.T) {
	t.Parallel()
	boot := start(t, node.Config{Server: true})
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableMetrics())
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	kad, err := dht.New(h, dht.ProtocolPrefix("/hypercore/test"), dht.Mode(dht.ModeServer), dht.BootstrapPeers(info(boot)))
	if err != nil {
		t.Fatal(err)
	}
	defer kad.Close()
	if err := kad.Bootstrap(t.Context()); err != nil {
		t.Fatal(err)
	}
	n := start(t, node.Config{Host: h, Routing: kad})
	wf := writer(t, n, 4)
	r := start(t, node.Config{Bootstrap: []peer.AddrInfo{info(boot)}})
	wantBlock(t, reader(t, r, wf.Key(), node.JoinOptions{Lookup: true}), 3)
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if len(h.Network().ListenAddresses()) == 0 || kad.Ping(t.Context(), boot.ID()) != nil {
		t.Error("the application's host or DHT was closed")
	}
	for _, id := range h.Mux().Protocols() {
		if strings.HasPrefix(string(id), "/hypercore/replicate") || strings.HasPrefix(string(id), "/hypercore/6") {
			t.Errorf("%s still handled", id)
		}
	}
}

func TestFeedLifetimes(t *testing.T) {
	n := start(t, node.Config{Network: "none"})
	f := writer(t, n, 1)
	if n.Feed(f.Key()) != f || len(n.Feeds()) != 1 {
		t.Error("the feed is not known")
	}
	if _, err := n.Open(t.Context(), store.Memory(), feed.Options{Key: f.Key()}); err == nil {
		t.Error("a feed opened twice")
	}
	if err := n.CloseFeed(f.Key()); err != nil {
		t.Fatal(err)
	}
	if err := n.CloseFeed(f.Key()); !errors.Is(err, node.ErrNotOpen) {
		t.Errorf("closed twice: %v", err)
	}
	if _, err := f.Append(t.Context(), []byte("x")); !errors.Is(err, feed.ErrClosed) {
		t.Errorf("Append to a closed feed: %v", err)
	}
	own, err := feed.Open(t.Context(), store.Memory(), feed.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	share(t, n, own, node.JoinOptions{Announce: true})
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := own.Append(t.Context(), []byte("x")); err != nil {
		t.Errorf("the application's feed was closed: %v", err)
	}
	if _, err := n.Open(t.Context(), store.Memory(), feed.Options{}); !errors.Is(err, node.ErrClosed) {
		t.Errorf("Open after Close: %v", err)
	}
	if _, err := n.Share(t.Context(), own, node.JoinOptions{}); !errors.Is(err, node.ErrClosed) {
		t.Errorf("Share after Close: %v", err)
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	w := start(t, node.Config{Network: "none"})
	wf := writer(t, w, 1)
	r := start(t, node.Config{Network: "none", Peers: []peer.AddrInfo{info(w)}})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	events := r.Watch(ctx)
	reader(t, r, wf.Key(), node.JoinOptions{})
	var seen []node.EventType
	for e := range events {
		seen = append(seen, e.Type)
		if e.Type == node.StreamOpened {
			go w.Close()
		}
		if e.Type == node.StreamClosed {
			break
		}
	}
	if ctx.Err() != nil {
		t.Errorf("events: %v", seen)
	}
}

// Close ends everything, quickly, and leaves no goroutine behind.
func TestCloseLeavesNothing(t *testing.T) {
	before := settled()
	boot := start(t, node.Config{Server: true, Dir: t.TempDir()})
	cfg := node.Config{Bootstrap: []peer.AddrInfo{info(boot)}}
	w := start(t, cfg)
	wf := writer(t, w, 3)
	cfg.Dir = t.TempDir()
	r := start(t, cfg)
	rf := reader(t, r, wf.Key(), node.JoinOptions{Announce: true, Lookup: true})
	wantBlock(t, rf, 2)
	waiting := make(chan error, 1)
	go func() {
		_, err := rf.Get(context.Background(), 1000)
		waiting <- err
	}()
	for _, n := range []*node.Node{r, w, boot} {
		began := time.Now()
		if err := errors.Join(n.Close(), n.Close()); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("Close took %v: it waited for a timeout", took)
		}
	}
	if err := <-waiting; !errors.Is(err, feed.ErrClosed) {
		t.Errorf("a waiting Get: %v", err)
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		now := runtime.NumGoroutine()
		if now <= before {
			break
		}
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<20)
			t.Fatalf("%d goroutines before, %d after:\n%s", before, now, buf[:runtime.Stack(buf, true)])
		}
	}
}

// settled is the number of goroutines once it stopped falling.
func settled() int {
	n := runtime.NumGoroutine()
	for range 20 {
		time.Sleep(20 * time.Millisecond)
		n = min(n, runtime.NumGoroutine())
	}
	return n
}

func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}
