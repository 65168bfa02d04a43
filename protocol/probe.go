package protocol

import (
	"context"
	"errors"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/protocol/wire"
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
	case errors.Is(err, feed.ErrFork), errors.Is(err, feed.ErrFrozen), errors.Is(err, feed.ErrUnsound):
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

// compare asks a remote to prove the last block that both have, once. Of one that
// has no more than we do nothing else would be asked, and if it holds another
// history that the same writer has signed, nobody would notice. A longer history is
// looked at when it is downloaded; but to a V6 remote the digests of those requests
// claim nodes that in its history may be others, for good, and its answers prove
// nothing: so it is asked before. A V6 stream that ends by itself is left to end as
// in hypercore 6. mu held.
func (sw *swarm) compare(c *channel, length uint64, now time.Duration) {
	v6 := c.s.o.Dialect == V6
	if c.compared || c.peer == nil || !c.begun || !c.haveKnown || min(c.length, length) == 0 || c.length > length && !v6 || v6 && c.s.o.Ends {
		return
	}
	c.compared = sw.addSpecial(c, special{index: min(c.length, length) - 1, at: now})
}

// inquire is compare where nothing is downloaded, by a writer above all: the
// remote's map does not come, so it is asked for the proof of our own last block,
// once. If it has that in another history, or a longer one, the answer shows it. If
// it has not, and does not download either, it is asked further down (deeper),
// since it would not ask us. mu held.
func (sw *swarm) inquire(c *channel, length uint64) {
	if c.compared || c.peer != nil || !c.begun || sw.halted || c.s.o.Dialect != Native || length == 0 {
		return
	}
	c.compared = true
	sw.question(c, length-1)
}

// question asks for the proof of a block without the block. mu held.
func (sw *swarm) question(c *channel, index uint64) {
	c.question.index, c.question.on = index, true
	sw.asks = append(sw.asks, ask{c: c, hash: true, index: index})
}

// answered reports whether a proof answers what inquire has asked. mu held.
func (c *channel) answered(index uint64) bool {
	if !c.question.on || c.question.index != index {
		return false
	}
	c.question.on = false
	return true
}

// deeper goes on after the remote has said that it has not the block of the
// question: half as far, so that a history of any length is found. mu held.
func (sw *swarm) deeper(c *channel, index uint64) {
	if c.answered(index) && index > 0 && !c.wanted.Load() {
		c.question.index, c.question.on = index/2, true
		m := wire.Request{Index: index / 2, Hash: true}
		c.send(func(b []byte) []byte { return wire.AppendRequest(b, c.local, m) })
	}
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
