package node

import (
	"net/netip"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// Which addresses of strangers are dialled depends on where this machine is.
func TestGaterPrivateRanges(t *testing.T) {
	at := func(ips ...string) attachment {
		var out []netip.Addr
		for _, ip := range ips {
			out = append(out, netip.MustParseAddr(ip))
		}
		return attachedAt(out)
	}
	const (
		public  = "/ip4/45.0.0.9/tcp/4001"
		public6 = "/ip6/2a02:100::9/tcp/4001"
		home    = "/ip4/192.168.1.9/tcp/4001"
		office  = "/ip4/10.2.0.9/udp/4001/quic-v1"
		carrier = "/ip4/100.64.3.9/tcp/4001"
		linked  = "/ip4/169.254.3.9/tcp/4001"
		unique  = "/ip6/fd00::9/tcp/4001"
	)
	everywhere := []string{public, public6, home, office, carrier, linked, unique}
	for _, c := range []struct {
		name string
		on   attachment
		want []string
	}{
		{"a server", at("45.0.0.1"), []string{public, public6}},
		{"a server with containers", at("45.0.0.1", "172.17.0.1", "10.2.0.1"), []string{public, public6}},
		{"a server with IPv6 only", at("2a02:100::1", "fe80::1"), []string{public, public6}},
		{"a home", at("192.168.1.2", "2a02:100::1", "fe80::1"), []string{public, public6, home}},
		{"an office", at("10.1.0.2"), []string{public, public6, office}},
		{"behind a carrier", at("100.64.0.7"), []string{public, public6, carrier}},
		{"nowhere", at(), []string{public, public6}},
	} {
		g := newGater(false, true)
		g.on, g.until = c.on, time.Now().Add(time.Hour)
		want := map[string]bool{}
		for _, a := range c.want {
			want[a] = true
		}
		for _, a := range everywhere {
			if got := g.InterceptAddrDial("stranger", ma.StringCast(a)); got != want[a] {
				t.Errorf("%s: dials %s: %v", c.name, a, got)
			}
		}
		g.allowPrivate(peer.ID("friend"))
		if !g.InterceptAddrDial("friend", ma.StringCast(office)) {
			t.Errorf("%s: does not dial a configured peer", c.name)
		}
	}
	narrow := newGater(false, false) // entered through private addresses
	if !narrow.InterceptAddrDial("stranger", ma.StringCast(office)) {
		t.Error("a network of private addresses is not dialled")
	}
}
