package diagnosis

import "time"

// Facts are what is known about a node and, if one was asked for, a feed. The
// JSON names are a promise.
type Facts struct {
	At       time.Time `json:"at"` // when they were gathered
	Node     Node      `json:"node"`
	Networks []Network `json:"networks"` // that of the node first, that of the LAN last
	Feed     *Feed     `json:"feed,omitempty"`
}

// Node is what is known about the node itself.
type Node struct {
	ID      string  `json:"id"`
	Command string  `json:"command,omitempty"` // what runs it, such as "seed"; empty: it was started to find out
	PID     int     `json:"pid,omitempty"`
	Seconds float64 `json:"seconds"` // since its start

	Listen   []string `json:"listen"`             // multiaddrs
	Addrs    []string `json:"addrs"`              // multiaddrs that others are told
	Loopback bool     `json:"loopback,omitempty"` // sends nothing off the machine
	Server   bool     `json:"server,omitempty"`   // others rely on it, as on a bootstrap node

	// Reachability is "Public", "Private" or "Unknown" (AutoNAT v1); with
	// Assumed it is what the node took for granted at its start.
	Reachability string `json:"reachability"`
	Assumed      bool   `json:"assumed,omitempty"`
	// Addresses that others could dial, could not, and did not try yet (AutoNAT v2).
	Reachable   []string `json:"reachable,omitempty"`
	Unreachable []string `json:"unreachable,omitempty"`
	Unchecked   []string `json:"unchecked,omitempty"`
	// NAT kinds: "unknown", "none", "endpoint-independent", "endpoint-dependent".
	NATTCP string `json:"natTCP"`
	NATUDP string `json:"natUDP"`

	PortMap PortMap  `json:"portMap"`
	Relays  []string `json:"relays,omitempty"` // peer IDs of those that keep a reservation

	Connections int    `json:"connections"`
	MDNS        bool   `json:"mdns,omitempty"`      // looks for peers in the LAN
	MDNSError   string `json:"mdnsError,omitempty"` // why it cannot
	LAN         int    `json:"lan,omitempty"`       // peers found there
}

// PortMap is how it stands with UPnP and NAT-PMP.
type PortMap struct {
	Wanted bool     `json:"wanted"`           // routers are asked
	Router bool     `json:"router,omitempty"` // one answered
	Mapped []string `json:"mapped,omitempty"` // multiaddrs outside
}

// Network is one DHT.
type Network struct {
	Name      string      `json:"name"` // "amino", NAME, "lan", or "own routing" of an application
	Protocol  string      `json:"protocol,omitempty"`
	Server    bool        `json:"server,omitempty"` // this node answers others
	Peers     int         `json:"peers"`            // nodes in the routing table
	Addrs     int         `json:"addrs"`            // addresses this node can announce there
	Bootstrap []Bootstrap `json:"bootstrap,omitempty"`
}

// LAN is the Name of the network of the nodes found by mDNS.
const LAN = "lan"

// Bootstrap is one configured bootstrap peer.
type Bootstrap struct {
	ID        string   `json:"id"`
	Addrs     []string `json:"addrs,omitempty"`
	Connected bool     `json:"connected"`
	Serves    bool     `json:"serves"`             // it is a node of the network
	Networks  []string `json:"networks,omitempty"` // whose node it says it is, when connected
	Tried     bool     `json:"tried,omitempty"`
	Trouble   string   `json:"trouble,omitempty"` // kind of Error, see Peer
	Error     string   `json:"error,omitempty"`
}

// Feed is what is known about one feed.
type Feed struct {
	Key          string `json:"key"`
	DiscoveryKey string `json:"discoveryKey"`
	Name         string `json:"name,omitempty"` // FEED as the user knows it
	// Arg is Name as it stands in a command line that the user can copy: quoted, with the
	// flags that lead to it. Empty: as Name.
	Arg string `json:"-"`
	// Held: a node that goes on running has it open. Without, this node looks
	// for others and is gone afterwards.
	Held bool `json:"held"`
	// Elsewhere: another node of this home has it open, and readers may come to that one.
	Elsewhere bool `json:"elsewhere,omitempty"`

	Here     bool   `json:"here"` // there is a directory with it, or this node keeps it
	Writable bool   `json:"writable,omitempty"`
	Static   bool   `json:"static,omitempty"`
	Length   uint64 `json:"length"`          // blocks known to exist
	Blocks   uint64 `json:"blocks"`          // of those, how many are here
	Error    string `json:"error,omitempty"` // why it takes nothing, such as a fork or a full disk
	// Guarded: Error only keeps this node from appending, as the feed was restored from
	// a backup, copied, or written elsewhere. What peers have is taken.
	Guarded bool `json:"guarded,omitempty"`

	Announce  bool           `json:"announce"` // others are told that this node has it
	Announced []Announcement `json:"announced,omitempty"`

	Seeking bool `json:"seeking,omitempty"` // something waits for what others have
	Lookup  bool `json:"lookup"`            // others are looked for
	Looks   int  `json:"looks"`
	Found   int  `json:"found"`          // peers found by the last look
	Bare    int  `json:"bare,omitempty"` // of which nobody knows an address, in addition

	Peers []Peer `json:"peers,omitempty"`

	Missing uint64 `json:"missing"`           // wanted blocks that are not here
	Nowhere uint64 `json:"nowhere,omitempty"` // of those, at nobody who is connected and has said what it has
	Ranges  []Span `json:"ranges,omitempty"`  // the first of those
	Unknown uint64 `json:"unknown,omitempty"` // of those, not asked about yet
}

// Span is a range of blocks, End not included.
type Span struct {
	Start uint64 `json:"start"`
	End   uint64 `json:"end"`
}

// Announcement is how it stands with the announcement on one network.
type Announcement struct {
	Network string    `json:"network"`
	Nodes   int       `json:"nodes"` // that were sent it last
	Until   time.Time `json:"until"` // when it runs out, if it is not sent again
	// Asked is how many nodes were asked whether they have it, Confirmed how
	// many do; 0, 0: none was asked.
	Asked     int    `json:"asked,omitempty"`
	Confirmed int    `json:"confirmed,omitempty"`
	Error     string `json:"error,omitempty"` // of sending
}

// Ways in which a peer is known.
const (
	HowFixed    = "fixed"    // --peer
	HowMDNS     = "mdns"     // in the LAN
	HowDHT      = "dht"      // it announced the feed
	HowIncoming = "incoming" // it came by itself
	HowTCP      = "tcp"      // --tcp, without libp2p
)

// Kinds of trouble with a peer: what can be done differs by kind.
const (
	Refused     = "refused"
	Timeout     = "timeout"
	NoRoute     = "no-route"
	NoAddress   = "no-address"
	Identity    = "identity"
	Reservation = "reservation"
	RelayFull   = "relay-full"
	Forbidden   = "forbidden"
	NoProtocol  = "no-protocol"
	Fault       = "fault"
	UnknownFeed = "unknown-feed"
	Ended       = "ended"
	Other       = "other"
)

// Peer is one that may have the feed.
type Peer struct {
	ID    string   `json:"id"` // peer ID, or HOST:PORT of one without libp2p
	How   string   `json:"how"`
	Found []string `json:"found,omitempty"` // multiaddrs it was found at

	Connected bool   `json:"connected"`
	Addr      string `json:"addr,omitempty"` // of the connection
	Inbound   bool   `json:"inbound,omitempty"`
	Relayed   bool   `json:"relayed,omitempty"`
	Limited   bool   `json:"limited,omitempty"` // by a relay that carries little
	// Punched: a direct connection came of a hole punch. PunchError: why the
	// last one did not work, PunchAttempts how often it was tried.
	Punched       bool   `json:"punched,omitempty"`
	Punching      bool   `json:"punching,omitempty"`
	PunchAttempts int    `json:"punchAttempts,omitempty"`
	PunchError    string `json:"punchError,omitempty"`

	Protocol string  `json:"protocol,omitempty"` // of the replication stream; empty: there is none
	Seconds  float64 `json:"seconds,omitempty"`  // age of the stream
	Offered  bool    `json:"offered,omitempty"`  // this node has opened the feed on it
	Asked    bool    `json:"asked,omitempty"`    // the peer has
	Accepted bool    `json:"accepted,omitempty"` // both have proven that they know the key
	Known    bool    `json:"known,omitempty"`    // it has said what it has
	Blocks   uint64  `json:"blocks,omitempty"`   // that it has
	Length   uint64  `json:"length,omitempty"`   // index after its highest block

	Dialing bool      `json:"dialing,omitempty"`
	Fails   int       `json:"fails,omitempty"` // attempts in a row
	Next    time.Time `json:"next,omitzero"`   // of the next one
	Trouble string    `json:"trouble,omitempty"`
	Error   string    `json:"error,omitempty"`
	Refused bool      `json:"refused,omitempty"` // it did wrong and is not welcome for a while
}
