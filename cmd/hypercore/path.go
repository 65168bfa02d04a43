package main

import "time"

// pathEvery is how often a clone looks how its peers are reached.
const pathEvery = time.Second

// path is how the peers of a clone are reached, as far as it was told.
type path struct {
	looked  time.Time
	relayed bool // only through a relay
}

// sayPath says when every peer is reached only through a relay, which is slower
// and may be narrow, and when one no longer is.
func (cl *cloning) sayPath(now time.Time) error {
	if now.Sub(cl.path.looked) < pathEvery {
		return nil
	}
	cl.path.looked = now
	relayed, direct := false, false
	for _, p := range cl.join.Status().Peers {
		if p.Stream {
			relayed = relayed || p.Relayed
			direct = direct || !p.Relayed
		}
	}
	switch {
	case relayed && !direct && !cl.path.relayed:
		cl.path.relayed = true
		return cl.tell("relayed", "reached through a relay; a direct connection is tried")
	case direct && cl.path.relayed:
		cl.path.relayed = false
		return cl.tell("direct", "connected directly now")
	}
	return nil
}

// tell says something about the clone, or emits it as an event of that name.
func (cl *cloning) tell(name, text string) error {
	if cl.a.json {
		return cl.a.emit(event{Event: name, Key: cl.o.key.String(), Text: text})
	}
	cl.a.say("%s", text)
	return nil
}
