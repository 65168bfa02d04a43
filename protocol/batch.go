package protocol

import (
	"sync"
	"unsafe"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/feed/merkle"
	"github.com/go-hypercore/hypercore/protocol/wire"
)

const (
	// batchBytes and batchBlocks are how much is handed on in one piece while more
	// is coming in.
	batchBytes  = 1 << 20
	batchBlocks = 2048
	// arenaNodes is how many nodes are allocated at a time, firstNodes the first
	// time: a batch that was merged with another begins anew, often with one block.
	arenaNodes = 1024
	firstNodes = 256
	// firstSizes is for how many blocks of a run there is room beforehand.
	firstSizes = 128
	// batchCost is what a batch takes besides slabs, nodes and sizes, about, and
	// proofCost what each of its proofs does.
	batchCost = 16 << 10
	proofCost = int(unsafe.Sizeof(feed.Proof{}))
)

// nodeSize is what a node takes.
const nodeSize = int(unsafe.Sizeof(merkle.Node{}))

// batch is blocks of one channel on their way from the reader to the feed. Their
// values lie in the slabs, which it holds.
type batch struct {
	c      *channel
	proofs []feed.Proof
	nodes  []merkle.Node // of the proofs; a new array when this one is full
	sizes  []uint64      // of the runs; likewise
	slabs  []*wire.Slab
	bytes  int
	blocks int
	held   int // bytes of the slabs, each counted once for all batches
	parsed int // bytes of nodes and sizes
	taken  int // bytes that the stream's memory counts for it, besides the slabs
}

var batches = sync.Pool{New: func() any { return new(batch) }}

func (b *batch) full() bool { return b.bytes >= batchBytes || b.blocks >= batchBlocks }

// weight is the memory that waits with the batch. It is not that of the values:
// an answer of a few bytes keeps a slab with a frame of 8 MiB that nobody needs.
func (b *batch) weight() int64 { return int64(b.held + b.overhead()) }

// overhead is the part of it that is not slabs.
func (b *batch) overhead() int { return batchCost + b.parsed + len(b.proofs)*proofCost }

// free gives the slabs back, and the batch.
func (b *batch) free() {
	for _, s := range b.slabs {
		s.Release()
	}
	clear(b.slabs)
	clear(b.proofs)
	if b.taken > 0 {
		b.c.s.mem.give(b.taken)
	}
	*b = batch{proofs: b.proofs[:0], nodes: b.nodes[:0], sizes: b.sizes[:0], slabs: b.slabs[:0]}
	batches.Put(b)
}

// room makes room for n more nodes without moving those that are there.
func (b *batch) room(n int) {
	if cap(b.nodes)-len(b.nodes) < n {
		size := arenaNodes
		if cap(b.nodes) == 0 {
			size = firstNodes
		}
		b.nodes = make([]merkle.Node, 0, max(size, n))
		b.parsed += cap(b.nodes) * nodeSize
	}
}

// spare is room for the sizes of a run, as long as there is; most runs have few.
func (b *batch) spare() []uint64 {
	if cap(b.sizes)-len(b.sizes) < firstSizes {
		b.sizes = make([]uint64, 0, 2*firstSizes)
		b.parsed += cap(b.sizes) * 8
	}
	return b.sizes[len(b.sizes):]
}

// keep notes sizes that were appended to spare.
func (b *batch) keep(sizes []uint64) {
	if n := len(b.sizes) + len(sizes); n <= cap(b.sizes) {
		b.sizes = b.sizes[:n]
		return
	}
	b.sizes = sizes // they had to move
	b.parsed += cap(sizes) * 8
}

// into returns the batch that is being filled for a channel.
func (s *Stream) into(c *channel) *batch {
	if s.filling != nil && s.filling.c != c {
		s.flush()
	}
	if s.filling == nil {
		s.filling = batches.Get().(*batch)
		s.filling.c = c
		s.filling.parsed = cap(s.filling.nodes)*nodeSize + cap(s.filling.sizes)*8
	}
	b := s.filling
	slab := s.r.Slab()
	if n := len(b.slabs); n == 0 || b.slabs[n-1] != slab {
		slab.Retain()
		b.slabs = append(b.slabs, slab)
		if s.counted != slab {
			s.counted = slab
			b.held += cap(slab.B)
		}
	}
	return b
}
