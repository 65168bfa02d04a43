package node

import (
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	ma "github.com/multiformats/go-multiaddr"
)

// KeepNew is the tie-break rule.
var KeepNew = keepNew

const ContestWindow = contestWindow

// TroubleOf is the kind of an error.
var TroubleOf = troubleOf

// Sighting is what one peer saw, as multiaddresses.
type Sighting struct {
	Local, Observer, External string
	Closed                    bool
}

type conn bool

func (c conn) IsClosed() bool { return bool(c) }

// KindOf tells the kind of NAT from what peers saw, in this order, of a node
// that listens on port.
func KindOf(udp bool, port uint16, seen ...Sighting) NATKind {
	var s netState
	for _, o := range seen {
		s.sight(conn(false), ma.StringCast(o.Local), ma.StringCast(o.Observer), ma.StringCast(o.External))
		if o.Closed && len(s.seen) > 0 {
			s.seen[len(s.seen)-1].conn = conn(true)
		}
	}
	return s.kind(udp, map[uint16]bool{port: true})
}

// Punched is what is known of a peer after events of the hole punching service.
func Punched(id peer.ID, events ...*holepunch.Event) Punch {
	var p punches
	for _, e := range events {
		p.Trace(e)
	}
	return p.of(id)
}

// UnreadStreams is of how many streams a connection of Muxer keeps account.
func UnreadStreams(c network.MuxedConn) int {
	u := c.(*muxConn).u
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.streams)
}

// Service names the scope of replication streams.
const Service = service

// Offences are what one peer did wrong.
type Offences struct{ o offences }

// Note counts one now, and returns for how long the peer is refused.
func (o *Offences) Note(why error) time.Duration { return o.o.note(time.Now(), why) }

// Over tells whether they are forgotten.
func (o *Offences) Over() bool { return o.o.over(time.Now()) }
