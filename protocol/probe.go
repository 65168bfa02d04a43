package protocol

import (
	"context"
	"errors"
	"time"

	"github.com/go-hypercore/hypercore/feed"
)

// A proof may not add up although its sender is honest. It leaves out what we are
// believed to hold: if the sender has another history, signed by the same writer,
// that is the fault of the writer; and if it counts on nodes that it has sent and
// we did not need to keep then, its book-keeping is stale. So before a native
// remote is blamed it is asked once more, for the hash of the same block with a
// proof that leaves nothing out:
//
//   - it shows another signed history: the feed keeps the evidence and freezes;
//   - the block that came is right with that proof: the channel is opened anew, so
//     that the remote forgets what it believed, a limited number of times;
//   - the proof could not be looked at, because our disk fails: nobody is blamed,
//     and the feed pauses as after any error of ours;
//   - anything else, or nothing: the remote is blamed.

// probe is a second look at an invalid proof.
type probe struct {
	index uint64
	value []byte // the block that came, nil if none
	err   error  // what to blame the remote for
	at    time.Duration

	counted int // bytes of value that the stream's memory counts
}

// suspect begins a probe. In V6 the remote keeps what digests have claimed, and
// would answer the same: it is blamed at once.
func (sw *swarm) suspect(c *channel, p *feed.Proof, blame error) error {
	index := p.Index
	sw.mu.Lock()
	if c.s.o.Dialect == V6 || c.peer == nil || c.probe != nil {
		sw.mu.Unlock()
		return blame
	}
	now := sw.now()
	c.probe = &probe{index: index, err: blame, at: now}
	if p.Value != nil && p.Sizes == nil {
		if c.s.mem.take(len(p.Value)) == nil { // else the channel is opened anew if the hash is right
			c.probe.value, c.probe.counted = append([]byte{}, p.Value...), len(p.Value)
		}
	}
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
			return true, sw.settle(ctx, c, p, proofs[i])
		}
	}
	keep, err := sw.arrived(c, proofs)
	if err == nil {
		sw.release(keep)
	}
	return true, err
}

// settle decides after the answer to a probe.
func (sw *swarm) settle(ctx context.Context, c *channel, p *probe, answer feed.Proof) error {
	_, err := sw.f.Apply(ctx, []feed.Proof{answer})
	if err == nil && p.value != nil && len(answer.Nodes) > 0 {
		again := feed.Proof{Index: p.index, Value: p.value, Nodes: answer.Nodes[1:], Signature: answer.Signature}
		_, err = sw.f.Apply(ctx, []feed.Proof{again})
	}
	switch {
	case errors.Is(err, feed.ErrFork), errors.Is(err, feed.ErrFrozen):
		sw.halt()
		return nil
	case errors.Is(err, feed.ErrInvalidProof):
		return p.err
	case err == nil, errors.Is(err, feed.ErrUnlinked):
		if c.s.resets.Add(1) > maxResets {
			return p.err
		}
		sw.reopen(c)
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	sw.failed(c)
	return nil
}

// compare asks a native remote that has no more than we do to prove its last block,
// once: nothing else would be asked of it, and if it holds another history that the
// same writer has signed, nobody would notice. (A longer history is looked at when
// it is downloaded.) mu held.
func (sw *swarm) compare(c *channel, length uint64, now time.Duration) {
	if c.compared || c.peer == nil || !c.begun || !c.haveKnown || c.s.o.Dialect != Native || c.length == 0 || c.length > length {
		return
	}
	c.compared = sw.addSpecial(c, special{index: c.length - 1, at: now})
}

// halt asks for nothing more: the feed is frozen. What is here is still served.
func (sw *swarm) halt() {
	sw.mu.Lock()
	sw.halted = true
	for _, c := range sw.channels {
		c.dropProbe()
		c.probe = nil
	}
	sw.mu.Unlock()
	sw.kick()
}

// dropProbe ends the account of a probe. sw.mu held.
func (c *channel) dropProbe() {
	if c.probe != nil {
		c.s.mem.give(c.probe.counted)
		c.probe.counted = 0
	}
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
