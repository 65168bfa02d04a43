package node_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/node"
	"github.com/go-hypercore/hypercore/protocol/wire"
)

// Who does wrong again is refused twice as long each time, up to an hour; an hour without is
// forgiven.
func TestPenaltiesGrow(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var o node.Offences
		if !o.Over() {
			t.Error("guilty before it did anything")
		}
		total := time.Duration(0)
		for i := range 12 {
			want := min(10*time.Second<<i, time.Hour)
			got := o.Note(errors.New("wrong"))
			if got != want || o.Over() {
				t.Fatalf("fault %d: refused for %v, want %v", i+1, got, want)
			}
			time.Sleep(got + 59*time.Minute) // not forgotten yet
			total += got
		}
		if total != 15910*time.Second {
			t.Error("twelve faults cost", total)
		}
		o.Note(errors.New("wrong"))
		time.Sleep(2*time.Hour + time.Second)
		if !o.Over() {
			t.Error("not forgotten")
		}
		if got := o.Note(errors.New("wrong")); got != 10*time.Second {
			t.Error("after a long time without:", got)
		}
	})
}

// entry returns what n says of a peer.
func entry(n *node.Node, id peer.ID) (node.PeerEntry, bool) {
	list := n.Peers()
	i := slices.IndexFunc(list, func(e node.PeerEntry) bool { return e.ID == id })
	if i < 0 {
		return node.PeerEntry{}, false
	}
	return list[i], true
}

// offend does something wrong on a new stream and waits for its end.
func offend(t *testing.T, open func() (network.Stream, error)) error {
	t.Helper()
	s, err := open()
	if err != nil {
		return err
	}
	defer s.Reset()
	if _, err := s.Write(wire.AppendVarint(nil, 1<<40)); err != nil {
		return err
	}
	s.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, err = s.Read(make([]byte, 1))
	return err
}

// awaitThat waits for something that other goroutines bring about.
func awaitThat(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal("waited too long for ", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// A peer that did something wrong is refused and listed with the reason; an allowed one is not.
func TestOffendersAreRefused(t *testing.T) {
	t.Parallel()
	n := start(t, node.Config{Network: "none"})
	id, open := stranger(t, n)
	offend(t, open)
	awaitThat(t, "the offence", func() bool { e, _ := entry(n, id); return e.Offences == 1 })
	e, _ := entry(n, id)
	if wait := time.Until(e.Refused); wait < time.Second || wait > 10*time.Second || !errors.Is(e.Offence, wire.ErrFrameTooLarge) {
		t.Errorf("refused for %v because of %v", wait, e.Offence)
	}
	var se *network.StreamError
	if err := offend(t, open); !errors.As(err, &se) || se.ErrorCode != 0x102 {
		t.Error("the second stream ended with", err)
	}
	if e, _ := entry(n, id); e.Offences != 1 || e.Stream {
		t.Errorf("a refused stream counts: %+v", e)
	}
	if err := n.SetRules([]node.Rule{{Peer: id, Reason: "ours"}}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := offend(t, open); errors.As(err, &se) && se.ErrorCode == 0x102 {
			t.Error("an allowed peer is refused")
		}
	}
	if e, _ := entry(n, id); e.Offences != 0 || e.Rule == nil || e.Rule.Block || !n.Host().ConnManager().IsProtected(id, "") {
		t.Errorf("an allowed peer: %+v", e)
	}
	if err := n.SetRules(nil); err != nil {
		t.Fatal(err)
	}
	// The peer has seen its last stream end before the node is done with it.
	awaitThat(t, "the protection to end", func() bool { return !n.Host().ConnManager().IsProtected(id, "") })
}

// A blocked peer loses its connection and gets no other, neither way, until the rule is gone.
func TestBlockedPeer(t *testing.T) {
	t.Parallel()
	w := start(t, node.Config{Network: "none"})
	wf := writer(t, w, 5)
	r := start(t, node.Config{Network: "none", Peers: []peer.AddrInfo{info(w)}})
	rf := reader(t, r, wf.Key(), node.JoinOptions{})
	wantBlock(t, rf, 0)
	rule := node.Rule{Peer: r.ID(), Block: true, Reason: "why not", Since: time.Unix(1, 0)}
	if err := w.SetRules([]node.Rule{rule}); err != nil {
		t.Fatal(err)
	}
	awaitThat(t, "the connection to be closed", func() bool { return len(w.Host().Network().ConnsToPeer(r.ID())) == 0 })
	if got := w.Rules(); len(got) != 1 || got[0] != rule {
		t.Errorf("rules: %+v", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := w.Host().Connect(ctx, info(r)); err == nil {
		t.Error("a blocked peer is dialled")
	}
	if _, err := wf.Append(ctx, []byte("block 5")); err != nil {
		t.Fatal(err)
	}
	_, open := stranger(t, w)
	if s, err := open(); err != nil {
		t.Error("another peer:", err)
	} else {
		s.Reset()
	}
	if rf.Len() != 5 {
		t.Error("a blocked peer hears of what is new")
	}
	if err := w.SetRules(nil); err != nil {
		t.Fatal(err)
	}
	wantBlock(t, rf, 5)
}

// A range blocks whoever comes from it, from the begin; what is not in it comes in.
func TestBlockedRange(t *testing.T) {
	t.Parallel()
	n := start(t, node.Config{Network: "none", Rules: []node.Rule{{Prefix: netip.MustParsePrefix("127.0.0.0/8"), Block: true}}})
	_, open := stranger(t, n)
	if s, err := open(); err == nil {
		s.Reset()
		t.Error("a connection from a blocked range")
	}
	if err := n.SetRules([]node.Rule{{Prefix: netip.MustParsePrefix("10.0.0.0/8"), Block: true}}); err != nil {
		t.Fatal(err)
	}
	_, open = stranger(t, n)
	s, err := open()
	if err != nil {
		t.Fatal(err)
	}
	s.Reset()
}

func TestParseRule(t *testing.T) {
	for in, want := range map[string]string{
		"10.1.2.3/8": "10.0.0.0/8", "10.1.2.3": "10.1.2.3", "::ffff:10.1.2.3": "10.1.2.3", "fe80::1/64": "fe80::/64", "2001:db8::1": "2001:db8::1",
		"12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA": "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA",
		"":             "",
		"10.0.0":       "",
		"fe80::1%eth0": "",
		"peer":         "",
	} {
		r, err := node.ParseRule(in)
		if got := r.Target(); err == nil && got != want || (err != nil) != (want == "") {
			t.Errorf("%q is %q, %v", in, got, err)
		}
	}
	if err := start(t, node.Config{Network: "none"}).SetRules([]node.Rule{{}}); err == nil {
		t.Error("a rule about nobody")
	}
}
