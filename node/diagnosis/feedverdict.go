package diagnosis

import "fmt"

// feedVerdict is about a feed: can it be fetched, or is it served.
func feedVerdict(f Facts) Step {
	x := f.Feed
	peers := x.serving()
	switch {
	case x.Guarded && x.Seeking: // what it takes to append again is at peers
	case x.Guarded:
		return Step{State: Bad, Text: "the feed cannot be appended to: " + x.Error, Do: x.errorDo()}
	case x.Error != "":
		return Step{State: Bad, Text: "the feed takes nothing: " + x.Error, Do: x.errorDo()}
	case x.Writable && !x.Held && !x.Elsewhere:
		return unserved(x, len(peers))
	case x.gives():
		return givesVerdict(f, len(peers))
	}
	if len(peers) > 0 {
		return takesVerdict(f, peers)
	}
	return noPeers(f)
}

// unserved is about a feed of one's own that no node serves.
func unserved(x *Feed, peers int) Step {
	s := Step{State: Bad, Text: "this feed is yours and no node of this home serves it: readers find nobody", Do: "hypercore seed " + x.arg()}
	if peers > 0 {
		s.State, s.Text = Note, fmt.Sprintf("this feed is yours and no node of this home serves it; %s has a copy that readers can get", many(peers, "peer"))
	}
	return s
}

// givesVerdict is about a node that serves the whole feed.
func givesVerdict(f Facts, peers int) Step {
	n := f.Node
	why, hidden := unfound(f)
	switch {
	case peers > 0 && hidden && why.State == Bad:
		why.Text = "it is served to " + many(peers, "peer") + " now, but new " + why.Text
		return why
	case peers > 0:
		return Step{State: OK, Text: "healthy: it is served to " + many(peers, "peer") + " now"}
	case hidden:
		return why
	case n.hidden():
		return Step{State: Bad, Text: "readers find it, but cannot reach this node: it is behind a NAT, and no relay keeps a place for it", Do: "forward a port of the router to this machine, or run hypercore bootstrap on a machine with a public address: it relays"}
	case n.shut() && n.symmetric():
		return Step{State: Note, Text: "readers find it; those behind a NAT like this one, which takes another port for each peer, reach it only through a relay", Do: relayDo(Node{})}
	}
	return Step{State: OK, Text: "healthy: it is announced, and served to whoever asks; nobody is connected now"}
}

// unfound says why readers do not find a feed that is served; false when they do. What was
// announced once helps nobody when the network is gone.
func unfound(f Facts) (Step, bool) {
	a, told := announcedStep(f), f.Feed.told() > 0
	s, out := entry(f)
	switch {
	case told && a.State == Bad:
		return Step{State: Bad, Text: "readers cannot find it: no node of the network has the announcement any more", Do: a.Do}, true
	case out && told && s.State == Bad:
		s.Text = "readers cannot find it: it was announced, and now " + s.Text
		return s, true
	case out && told:
		return s, true
	case out:
		s.Text = "readers cannot find it: " + s.Text
		if f.alone() {
			s.State, s.Do = Note, aloneDo
		}
		return s, true
	case !told && a.State == Wait:
		return Step{State: Wait, Text: "it is being announced"}, true
	case !told:
		return Step{State: Bad, Text: "readers cannot find it: it is announced " + a.Text, Do: a.Do}, true
	}
	for _, n := range f.Networks { // one of several is enough for some
		if n.Name == LAN || n.Peers > 0 {
			continue
		}
		if s := bootstrapStep(f, n); s.State == Bad {
			return Step{State: Note, Text: "readers in the local network find it, others do not: " + notReached(n, s), Do: s.Do}, true
		}
	}
	return Step{}, false
}

// takesVerdict is about a reader with peers.
func takesVerdict(f Facts, peers []Peer) Step {
	x := f.Feed
	limited, relayed, known := 0, 0, 0
	for _, p := range peers {
		if p.Limited {
			limited++
		}
		if p.Relayed {
			relayed++
		}
		if p.Known {
			known++
		}
	}
	has := many(len(peers), "peer") + " serves it"
	if len(peers) > 1 {
		has = many(len(peers), "peer") + " serve it"
	}
	switch {
	case limited == len(peers) && punching(peers):
		return Step{State: Wait, Text: fmt.Sprintf("%s reached through a relay that carries little; a hole punch is under way", many(limited, "peer")), Do: "ask again in a moment"}
	case limited == len(peers) && (x.Missing > 0 || !x.Here):
		return Step{State: Bad, Text: fmt.Sprintf("%s reached only through a relay that carries little: no hole punch got through", many(limited, "peer")), Do: relayDo(f.Node)}
	case known == 0:
		return Step{State: Wait, Text: fmt.Sprintf("%s connected, none has said yet what it has", many(len(peers), "peer")), Do: "ask again in a moment"}
	case x.Nowhere > 0:
		return Step{State: Bad, Text: nowhere(x, len(peers)), Do: nowhereDo}
	case relayed == len(peers):
		return Step{State: Note, Text: has + ", through a relay: slower than a direct way", Do: relayDo(f.Node)}
	case !x.Here:
		return Step{State: OK, Text: "healthy: " + has}
	case x.Missing > 0:
		return Step{State: OK, Text: fmt.Sprintf("healthy: %s; %s still missing", has, many(x.Missing, "block"))}
	}
	return Step{State: OK, Text: "healthy: " + has + ", and all that is wanted is here"}
}

// punching tells whether the first hole punch with one of the relayed peers is
// still to be awaited; those after it rarely do better.
func punching(peers []Peer) bool {
	for _, p := range peers {
		if p.PunchError == "" && (p.Punching || p.PunchAttempts == 0 && p.Seconds < answerPatience) {
			return true
		}
	}
	return false
}

// noPeers is about a reader whom nobody serves.
func noPeers(f Facts) Step {
	x := f.Feed
	var silent, waiting, failed []Peer
	for _, p := range x.Peers {
		switch s := peerStep(f, p); {
		case s.State == Wait:
			waiting = append(waiting, p)
		case p.Connected && p.Protocol != "", p.Trouble == UnknownFeed:
			silent = append(silent, p)
		default:
			failed = append(failed, p)
		}
	}
	switch {
	case len(waiting) > 0:
		return Step{State: Wait, Text: many(len(x.Peers), "peer") + " found, " + many(len(waiting), "attempt") + " under way", Do: "ask again in a moment"}
	case len(silent) > 0:
		return Step{State: Bad, Text: many(len(silent), "peer") + " connected, but none opens this feed: it is not there, or the key is another one", Do: "start hypercore seed there with this feed, and compare the keys"}
	case len(failed) > 0:
		return unreachable(f, failed)
	case x.Bare > 0:
		return Step{State: Bad, Text: many(x.Bare, "provider") + " found, whose address nobody knows", Do: "it was there not long ago; name it with --peer if you know where it is"}
	}
	if s, ok := entry(f); ok {
		return s
	}
	if x.Looks == 0 {
		return Step{State: Wait, Text: "nobody was looked for yet", Do: "ask again in a moment"}
	}
	return Step{State: Bad, Text: fmt.Sprintf("nobody announces this feed on %s (%s)", networks(f), many(x.Looks, "look")),
		Do: "is hypercore seed running where the feed is, with the same --network, and did it say announced? Is this the public key?"}
}

// unreachable is about providers that were found and not reached.
func unreachable(f Facts, peers []Peer) Step {
	counts := map[string]int{}
	best := peers[0]
	for _, p := range peers {
		k := peerTrouble(p)
		if counts[k]++; counts[k] > counts[peerTrouble(best)] {
			best = p
		}
	}
	text := many(len(peers), "provider") + " found, "
	switch len(peers) {
	case 1:
		text += "unreachable: "
	case 2:
		text += "both unreachable: "
	default:
		text += "all unreachable: "
	}
	return Step{State: Bad, Text: text + peerTrouble(best), Do: peerDo(f, best)}
}

// networks names where was looked.
func networks(f Facts) string {
	out := ""
	for _, n := range f.Networks {
		switch {
		case n.Name == LAN && out == "":
			out = "the local network"
		case n.Name != LAN && out == "":
			out = "network " + n.Name
		}
	}
	if out == "" {
		return "any network"
	}
	return out
}
