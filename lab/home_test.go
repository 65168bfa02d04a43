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
	w := n.seg.w
	w.t.Helper()
	r, wan := n.connect("r"+at, at, l)
	h := &home{router: r.space, host: w.space("h" + at), port: r.port, wan: wan}
	w.cable(h.router, "l0", h.host, "eth0")
	h.router.exec(rules.table(), "nft", "-f", "-")
	h.router.sysctl("net.netfilter.nf_conntrack_tcp_loose=0")
	here := places[at]
	if n.v6 {
		h.wan = here.lan6
		h.router.sysctl("net.ipv6.conf.all.forwarding=1")
		h.router.ip("addr add " + here.lan6 + "1/64 dev l0 nodad")
		h.host.ip("addr add "+here.lan6+"2/64 dev eth0 nodad", "route add default via "+here.lan6+"1")
		return h
	}
	h.router.sysctl("net.ipv4.ip_forward=1")
	h.router.ip("addr add " + here.lan4 + "1/24 dev l0")
	h.host.ip("addr add "+here.lan4+"2/24 dev eth0", "route add default via "+here.lan4+"1")
	if rules.upnp {
		h.router.startUPnP()
	}
	return h
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
table ip nat {
	chain prerouting {
		type nat hook prerouting priority -100
		jump upnp_in
	}
	chain postrouting {
		type nat hook postrouting priority 100
		jump upnp_out
		oifname "w0" MASQUERADE
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
		jump upnp
		iifname "l0" oifname "w0" accept
		iifname "w0" oifname "l0" ct state established,related accept
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

// startUPnP runs the port mapping daemon of the router.
func (s *space) startUPnP() {
	s.w.t.Helper()
	conf := s.w.path(s.name + "-upnp.conf")
	s.w.write(conf, fmt.Sprintf(`ext_ifname=w0
listening_ip=l0
http_port=0
enable_upnp=yes
enable_pcp_pmp=yes
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
	s.start(s.name+"-miniupnpd", nil, "miniupnpd", "-d", "-f", conf, "-P", s.w.path(s.name+"-upnp.pid"))
}
