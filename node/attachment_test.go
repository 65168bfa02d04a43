package node

import (
	"fmt"
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
		for _, found := range []bool{true, false} {
			g.allowLocal("neighbour", found)
			if addr := ma.StringCast(office); g.InterceptAddrDial("neighbour", addr) != (found || want[office]) {
				t.Errorf("%s: peer in the local network: %v, dialled: %v", c.name, found, !found)
			}
		}
	}
	narrow := newGater(false, false) // entered through private addresses
	if !narrow.InterceptAddrDial("stranger", ma.StringCast(office)) {
		t.Error("a network of private addresses is not dialled")
	}
}

// TestNowhereToDial: what strangers announce is not dialled where nobody can be but this machine, all
// hosts of a network, or a private range behind a translator.
func TestNowhereToDial(t *testing.T) {
	nobody := []string{"/ip4/0.0.0.0/tcp/6379", "/ip6/::/tcp/6379", "/ip4/224.0.0.1/udp/4001/quic-v1", "/ip6/ff02::1/udp/4001/quic-v1", "/ip4/255.255.255.255/udp/4001/quic-v1"}
	here := []string{"/ip4/127.0.0.1/tcp/6379", "/ip4/127.8.8.8/tcp/6379/ws", "/ip6/::1/tcp/6379", "/ip6/::ffff:7f00:1/tcp/6379"}
	translated := []string{"/ip6/64:ff9b::7f00:1/tcp/1", "/ip6/64:ff9b::a00:1/tcp/1"}
	for _, wide := range []bool{false, true} {
		g := newGater(false, wide)
		g.on, g.until = attachment{}, time.Now().Add(time.Hour)
		g.allowPrivate("friend")
		g.allowLocal("neighbour", true)
		for _, a := range nobody {
			if g.InterceptAddrDial("stranger", ma.StringCast(a)) || g.InterceptAddrDial("friend", ma.StringCast(a)) {
				t.Errorf("wide %v: dials %s", wide, a)
			}
		}
		for _, a := range append(here, translated...) {
			if g.InterceptAddrDial("stranger", ma.StringCast(a)) == wide {
				t.Errorf("wide %v: dials %s: %v", wide, a, !wide)
			}
			if g.InterceptAddrDial("neighbour", ma.StringCast(a)) != (!wide || a == translated[1]) {
				t.Errorf("wide %v: dials %s of a peer of the local network: %v", wide, a, !wide)
			}
			if !g.InterceptAddrDial("friend", ma.StringCast(a)) {
				t.Errorf("wide %v: does not dial %s of a configured peer", wide, a)
			}
		}
		if !g.InterceptAddrDial("stranger", ma.StringCast("/ip6/64:ff9b::808:808/tcp/1")) {
			t.Error("a public address behind a translator is not dialled")
		}
	}
}

// TestWorthTrying: of hundreds of addresses that somebody announces a few are tried.
func TestWorthTrying(t *testing.T) {
	var one, many []ma.Multiaddr
	for i := range 500 {
		one = append(one, ma.StringCast(fmt.Sprintf("/ip4/45.0.0.1/tcp/%d", 1000+i)))
		many = append(many, ma.StringCast(fmt.Sprintf("/ip4/45.0.%d.%d/tcp/4001", i/250, i%250)))
	}
	if got := worthTrying(one); len(got) != maxPerHost {
		t.Errorf("%d at one host", len(got))
	}
	if got := worthTrying(many); len(got) != maxFound {
		t.Errorf("%d in all", len(got))
	}
	var honest []ma.Multiaddr // two addresses, a name, and two relays
	for _, at := range []string{"/ip4/45.0.0.1", "/ip6/2a02:100::1", "/dns4/node.example"} {
		for _, how := range []string{"/tcp/4001", "/tcp/4001/ws", "/udp/4001/quic-v1", "/udp/4001/quic-v1/webtransport", "/udp/4001/webrtc-direct"} {
			honest = append(honest, ma.StringCast(at+how))
		}
	}
	relay := "/p2p/12D3KooWKVy9SnaNfoo3pe96rGzJE2NSyAiaesuqvtQRkLKbJceq/p2p-circuit"
	for _, at := range []string{"/ip4/45.0.0.1/tcp/1", "/ip4/45.0.0.2/tcp/1", "/ip4/45.0.0.2/udp/1/quic-v1"} {
		honest = append(honest, ma.StringCast(at+relay))
	}
	if got := worthTrying(honest); len(got) != len(honest) {
		t.Errorf("%d of %d addresses of an honest peer", len(got), len(honest))
	}
}
