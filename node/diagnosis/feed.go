package diagnosis

import (
	"cmp"
	"fmt"
	"strings"
)

// arg is the feed in a command line.
func (x *Feed) arg() string { return cmp.Or(x.Arg, x.Name, x.Key) }

// gives tells whether the feed is complete here and others are told: nothing
// is to be fetched, readers are to come.
func (x *Feed) gives() bool {
	return x.Held && x.Announce && !x.Seeking && (x.Writable || x.Missing == 0 && x.Length > 0)
}

// serving are the peers that have the feed open with this node.
func (x *Feed) serving() (out []Peer) {
	for _, p := range x.Peers {
		if p.Accepted {
			out = append(out, p)
		}
	}
	return out
}

func feedSteps(f Facts) []Step {
	x := f.Feed
	out := []Step{hereStep(x)}
	if x.Held {
		out = append(out, announcedStep(f))
	}
	if x.Lookup {
		out = append(out, providersStep(f))
	}
	for _, p := range x.Peers {
		out = append(out, peerStep(f, p))
	}
	if s, ok := blocksStep(x); ok {
		out = append(out, s)
	}
	return out
}

// hereStep is about what is here of the feed.
func hereStep(x *Feed) Step {
	s := Step{Name: "feed", State: OK}
	switch {
	case x.Guarded && x.Seeking:
		s.State, s.Text = Note, x.Error
		return s
	case x.Error != "":
		s.State, s.Text, s.Do = Bad, x.Error, x.errorDo()
		return s
	case !x.Here:
		s.Text = "not on this machine"
		return s
	case x.Static:
		s.Text = "static: " + many(x.Length, "block")
	case x.Writable:
		s.Text = "yours: " + many(x.Length, "block")
	default:
		s.Text = "a copy: " + many(x.Length, "block")
	}
	if x.Blocks < x.Length {
		s.Text += fmt.Sprintf(", %s of them here", count(x.Blocks))
	}
	switch {
	case x.Held:
	case x.Elsewhere:
		s.Text += "; another node of this home has it"
	default:
		s.State, s.Text = Note, s.Text+"; no node of this home serves it"
		s.Do = "hypercore seed " + x.arg()
	}
	return s
}

// errorDo is what to do about Error.
func (x *Feed) errorDo() string {
	if x.Guarded {
		return "hypercore recover " + x.arg()
	}
	return "hypercore verify " + x.arg() + " says more"
}

// told is how many nodes were told that this one has the feed.
func (x *Feed) told() int {
	n := 0
	for _, a := range x.Announced {
		n += a.Nodes
	}
	return n
}

// aloneDo is how readers get from a node what is announced nowhere.
const aloneDo = "give readers the address of this node: hypercore clone KEY --peer ADDR"

func announcedStep(f Facts) Step {
	x := f.Feed
	s := Step{Name: "announced", State: OK}
	var parts []string
	for _, a := range x.Announced {
		if a.Nodes == 0 {
			continue
		}
		t := fmt.Sprintf("on %s of network %s, valid %s", many(a.Nodes, "node"), a.Network, left(f.At, a.Until))
		if a.Asked > 0 {
			t += fmt.Sprintf("; of %d asked now, %d have it", a.Asked, a.Confirmed)
			if a.Confirmed == 0 {
				s.State = Bad
				s.Do = "the nodes of the network have forgotten it, or were replaced; it is sent again by itself when they are seen, or with the next start of hypercore seed"
			}
		}
		parts = append(parts, t)
	}
	switch {
	case len(parts) > 0:
		s.Text = strings.Join(parts, "; ")
	case !x.Announce:
		s.State, s.Text = Note, "not asked for"
	case f.alone():
		s.State, s.Text, s.Do = Note, "nowhere: network none, and no mDNS", aloneDo
	default:
		s.State, s.Text, s.Do = Bad, "not yet", seeNetworks(f)
		for _, n := range f.Networks {
			switch {
			case n.Name == LAN:
			case n.Peers > 0 && n.Addrs == 0:
				s.Text = "not on " + n.Name + ": this node has no address yet that others could reach"
				s.Do = "see relay and port map"
			case n.Peers > 0:
				s.State, s.Text, s.Do = Wait, "being sent to network "+n.Name, ""
			}
		}
		for _, a := range x.Announced {
			if a.Error != "" {
				s.Text += " (" + a.Error + ")"
			}
		}
	}
	return s
}

func providersStep(f Facts) Step {
	x := f.Feed
	s := Step{Name: "providers", State: OK}
	found := 0
	for _, p := range x.Peers {
		if p.How == HowDHT || p.How == HowMDNS {
			found++
		}
	}
	switch {
	case found > 0:
		s.Text = many(found, "peer") + " found"
		if x.Bare > 0 {
			s.Text += ", and " + count(uint64(x.Bare)) + " whose address nobody knows"
		}
	case x.Bare > 0:
		s.State, s.Text = Bad, many(x.Bare, "peer")+" found, whose address nobody knows"
		s.Do = "it was there not long ago; name it with --peer if you know where it is"
	case f.alone():
		s.State, s.Text, s.Do = Note, "not looked for: network none, and no mDNS", "name a peer with --peer ADDR"
	case x.Looks == 0:
		s.State, s.Text = Wait, "not looked for yet"
		if _, shut := entry(f); shut {
			s.State, s.Text, s.Do = Bad, "there is nobody to ask", seeNetworks(f)
		}
	case x.gives():
		s.State, s.Text = Note, "nobody else announces it"
	default:
		s.State, s.Text = Bad, fmt.Sprintf("nobody announces it (%s)", many(x.Looks, "look"))
		s.Do = "start hypercore seed where the feed is"
	}
	return s
}

// peerStep is about one peer.
func peerStep(f Facts, p Peer) Step {
	s := Step{Name: "peer", State: OK}
	who := short(p.ID)
	if p.How == HowTCP {
		who = p.ID
	}
	var way string
	switch {
	case p.Relayed:
		way = "through " + where([]string{p.Addr})
	case p.Addr != "":
		way = "at " + parse(p.Addr).String()
	case len(p.Found) > 0:
		way = "at " + where(p.Found)
	}
	head := strings.TrimSpace(who + " " + way)
	how := map[string]string{HowFixed: "given", HowMDNS: "found by mDNS", HowDHT: "found by DHT", HowIncoming: "came by itself", HowTCP: "given"}[p.How]
	if how != "" {
		head += ", " + how
	}
	if !p.Connected {
		return unreached(f, p, s, head)
	}
	switch {
	case p.Limited:
		head += ", relayed with narrow limits"
	case p.Relayed:
		head += ", relayed"
	case p.Punched:
		head += ", direct by a hole punch"
	case p.How != HowTCP:
		head += ", direct"
	}
	if p.Relayed {
		s.State = Note
		if p.Limited {
			s.State = Bad
			s.Do = relayDo(f.Node)
		}
		switch {
		case p.Punching && p.PunchError == "":
			head += " (a hole punch is under way)"
		case p.PunchError != "" || p.PunchAttempts > 0:
			head += " (no hole punch got through)"
		}
	}
	if p.Protocol == "" {
		switch {
		case p.Trouble == NoProtocol:
			s.State, s.Text, s.Do = Bad, head+": does not replicate feeds", "it is a node of another program, or of the DHT only"
		case p.Trouble != "":
			s.State, s.Text, s.Do = Bad, head+": no stream: "+troubleText(p.Trouble, p.Error), peerDo(f, p)
		default:
			s.State, s.Text = Wait, head+": connected, no stream yet"
		}
		return s
	}
	head += ", speaks " + p.Protocol
	switch {
	case p.Accepted && p.Known && p.Blocks >= p.Length:
		s.Text = fmt.Sprintf("%s, key accepted, has all %s it knows of", head, many(p.Length, "block"))
	case p.Accepted && p.Known:
		s.Text = fmt.Sprintf("%s, key accepted, has %s of %s", head, count(p.Blocks), many(p.Length, "block"))
	case p.Accepted && f.Feed.Writable:
		s.Text = head + ", key accepted; it reads from here"
	case p.Accepted:
		s.Text = head + ", key accepted; it has not said yet what it has"
		if p.Seconds > answerPatience && s.State == OK {
			s.State = Wait
		}
	case p.Seconds < answerPatience:
		s.State, s.Text = Wait, head+"; asked whether it has the feed"
	default:
		s.State, s.Text = Bad, head+", but does not open this feed: it does not have it, or not its key"
		s.Do = "start hypercore seed there with this feed"
	}
	return s
}

// answerPatience is the age of a stream, in seconds, until which a peer may
// still be about to answer.
const answerPatience = 3

// unreached is the step of a peer without a connection.
func unreached(f Facts, p Peer, s Step, head string) Step {
	switch {
	case p.Refused:
		s.State, s.Text = Bad, head+": it did what no honest peer does, and is not welcome for a while"
		s.Do = "it is tried again by itself"
	case p.Trouble != "":
		s.State, s.Text, s.Do = Bad, head+": "+peerTrouble(p), peerDo(f, p)
		if p.Fails > 1 {
			s.Text += fmt.Sprintf(" (%d attempts)", p.Fails)
		}
	default:
		s.State, s.Text = Wait, head+": being dialled"
	}
	return s
}

// relays tells whether a peer announces a way through a relay.
func (p Peer) relays() bool {
	for _, a := range p.Found {
		if parse(a).relayed {
			return true
		}
	}
	return false
}

// peerTrouble says what is wrong with a peer that is not reached.
func peerTrouble(p Peer) string {
	t := troubleText(p.Trouble, p.Error)
	switch p.Trouble {
	case Timeout, NoRoute, NoAddress:
		if !p.relays() && p.How != HowTCP {
			t += ", and no relay leads to it"
		}
	}
	return t
}

// peerDo says what can be done about a peer that is not reached.
func peerDo(f Facts, p Peer) string {
	switch p.Trouble {
	case Refused:
		if p.How == HowTCP {
			return "is something listening there?"
		}
		return "it was there and is not now: start hypercore seed there again"
	case Timeout, NoAddress:
		if p.relays() {
			return "is it running? hypercore doctor there says whether its relay and its hole punches work"
		}
		return "is it running? If it is behind a NAT, it needs a relay or a mapped port: hypercore doctor there says; or try --peer with an address that works"
	case NoRoute:
		return "is this machine connected, with IPv4 and IPv6 as that address needs?"
	case Identity:
		return "the node that announced this is gone from there; take its new address"
	case Reservation, RelayFull:
		return "it finds another relay by itself within a minute; or try --peer with a direct address"
	case Forbidden:
		if f.Node.Loopback {
			return "this node listens on loopback only, so it calls nobody else: leave out --listen"
		}
		return "private addresses are not dialled from a public machine: try --peer"
	case NoProtocol:
		return "it is a node of another program, or of the DHT only"
	case UnknownFeed:
		return "start hypercore seed there with this feed"
	}
	return "it is tried again by itself; hypercore doctor there may say more"
}

// relayDo says what can be done when all there is is a relay with limits.
func relayDo(n Node) string {
	if n.symmetric() {
		return "this side's NAT takes another port for each peer: forward a port on either side, or run hypercore bootstrap --relay-unlimited on a machine both reach"
	}
	return "forward a port on either side, or run hypercore bootstrap --relay-unlimited on a machine both reach"
}

// blocksStep is about what is missing; false when there is nothing to say.
func blocksStep(x *Feed) (Step, bool) {
	s := Step{Name: "blocks", State: OK}
	peers := len(x.serving())
	switch {
	case x.Length == 0:
		if peers == 0 {
			return s, false
		}
		s.Text = "the feed is empty so far"
	case x.Missing == 0 && x.Blocks == x.Length:
		s.Text = "all are here"
	case x.Missing == 0:
		s.Text = "all that are wanted are here"
	case x.Nowhere > 0:
		s.State = Bad
		s.Text = nowhere(x, peers)
		s.Do = nowhereDo
	case peers == 0:
		s.State, s.Text = Note, many(x.Missing, "block")+" missing"
	case x.Unknown > 0:
		s.State, s.Text = Wait, fmt.Sprintf("%s missing; of %s it is not known yet who has them", many(x.Missing, "block"), count(x.Unknown))
	case !x.Here:
		s.Text = "all of them are at peers that are connected"
	default:
		s.Text = many(x.Missing, "block") + " missing, all of them at peers that are connected"
	}
	return s, true
}

const nowhereDo = "ask the writer, or whoever has the whole feed, to run hypercore seed: what is running now goes on by itself then"

// nowhere says which blocks nobody has.
func nowhere(x *Feed, peers int) string {
	who := fmt.Sprintf("none of the %d peers that are connected has", peers)
	if peers == 1 {
		who = "the only peer that is connected does not have"
	}
	what := spans(x.Ranges, x.Nowhere)
	them, is := "them", "are"
	if x.Nowhere == 1 {
		them, is = "it", "is"
	}
	if !x.Here {
		return fmt.Sprintf("%s %s at nobody: %s %s", what, is, who, them)
	}
	return fmt.Sprintf("%s %s missing, and %s %s", what, is, who, them)
}
