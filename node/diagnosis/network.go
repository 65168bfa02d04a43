package diagnosis

import (
	"fmt"
	"strings"
)

// networkSteps are about one DHT.
func networkSteps(f Facts, n Network) []Step {
	if n.Name == LAN {
		return nil // see lanSteps
	}
	return []Step{bootstrapStep(f, n), dhtStep(f, n)}
}

// text is a trouble for a person; err where the kind says nothing.
func troubleText(trouble, err string) string {
	switch trouble {
	case Refused:
		return "connection refused"
	case Timeout:
		return "no answer"
	case NoRoute:
		return "no route to it"
	case NoAddress:
		return "none of its addresses can be dialled from here"
	case Identity:
		return "another node answers at its address"
	case Reservation:
		return "its relay does not know it any more"
	case RelayFull:
		return "its relay takes no more connections"
	case Forbidden:
		return "this node may not dial its addresses"
	case NoProtocol:
		return "it does not replicate feeds"
	case Fault:
		return "it broke the protocol"
	case UnknownFeed:
		return "it does not have this feed"
	case Ended:
		return "the connection ended"
	}
	line, _, _ := strings.Cut(err, "\n")
	return line
}

// bootstrapStep is about the nodes through which a network is entered.
func bootstrapStep(f Facts, n Network) Step {
	s := Step{Name: "bootstrap", State: OK}
	var down, wrong []Bootstrap
	serving := 0
	for _, b := range n.Bootstrap {
		switch {
		case b.Serves:
			serving++
		case b.Connected:
			wrong = append(wrong, b)
		case b.Error != "":
			down = append(down, b)
		}
	}
	switch {
	case len(n.Bootstrap) == 0 && f.Node.Server:
		s.Text = "others enter the network through this node"
	case len(n.Bootstrap) == 0 && n.Peers > 0:
		s.Text = "none is configured; the network was entered through other nodes"
	case len(n.Bootstrap) == 0 && f.Node.Loopback && n.Name == "amino":
		s.State, s.Text = Bad, "a node that listens on loopback only does not use the public network"
		s.Do = "name a network and a node of it on this machine: --network NAME --bootstrap ADDR"
	case len(n.Bootstrap) == 0:
		s.State, s.Text = Bad, "network "+n.Name+" has no bootstrap node: nothing leads into it"
		s.Do = "give one with --bootstrap ADDR (hypercore bootstrap --network " + n.Name + " prints it)"
	case serving == len(n.Bootstrap):
		s.Text = many(serving, "node") + " reached"
	case serving > 0:
		s.State, s.Text = Note, fmt.Sprintf("%d of %d reached", serving, len(n.Bootstrap))
		if n.Name == "amino" {
			s.State = OK // a few are enough
		}
	case len(wrong) > 0 && len(wrong[0].Networks) > 0:
		names := strings.Join(wrong[0].Networks, ", ")
		s.State, s.Text = Bad, fmt.Sprintf("%s serves network %s, not %s", at(wrong[0]), names, n.Name)
		s.Do = "give the name it was started with: --network " + wrong[0].Networks[0]
	case len(wrong) > 0 && f.Node.Seconds < identifyPatience:
		s.State, s.Text = Wait, at(wrong[0])+" has not said yet what it serves"
	case len(wrong) > 0:
		s.State, s.Text = Bad, at(wrong[0])+" answers, but it serves no network"
		s.Do = "name a node that hypercore bootstrap runs"
	case len(down) > 0:
		s.State, s.Text = Bad, fmt.Sprintf("%s: %s", at(down[0]), troubleText(down[0].Trouble, down[0].Error))
		if len(n.Bootstrap) > 1 {
			s.Text = fmt.Sprintf("none of %d is reached; %s: %s", len(n.Bootstrap), at(down[0]), troubleText(down[0].Trouble, down[0].Error))
		}
		s.Do = bootstrapDo(down[0], n.Name)
	default:
		s.State, s.Text = Wait, "not reached yet"
	}
	return s
}

// identifyPatience is how long after the start of a node, in seconds, a peer
// that is connected may still be about to say what it serves.
const identifyPatience = 3

// at names a bootstrap node by where it is.
func at(b Bootstrap) string {
	if w := where(b.Addrs); w != "" {
		return w
	}
	return short(b.ID)
}

func bootstrapDo(b Bootstrap, network string) string {
	switch b.Trouble {
	case Refused:
		return "is hypercore bootstrap --network " + network + " running there, on this port?"
	case Identity:
		return "take the address that hypercore bootstrap prints now: its identity has changed"
	case NoRoute:
		return "is this machine connected?"
	case Forbidden:
		return "a node on loopback reaches nothing else: leave out --listen"
	}
	return "is it running, is the address right, does a firewall let it through?"
}

func dhtStep(f Facts, n Network) Step {
	s := Step{Name: "dht", State: OK}
	switch {
	case n.Peers > 0:
		s.Text = fmt.Sprintf("%s of network %s to ask", many(n.Peers, "node"), n.Name)
		if n.Server {
			s.Text += "; this one answers others, too"
		}
	case f.Node.Server && len(n.Bootstrap) == 0:
		s.State, s.Text = Note, "nobody has joined network "+n.Name+" yet"
	default:
		s.State, s.Text = Bad, "no node of network "+n.Name+" to ask"
		s.Do = "see bootstrap"
	}
	return s
}

func lanSteps(f Facts) []Step {
	s := Step{Name: "lan", State: OK}
	switch n := f.Node; {
	case n.MDNSError != "":
		s.State, s.Text = Note, "no mDNS: "+n.MDNSError
		s.Do = "use --peer to name a node in the LAN"
	case !n.MDNS:
		return nil
	case n.LAN == 0:
		s.State, s.Text = Note, "nobody found by mDNS"
	default:
		s.Text = many(n.LAN, "node") + " found by mDNS"
	}
	return []Step{s}
}

// alone tells whether a node is in no network by its own choice: there is nobody to ask or
// tell about a feed, and others must be given its address.
func (f Facts) alone() bool {
	for _, n := range f.Networks {
		if n.Name != LAN {
			return false
		}
	}
	return !f.Node.MDNS
}

// seeNetworks names the steps that say why there is nobody to ask.
func seeNetworks(f Facts) string {
	for _, n := range f.Networks {
		if n.Name != LAN {
			return "see bootstrap and dht"
		}
	}
	return "see lan"
}

// notReached says of a network, whose bootstrapStep is s, that nobody of it is there.
func notReached(n Network, s Step) string {
	if len(n.Bootstrap) == 0 {
		return s.Text
	}
	return "network " + n.Name + " is not reached: bootstrap node " + s.Text
}

// entry tells what keeps a node out of its network; false when nothing does.
func entry(f Facts) (Step, bool) {
	if f.Node.Server && f.Feed == nil {
		return Step{}, false // others come to it
	}
	main := -1
	for i, n := range f.Networks {
		if n.Peers > 0 {
			return Step{}, false // at least one of them
		}
		if n.Name != LAN {
			main = i
		}
	}
	if main >= 0 {
		s := bootstrapStep(f, f.Networks[main])
		switch s.State {
		case OK, Note:
			s.State, s.Text, s.Do = Wait, "the bootstrap node is reached; no node of the network to ask yet", "ask again in a moment"
		case Wait:
			s.Text = "the bootstrap node: " + s.Text
		default:
			s.Text = notReached(f.Networks[main], s)
		}
		return s, true
	}
	if f.alone() {
		return Step{State: Bad, Text: "nobody is looked for: network none, and no mDNS", Do: "name a peer with --peer ADDR, or a network with --network NAME --bootstrap ADDR"}, true
	}
	return Step{State: Bad, Text: "nobody is found in the local network, and there is no other one", Do: "start the other side in this LAN, name a peer with --peer ADDR, or a network with --network NAME --bootstrap ADDR"}, true
}
