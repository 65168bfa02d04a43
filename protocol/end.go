package protocol

import "github.com/go-hypercore/hypercore/protocol/wire"

// How streams that are not live end (hypercore 6): a downloader that has all that
// was announced says so once, Info(uploading, not downloading). An uploader that
// hears it, and never downloaded, answers Info(neither) and closes the channel;
// the other closes on hearing that. Two downloaders close when both have said it.

// endings looks at all channels. mu held.
func (sw *swarm) endings() {
	for _, c := range sw.channels {
		if c.s.o.Ends && c.begun && c.peer != nil && !c.sentInfo && sw.complete(c) {
			c.sentInfo = true
			c.send(func(b []byte) []byte { return wire.AppendInfo(b, c.local, wire.Info{Uploading: true}) })
			sw.endIfDone(c)
		}
	}
}

// complete reports whether nothing more is to be had from a remote: its map has
// come, and all that was announced by anyone is here and stored. mu held.
func (sw *swarm) complete(c *channel) bool {
	if !c.haveKnown || c.unwanted > 0 || c.peer.InFlight() > 0 || c.s.remoteLive.Load() {
		return false
	}
	if sw.f.Sparse() {
		return false // as hypercore 6: the application decides
	}
	return sw.f.NextUnshown(0) >= max(sw.known.Load(), sw.f.Len())
}

// onInfo takes what the remote still does.
func (c *channel) onInfo(body []byte) error {
	var m wire.Info
	if err := wire.ParseInfo(body, &m); err != nil {
		return c.s.garbled("info", err)
	}
	if m.Downloading {
		return nil
	}
	if !c.s.o.Ends {
		if c.s.o.Dialect == Native && !m.Uploading {
			c.s.remoteOver(c)
		}
		return nil
	}
	// What the remote asked for before this is answered first.
	return c.s.push(job{c: c, kind: jobInfo})
}

// onTakenBack takes an Info for a channel that is not open here.
func (c *channel) onTakenBack(body []byte) error {
	var m wire.Info
	if err := wire.ParseInfo(body, &m); err != nil {
		return c.s.garbled("info", err)
	}
	if !m.Downloading && !m.Uploading {
		c.s.remoteOver(c)
	}
	return nil
}

// onDone takes the remote's Info in its turn. Serving goroutine.
func (c *channel) onDone() {
	sw := c.sw
	sw.mu.Lock()
	if !c.gotInfo {
		c.gotInfo = true
		if c.peer == nil && !c.sentInfo {
			c.sentInfo = true
			c.send(func(b []byte) []byte { return wire.AppendInfo(b, c.local, wire.Info{}) })
		}
		sw.endIfDone(c)
	}
	sw.mu.Unlock()
	sw.kick()
}

// endIfDone closes a channel when both sides have said that they are done. mu
// held.
func (sw *swarm) endIfDone(c *channel) {
	if c.sentInfo && c.gotInfo {
		sw.ended = append(sw.ended, c) // pump closes it
	}
}
