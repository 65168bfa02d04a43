package node_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node"
	"github.com/go-hypercore/hypercore/node/diagnosis"
	"github.com/go-hypercore/hypercore/store"
)

// until waits until the facts of a feed come to a verdict that begins so.
func until(t *testing.T, n *node.Node, key feed.Key, text string) (diagnosis.Facts, diagnosis.Verdict) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		f := n.Facts(t.Context(), node.FactsOptions{Key: key, Ask: true})
		f.Feed.Seeking = !f.Feed.Writable
		v := diagnosis.Judge(f)
		if len(v.Text) >= len(text) && v.Text[:len(text)] == text {
			return f, v
		}
		if time.Now().After(end) {
			t.Fatalf("the verdict is %q, not %q", v.Text, text)
		}
	}
}

// What a node knows comes to the right verdict, while things change.
func TestFacts(t *testing.T) {
	t.Parallel()
	boot := start(t, node.Config{Server: true})
	cfg := node.Config{Bootstrap: []peer.AddrInfo{info(boot)}}
	w, err := node.New(t.Context(), node.Config{Network: "test", Listen: node.Loopback(), Bootstrap: cfg.Bootstrap})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	wf := writer(t, w, 20)
	key := wf.Key()
	f, _ := until(t, w, key, "healthy: it is announced")
	a := f.Feed.Announced[0]
	if a.Network != "test" || a.Nodes != 1 || a.Asked != 1 || a.Confirmed != 1 || time.Until(a.Until) < time.Hour {
		t.Errorf("announced: %+v", a)
	}
	if b := f.Networks[0].Bootstrap; len(b) != 1 || !b[0].Serves || len(b[0].Networks) != 1 || b[0].Networks[0] != "test" {
		t.Errorf("bootstrap: %+v", b)
	}

	r := start(t, cfg)
	rf, err := r.Open(t.Context(), store.Memory(), feed.Options{Key: key, Sparse: true})
	if err != nil {
		t.Fatal(err)
	}
	share(t, r, rf, node.JoinOptions{Lookup: true})
	f, _ = until(t, r, key, "healthy: 1 peer serves it; 20 blocks still missing")
	if p := f.Feed.Peers[0]; len(f.Feed.Peers) != 1 || p.ID != w.ID().String() || p.How != diagnosis.HowDHT || !p.Connected || p.Relayed || p.Protocol != "/hypercore/replicate/1.0.0" ||
		!p.Offered || !p.Asked || !p.Accepted || p.Blocks != 20 || p.Length != 20 || p.Addr == "" {
		t.Errorf("peers: %+v", f.Feed.Peers)
	}
	f, _ = until(t, w, key, "healthy: it is served to 1 peer now")
	if p := f.Feed.Peers[0]; p.ID != r.ID().String() || p.How != diagnosis.HowIncoming || !p.Accepted {
		t.Errorf("peers of the writer: %+v", f.Feed.Peers)
	}

	// Block 17 is nowhere once the only other side clears it.
	if err := wf.Clear(t.Context(), 17, 18); err != nil {
		t.Fatal(err)
	}
	f, _ = until(t, r, key, "block 17 is missing, and the only peer that is connected does not have it")
	if len(f.Feed.Ranges) != 1 || f.Feed.Ranges[0] != (diagnosis.Span{Start: 17, End: 18}) {
		t.Errorf("ranges: %v", f.Feed.Ranges)
	}

	// The writer goes.
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	awaitThat(t, "the connection's end", func() bool { return len(r.Host().Network().ConnsToPeer(w.ID())) == 0 })
	f, _ = until(t, r, key, "1 provider found, unreachable: ")
	if p := f.Feed.Peers[0]; p.Trouble == "" || p.Error == "" || p.Connected {
		t.Errorf("after the writer left: %+v", p)
	}

	// A node in a network of another name learns the right one.
	x := start(t, node.Config{Network: "tset", Bootstrap: cfg.Bootstrap})
	xf, err := x.Open(t.Context(), store.Memory(), feed.Options{Key: key, Sparse: true})
	if err != nil {
		t.Fatal(err)
	}
	share(t, x, xf, node.JoinOptions{Lookup: true})
	until(t, x, key, "network tset is not reached: bootstrap node 127.0.0.1:")
}

// A plain TCP peer is among the facts, reached or not.
func TestFactsTCP(t *testing.T) {
	t.Parallel()
	w := start(t, node.Config{Network: "none"})
	wf := writer(t, w, 3)
	l, err := w.ListenTCP(fmt.Sprintf("127.0.0.1:%d", quietPort(t)), node.TCPOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, node.Config{Network: "none"})
	rf := reader(t, r, wf.Key(), node.JoinOptions{})
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.DialTCP(ctx, addr, rf.Key(), node.TCPOptions{}) }()
	f, v := until(t, r, wf.Key(), "1 provider found, unreachable: connection refused")
	if p := f.Feed.Peers[0]; p.How != diagnosis.HowTCP || p.ID != addr || v.Do != "is something listening there?" {
		t.Errorf("%+v, do %q", p, v.Do)
	}
	if _, err := w.ListenTCP(addr, node.TCPOptions{}); err != nil {
		t.Fatal(err)
	}
	until(t, r, wf.Key(), "healthy: 1 peer serves it")
	cancel()
	<-done

	// One that does not have the feed ends the stream, or never says a word.
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	absent := reader(t, r, feed.Key{1}, node.JoinOptions{})
	for _, addr := range []string{addr, mute.Addr().String()} {
		ctx, cancel := context.WithCancel(t.Context())
		go func() { done <- r.DialTCP(ctx, addr, absent.Key(), node.TCPOptions{}) }()
		until(t, r, absent.Key(), "1 peer connected, but none opens this feed")
		cancel()
		<-done
	}
	if f := r.Facts(t.Context(), node.FactsOptions{}); f.Feed != nil {
		t.Errorf("facts without a feed: %+v", f.Feed)
	}
}
