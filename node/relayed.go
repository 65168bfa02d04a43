package node

import (
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
)

const (
	// relayWorth is what a relay must carry each way for blocks to be fetched
	// through it. libp2p's relays carry 128 KiB: that is for arranging a direct
	// connection, and a block or two.
	relayWorth = 1 << 20
	// punchRetry is how long a stream stays on a poor relay until another hole
	// punch is tried, doubling up to 32 times; such relays cut it off after two
	// minutes anyway. A relay that carries more is left after richRetry: what
	// is under way then is lost, and the first attempts last up to 3
	// times punchTimeout.
	punchRetry = 10 * time.Second
	richRetry  = 15 * time.Second
)

// poor tells whether a connection goes through a relay that carries less than
// relayWorth.
func poor(c network.Conn) bool {
	st := c.Stat()
	if !st.Limited {
		return false
	}
	data, ok := st.Extra[client.StatLimitData].(uint64)
	return !ok || data > 0 && data < relayWorth
}

// repunchAfter is how long a stream stays on the relay of a connection before
// another hole punch is tried, after so many that failed.
func repunchAfter(c network.Conn, punches int) time.Duration {
	if poor(c) {
		return punchRetry << min(punches, 5)
	}
	return richRetry << min(punches, 5)
}
