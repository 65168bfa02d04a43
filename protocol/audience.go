package protocol

import "slices"

// Blocks are announced when they are durable. How long the feed may wait with
// that depends on whether somebody waits for it.

// listen tells the feed, when that has changed. length is the feed's. mu held.
func (sw *swarm) listen(length uint64) {
	total := max(sw.known.Load(), length)
	v := slices.ContainsFunc(sw.channels, func(c *channel) bool { return sw.waits(c, total) })
	if v != sw.audience {
		sw.audience = v
		sw.f.SetAudience(v)
	}
}

// waits reports whether a remote waits to hear of blocks, of which there are
// total: it has asked, and lacks some; or its stream ends when all is stored, and
// the last blocks have come. mu held.
func (sw *swarm) waits(c *channel, total uint64) bool {
	if c.s.o.Ends && c.begun && c.peer != nil && !c.sentInfo && sw.f.NextMissing(0) >= total {
		return true
	}
	if !c.wanted.Load() || !sw.uploads(c.s) {
		return false
	}
	return c.peer == nil || c.peer.Count(0, total) < total
}

// ending reports whether a stream may end when something was stored. mu held.
func (sw *swarm) ending() bool {
	return slices.ContainsFunc(sw.channels, func(c *channel) bool { return c.s.o.Ends && !c.sentInfo })
}
