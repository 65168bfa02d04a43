package diagnosis

import "fmt"

// reachable tells whether others can connect to the node directly.
func (n Node) reachable() bool {
	return len(n.Reachable) > 0 || n.Reachability == "Public" && !n.Assumed
}

// shut tells whether it is known that they cannot.
func (n Node) shut() bool {
	return !n.Loopback && !n.reachable() && (len(n.Unreachable) > 0 || n.Reachability == "Private")
}

// symmetric tells whether hole punching depends on the other side: over no
// transport is there one port for all peers.
func (n Node) symmetric() bool {
	const bad, good = "endpoint-dependent", "endpoint-independent"
	return (n.NATTCP == bad || n.NATUDP == bad) && n.NATTCP != good && n.NATUDP != good
}

// hidden tells whether nobody can get in, not even by a relay.
func (n Node) hidden() bool { return n.shut() && len(n.Relays) == 0 && len(n.PortMap.Mapped) == 0 }

func nodeSteps(n Node) []Step {
	out := []Step{listenStep(n), outsideStep(n)}
	if n.Loopback || n.reachable() {
		return out // the rest is about ways around a NAT
	}
	return append(out, natStep(n), mapStep(n), relayStep(n))
}

func listenStep(n Node) Step {
	s := Step{Name: "listening", State: OK}
	switch {
	case len(n.Listen) == 0:
		s.State, s.Text = Note, "on nothing: this node only calls others"
		s.Do = "leave out --listen, so that others can call it"
	default:
		s.Text = listening(n.Listen)
	}
	return s
}

func outsideStep(n Node) Step {
	s := Step{Name: "outside", State: OK}
	switch {
	case n.Loopback:
		s.State, s.Text = Note, "this node talks to this machine only"
		s.Do = "to meet other machines, leave out --listen or name an address that is not loopback"
	case len(n.Reachable) > 0:
		s.Text = fmt.Sprintf("others can connect to it, at %s (AutoNAT v2)", where(n.Reachable))
	case n.reachable():
		s.Text = "others can connect to it (AutoNAT)"
	case n.Server && n.Assumed && len(n.Unreachable) == 0:
		s.State, s.Text = Wait, "this node takes itself to be reachable, as others rely on it; nobody has tried to connect back yet"
	case len(n.PortMap.Mapped) > 0:
		s.State, s.Text = Wait, "a port is mapped, nobody has tried it yet"
	case len(n.Unreachable) > 0:
		s.State, s.Text = Note, "others cannot connect to it directly (AutoNAT v2): it is behind a NAT or a firewall"
		s.Do = "they come in by a hole punch or a relay; for a direct way, forward a port of the router to this machine"
	case n.shut() && n.Assumed:
		s.State, s.Text = Note, "this machine has no public address, so it is behind a NAT; nobody has tried to connect yet"
		s.Do = "others come in by a hole punch or a relay; for a direct way, forward a port of the router to this machine"
	case n.shut():
		s.State, s.Text = Note, "others cannot connect to it directly (AutoNAT): it is behind a NAT or a firewall"
		s.Do = "they come in by a hole punch or a relay; for a direct way, forward a port of the router to this machine"
	default:
		s.State, s.Text = Wait, "not known: no other node has tried to connect yet"
		s.Do = "ask again in half a minute"
	}
	return s
}

// natTexts say what a kind of NAT means.
var natTexts = map[string]string{
	"none":                 "none",
	"endpoint-independent": "keeps one port for all peers",
	"endpoint-dependent":   "takes another port for each peer (symmetric)",
}

func natStep(n Node) Step {
	s := Step{Name: "nat", State: OK}
	tcp, udp := natTexts[n.NATTCP], natTexts[n.NATUDP]
	switch {
	case tcp == "" && udp == "":
		s.State, s.Text = Wait, "kind not known: it takes two peers at different addresses to tell"
		return s
	case tcp == udp:
		s.Text = tcp
	case tcp == "":
		s.Text = udp + " over QUIC"
	case udp == "":
		s.Text = tcp + " over TCP"
	default:
		s.Text = tcp + " over TCP, " + udp + " over QUIC"
	}
	switch {
	case n.symmetric():
		s.State = Note
		s.Text += ": hole punching works only with peers whose NAT is better"
		s.Do = "forward a port by hand, or use a relay that carries data: hypercore bootstrap --relay-unlimited on a public machine"
	case s.Text != "none":
		s.Text += ": hole punching works"
	}
	return s
}

func mapStep(n Node) Step {
	s := Step{Name: "port map", State: OK}
	switch m := n.PortMap; {
	case len(m.Mapped) > 0:
		s.Text = "the router maps " + where(m.Mapped)
	case !m.Wanted:
		s.State, s.Text = Note, "not asked for"
	case !m.Router && n.Seconds < routerPatience:
		s.State, s.Text = Wait, "routers are being asked"
	case m.Router:
		s.State, s.Text = Note, "the router answers but maps nothing"
		s.Do = "look whether UPnP is allowed there, or forward a port by hand"
	default:
		s.State, s.Text = Note, "no router answers (UPnP, NAT-PMP)"
		s.Do = "switch one of them on in the router, or forward a port by hand"
	}
	return s
}

// routerPatience is how long, in seconds, a router may take to answer.
const routerPatience = 8

func relayStep(n Node) Step {
	s := Step{Name: "relay", State: OK}
	switch {
	case len(n.Relays) > 0:
		s.Text = many(len(n.Relays), "node") + " keep a place for it: " + shorts(n.Relays)
		if len(n.Relays) == 1 {
			s.Text = short(n.Relays[0]) + " keeps a place for it"
		}
	case n.shut():
		s.State, s.Text = Bad, "none: others have no way in, unless a port is mapped"
		s.Do = "a bootstrap node with a public address relays: is one reached?"
	default:
		s.State, s.Text = Wait, "none so far"
	}
	return s
}

// nodeVerdict is about a node without a feed.
func nodeVerdict(f Facts) Step {
	if s, ok := entry(f); ok {
		return s
	}
	n := f.Node
	switch {
	case n.hidden():
		return Step{State: Bad, Text: "the network is reached, but nobody can reach this node: it is behind a NAT, and no relay keeps a place for it", Do: "forward a port of the router to this machine, or run hypercore bootstrap on a machine with a public address: it relays"}
	case n.shut() && n.symmetric():
		return Step{State: Note, Text: "the node works, but its NAT takes another port for each peer: peers behind such a NAT too are reached only through a relay", Do: "forward a port of the router to this machine, or let a bootstrap node relay: hypercore bootstrap --relay-unlimited"}
	case n.shut():
		return Step{State: OK, Text: "healthy: behind a NAT, reached by hole punching or a relay"}
	case n.Loopback:
		return Step{State: OK, Text: "healthy, on this machine alone"}
	case !n.reachable():
		return Step{State: OK, Text: "healthy as far as is known: nobody has tried yet whether it can be reached from outside"}
	}
	return Step{State: OK, Text: "healthy: others can connect to it"}
}
