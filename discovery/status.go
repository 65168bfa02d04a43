package discovery

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Status tells how it stands with one topic, in words where that helps.
type Status struct {
	Network  string          // Config.Network
	Overlays []OverlayStatus // that of Network first
	LAN      int             // peers found by mDNS
	LANErr   error           // why there is no mDNS although it was asked for

	Wanted   bool      // somebody searches
	Looking  bool      // a look is under way
	Looks    int       // looks taken
	LastLook time.Time // zero before the first
	NextLook time.Time // zero while looking or when not wanted
	Found    int       // peers found by the last look
	Bare     int       // peers of the last look whose addresses nobody knew

	Announce bool // Announce was called
	// Reasons says, for a person, what keeps the topic from being found or
	// announced; empty when nothing does.
	Reasons []string
}

// OverlayStatus tells how it stands with one DHT.
type OverlayStatus struct {
	Name       string // "amino", NAME, "lan" or "own routing"
	Protocol   string
	Server     bool // this host answers others
	Peers      int  // in the routing table
	Addrs      int  // addresses of this host that it announces here
	Bootstrap  []BootstrapStatus
	Remembered int       // nodes of the last run, through which the network may be entered
	Announced  time.Time // when a record of the topic was last sent
	Holders    int       // servers it was sent to then
	Expires    time.Time // when that record runs out
	Sent       uint64    // records of all topics sent
	SendErrors uint64
	LastErr    error // of sending a record
}

// Status describes t on every overlay.
func (d *Discovery) Status(t Topic) Status {
	s := Status{Network: d.cfg.Network}
	d.mu.Lock()
	if e := d.topics[t]; e != nil {
		l := e.look
		s.Wanted, s.Looking, s.Looks, s.LastLook = len(e.searches) > 0, l.running, l.took, l.last
		s.Found, s.Bare, s.Announce = l.found, l.bare, e.announce
		if l.index >= 0 {
			s.NextLook = l.next
		}
	}
	d.mu.Unlock()
	if d.lan != nil {
		s.LAN = d.lan.count()
		d.lan.mu.Lock()
		s.LANErr = d.lan.err
		d.lan.mu.Unlock()
	}
	for _, o := range d.overlays {
		s.Overlays = append(s.Overlays, o.status(t))
	}
	s.Reasons = s.reasons(d.cfg.Local)
	return s
}

func (o *overlay) status(t Topic) OverlayStatus {
	s := OverlayStatus{Name: o.name, Protocol: string(o.proto), Bootstrap: o.boot.status(), Remembered: o.boot.remembered(), Addrs: len(o.addrs())}
	for _, p := range o.d.host.Mux().Protocols() {
		s.Server = s.Server || o.proto != "" && p == o.proto
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	s.Peers = o.peers
	s.Sent, s.SendErrors, s.LastErr = o.sends.sent, o.sends.failed, o.sends.lastErr
	if r := o.records[t]; r != nil && !r.last.IsZero() {
		s.Announced, s.Holders = r.last, len(r.holders)
		s.Expires = r.last.Add(ownValidity)
		if o.name == NetworkAmino || !o.ours {
			s.Expires = r.last.Add(aminoValidity)
		}
	}
	return s
}

// reasons explains what is missing.
func (s Status) reasons(local bool) (out []string) {
	if len(s.Overlays) == 0 {
		return []string{"network \"none\" without mDNS: only fixed peers are used"}
	}
	if s.LANErr != nil {
		out = append(out, fmt.Sprintf("no mDNS: %v", s.LANErr))
	}
	for _, o := range s.Overlays {
		switch {
		case o.Name == "lan":
			if s.LAN == 0 && s.LANErr == nil && len(s.Overlays) == 1 {
				out = append(out, "nobody found in the local network yet")
			}
		case o.Peers > 0:
			if s.Announce && o.Addrs == 0 {
				out = append(out, "not announced on "+o.Name+": no address yet that others could reach (waiting for a port mapping or a relay)")
			}
		case len(o.Bootstrap) == 0 && local && o.Name == NetworkAmino:
			out = append(out, "this node listens on loopback only and does not use the public network: name a network and a bootstrap peer on this machine")
		case len(o.Bootstrap) == 0:
			out = append(out, "network "+o.Name+" has no bootstrap peer: give one, or a peer of the network")
		default:
			out = append(out, o.unreachable()...)
		}
	}
	if s.Wanted && s.Looks > 0 && s.Found == 0 {
		switch {
		case s.Bare > 0:
			out = append(out, fmt.Sprintf("%d providers found, but nobody knows their addresses", s.Bare))
		case len(out) == 0:
			out = append(out, fmt.Sprintf("nobody announces the topic (%d looks)", s.Looks))
		}
	}
	return out
}

// unreachable says why no bootstrap peer serves.
func (o OverlayStatus) unreachable() (out []string) {
	for _, b := range o.Bootstrap {
		switch {
		case b.Connected && len(b.Networks) > 0 && !b.Serves:
			out = append(out, fmt.Sprintf("bootstrap peer %s serves network %s, not %s", short(b.ID), strings.Join(b.Networks, ", "), o.Name))
		case b.Connected:
			out = append(out, fmt.Sprintf("bootstrap peer %s is connected but does not serve network %s (%s): is the network's name right?", short(b.ID), o.Name, o.Protocol))
		case b.Err != nil:
			out = append(out, fmt.Sprintf("bootstrap peer %s not reached: %s", short(b.ID), firstLine(b.Err)))
		default:
			out = append(out, fmt.Sprintf("bootstrap peer %s not reached yet", short(b.ID)))
		}
	}
	return out
}

// short is the ID of a peer as people tell them apart: most begin alike.
func short(p peer.ID) string {
	s := p.String()
	if len(s) <= 12 {
		return s
	}
	return s[:4] + "…" + s[len(s)-8:]
}

// firstLine shortens an error: those of dials list every address on lines of
// their own.
func firstLine(err error) string {
	head, rest, _ := strings.Cut(err.Error(), "\n")
	if line, _, _ := strings.Cut(strings.TrimSpace(rest), "\n"); line != "" {
		return head + " " + strings.TrimPrefix(line, "* ")
	}
	return head
}

// Holders asks the servers responsible for t which of them hold a record of
// provider p, and returns how many do of how many that answered, on the
// network of Config.Network. It asks about twenty servers.
func (d *Discovery) Holders(ctx context.Context, t Topic, p peer.ID) (holders, asked int, err error) {
	if len(d.overlays) == 0 || d.overlays[0].kad == nil {
		return 0, 0, nil
	}
	return d.overlays[0].holders(ctx, t, p)
}
