package protocol

import (
	"context"
	"errors"
	"slices"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/feed/merkle"
	"github.com/go-hypercore/hypercore/protocol/wire"
)

// onData takes a block, or a proof without one. Reading goroutine.
func (s *Stream) onData(c *channel, body []byte) error {
	b := s.into(c)
	b.room(wire.MaxNodes)
	m := wire.DataOf[merkle.Node]{Nodes: b.nodes[len(b.nodes):]}
	if err := wire.ParseData(body, &m); err != nil {
		return s.garbled("data", err)
	}
	if !m.HasValue && len(m.Nodes) == 0 {
		return s.blame("data", ErrEmptyData)
	}
	p := feed.Proof{Index: m.Index, Nodes: m.Nodes[:len(m.Nodes):len(m.Nodes)], Signature: m.Signature}
	if m.HasValue {
		p.Value = m.Value
	}
	b.nodes = b.nodes[:len(b.nodes)+len(m.Nodes)]
	b.proofs = append(b.proofs, p)
	b.blocks++
	b.bytes += len(body)
	return nil
}

// flush hands the batch to the receiver. It waits while too much is waiting
// there: so much is not read from the connection. False if the stream has ended.
func (s *Stream) flush() bool {
	b := s.filling
	s.filling = nil
	if b == nil {
		return true
	}
	if len(b.proofs) == 0 {
		b.free()
		return true
	}
	weight := b.weight()
	for {
		waiting := s.pending.Load()
		if waiting == 0 {
			if err := s.mem.await(b.overhead()); err != nil {
				b.free()
				s.fail(s.short("read", err))
				return false
			}
			break
		}
		if waiting+weight <= maxPending && s.mem.take(b.overhead()) == nil {
			break
		}
		select {
		case <-s.taken:
		case <-s.done:
			b.free()
			return false
		}
	}
	b.taken = b.overhead()
	s.pending.Add(weight)
	select {
	case s.inbox <- b:
		return true
	case <-s.done:
		b.free()
		return false
	}
}

// loneBytes is what a message of one small block has at most.
const loneBytes = 4 << 10

// lone tells that the batch is one small block, as live ones are, and that the
// receiver has nothing to do.
func (s *Stream) lone() bool {
	b := s.filling
	return len(b.proofs) == 1 && b.bytes <= loneBytes && s.pending.Load() == 0
}

// takeLone does the receiver's work on such a batch without waking it: on a machine
// at rest another goroutine costs as much as reading the block.
func (s *Stream) takeLone(ctx context.Context) error {
	b := s.filling
	s.filling = nil
	defer b.free()
	if err := s.mem.await(b.overhead()); err != nil {
		return s.short("read", err)
	}
	b.taken = b.overhead()
	weight := b.weight() // while it is verified and stored the remote is not silent, see tick
	s.pending.Add(weight)
	defer s.pending.Add(-weight)
	return b.c.sw.take(ctx, b)
}

// drain waits until the receiver has worked off what was read before the
// remote's end.
func (s *Stream) drain(ctx context.Context) {
	for s.pending.Load() > 0 {
		select {
		case <-s.taken:
		case <-s.done:
			return
		case <-ctx.Done():
			return
		}
	}
}

// receive verifies and stores what the reader hands over.
func (s *Stream) receive(ctx context.Context) {
	var held *batch // taken from the inbox, of another channel
	defer func() {
		if held != nil {
			held.free()
		}
		for {
			select {
			case b := <-s.inbox:
				b.free()
			default:
				return
			}
		}
	}()
	for {
		b := held
		held = nil
		if b == nil {
			select {
			case b = <-s.inbox:
			case <-s.done:
				return
			}
		}
		// What has come meanwhile for the same channel goes with it.
		size := b.weight()
	more:
		for !b.full() {
			select {
			case next := <-s.inbox:
				if next.c != b.c {
					held = next
					break more
				}
				b.proofs = append(b.proofs, next.proofs...)
				b.slabs = append(b.slabs, next.slabs...)
				b.bytes += next.bytes
				b.blocks += next.blocks
				size += next.weight()
				next.slabs = next.slabs[:0]
				b.taken, next.taken = b.taken+next.taken, 0
				next.nodes, next.sizes = nil, nil // they are b's now
				next.free()
			default:
				break more
			}
		}
		err := b.c.sw.take(ctx, b)
		b.free()
		s.pending.Add(-size)
		select {
		case s.taken <- struct{}{}:
		default:
		}
		if err != nil {
			s.fail(err)
			return
		}
	}
}

// take applies a batch: what was asked for is verified and stored, and the next
// blocks are asked for while that happens.
func (sw *swarm) take(ctx context.Context, b *batch) error {
	c := b.c
	if done, err := sw.probed(ctx, c, b.proofs); done {
		return err
	}
	keep, err := sw.arrived(c, b.proofs)
	if err != nil {
		return err
	}
	defer sw.kick()
	if len(keep) == 0 {
		return nil
	}
	if len(keep) > 1 || b.bytes > loneBytes {
		sw.kick() // a small block is stored before the next one could be asked for
	}
	n, err := sw.f.Apply(ctx, keep)
	if n > 0 {
		sw.count(c, keep[:n])
	}
	if err == nil || n == len(keep) {
		return nil
	}
	keep = keep[n:]
	sw.release(keep)
	switch {
	case errors.Is(err, feed.ErrUnlinked):
		// Nobody's fault: it is asked for again, after what links it.
		sw.reopen(c)
		return nil
	case errors.Is(err, feed.ErrInvalidProof):
		return sw.suspect(c, &keep[0], c.s.blame("data", err))
	case errors.Is(err, feed.ErrFork), errors.Is(err, feed.ErrFrozen), errors.Is(err, feed.ErrUnsound):
		sw.halt()
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	sw.failed(c)
	return nil
}

// failed pauses the feed after an error of ours: the disk is full, say. The
// stream and its other feeds go on. What the remote believes we have stored was
// not, so the channel is opened anew.
func (sw *swarm) failed(c *channel) {
	sw.mu.Lock()
	sw.resume = sw.now() + failPause
	sw.mu.Unlock()
	sw.reopen(c)
}

// reopen closes a channel on both sides and opens it again: the remote forgets
// what it has sent. hypercore 6 does not keep that in mind in the first place.
func (sw *swarm) reopen(c *channel) {
	sw.mu.Lock()
	asks := c.peer != nil // else it keeps nothing of ours in mind
	sw.mu.Unlock()
	if asks && c.s.o.Dialect == Native {
		c.s.closeChannel(c, false)
		if err := c.s.offer(sw); err != nil && err != ErrClosed {
			c.s.fail(err)
		}
	}
}

// arrived tells the table what has come and returns what is to be applied: all
// that was asked for.
func (sw *swarm) arrived(c *channel, proofs []feed.Proof) ([]feed.Proof, error) {
	now := sw.now()
	keep := proofs[:0]
	var cancels []cancel
	sw.mu.Lock()
	for i := range proofs {
		p := &proofs[i]
		if c.peer == nil { // it may have left
			if p.Value == nil && c.answered(p.Index) {
				keep = append(keep, *p)
			}
			continue
		}
		if p.Value == nil {
			if c.answerSpecial(p.Index) {
				keep = append(keep, *p)
			} else if !c.unasked(1, 0) {
				sw.mu.Unlock()
				return nil, c.s.blame("data", ErrUnasked)
			}
			continue
		}
		if c.awaited(p) {
			keep = append(keep, *p)
			c.unasked(0, 1)
			continue
		}
		mark := len(cancels)
		if sw.table.Dups() {
			for i := range blocksOf(p) {
				for _, o := range sw.table.Others(c.peer, p.Index+i) {
					cancels = append(cancels, cancel{o.Tag.(*channel), p.Index + i})
				}
			}
		}
		asked := c.peer.ArrivedRun(p.Index, int(blocksOf(p)), len(p.Value), now)
		if len(cancels) > mark {
			// What came unasked does not count, and is not taken back elsewhere.
			cancels = cancels[:mark+len(slices.DeleteFunc(cancels[mark:], cancel.awaited))]
		}
		if asked > 0 {
			keep = append(keep, *p)
		}
		if !c.unasked(blocksOf(p)-uint64(asked), uint64(asked)) {
			sw.mu.Unlock()
			return nil, c.s.blame("data", ErrUnasked)
		}
	}
	sw.mu.Unlock()
	for _, x := range cancels {
		if x.c.s.o.Dialect == Native {
			x.c.send(func(b []byte) []byte { return wire.AppendCancel(b, x.c.local, wire.Cancel{Index: x.index}) })
		}
	}
	return keep, nil
}

// unasked counts blocks that the remote sent without having been asked, and those it was
// asked for, which make up for as many. False: there are too many. sw.mu held.
func (c *channel) unasked(n, asked uint64) bool {
	t := &c.tally
	t.unasked += n
	t.unasked -= min(t.unasked, asked)
	return t.unasked <= maxUnasked
}

// blocksOf is how many blocks a proof brings.
func blocksOf(p *feed.Proof) uint64 {
	if p.Sizes != nil {
		return uint64(len(p.Sizes))
	}
	return 1
}

type cancel struct {
	c     *channel
	index uint64
}

// awaited reports whether the block is in flight there. sw.mu held.
func (x cancel) awaited() bool { return x.c.peer != nil && x.c.peer.Awaits(x.index) }

// answerSpecial marks the hash or seek request that an answer belongs to; false
// if there is none. sw.mu held.
func (c *channel) answerSpecial(index uint64) bool {
	seek := -1
	for i := range c.specials {
		s := &c.specials[i]
		if s.answered {
			continue
		}
		if s.bytes == 0 && s.index == index {
			s.answered = true
			return true
		}
		if s.bytes > 0 && seek < 0 {
			seek = i
		}
	}
	if seek >= 0 {
		c.specials[seek].answered = true
		return true
	}
	return false
}

// release gives blocks that were not stored back to be asked for again. What is
// here is not: a remote may put any blocks beside the one it was asked for, or
// answer late, and each would be fetched once more for some bytes that are wrong.
func (sw *swarm) release(proofs []feed.Proof) {
	sw.mu.Lock()
	defer sw.mu.Unlock()
	if sw.table == nil {
		return
	}
	for i := range proofs {
		p := &proofs[i]
		if p.Value == nil {
			continue
		}
		end := p.Index + blocksOf(p)
		sw.table.Release(p.Index, end)
		for at := sw.f.NextLocal(p.Index); at < end; at = sw.f.NextLocal(at) {
			stop := min(end, sw.f.NextMissing(at))
			sw.table.Here(at, stop)
			at = stop
		}
	}
}

// count notes what was received.
func (sw *swarm) count(c *channel, proofs []feed.Proof) {
	sw.mu.Lock()
	defer sw.mu.Unlock()
	for i := range proofs {
		if proofs[i].Value == nil {
			continue
		}
		n, bytes := blocksOf(&proofs[i]), len(proofs[i].Value)
		c.tally.downBlocks += n
		c.tally.downBytes += uint64(bytes)
		if sw.table != nil {
			sw.table.Verified(int(n), bytes)
		}
	}
}

// onDataRange takes adjacent blocks with one proof. Reading goroutine.
func (s *Stream) onDataRange(c *channel, body []byte) error {
	b := s.into(c)
	b.room(wire.MaxRunNodes)
	m := wire.DataRangeOf[merkle.Node]{Nodes: b.nodes[len(b.nodes):], Sizes: b.spare()}
	if err := wire.ParseDataRange(body, &m); err != nil {
		return s.garbled("data range", err)
	}
	n, k := len(m.Nodes), len(m.Sizes)
	p := feed.Proof{Index: m.Start, Value: m.Values, Sizes: m.Sizes[:k:k], Nodes: m.Nodes[:n:n], Signature: m.Signature}
	if p.Value == nil {
		p.Value = []byte{}
	}
	b.nodes = b.nodes[:len(b.nodes)+n]
	b.keep(m.Sizes)
	b.proofs = append(b.proofs, p)
	b.blocks += k
	b.bytes += len(body)
	return nil
}
