package node

import (
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
func worthTrying(addrs []ma.Multiaddr) []ma.Multiaddr {
	if len(addrs) <= maxPerHost {
		return addrs
	}
	var out []ma.Multiaddr
	at := map[string]int{}
	for _, a := range addrs {
		first, _ := ma.SplitFirst(a)
		if len(out) == maxFound || first == nil || ma.Contains(out, a) {
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
