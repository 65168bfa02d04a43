package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/spf13/cobra"

	"github.com/go-hypercore/hypercore/discovery"
	"github.com/go-hypercore/hypercore/node"
)

// networkEnv names the environment variable with the default network.
const networkEnv = "HYPERCORE_NETWORK"

// netFlags are NET: which network, which addresses.
type netFlags struct {
	listen, bootstrap, peers []string
	network                  string
	mdns                     bool
	tcpListen                string
	together                 bool
	tcp                      []string
}

// register adds the flags of every command that runs a node.
func (n *netFlags) register(c *cobra.Command) {
	f := c.Flags()
	f.StringArrayVar(&n.listen, "listen", nil, "multiaddr to listen on; repeat for more (default: all interfaces)")
	f.StringVar(&n.network, "network", defaultNetwork(), "amino (the public DHT), a NAME of your own, or none")
	f.StringArrayVar(&n.bootstrap, "bootstrap", nil, "multiaddr with /p2p/ID of a node of the network; repeat for more")
	f.StringArrayVar(&n.peers, "peer", nil, "multiaddr with /p2p/ID of a node to connect to; repeat for more")
	f.BoolVar(&n.mdns, "mdns", true, "look for nodes in the LAN")
}

// registerTCP adds the flags for peers without libp2p.
func (n *netFlags) registerTCP(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&n.tcpListen, "tcp-listen", "", "HOST:PORT to accept JavaScript peers on, without libp2p")
	f.StringArrayVar(&n.tcp, "tcp", nil, "HOST:PORT of a JavaScript peer to connect to; repeat for more")
}

func defaultNetwork() string {
	if n := os.Getenv(networkEnv); n != "" {
		return n
	}
	return discovery.NetworkAmino
}

// given tells whether the command line has a flag of NET.
func (n *netFlags) given(c *cobra.Command) bool {
	for _, name := range []string{"listen", "network", "bootstrap", "peer", "mdns", "tcp-listen", "tcp"} {
		if c.Flags().Changed(name) {
			return true
		}
	}
	return false
}

// config turns the flags into the configuration of a node.
func (n *netFlags) config(c *cobra.Command) (node.Config, error) {
	var cfg node.Config
	if n.network == "" { // mostly a variable that is not set: the public DHT is not what is meant
		return cfg, usagef("--network is empty; name amino, a network of your own, or none")
	}
	if err := discovery.CheckNetwork(n.network); err != nil {
		return cfg, usagef("--network %s: %v", n.network, message(err))
	}
	cfg.Network = n.network
	for _, s := range split(n.listen) {
		a, err := ma.NewMultiaddr(s)
		if err != nil {
			return cfg, usagef("--listen %s: %v; it looks like /ip4/0.0.0.0/tcp/4001 or /ip4/0.0.0.0/udp/4001/quic-v1", s, err)
		}
		cfg.Listen = append(cfg.Listen, a)
	}
	var err error
	if cfg.Bootstrap, err = addrInfos("--bootstrap", n.bootstrap); err != nil {
		return cfg, err
	}
	if cfg.Peers, err = addrInfos("--peer", n.peers); err != nil {
		return cfg, err
	}
	if n.network == discovery.NetworkNone && len(cfg.Bootstrap) > 0 {
		return cfg, usagef("--bootstrap leads into a network, and --network is none; name the network, or use --peer to connect to a node without one")
	}
	if n.tcpListen != "" {
		if err := checkHostPort(n.tcpListen); err != nil {
			return cfg, usagef("--tcp-listen %s: %v; it looks like 0.0.0.0:3282, or :3282", n.tcpListen, err)
		}
	}
	for _, s := range split(n.tcp) {
		if err := checkHostPort(s); err != nil {
			return cfg, usagef("--tcp %s: %v; it looks like 203.0.113.5:3282", s, err)
		}
	}
	if c.Flags().Changed("mdns") {
		cfg.MDNS = node.Off
		if n.mdns {
			cfg.MDNS = node.On
		}
	}
	return cfg, nil
}

// checkHostPort checks HOST:PORT without asking anybody for the host.
func checkHostPort(s string) error {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		var ae *net.AddrError
		if errors.As(err, &ae) {
			return errors.New(ae.Err)
		}
		return err
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q is not a port", port)
	}
	return nil
}

// split allows several values in one flag, separated by commas.
func split(in []string) (out []string) {
	for _, s := range in {
		for _, v := range strings.Split(s, ",") {
			if v = strings.TrimSpace(v); v != "" {
				out = append(out, v)
			}
		}
	}
	return out
}

// addrInfos parses multiaddrs that end in /p2p/ID, several of one peer too.
func addrInfos(flag string, in []string) ([]peer.AddrInfo, error) {
	var addrs []ma.Multiaddr
	for _, s := range split(in) {
		a, err := ma.NewMultiaddr(s)
		if err == nil {
			if _, id := peer.SplitAddr(a); id == "" {
				err = fmt.Errorf("it does not say which node it is: /p2p/ID is missing at the end")
			}
		}
		if err != nil {
			return nil, usagef("%s %s: %v; it looks like /ip4/203.0.113.5/tcp/4001/p2p/12D3Koo...", flag, s, err)
		}
		addrs = append(addrs, a)
	}
	if len(addrs) == 0 {
		return nil, nil
	}
	out, err := peer.AddrInfosFromP2pAddrs(addrs...)
	if err != nil {
		return nil, usagef("%s: %v", flag, err)
	}
	return out, nil
}

// again is NET as it must be given to another command to meet this node.
func (n *netFlags) again() (args []string) {
	if n.network != discovery.NetworkAmino {
		args = append(args, "--network", n.network)
	}
	for _, s := range split(n.bootstrap) {
		args = append(args, "--bootstrap", s)
	}
	return args
}
