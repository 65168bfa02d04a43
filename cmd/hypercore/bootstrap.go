package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/go-hypercore/hypercore/discovery"
	"github.com/go-hypercore/hypercore/node"
)

const bootstrapHelp = `
Run a server of a network of your own: it keeps the announcements of the DHT and helps
nodes behind NATs to reach each other. Others join through its address, so run it where
it can be reached, and keep its home: its identity is part of the address. One is enough
to begin with; three keep a network alive when one is down.

Its multiaddrs are written to stdout, one per line; then it serves until Ctrl-C. Without
--listen it listens on TCP and UDP port 49737, so that they stay the same.

  hypercore bootstrap --network mynet
  hypercore bootstrap --network mynet --listen /ip4/0.0.0.0/tcp/4001

Nodes behind NATs meet on it as a relay and then connect directly. Where that cannot work
(both behind a router that uses a new port for each destination) the relay is all they
have. Each relayed connection carries --relay-data bytes each way and lasts --relay-time;
by default that is enough to arrange a direct connection and no more. --relay-unlimited
lets them replicate through this server, whose traffic that is.

--json: one event per line: {"event":"listening", id, network, addrs}`

// bootstrapPort is where a bootstrap node listens when nothing is said: the
// address others have must survive a restart.
const bootstrapPort = "49737"

func newBootstrap(a *app) *cobra.Command {
	var nf netFlags
	var rf relayFlags
	cmd := &cobra.Command{
		Use:   "bootstrap [NET]",
		Short: "Run a DHT server for a network of your own",
		Long:  text(bootstrapHelp),
		RunE: func(c *cobra.Command, _ []string) error {
			if nf.network == discovery.NetworkAmino || nf.network == discovery.NetworkNone {
				return usagef("a bootstrap node serves a network of your own; name it with --network NAME")
			}
			if !c.Flags().Changed("listen") {
				nf.listen = []string{
					"/ip4/0.0.0.0/tcp/" + bootstrapPort, "/ip4/0.0.0.0/udp/" + bootstrapPort + "/quic-v1",
					"/ip6/::/tcp/" + bootstrapPort, "/ip6/::/udp/" + bootstrapPort + "/quic-v1",
				}
			}
			cfg, err := nf.config(c)
			if err != nil {
				return err
			}
			cfg.Server = true
			if cfg.Relay, err = rf.limits(c); err != nil {
				return err
			}
			n, err := a.startNode(c.Context(), roleBootstrap, c.Name(), cfg, &nf)
			if err != nil {
				return err
			}
			if err := a.listening(n, true); err != nil {
				n.Close()
				return err
			}
			if addrs := n.addrs(); len(addrs) > 0 {
				a.say("a network is served; other nodes join it with\n  --network %s --bootstrap %s", nf.network, best(addrs))
			}
			<-c.Context().Done()
			return n.Close()
		},
	}
	nf.register(cmd)
	rf.register(cmd)
	return cmd
}

// relayFlags say what is relayed for others.
type relayFlags struct {
	unlimited bool
	data      size
	time      time.Duration
}

func (r *relayFlags) register(c *cobra.Command) {
	r.data, r.time = 128<<10, 2*time.Minute // what node.RelayLimits has by default
	f := c.Flags()
	f.BoolVar(&r.unlimited, "relay-unlimited", false, "relay without limits")
	f.Var(&r.data, "relay-data", "bytes each way of a relayed connection, such as 64MiB")
	f.DurationVar(&r.time, "relay-time", r.time, "how long a relayed connection lasts")
}

func (r *relayFlags) limits(c *cobra.Command) (node.RelayLimits, error) {
	if r.unlimited && (c.Flags().Changed("relay-data") || c.Flags().Changed("relay-time")) {
		return node.RelayLimits{}, usagef("--relay-unlimited leaves no room for --relay-data or --relay-time")
	}
	if r.data < 1 || r.time <= 0 {
		return node.RelayLimits{}, usagef("--relay-data and --relay-time: a relay that carries nothing helps nobody")
	}
	return node.RelayLimits{Unlimited: r.unlimited, Data: int64(r.data), Time: r.time}, nil
}

// event is a line of --json of the commands that run a node. Which fields
// there are depends on Event; the help texts tell.
type event struct {
	Event        string   `json:"event"`
	ID           string   `json:"id,omitempty"`
	Network      string   `json:"network,omitempty"`
	Addrs        []string `json:"addrs,omitempty"`
	Key          string   `json:"key,omitempty"`
	DiscoveryKey string   `json:"discoveryKey,omitempty"`
	Directory    string   `json:"directory,omitempty"`
	Length       *uint64  `json:"length,omitempty"`
	Blocks       *uint64  `json:"blocks,omitempty"`
	Bytes        *uint64  `json:"bytes,omitempty"`
	Received     *uint64  `json:"received,omitempty"`
	Sent         *uint64  `json:"sent,omitempty"`
	Peers        *int     `json:"peers,omitempty"`
	Seconds      *float64 `json:"seconds,omitempty"`
	Text         string   `json:"text,omitempty"`
	Do           string   `json:"do,omitempty"`
}

// listening tells where a node listens: as data if that is what the command is for.
func (a *app) listening(n *running, data bool) error {
	addrs := n.addrs()
	if a.json {
		return a.emit(event{Event: "listening", ID: n.ID().String(), Network: n.flags.network, Addrs: addrs})
	}
	for _, s := range addrs {
		if data {
			if err := a.print("%s", s); err != nil {
				return err
			}
		} else {
			a.say("listening on %s", s)
		}
	}
	return nil
}
