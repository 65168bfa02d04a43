package protocol

import (
	"math/bits"
	"time"

	"github.com/go-hypercore/hypercore/protocol/wire"
)

const (
	// runBytes is about how much one DataRange carries: enough that the cost of a
	// proof does not matter, little enough that the first blocks are on their way
	// while the next are read.
	runBytes = 256 << 10
	// soloBlock is the size from which a block travels in a Data of its own: it is
	// read straight to where it is sent from either way.
	soloBlock = 128 << 10
)

// blocks answers a request for adjacent blocks, in pieces.
func (sv *server) blocks(j *job) bool {
	c, f := j.c, j.c.sw.f
	left := j.limit
	for at, end := j.index, j.index+j.n; at < end; {
		if !c.open.Load() {
			return true
		}
		if left == 0 && j.limit > 0 {
			return sv.noData(c, wire.NoData{Index: at, Length: end - at, Reason: wire.ReasonLater})
		}
		// As many as are here, of about the size of the first.
		here := min(end, f.NextUnshown(at)) - min(at, end)
		if here == 0 {
			if n := sv.hole(c, at, end); n > 1 {
				if !sv.noData(c, wire.NoData{Index: at, Length: n, Reason: wire.ReasonNotHere}) {
					return false
				}
				at += n
				continue
			}
			if !sv.block(&job{c: c, kind: jobBlock, index: at}, 1) { // refuses it, or it has just come
				return false
			}
			at++
			continue
		}
		size, err := f.BlockSize(at)
		if err != nil {
			return sv.refuse(c, at, j, err)
		}
		n := align(at, min(here, max(1, runBytes/max(1, size)), wire.MaxRunBlocks))
		var digest, last uint64
		if at == j.index {
			digest = j.digest
			if n == j.n {
				last = j.last
			}
		}
		if size >= soloBlock || n < 2 {
			if !sv.block(&job{c: c, kind: jobBlock, index: at, digest: digest}, 1) {
				return false
			}
			at, left = at+1, left-min(left, size)
			continue
		}
		sent, bytes, ok := sv.run(c, at, n, digest, last)
		if !ok {
			return false
		}
		at, left = at+sent, left-min(left, bytes)
	}
	return true
}

// hole is how many blocks from at on are not here: they are refused together,
// so that a short request does not cost thousands of proofs that fail.
func (sv *server) hole(c *channel, at, end uint64) uint64 {
	start := at &^ 7
	sv.bits = c.sw.f.Bitmap(sv.bits[:0], start, (end-start+7)&^7)
	for i := at; i < end; i++ {
		if sv.bits[(i-start)/8]<<(i&7)&0x80 != 0 {
			return i - at
		}
	}
	return end - at
}

// align shortens a run so that it ends where a large subtree does: the next one
// needs fewer nodes then.
func align(start, n uint64) uint64 {
	if p := uint64(1) << (bits.Len64(n) - 1); n > 1 {
		if end := (start + n) &^ (p - 1); end > start {
			return end - start
		}
	}
	return n
}

// run sends up to n blocks in one message, and returns how many it were.
func (sv *server) run(c *channel, start, n, digest, last uint64) (sent, bytes uint64, ok bool) {
	f := c.sw.f
	for {
		if n < 2 {
			size, _ := f.BlockSize(start)
			return 1, size, sv.block(&job{c: c, kind: jobBlock, index: start, digest: digest}, 1)
		}
		if err := f.ProveRun(start, n, digest, last, &c.marks, &sv.proof); err != nil {
			n, last = n/2, 0 // one of them is gone, or not durable yet
			continue
		}
		bytes = 0
		fit := uint64(0)
		for _, size := range sv.proof.Sizes {
			if bytes += size; bytes > 2*runBytes {
				break
			}
			fit++
		}
		if fit == n {
			break
		}
		if waste := n - max(1, fit); waste > 64 && !sv.s.shown(time.Duration(waste)*workProve) {
			return 0, 0, false
		}
		n, last = max(1, fit), 0 // they grow
	}
	p := &sv.proof
	tail := wire.DataTailLen(p.Nodes, p.Signature)
	need := wire.DataRangePayloadLen(c.local, start, p.Sizes, tail)
	if !sv.room(frameRest + need) {
		return 0, 0, false
	}
	mark := len(sv.piece.B)
	b := wire.AppendDataRangeHeader(sv.piece.B, c.local, start, p.Sizes, tail)
	at := len(b)
	var err error
	b, sv.sizes, err = f.ReadBlocks(b, start, n, sv.sizes[:0])
	if err != nil || uint64(len(b)-at) != bytes {
		// One of them cannot be read: each for itself.
		sv.piece.B = b[:mark]
		size, _ := f.BlockSize(start)
		return 1, size, sv.block(&job{c: c, kind: jobBlock, index: start}, 1)
	}
	sv.piece.B = wire.AppendDataTail(b, p.Nodes, p.Signature)
	c.remember(start, n)
	sv.s.sent(c.dk, start, n, bytes)
	c.tally.upBlocks.Add(n)
	c.tally.upBytes.Add(bytes)
	f.ReportUploads(start, n, bytes)
	return n, bytes, sv.full()
}

// noData sends a refusal.
func (sv *server) noData(c *channel, m wire.NoData) bool {
	if !sv.room(frameRest) {
		return false
	}
	sv.piece.B = wire.AppendNoData(sv.piece.B, c.local, m)
	return sv.full()
}
