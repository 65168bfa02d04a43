package node_test

import (
	"context"
	"errors"
	"fmt"
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
