package node

import (
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	ma "github.com/multiformats/go-multiaddr"
)

// Anybody can announce any addresses, hundreds of them, and have whoever looks for the
// topic dial a third party. A host has a handful of transports at each of its addresses.
const (
	// maxFound of the addresses of a peer that was found are tried, maxPerHost of those
	// at one IP address or name: TCP, WebSocket, QUIC, WebTransport and WebRTC, with and
	// without TLS or a certificate of before.
	maxFound   = 32
	maxPerHost = 8
)

// worthTrying returns the first addresses of a peer, as many as may be tried.
func worthTrying(addrs []ma.Multiaddr) []ma.Multiaddr { return upTo(maxFound, addrs) }

// upTo returns the first n addresses, maxPerHost of each host.
func upTo(n int, addrs []ma.Multiaddr) []ma.Multiaddr {
	if len(addrs) <= maxPerHost {
		return addrs
	}
	var out []ma.Multiaddr
	at := map[string]int{}
	for _, a := range addrs {
		first, _ := ma.SplitFirst(a)
		if len(out) == n || first == nil || ma.Contains(out, a) {
			continue
		}
		host := first.String()
		if isRelayed(a) {
			host += " relayed"
		}
		if at[host]++; at[host] <= maxPerHost {
			out = append(out, a)
		}
	}
	return out
}

// forgetMany leaves maxPerHost addresses of each host of a peer in the peerstore: the DHT
// puts there all that records have, and a dial tries all that are there. How many hosts
// there are does not count, or records made up for a peer would push out its own.
func forgetMany(ps peerstore.Peerstore, id peer.ID) {
	all := ps.Addrs(id)
	worth := upTo(len(all), all)
	if len(worth) == len(all) {
		return
	}
	rest := slices.DeleteFunc(slices.Clone(all), func(a ma.Multiaddr) bool { return ma.Contains(worth, a) })
	ps.SetAddrs(id, rest, 0)
}
