package main

import "github.com/go-hypercore/hypercore/node/control"

// topics are help pages without a command.
var topics = []struct{ name, short, text string }{
	{"feeds", "What FEED can be, and where feeds live", feedsHelp},
	{"network", "What NET can be: which network, which addresses", networkHelp},
	{"exit-codes", "What the exit codes mean", exitCodesHelp},
}

const feedsHelp = control.Refers + `

The home is --home, $HYPERCORE_HOME, or the user's data directory. In it:

  feeds/NAME/   a feed: the files data, tree, signatures, bitfield, key, secret_key,
                readable by the hypercore package of npm (versions 6 to 9), and journal;
                fork is the evidence of a second history, if there is one
  feeds/KEY/    a feed that was cloned without naming a directory
  nodes/N/      identity and state of a node; several may run at once
  visits/N/     the same of nodes that end with their command, such as doctor
  identity      the name of this home as a writer of feeds
  announced/    how much of each feed of yours others may have seen

secret_key is what makes a feed yours: whoever has a copy can write to the feed, and
two machines that both write break it for good. Back it up, do not share it. A feed that
was restored from a backup, or copied here from another machine, alone or with its whole
home, refuses to append until hypercore recover has fetched what others have of it. (A
snapshot of the whole disk looks as if nothing had happened: run recover yourself.)

A feed is used by one process at a time. While a node seeds or clones it, append,
cat, get, info and verify go through that node, so they work as if nothing ran.`

const networkHelp = `Which nodes can find each other:

  --network amino    the public DHT of IPFS, the default: works without any
                     infrastructure of your own
  --network NAME     a network of your own; all its nodes use the same NAME and know at
                     least one address of it (--bootstrap). Start one with
                     hypercore bootstrap --network NAME
  --network none     no DHT: only the LAN (mDNS) and fixed peers
  $HYPERCORE_NETWORK sets the default

  --bootstrap ADDR   multiaddr of a node of the network, with /p2p/ID; repeat for more
  --peer ADDR        multiaddr of a node to connect to directly, found or not; repeat
  --listen ADDR      multiaddr to listen on; repeat. Default: TCP, QUIC, WebTransport
                     and WebRTC on all interfaces. A node that listens on loopback only
                     (--listen /ip4/127.0.0.1/tcp/0) sends nothing off the machine: no
                     public bootstrap, no mDNS, no port mapping
  --mdns=false       do not look for nodes in the LAN

For JavaScript peers without libp2p, plain TCP with the protocol of hypercore 6 and 7:

  --tcp-listen HOST:PORT   accept such peers
  --tcp HOST:PORT          connect to one; repeat`
