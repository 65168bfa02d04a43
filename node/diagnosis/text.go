package diagnosis

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// count is n with commas: 1,234,567.
func count(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// many is n of something: 1 block, 2 blocks.
func many[N int | uint64](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return count(uint64(n)) + " " + what + "s"
}

// short is a peer ID as people tell them apart: most begin alike.
func short(id string) string {
	if len(id) <= 16 {
		return id
	}
	return id[:4] + "…" + id[len(id)-8:]
}

func shorts(ids []string) string {
	var out []string
	for _, id := range ids {
		out = append(out, short(id))
	}
	return strings.Join(out, ", ")
}

// address is what of a multiaddr tells a person where: HOST:PORT (transport).
type address struct {
	host, transport, port string
	relayed               bool
}

// parse reads a multiaddr as far as it is understood.
func parse(addr string) (a address) {
	parts := strings.Split(addr, "/")
	if len(parts) > 0 {
		parts = parts[1:]
	}
	for i := 0; i < len(parts); i++ {
		value := func() string {
			if i++; i < len(parts) {
				return parts[i]
			}
			return ""
		}
		switch p := parts[i]; p {
		case "ip4", "ip6", "dns", "dns4", "dns6", "dnsaddr":
			if a.host == "" {
				a.host = value()
			} else {
				value()
			}
		case "tcp", "udp":
			if v := value(); a.port == "" {
				a.transport, a.port = p, v
			}
		case "quic-v1":
			a.transport = "quic"
		case "ws", "wss", "webtransport", "webrtc-direct":
			a.transport = p
		case "p2p-circuit":
			a.relayed = true
		case "p2p", "certhash", "sni":
			value()
		}
	}
	return a
}

func (a address) String() string {
	s := a.host
	switch {
	case strings.Contains(s, ":"):
		s = "[" + s + "]:" + a.port
	case a.port != "":
		s += ":" + a.port
	}
	if a.transport != "" {
		s += " (" + a.transport + ")"
	}
	if a.relayed {
		s = "the relay " + s
	}
	return s
}

// where says at which addresses a node may be found, the shortest list that
// tells: direct ones of one transport first.
func where(addrs []string) string {
	var direct, relays []string
	for _, s := range addrs {
		a := parse(s)
		t := a.String()
		switch {
		case a.relayed && !slices.Contains(relays, t):
			relays = append(relays, t)
		case !a.relayed && !slices.Contains(direct, t):
			direct = append(direct, t)
		}
	}
	const most = 2
	out := slices.Clip(direct[:min(len(direct), most)])
	out = append(out, relays[:min(len(relays), 1)]...)
	more := len(direct) + len(relays) - len(out)
	s := strings.Join(out, ", ")
	if more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}

// listening says on what a node listens: transports with ports, and where.
func listening(addrs []string) string {
	var on, hosts []string
	for _, s := range addrs {
		a := parse(s)
		if a.host == "" {
			continue // a relay is not listened on
		}
		if t := a.transport + " " + a.port; !slices.Contains(on, t) {
			on = append(on, t)
		}
		if !slices.Contains(hosts, a.host) {
			hosts = append(hosts, a.host)
		}
	}
	slices.SortFunc(on, func(a, b string) int { return cmp.Or(cmp.Compare(order(a), order(b)), cmp.Compare(a, b)) })
	slices.Sort(hosts)
	at := strings.Join(hosts, ", ")
	if slices.Contains(hosts, "0.0.0.0") || slices.Contains(hosts, "::") {
		at = "all interfaces"
	}
	return strings.Join(on, ", ") + " on " + at
}

// order puts transports in the order in which people look for them.
func order(on string) int {
	name, _, _ := strings.Cut(on, " ")
	return slices.Index([]string{"tcp", "ws", "wss", "quic", "webtransport", "webrtc-direct"}, name)
}

// left is the time until t for a person.
func left(now, t time.Time) string {
	d := t.Sub(now)
	switch {
	case d <= 0:
		return "no longer valid"
	case d < time.Minute:
		return "for another minute"
	case d < 2*time.Hour:
		return "for " + many(int(d/time.Minute), "minute")
	}
	return "for " + many(int(d/time.Hour), "hour")
}

// spans names blocks: block 17; blocks 3 to 9; 40 blocks, the first is 17.
func spans(rs []Span, n uint64) string {
	switch {
	case n == 1 && len(rs) > 0:
		return "block " + count(rs[0].Start)
	case len(rs) == 1 && rs[0].End-rs[0].Start == n:
		return "blocks " + count(rs[0].Start) + " to " + count(rs[0].End-1)
	case len(rs) > 0:
		return many(n, "block") + ", the first is block " + count(rs[0].Start)
	}
	return many(n, "block")
}
