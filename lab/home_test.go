//go:build linux

package lab

import (
	"fmt"
	"strings"
)

// nat is what a router does with packets.
type nat struct {
	symmetric bool   // a new port for each destination
	answers   bool   // closed ports answer with RST or ICMP, instead of silence
	blocks    string // "tcp" or "udp": not forwarded
	upnp      bool
}

// home is a host, and the router it is behind unless it is public.
type home struct {
	router, host *space
	wan          string // what others send to: of the router, the host, or the host's network
	port         *port  // on the internet
	v6           bool
	at           place
}

// side puts a host at a place.
func (n *internet) side(at string, s side) *home {
	n.seg.w.t.Helper()
	if s.public {
		w, ip := n.connect("h"+at, at, homeLine)
		return &home{host: w.space, port: w.port, wan: ip}
	}
	return n.home(at, homeLine, s.nat)
}

// home puts a router at a place and a host behind it.
func (n *internet) home(at string, l line, rules nat) *home {
	n.seg.w.t.Helper()
	h := n.router(at, l, rules)
	h.host = n.seg.w.space("h" + at)
	h.attach(h.host, "eth0")
	if rules.upnp {
		h.router.startUPnP()
	}
	return h
}

// router is a home that nobody is in yet.
func (n *internet) router(at string, l line, rules nat) *home {
	n.seg.w.t.Helper()
	r, wan := n.connect("r"+at, at, l)
	h := &home{router: r.space, v6: n.v6, at: places[at], port: r.port, wan: wan}
	if n.v6 {
		h.wan = h.at.lan6
	}
	h.router.exec(rules.table(), "nft", "-f", "-")
	h.router.sysctl("net.netfilter.nf_conntrack_tcp_loose=0")
	return h
}

// attach connects a host to the router, by a new interface dev of the host.
func (h *home) attach(host *space, dev string) {
	h.router.w.t.Helper()
	h.router.w.cable(h.router, "l0", host, dev)
	if h.v6 {
		h.router.sysctl("net.ipv6.conf.all.forwarding=1")
		h.router.ip("addr add " + h.at.lan6 + "1/64 dev l0 nodad")
		host.ip("addr add "+h.at.lan6+"2/64 dev "+dev+" nodad", "route add default via "+h.at.lan6+"1")
		return
	}
	h.router.sysctl("net.ipv4.ip_forward=1")
	h.router.ip("addr add " + h.at.lan4 + "1/24 dev l0")
	host.ip("addr add "+h.at.lan4+"2/24 dev "+dev, "route add default via "+h.at.lan4+"1")
}

// table is the rule set of a home router that serves IPv4 by NAT, and lets
// in over IPv6 what answers to something.
func (r nat) table() string {
	masquerade := "masquerade"
	if r.symmetric {
		masquerade = "masquerade fully-random"
	}
	closed := "drop"
	if r.answers {
		closed = "accept" // the kernel answers, since nothing listens
	}
	blocked := ""
	if r.blocks != "" {
		blocked = "meta l4proto " + r.blocks + " drop"
	}
	return strings.NewReplacer("MASQUERADE", masquerade, "CLOSED", closed, "BLOCKED", blocked).Replace(`
table inet nat {
	chain prerouting {
		type nat hook prerouting priority -100
		jump upnp_in
	}
	chain postrouting {
		type nat hook postrouting priority 100
		jump upnp_out
		meta nfproto ipv4 oifname "w0" MASQUERADE
	}
	chain upnp_in {
	}
	chain upnp_out {
	}
}
table inet filter {
	chain forward {
		type filter hook forward priority 0; policy drop
		ct state invalid drop
		BLOCKED
		jump walled
		jump upnp
		iifname "l0" oifname "w0" accept
		iifname "w0" oifname "l0" ct state established,related accept
	}
	chain walled {
	}
	chain upnp {
	}
	chain input {
		type filter hook input priority 0; policy accept
		iifname "w0" meta l4proto { icmp, ipv6-icmp } accept
		iifname "w0" ct state established,related accept
		iifname "w0" CLOSED
	}
}
`)
}

// forget makes the router lose its table of connections, as when it restarts.
func (h *home) forget() { h.router.exec("", "conntrack", "-F") }

// wall keeps packets between this home and another from passing.
func (h *home) wall(other *home) {
	h.router.exec("", "nft", "add", "rule", "inet", "filter", "walled", "ip", "daddr", other.wan, "drop")
}

// unwall lets all packets pass again.
func (h *home) unwall() { h.router.exec("", "nft", "flush", "chain", "inet", "filter", "walled") }

// startUPnP runs the port mapping daemon of the router.
func (s *space) startUPnP() {
	s.w.t.Helper()
	conf := s.w.path(s.name + "-upnp.conf")
	s.w.write(conf, fmt.Sprintf(`ext_ifname=w0
listening_ip=l0
http_port=0
enable_upnp=yes
secure_mode=yes
system_uptime=yes
uuid=7d1a0a4e-0f3c-4a53-9a36-0f5d6d2f5c1e
upnp_table_name=filter
upnp_nat_table_name=nat
upnp_forward_chain=upnp
upnp_nat_chain=upnp_in
upnp_nat_postrouting_chain=upnp_out
lease_file=%s
`, s.w.path(s.name+"-upnp.leases")))
	d := s.start(s.name+"-miniupnpd", nil, "miniupnpd", "-d", "-f", conf, "-P", s.w.path(s.name+"-upnp.pid"))
	d.waitFor("its port", func() bool { return strings.Contains(d.stderr.String(), "HTTP listening on port") })
}
