package discovery

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	ds "github.com/ipfs/go-datastore"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/routing"
)

// Names of the networks that are not one's own.
const (
	NetworkAmino = "amino" // the public DHT of IPFS, the default
	NetworkNone  = "none"  // no DHT but that of the local network
)

// ServiceMDNS is the name under which peers look for each other by multicast
// DNS (RFC 6762, RFC 6763).
const ServiceMDNS = "_hypercore-p2p._udp"

// Errors of this package.
var (
	// ErrClosed is returned by every call after Close.
	ErrClosed = errors.New("discovery: closed")
	// ErrNetworkName tells that Config.Network is not a usable name.
	ErrNetworkName = errors.New("discovery: a network name has 1 to 40 characters a-z 0-9 . _ -, begins with a letter or digit, and is not \"lan\"")
)

// Config says which network to join. The zero value joins the public Amino
// DHT as a client and keeps its state in memory.
type Config struct {
	// Network is "amino" (also when empty), "none", or the name of a network
	// of one's own: 1 to 40 characters a-z 0-9 . _ -.
	Network string
	// Bootstrap are the peers through which the network is entered. Without
	// any, Amino uses its public ones unless Local is set; a network of one's
	// own is then only entered through peers met otherwise.
	Bootstrap []peer.AddrInfo
	// Server makes this host a DHT server whatever is known about its
	// reachability, as a bootstrap node is. On a network of one's own every
	// host serves that does not know to be behind a NAT; on Amino none does.
	Server bool
	// MDNS looks for peers in the local network and joins them to a DHT of
	// their own.
	MDNS bool
	// Local tells that the host listens on loopback only: it then never uses
	// public bootstrap peers nor MDNS, and announces loopback addresses.
	Local bool
	// Store keeps announced keys, provider records held for others and peers
	// known from the last run. Nil keeps them in memory. It is not closed.
	Store ds.Batching
	// Routing replaces the overlay of Network by one of the application: an
	// own DHT or any other content routing. It is not closed.
	Routing routing.ContentRouting
	// OnLAN is told each peer found by MDNS, from a goroutine of its own and
	// repeatedly. May be nil.
	OnLAN func(peer.AddrInfo)
}

var networkName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,39}$`)

// CheckNetwork returns ErrNetworkName unless name can be used as
// Config.Network.
func CheckNetwork(name string) error {
	if name == "" || networkName.MatchString(name) && name != "lan" {
		return nil
	}
	return fmt.Errorf("%w: %q", ErrNetworkName, name)
}

// prefix returns the prefix of the DHT protocol of a network; kad-dht adds
// "/kad/1.0.0".
func prefix(network string) protocol.ID {
	if network == NetworkAmino {
		return "/ipfs"
	}
	return protocol.ID("/hypercore/" + network)
}

// networkOf returns the name of the network whose DHT a protocol is; false
// for other protocols and for the DHT of a LAN.
func networkOf(p protocol.ID) (name string, ok bool) {
	switch name, isDHT := strings.CutSuffix(string(p), "/kad/1.0.0"); {
	case !isDHT:
		return "", false
	case name == "/ipfs":
		return NetworkAmino, true
	default:
		name, ok = strings.CutPrefix(name, "/hypercore/")
		return name, ok && networkName.MatchString(name) && name != "lan"
	}
}

// lanPrefix is prefix for the overlay of the local network.
func lanPrefix(network string) protocol.ID {
	if network == NetworkAmino || network == NetworkNone {
		return "/hypercore/lan"
	}
	return protocol.ID("/hypercore/" + network + "/lan")
}

// Provider records. Amino's own values are conventions of that network. On
// networks of our own records live shorter, so that fewer of them name peers
// that vanished.
const (
	aminoValidity  = 48 * time.Hour
	aminoReprovide = 22 * time.Hour
)

// Constant; variables so that tests need not live through a day.
var (
	ownValidity  = 24 * time.Hour
	ownReprovide = 10 * time.Hour
)
