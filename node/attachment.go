package node

import (
	"net"
	"net/netip"
	"slices"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// privateRanges are those that mean something else in every network: RFC 1918,
// the shared space of carriers (RFC 6598), unique local (RFC 4193) and
// link-local addresses.
var privateRanges = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("fc00::/7"), netip.MustParsePrefix("fe80::/10"),
}

func isPrivate(a ma.Multiaddr) bool {
	raw, err := manet.ToIP(a)
	if err != nil {
		return false
	}
	ip, ok := netip.AddrFromSlice(raw)
	return ok && privateRange(ip.Unmap()) >= 0
}

// privateRange returns the index of the range that ip is of, or -1.
func privateRange(ip netip.Addr) int {
	return slices.IndexFunc(privateRanges, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// attachment is how this machine is connected, as its interfaces tell.
type attachment struct {
	public4, public6 bool         // it has addresses that are not private
	private          []bool       // per range of privateRanges: it has an address there
	ips              []netip.Addr // all of them but loopback
}

// attached looks at the interfaces that are up and plugged in. If they cannot
// be listed it knows nothing.
func attached() attachment {
	const live = net.FlagUp | net.FlagRunning
	var ips []netip.Addr
	interfaces, err := net.Interfaces()
	if err != nil {
		return attachment{}
	}
	for _, i := range interfaces {
		if i.Flags&live != live {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue // it went away meanwhile
		}
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok {
				if ip, ok := netip.AddrFromSlice(n.IP); ok {
					ips = append(ips, ip.Unmap())
				}
			}
		}
	}
	return attachedAt(ips)
}

// attachedAt sorts the addresses of a machine.
func attachedAt(ips []netip.Addr) attachment {
	at := attachment{private: make([]bool, len(privateRanges))}
	for _, ip := range ips {
		if ip.IsLoopback() {
			continue
		}
		at.ips = append(at.ips, ip)
		switch r := privateRange(ip); {
		case r >= 0:
			at.private[r] = true
		case ip.Is4():
			at.public4 = true
		default:
			at.public6 = true
		}
	}
	return at
}

// open tells whether the machine sits on the open internet. A public IPv4
// address means that, whatever else there is (containers and virtual machines
// have networks of their own); a public IPv6 address is what hosts in homes
// have, too, beside a private IPv4 address.
func (at attachment) open() bool {
	if !at.public6 || at.public4 {
		return at.public4
	}
	for i, r := range privateRanges {
		if r.Addr().Is4() && at.private[i] {
			return false
		}
	}
	return true
}

// reaches tells whether strangers' addresses at a private ip are dialled: on a
// machine that is not on the open internet, those of ranges that it is in
// itself. An office has several networks of one range, and routes between them.
func (at attachment) reaches(ip netip.Addr) bool {
	r := privateRange(ip)
	return r < 0 || len(at.private) > 0 && at.private[r] && !at.open()
}

// has tells whether a is an address of an interface.
func (at attachment) has(a ma.Multiaddr) bool {
	raw, err := manet.ToIP(a)
	if err != nil {
		return false
	}
	ip, ok := netip.AddrFromSlice(raw)
	return ok && slices.Contains(at.ips, ip.Unmap())
}
