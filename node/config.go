package node

import (
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/routing"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/go-hypercore/hypercore/discovery"
	"github.com/go-hypercore/hypercore/feed"
)

// Toggle is a choice that the node makes unless told.
type Toggle int

// Values of a Toggle.
const (
	Auto Toggle = iota // what the documentation of the field says
	On
	Off
)

// Config describes a node. The zero value is a node with a new identity on
// the public Amino DHT that keeps nothing on disk.
type Config struct {
	// Dir holds the identity, the listening port and the state of discovery, and what
	// is known of the feeds that are written here: see the package comment. It is not
	// to be copied, nor to be restored from a backup that is older than the feeds.
	// It is made when missing and locked while the node runs. Empty: nothing
	// is kept.
	Dir string
	// Identity is the node's key; nil: the one in Dir, made if there is none.
	Identity crypto.PrivKey
	// Listen are the addresses to listen on; nil: all interfaces, TCP and
	// WebSocket on one port, QUIC, WebTransport and WebRTC on the UDP port of
	// the same number, which is remembered in Dir. When all of them are
	// loopback addresses the node sends no packet off the machine. An empty
	// list that is not nil: the node only dials.
	Listen []ma.Multiaddr
	// Network, Bootstrap: see discovery.Config.
	Network   string
	Bootstrap []peer.AddrInfo
	// Peers are always kept connected and offered every feed shared. Node.AddPeer
	// adds more.
	Peers []peer.AddrInfo
	// MDNS finds peers in the local network. Auto: unless the node is
	// loopback-only, the machine has a public IPv4 address, or Host is given.
	MDNS Toggle
	// PortMap asks the router for a port mapping (UPnP, NAT-PMP). Auto: unless
	// the node is loopback-only or the machine has a public IPv4 address.
	PortMap Toggle
	// Server makes this a node that others rely on, such as a bootstrap
	// node: a DHT server and a relay that believes itself reachable.
	Server bool
	// Relay bounds what is relayed for others by a Server.
	Relay RelayLimits
	// MaxConns bounds connections; 0: from the memory of the machine.
	MaxConns int
	// Memory bounds what all replication streams together keep, in bytes, as
	// they are counted by the engine (protocol.Memory); 0: an eighth of the
	// machine's memory, from 128 MiB to 4 GiB. What one stream keeps is bounded by
	// protocol.MaxStreamMemory besides.
	Memory int64
	// Kin tells, on streams of npm hypercore (protocol.V6, over libp2p and TCP),
	// whether who has proven that it knows the key of the feed first may have other
	// as well: such a stream proves nothing else. Nil: it may not, one stream is for
	// one feed. It must not block, nor call into the Node.
	Kin func(first, other feed.DiscoveryKey) bool
	// Rules say who is blocked and who is allowed, see Node.SetRules.
	Rules []Rule
	// Lot is where the feeds that Open opens park, so that thousands of them do not
	// need thousands of open files: see feed.Options.Lot. Several nodes may share
	// one. Nil: one of the node's own, in which feed.DefaultOpenFeeds feeds have
	// their files open; a node with fewer keeps all of them, and their locks.
	Lot *feed.Lot
	// Host and Routing mount the node on a libp2p host and a DHT (or any
	// other content routing) of the application, which are not closed. A host
	// has room for one node at a time: ErrHostInUse. The
	// fields above then only matter as far as the node would have used them
	// for discovery: Dir, Network, Bootstrap, Peers, MDNS, Server.
	Host    host.Host
	Routing routing.ContentRouting
	// Registerer is given the metrics of libp2p; nil: none are kept.
	Registerer prometheus.Registerer
	// UserAgent is what identify tells others; empty: "hypercore".
	UserAgent string
}

// RelayLimits bounds one relayed connection. Zero values are the defaults of
// libp2p: 128 KiB each way and two minutes, enough to arrange a direct
// connection and no more.
type RelayLimits struct {
	Off       bool          // relay nothing
	Unlimited bool          // Data and Time do not matter
	Data      int64         // bytes each way
	Time      time.Duration // of a connection
}

// Errors of this package. Those of feeds, streams and discovery come through
// unchanged.
var (
	// ErrClosed is returned by every call after Close.
	ErrClosed = errors.New("node: closed")
	// ErrDirInUse tells that another node runs on Config.Dir.
	ErrDirInUse = errors.New("node: directory is used by another node")
	// ErrHostInUse tells that another node, or something else that handles its
	// protocols, is on Config.Host.
	ErrHostInUse = errors.New("node: host is used by another node")
	// ErrLoopback tells that a loopback-only node was asked to leave the machine.
	ErrLoopback = errors.New("node: listens on loopback only and sends nothing off this machine")
	// ErrNotOpen tells that a feed is not open in this node.
	ErrNotOpen = errors.New("node: feed is not open here")
	// ErrNoStream tells that no replication stream with a peer is open.
	ErrNoStream = errors.New("node: no stream with the peer")
	// ErrIdentity tells that the stored identity cannot be read.
	ErrIdentity = errors.New("node: identity not usable")
)

// check refuses what cannot work.
func (c Config) check() error {
	if err := discovery.CheckNetwork(c.Network); err != nil {
		return err
	}
	if c.Routing != nil && c.Host == nil {
		return errors.New("node: Config.Routing needs Config.Host")
	}
	for _, list := range [][]peer.AddrInfo{c.Bootstrap, c.Peers} {
		for _, info := range list {
			if err := info.ID.Validate(); err != nil {
				return fmt.Errorf("node: peer %v: %w", info, err)
			}
		}
	}
	if c.Relay.Data < 0 || c.Relay.Time < 0 || c.MaxConns < 0 || c.Memory < 0 {
		return errors.New("node: negative limit")
	}
	return nil
}

// loopbackOnly tells whether every address is one of this machine alone.
func loopbackOnly(as []ma.Multiaddr) bool {
	for _, a := range as {
		if !manet.IsIPLoopback(a) {
			return false
		}
	}
	return len(as) > 0
}

// wide tells whether the network reaches over the internet. One that is
// entered through private addresses is taken for one without a NAT in it,
// where every node may serve.
func (c Config) wide() bool {
	switch c.Network {
	case "", discovery.NetworkAmino:
		return true
	}
	for _, info := range c.Bootstrap {
		for _, a := range info.Addrs {
			if _, err := manet.ToIP(a); err != nil || !isPrivate(a) && !manet.IsIPLoopback(a) {
				return true // a public address, or a name
			}
		}
	}
	return false
}

// onlyLoopback keeps the loopback addresses of peers, dropping those that
// have none.
func onlyLoopback(in []peer.AddrInfo) []peer.AddrInfo {
	var out []peer.AddrInfo
	for _, info := range in {
		if as := ma.FilterAddrs(info.Addrs, manet.IsIPLoopback); len(as) > 0 {
			out = append(out, peer.AddrInfo{ID: info.ID, Addrs: as})
		}
	}
	return out
}

// ParsePeers reads multiaddresses that end in /p2p/ID, those of one peer
// together.
func ParsePeers(addrs ...string) ([]peer.AddrInfo, error) {
	as := make([]ma.Multiaddr, 0, len(addrs))
	for _, s := range addrs {
		a, err := ma.NewMultiaddr(s)
		if err != nil {
			return nil, fmt.Errorf("node: address %q: %w", s, err)
		}
		if _, err := a.ValueForProtocol(ma.P_P2P); err != nil {
			return nil, fmt.Errorf("node: address %q lacks /p2p/ID", s)
		}
		as = append(as, a)
	}
	infos, err := peer.AddrInfosFromP2pAddrs(as...)
	if err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	return infos, nil
}
