package protocol

import (
	"context"
	"errors"
	"time"

	"github.com/go-hypercore/hypercore/feed"
)

// A proof that leaves out what we hold does not add up either if the sender has
// another history, signed by the same writer: a fork, which is the writer's fault
// and not the sender's. So before a native remote is blamed it is asked once more,
// for the hash of the same block with a proof that leaves nothing out. If that
// shows the other history the feed keeps the evidence and freezes; anything else
// ends the stream.

// probe is a second look at an invalid proof.
type probe struct {
	index uint64
	err   error // what to blame the remote for
	at    time.Duration
}

// suspect begins a probe. In V6 the remote keeps what digests have claimed, and
// would answer the same: it is blamed at once.
func (sw *swarm) suspect(c *channel, index uint64, blame error) error {
	sw.mu.Lock()
	if c.s.o.Dialect == V6 || c.peer == nil || c.probe != nil {
		sw.mu.Unlock()
		return blame
	}
	now := sw.now()
	c.probe = &probe{index: index, err: blame, at: now}
	c.specials = append(c.specials, special{index: index, at: now})
	sw.mu.Unlock()
	sw.say(&ask{c: c, hash: true, index: index})
	sw.kick()
	return nil
}

// probed handles what comes while a probe is under way; done is false if none is.
// Blocks are given back: they may come with the wrong history.
func (sw *swarm) probed(ctx context.Context, c *channel, proofs []feed.Proof) (done bool, err error) {
	sw.mu.Lock()
	p := c.probe
	sw.mu.Unlock()
	if p == nil {
		return false, nil
	}
	for i := range proofs {
		if proofs[i].Value == nil && proofs[i].Index == p.index {
			if _, err := sw.f.Apply(ctx, proofs[i:i+1]); errors.Is(err, feed.ErrFork) || errors.Is(err, feed.ErrFrozen) {
				sw.halt()
				return true, nil
			}
			return true, p.err
		}
	}
	keep, err := sw.arrived(c, proofs)
	if err == nil {
		sw.release(keep)
	}
	return true, err
}

// halt asks for nothing more: the feed is frozen. What is here is still served.
func (sw *swarm) halt() {
	sw.mu.Lock()
	sw.halted = true
	for _, c := range sw.channels {
		c.probe = nil
	}
	sw.mu.Unlock()
	sw.kick()
}

// verdict is why the stream of a channel that was found bad ends.
func (c *channel) verdict() error {
	c.sw.mu.Lock()
	defer c.sw.mu.Unlock()
	if c.probe != nil {
		return c.probe.err
	}
	return c.s.blame("request", ErrSilent)
}
