package node

import (
	"context"
	"net"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/protocol"
)

// KeepNew is the tie-break rule.
var KeepNew = keepNew

const (
	ContestWindow = contestWindow
	PunchRetry    = punchRetry
)

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

// TCPSlots are the connections of a TCP listener.
type TCPSlots struct{ t tcpSlots }

// Serve is what a listener does with a connection, without a node; done tells how
// the stream ended, and is nil when there was no room.
func (l *TCPSlots) Serve(e *protocol.Engine, c net.Conn) (done chan error) {
	slot := l.t.enter(c)
	if slot == nil {
		return nil
	}
	s := e.NewStream(c, protocol.StreamOptions{Dialect: protocol.V6, Plain: true})
	stop := l.t.begin(slot, s)
	done = make(chan error, 1)
	go func() {
		done <- s.Run(context.Background())
		stop()
		l.t.leave(slot)
	}()
	return done
}

const (
	MaxTCP      = maxTCP
	MaxTCPPerIP = maxTCPPerIP
	TCPNameless = tcpNameless
)

// Service names the scope of replication streams.
const Service = service

// Offences are what one peer did wrong.
type Offences struct{ o offences }

// Note counts one now, and returns for how long the peer is refused.
func (o *Offences) Note(why error) time.Duration { return o.o.note(time.Now(), why) }

// Over tells whether they are forgotten.
func (o *Offences) Over() bool { return o.o.over(time.Now()) }

// Offenders are the peers with offences.
type Offenders = offenders

// NoteOffence counts an offence now.
func NoteOffence(m Offenders, id peer.ID, why error) { m.note(id, time.Now(), why) }

// MaxOffenders are remembered.
const MaxOffenders = maxOffenders

// Remembered is how many peers a node knows something of, besides offences.
func Remembered(n *Node) int {
	n.peers.mu.Lock()
	defer n.peers.mu.Unlock()
	return len(n.peers.m)
}

// Proven is how many connected peers have proven that they have the feed of a join.
func Proven(j *Join) int {
	has, _, _ := j.t.counts()
	return has
}

// PunchAddrs is what a peer is told to punch a hole to, of what libp2p knows of a host
// that listens on some addresses, and what others saw of it.
func PunchAddrs(known, listen []string, seen ...Sighting) (out []string) {
	var s netState
	for _, o := range seen {
		s.sight(conn(o.Closed), ma.StringCast(o.Local), ma.StringCast(o.Observer), ma.StringCast(o.External))
	}
	return texts(completed(multiaddrs(known), multiaddrs(listen), s.seen))
}

func multiaddrs(texts []string) (out []ma.Multiaddr) {
	for _, t := range texts {
		out = append(out, ma.StringCast(t))
	}
	return out
}

// MaxLinks bounds the connections that a node makes for a topic.
const MaxLinks = maxLinks

// Met and Lost tell the topic of a join that a peer is connected, or no longer.
func Met(j *Join, id peer.ID)  { j.t.up(id, proven) }
func Lost(j *Join, id peer.ID) { j.t.down(id) }

// MaxAddrs of a peer are remembered.
const MaxAddrs = maxAddrs

// Tried finds a peer that has failed at addresses, one find after the other, and tells
// after which it is tried at once.
func Tried(n *Node, finds ...[]ma.Multiaddr) (at []bool) {
	st := &peerState{wake: make(chan struct{}, 1)}
	for _, addrs := range finds {
		st.fails, st.next = 9, time.Now().Add(time.Hour)
		n.peers.mu.Lock()
		n.peers.refresh(st, addrs)
		n.peers.mu.Unlock()
		at = append(at, st.fails == 0)
	}
	return at
}

// Found and FoundLAN tell a node of a peer found under a topic, or in the local network.
func Found(n *Node, dk feed.DiscoveryKey, info peer.AddrInfo) { n.peers.found(dk, info) }
func FoundLAN(n *Node, info peer.AddrInfo)                    { n.peers.foundLAN(info) }

// MaxLAN peers of the local network are wanted.
const MaxLAN = maxLAN

// Resources is the resource manager of a node.
func Resources(c Config) (network.ResourceManager, error) { return c.resources(protocolIDs()) }
