package protocol

import (
	"context"
	"errors"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/feed/merkle"
	"github.com/go-hypercore/hypercore/protocol/wire"
)

const (
	// jobsAtOnce is how many jobs the server takes from the queue in one go. The
	// others can still be cancelled.
	jobsAtOnce = 256
	// smallBlock is the size below which neighbouring blocks are read together and
	// copied; larger ones are read to where they are sent from.
	smallBlock = 16 << 10
	// readAhead is how much is read together.
	readAhead = 256 << 10
	// settleTime bounds how long the first map waits for the disk.
	settleTime = 2 * time.Second
	// passBytes is how much the server writes itself when the writer is idle.
	passBytes = 16 << 10
	// frameRest is room for the parts of a Data besides value and tail.
	frameRest = 64
)

// server answers the remote's requests, oldest first, into large pieces that the
// writer writes. It is one goroutine.
type server struct {
	s       *Stream
	ctx     context.Context
	piece   *wire.Slab
	target  int
	proof   feed.Proof
	scratch []byte
	sizes   []uint64
	bits    []byte
	counted int // bytes of these buffers that the stream's memory counts
	// Blocks read ahead: scratch holds them, sizes tells theirs.
	ahead struct {
		c          *channel
		start, end uint64
		off        int
	}
}

// serve runs until the stream ends.
func (s *Stream) serve(ctx context.Context) {
	sv := &server{s: s, ctx: ctx}
	defer func() {
		if sv.piece != nil {
			sv.piece.Release()
		}
	}()
	var list []job
	for {
		list = s.jobs.take(list[:0], jobsAtOnce, false)
		if len(list) == 0 {
			// Nothing more is asked for: what there is goes out.
			if !sv.rest() {
				return
			}
			sv.scratch, sv.bits = trimBuffer(sv.scratch), trimBuffer(sv.bits)
			sv.account()
			if list = s.jobs.take(list[:0], jobsAtOnce, true); len(list) == 0 {
				s.jobs.mu.Lock()
				closed := s.jobs.closed
				s.jobs.mu.Unlock()
				if closed {
					return
				}
				continue
			}
		}
		sv.target = s.out.size()
		sv.ahead.c = nil
		for i := range list {
			if !sv.do(list, i) {
				return
			}
		}
		clear(list) // it would keep channels that are closed
		sv.account()
	}
}

// account counts the buffers, and drops them if there is no memory to keep them.
func (sv *server) account() {
	n := cap(sv.scratch) + cap(sv.bits) + 8*cap(sv.sizes)
	if n > sv.counted && sv.s.mem.take(n-sv.counted) != nil {
		sv.scratch, sv.bits, sv.sizes, n = nil, nil, nil, 0
	}
	if n < sv.counted {
		sv.s.mem.give(sv.counted - n)
	}
	sv.counted = n
}

// trimBuffer drops a large buffer when it is idle.
func trimBuffer(b []byte) []byte {
	if cap(b) > 4096 {
		return nil
	}
	return b[:0]
}

// flush hands the piece to the writer.
func (sv *server) flush() bool { return sv.hand(sv.s.out.piece) }

// rest sends the piece when there is nothing else to be done.
func (sv *server) rest() bool {
	return sv.hand(func(p *wire.Slab) bool { return sv.s.out.pass(p, sv.s.w) })
}

func (sv *server) hand(to func(*wire.Slab) bool) bool {
	p := sv.piece
	sv.piece = nil
	if p == nil {
		return true
	}
	if len(p.B) == 0 {
		p.Release()
		return true
	}
	return to(p)
}

// room makes room for n bytes in the piece.
func (sv *server) room(n int) bool {
	if sv.piece != nil && cap(sv.piece.B)-len(sv.piece.B) < n {
		if !sv.flush() {
			return false
		}
	}
	if sv.piece == nil {
		if n > sendBuffer && !sv.s.out.await() {
			return false
		}
		var err error
		if sv.piece, err = wire.TakeSlab(max(sv.target, n), max(minSendBuffer, n), serving{sv.s}); err != nil {
			sv.s.fail(sv.s.short("serve", err))
			return false
		}
	}
	return true
}

// do answers list[i]. False: the stream has ended.
func (sv *server) do(list []job, i int) bool {
	j := &list[i]
	c := j.c
	if j.kind == jobEnd {
		ok := sv.flush()
		sv.s.out.end()
		return ok
	}
	if j.kind == jobOver {
		return sv.over(c)
	}
	if !c.open.Load() {
		return true
	}
	if j.void {
		return sv.cancelled(j)
	}
	switch j.kind {
	case jobInfo:
		if !sv.flush() {
			return false
		}
		c.onDone()
		return true
	case jobWant:
		if !c.hasShown {
			sv.settle(c)
		}
		if !sv.flush() || !sv.s.out.awaitRoom() {
			return false
		}
		bits, cost, err := c.showMap(j.index, j.n, sv.bits)
		if sv.bits = bits; err != nil {
			sv.s.fail(err)
			return false
		}
		return sv.s.shown(cost)
	case jobBytes:
		if j.n == c.lastBytes {
			return true // as hypercore 6: the same question again has no answer
		}
		c.lastBytes = j.n
		return sv.hash(j)
	case jobHash:
		return sv.hash(j)
	case jobRange:
		return sv.blocks(j)
	}
	// How many neighbours follow: they are read together.
	n := 1
	for !sv.aheadHas(c, j.index) && i+n < len(list) && list[i+n].kind == jobBlock && !list[i+n].void && list[i+n].c == c && list[i+n].index == j.index+uint64(n) {
		n++
	}
	return sv.block(j, n)
}

// over forgets a channel. What was sent for it goes to the writer; then its number
// is free.
func (sv *server) over(c *channel) bool {
	c.marks.Clear()
	delete(sv.s.marked.channels, c)
	sv.ahead.c = nil
	ok := sv.flush()
	sv.s.retire(c)
	return ok
}

// settle waits until what was appended or downloaded just now may be shown. A
// remote that is not live takes an empty map for all there will ever be, and ends.
func (sv *server) settle(c *channel) {
	ctx, cancel := context.WithTimeout(sv.ctx, settleTime)
	defer cancel()
	// If it fails the map shows what is durable, and Available tells the rest.
	_ = c.sw.f.Sync(ctx)
}

// hash answers a request for a hash, or by byte offset.
func (sv *server) hash(j *job) bool {
	c := j.c
	req := feed.ProofRequest{Index: j.index, Digest: j.digest, Hash: j.hash}
	if j.kind == jobBytes {
		req.Bytes = j.n
	}
	// The answer does not build on what earlier answers have brought, so that a
	// remote that lost track can ask for everything.
	var remote merkle.MutableBits
	if c.s.o.Dialect == V6 {
		c.claims(j.index)
		remote = &c.marks
	}
	if err := c.sw.f.Prove(req, remote, &sv.proof); err != nil {
		return sv.refuse(c, j.index, j, err)
	}
	if !j.hash {
		return sv.data(c, &sv.proof)
	}
	tail := wire.DataTailLen(sv.proof.Nodes, sv.proof.Signature)
	if !sv.room(frameRest + tail) {
		return false
	}
	b := wire.AppendDataHeader(sv.piece.B, c.local, sv.proof.Index, -1, tail)
	sv.piece.B = wire.AppendDataTail(b, sv.proof.Nodes, sv.proof.Signature)
	return sv.full()
}

// block answers a request for a block; n blocks from it on will be asked for.
func (sv *server) block(j *job, n int) bool {
	c := j.c
	req := feed.ProofRequest{Index: j.index, Digest: j.digest}
	c.claims(j.index)
	if err := c.sw.f.Prove(req, &c.marks, &sv.proof); err != nil {
		return sv.refuse(c, j.index, j, err)
	}
	if sv.aheadHas(c, j.index) {
		return sv.data(c, &sv.proof)
	}
	if n > 1 {
		sv.readAhead(c, j.index, n)
	}
	return sv.data(c, &sv.proof)
}

func (sv *server) aheadHas(c *channel, i uint64) bool {
	return sv.ahead.c == c && sv.ahead.start == i && i < sv.ahead.end
}

// readAhead reads small neighbours together.
func (sv *server) readAhead(c *channel, i uint64, n int) {
	sv.ahead.c = nil
	size, err := c.sw.f.BlockSize(i)
	if err != nil || size > smallBlock {
		return
	}
	n = min(n, max(1, readAhead/max(1, int(size))), 1024)
	b, sizes, err := c.sw.f.ReadRun(sv.scratch[:0], i, i+uint64(n), readAhead, sv.sizes[:0])
	if err != nil {
		return // one of them is broken: each for itself
	}
	sv.scratch, sv.sizes = b, sizes
	sv.ahead.c, sv.ahead.start, sv.ahead.end, sv.ahead.off = c, i, i+uint64(len(sizes)), 0
}

// data sends a block with its proof.
func (sv *server) data(c *channel, p *feed.Proof) bool {
	tail := wire.DataTailLen(p.Nodes, p.Signature)
	var value []byte
	var size uint64
	ahead := sv.aheadHas(c, p.Index)
	if ahead {
		size = sv.sizes[len(sv.sizes)-int(sv.ahead.end-p.Index)]
		value = sv.scratch[sv.ahead.off : sv.ahead.off+int(size)]
		sv.ahead.start++
		sv.ahead.off += int(size)
	} else {
		var err error
		if size, err = c.sw.f.BlockSize(p.Index); err != nil {
			return sv.refuse(c, p.Index, nil, err)
		}
	}
	if wire.DataPayloadLen(c.local, p.Index, int(size), tail) > wire.MaxFrame {
		return sv.refuse(c, p.Index, nil, feed.ErrTooLarge)
	}
	if !sv.room(frameRest + int(size) + tail) {
		return false
	}
	mark := len(sv.piece.B)
	b := wire.AppendDataHeader(sv.piece.B, c.local, p.Index, int(size), tail)
	if ahead {
		b = append(b, value...)
	} else {
		at := len(b)
		var err error
		if b, err = c.sw.f.ReadBlock(b, p.Index); err != nil || len(b)-at != int(size) {
			sv.piece.B = b[:mark]
			return sv.refuse(c, p.Index, nil, err)
		}
	}
	sv.piece.B = wire.AppendDataTail(b, p.Nodes, p.Signature)
	if c.s.o.Dialect == Native {
		c.remember(p.Index, 1)
	}
	sv.s.sent(c.dk, p.Index, 1, size)
	c.tally.upBlocks.Add(1)
	c.tally.upBytes.Add(size)
	c.sw.f.ReportUpload(p.Index, size)
	return sv.full()
}

// full hands the piece on when it is.
func (sv *server) full() bool {
	if len(sv.piece.B) >= sv.target {
		return sv.flush()
	}
	return true
}

// refuse answers that a block will not come.
func (sv *server) refuse(c *channel, index uint64, j *job, err error) bool {
	reason := wire.ReasonFailed
	if errors.Is(err, feed.ErrNotLocal) {
		reason = wire.ReasonNotHere
	}
	if !sv.room(frameRest) {
		return false
	}
	if c.s.o.Dialect == V6 {
		if j == nil || j.kind == jobBlock {
			sv.piece.B = wire.AppendUnhave(sv.piece.B, c.local, wire.Unhave{Start: index, Length: 1})
		}
		return sv.full()
	}
	m := wire.NoData{Index: index, Length: 1, Reason: reason}
	if j != nil {
		m.Hash = j.hash
		if j.kind == jobBytes {
			m.Bytes = j.n
		}
	}
	sv.piece.B = wire.AppendNoData(sv.piece.B, c.local, m)
	return sv.full()
}

// cancelled answers a request that was taken back: a native remote waits for an
// answer to each.
func (sv *server) cancelled(j *job) bool {
	if j.c.s.o.Dialect == V6 {
		return true
	}
	if !sv.room(frameRest) {
		return false
	}
	m := wire.NoData{Index: j.index, Length: max(1, j.n), Reason: wire.ReasonCancelled, Hash: j.hash}
	if j.kind == jobBytes {
		m.Length, m.Bytes = 1, j.n
	}
	sv.piece.B = wire.AppendNoData(sv.piece.B, j.c.local, m)
	return sv.full()
}
