package node_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"

	"github.com/go-hypercore/hypercore/node"
	"github.com/go-hypercore/hypercore/protocol"
)

func TestNATKind(t *testing.T) {
	type s = node.Sighting
	const home = "/ip4/192.168.1.5/tcp/4001"
	for _, c := range []struct {
		name string
		seen []s
		want node.NATKind
	}{
		{"nobody", nil, node.NATUnknown},
		{"one peer", []s{{home, "/ip4/203.0.113.1/tcp/1", "/ip4/198.51.100.7/tcp/4001", false}}, node.NATUnknown},
		{"two peers, one port", []s{
			{home, "/ip4/203.0.113.1/tcp/1", "/ip4/198.51.100.7/tcp/50000", false},
			{home, "/ip4/203.0.113.2/tcp/1", "/ip4/198.51.100.7/tcp/50000", false}}, node.NATIndependent},
		{"two peers, two ports", []s{
			{home, "/ip4/203.0.113.1/tcp/1", "/ip4/198.51.100.7/tcp/50000", false},
			{home, "/ip4/203.0.113.2/tcp/1", "/ip4/198.51.100.7/tcp/50001", false}}, node.NATDependent},
		{"the second one is gone", []s{
			{home, "/ip4/203.0.113.1/tcp/1", "/ip4/198.51.100.7/tcp/50000", false},
			{home, "/ip4/203.0.113.2/tcp/1", "/ip4/198.51.100.7/tcp/50001", true}}, node.NATUnknown},
		{"two ports of one machine say nothing of others", []s{
			{home, "/ip4/203.0.113.1/tcp/1", "/ip4/198.51.100.7/tcp/50000", false},
			{home, "/ip4/203.0.113.1/tcp/2", "/ip4/198.51.100.7/tcp/50000", false}}, node.NATUnknown},
		{"no NAT", []s{{"/ip4/198.51.100.7/tcp/4001", "/ip4/203.0.113.1/tcp/1", "/ip4/198.51.100.7/tcp/4001", false}}, node.NATNone},
		{"from another port than is listened on", []s{
			{"/ip4/192.168.1.5/tcp/33333", "/ip4/203.0.113.1/tcp/1", "/ip4/198.51.100.7/tcp/50000", false},
			{"/ip4/192.168.1.5/tcp/33334", "/ip4/203.0.113.2/tcp/1", "/ip4/198.51.100.7/tcp/50001", false}}, node.NATUnknown},
		{"through a relay", []s{
			{home, "/ip4/203.0.113.1/tcp/1/p2p/12D3KooWK7AjDdDq8uhRz4R2EbYkb2RR8zFCgdmrR9WsipMD2CoU/p2p-circuit", "/ip4/198.51.100.7/tcp/50000", false}}, node.NATUnknown},
		{"on this machine", []s{{"/ip4/127.0.0.1/tcp/4001", "/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/4001", false}}, node.NATUnknown},
		{"another transport", []s{
			{"/ip4/192.168.1.5/udp/4001/quic-v1", "/ip4/203.0.113.1/udp/1/quic-v1", "/ip4/198.51.100.7/udp/4001/quic-v1", false}}, node.NATUnknown},
	} {
		if got := node.KindOf(false, 4001, c.seen...); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestPunchAddrs(t *testing.T) {
	type s = node.Sighting
	const tcp, quic, outside = "/ip4/0.0.0.0/tcp/4001", "/ip4/0.0.0.0/udp/4001/quic-v1", "/ip4/8.8.1.7"
	both := []string{tcp, tcp + "/ws", quic, quic + "/webtransport", "/ip6/::/tcp/4001", "/ip4/127.0.0.1/tcp/5001"}
	home := s{Local: "/ip4/192.168.1.5/tcp/4001", Observer: "/ip4/9.9.9.1/tcp/1", External: outside + "/tcp/50000"}
	for _, c := range []struct {
		name   string
		known  []string
		listen []string
		seen   []s
		want   []string
	}{
		{"nothing", nil, both, nil, nil},
		{"QUIC is known", []string{outside + "/udp/700/quic-v1", outside + "/udp/700/quic-v1/webtransport"}, both, nil,
			[]string{outside + "/udp/700/quic-v1", outside + "/udp/700/quic-v1/webtransport", outside + "/tcp/4001"}},
		{"both are known", []string{outside + "/udp/700/quic-v1", outside + "/tcp/800"}, both, []s{home},
			[]string{outside + "/udp/700/quic-v1", outside + "/tcp/800"}},
		{"seen over TCP only", nil, both, []s{home}, []string{outside + "/tcp/50000", outside + "/udp/4001/quic-v1"}},
		{"seen over TCP, QUIC known", []string{outside + "/udp/700/quic-v1"}, both, []s{home}, []string{outside + "/udp/700/quic-v1", outside + "/tcp/50000"}},
		{"the port that was seen last", nil, []string{tcp}, []s{home, {home.Local, "/ip4/9.9.9.2/tcp/1", outside + "/tcp/50001", false}}, []string{outside + "/tcp/50001"}},
		{"from another port than is listened on", nil, both, []s{{"/ip4/192.168.1.5/tcp/33333", home.Observer, outside + "/tcp/33333", false}},
			[]string{outside + "/tcp/4001", outside + "/udp/4001/quic-v1"}},
		{"TCP only", nil, []string{tcp}, []s{home}, []string{outside + "/tcp/50000"}},
		{"private", nil, both, []s{{home.Local, "/ip4/10.1.1.1/tcp/1", "/ip4/10.1.1.2/tcp/4001", false}}, nil},
		{"loopback only", nil, []string{"/ip4/127.0.0.1/tcp/5001"}, []s{home}, nil},
	} {
		if got := node.PunchAddrs(c.known, c.listen, c.seen...); !slices.Equal(got, c.want) {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	var liars []s
	for i := range 20 {
		liars = append(liars, s{home.Local, fmt.Sprintf("/ip4/9.9.9.%d/tcp/1", i), fmt.Sprintf("/ip4/8.8.2.%d/tcp/1", i), false})
	}
	if got := node.PunchAddrs(nil, []string{tcp, quic}, liars...); len(got) != 8 {
		t.Errorf("%d addresses are told: %s", len(got), got)
	}
}

func TestTrouble(t *testing.T) {
	dial := func(s string) error {
		return fmt.Errorf("connecting to 12D3: failed to dial: * [/ip4/1.2.3.4/tcp/1] %s", s)
	}
	for _, c := range []struct {
		err  error
		want node.Trouble
	}{
		{nil, ""},
		{dial("dial tcp4 127.0.0.1:1: connect: connection refused"), node.TroubleRefused},
		{fmt.Errorf("x: %w", syscall.ECONNREFUSED), node.TroubleRefused},
		{dial("timeout: handshake did not complete in time"), node.TroubleTimeout},
		{context.DeadlineExceeded, node.TroubleTimeout},
		{dial("connect: network is unreachable"), node.TroubleNoRoute},
		{dial("error opening relay circuit: NO_RESERVATION (204)"), node.TroubleReservation},
		{dial("error opening relay circuit: RESOURCE_LIMIT_EXCEEDED (201)"), node.TroubleRelayFull},
		{swarm.ErrNoAddresses, node.TroubleNoAddress},
		{dial("peer id mismatch: expected 12D3a, but remote key matches 12D3b"), node.TroubleIdentity},
		{&protocol.RemoteError{Op: "open", Err: protocol.ErrUnknownFeed}, node.TroubleUnknownFeed},
		{&protocol.RemoteError{Op: "data", Err: protocol.ErrUnasked}, node.TroubleFault},
		{&protocol.RemoteError{Op: "read", Err: protocol.ErrTimeout}, node.TroubleTimeout},
		{errors.New("something else"), node.TroubleOther},
	} {
		if got := node.TroubleOf(c.err); got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}

func TestPunched(t *testing.T) {
	const id = peer.ID("them")
	at := time.Unix(1000, 0)
	e := func(v any) *holepunch.Event { return &holepunch.Event{Remote: id, Timestamp: at.UnixNano(), Evt: v} }
	if p := node.Punched(id); !p.At.IsZero() {
		t.Errorf("never tried: %+v", p)
	}
	if p := node.Punched(id, e(&holepunch.StartHolePunchEvt{}), e(&holepunch.HolePunchAttemptEvt{Attempt: 1})); !p.Running || p.Attempts != 1 || !p.At.Equal(at) {
		t.Errorf("under way: %+v", p)
	}
	if p := node.Punched(id, e(&holepunch.StartHolePunchEvt{}), e(&holepunch.EndHolePunchEvt{Error: "no way"})); p.Running || p.OK || p.Err != "no way" {
		t.Errorf("failed: %+v", p)
	}
	if p := node.Punched(id, e(&holepunch.StartHolePunchEvt{}), e(&holepunch.EndHolePunchEvt{Success: true})); p.Running || !p.OK || p.Err != "" {
		t.Errorf("through: %+v", p)
	}
}
