//go:build linux

package lab

import (
	"net/netip"
	"time"
)

// internet is a segment with a bootstrap node on it.
type internet struct {
	seg       *segment
	v6        bool
	boot      *process
	bootIP    string
	bootAddrs []string // multiaddrs with /p2p/ID
}

// labNetwork is the name of the DHT of the lab.
const labNetwork = "lab"

// Of the lines in the lab. What is measured on them depends little on how
// busy the machine is.
const (
	delay   = 10 * time.Millisecond // to the middle, so 40 ms there and back
	homeBit = 100e6
)

// homeLine is that of a home.
var homeLine = line{delay: delay, rate: homeBit}

// place is the addresses of one who is connected to the internet: his own, and
// the network behind him. IPv6 networks are routed, those of IPv4 are not.
type place struct{ v4, lan4, v6, lan6 string }

var places = map[string]place{
	"boot": {v4: "45.0.0.1", v6: "2a02:100::1"},
	"a":    {"45.0.0.11", "192.168.1.", "2a02:100::11", "2a02:100:a::"},
	"b":    {"45.0.0.12", "10.0.2.", "2a02:100::12", "2a02:100:b::"},
	"c":    {"45.0.0.13", "192.168.43.", "2a02:100::13", "2a02:100:c::"},
}

// newInternet makes a segment and starts a bootstrap node on it, with flags
// besides those that say where it listens.
func newInternet(w *world, v6 bool, flags ...string) *internet {
	w.t.Helper()
	n := &internet{seg: w.segment(), v6: v6}
	s, ip := n.connect("boot", "boot", line{delay: delay})
	n.bootIP = ip
	proto := "/ip4/"
	if v6 {
		proto = "/ip6/"
	}
	args := []string{"bootstrap", "--network", labNetwork, "--listen", proto + ip + "/tcp/4001", "--listen", proto + ip + "/udp/4001/quic-v1"}
	n.boot = s.space.hypercore("boot", append(args, flags...)...)
	n.boot.waitFor("the address of the bootstrap node", func() bool {
		n.bootAddrs = n.boot.stdout.lines()
		return len(n.bootAddrs) >= 2
	})
	return n
}

// net are the flags with which a node joins.
func (n *internet) net() []string {
	args := []string{"--network", labNetwork}
	for _, a := range n.bootAddrs {
		args = append(args, "--bootstrap", a)
	}
	return args
}

// wired is a space that is plugged into the internet.
type wired struct {
	space *space
	port  *port
}

// connect makes a space at a place, and returns its address.
func (n *internet) connect(name, at string, l line) (wired, string) {
	s := n.seg.w.space(name)
	p := n.seg.plug(s, "w0", l)
	here := places[at]
	if !n.v6 {
		s.ip("addr add " + here.v4 + "/24 dev w0")
		return wired{s, p}, here.v4
	}
	s.ip("addr add " + here.v6 + "/64 dev w0 nodad")
	for other, there := range places {
		if other != at && there.lan6 != "" {
			s.ip("route add " + there.lan6 + "/64 via " + there.v6)
		}
	}
	return wired{s, p}, here.v6
}

// between returns the bytes that went from a to b, given by their addresses or
// the first of their network.
func (c counts) between(a, b string) (sum uint64) {
	from, to := network64(a), network64(b)
	for p, n := range c.bytes {
		if from(p.from) && to(p.to) {
			sum += n
		}
	}
	return sum
}

// network64 returns a test for an address, or for the /64 of one that ends
// in ::.
func network64(s string) func(netip.Addr) bool {
	a := netip.MustParseAddr(s)
	if a.Is4() || s[len(s)-2:] != "::" {
		return func(o netip.Addr) bool { return o == a }
	}
	net := netip.PrefixFrom(a, 64)
	return net.Contains
}
