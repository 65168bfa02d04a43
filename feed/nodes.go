package feed

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/go-hypercore/hypercore/feed/bitfield"
	"github.com/go-hypercore/hypercore/feed/merkle"
	"github.com/go-hypercore/hypercore/store"
)

// The tree file: a header, then 40 bytes for each node, hash and u64be size;
// zeros are a node that is not there.
const nodeSize = 40

// Nodes are cached in chunks. A chunk of level 0 holds the 127 nodes over 64
// blocks, which are neighbours in the file: numbers 128c to 128c+126. The nodes
// between, 128m+127, are numbered m and make the chunks of level 1, and so on:
// the way from a block to the root touches one chunk for every seven levels.
const (
	chunkShift = 7
	chunkNodes = 1 << chunkShift // slots; on each level the last belongs to the next level
	lastSlot   = chunkNodes - 1

	// maxChunks bounds the chunks a feed keeps beyond those not written yet:
	// 10.4 MiB, enough for the upper levels of a feed of 10 million blocks, which
	// stay while the leaves come and go.
	maxChunks = 2048
	// maxLeafChunks is about how many of them are of level 0 in such a feed.
	maxLeafChunks = 1024
	// minChunks is what a feed may keep in any case.
	minChunks = 4
	// maxAllChunks bounds the chunks of all feeds of the process: 52 MiB. A feed
	// that needs one more then gives up its own.
	maxAllChunks = 10000
)

// allChunks counts the chunks of all feeds.
var allChunks atomic.Int64

// chunk is a piece of the tree file as it is, or will be, on the disk.
type chunk struct {
	level  uint8
	number uint64
	valid  [2]uint64 // slots whose record is in rec
	dirty  [2]uint64 // slots that are not on the way to the file yet
	used   uint8     // how often the hand of the clock will pass it by
	pins   int       // flights that are writing it: what is in the file is old
	rec    [chunkNodes * nodeSize]byte
}

func (c *chunk) has(s int) bool { return c.valid[s>>6]>>(s&63)&1 == 1 }

func (c *chunk) isDirty() bool { return c.dirty[0]|c.dirty[1] != 0 }

func (c *chunk) node(s int, n uint64) merkle.Node {
	return getNode(n, c.rec[s*nodeSize:(s+1)*nodeSize])
}

func getNode(n uint64, b []byte) merkle.Node {
	return merkle.Node{Index: n, Hash: merkle.Hash(b), Size: binary.BigEndian.Uint64(b[32:])}
}

func putNode(b []byte, n *merkle.Node) {
	copy(b, n.Hash[:])
	binary.BigEndian.PutUint64(b[32:nodeSize], n.Size)
}

type chunkKey struct {
	level  uint8
	number uint64
}

var chunkPool = sync.Pool{New: func() any { return new(chunk) }}

// nodes is the tree of a feed: the file, what is cached of it and what is not
// written yet. Guarded by Feed.mu.
type nodes struct {
	file   store.File
	image  *bitfield.File // tells which nodes are held
	chunks map[chunkKey]*chunk
	last   *chunk   // of level 0, the one used last
	ring   []*chunk // for the clock
	hand   int
	dirty  []*chunk // have dirty slots
	count  int      // of dirty slots
	err    error    // the first failure of get since it was last taken
}

// locate returns the chunk and the slot of node n.
func locate(n uint64) (k chunkKey, slot int) {
	for n&lastSlot == lastSlot {
		n >>= chunkShift
		k.level++
	}
	k.number = n >> chunkShift
	return k, int(n & lastSlot)
}

// nodeAt is the reverse of locate.
func nodeAt(k chunkKey, slot int) uint64 {
	n := k.number<<chunkShift | uint64(slot)
	for range k.level {
		n = n<<chunkShift | lastSlot
	}
	return n
}

func (t *nodes) chunk(k chunkKey) *chunk {
	if t.last != nil && k.level == 0 && t.last.number == k.number {
		return t.last
	}
	c := t.chunks[k]
	if c != nil {
		c.use()
		if k.level == 0 {
			t.last = c
		}
	}
	return c
}

// use notes that a chunk is needed. Those of higher levels have more ways going
// through them, and cost a read for each node.
func (c *chunk) use() {
	c.used = 1
	if c.level > 0 {
		c.used = 4
	}
}

// add makes a chunk, and room for it.
func (t *nodes) add(k chunkKey) *chunk {
	for len(t.ring) >= maxChunks || len(t.ring) >= minChunks && allChunks.Load() > maxAllChunks {
		if !t.evict() {
			break
		}
	}
	c := chunkPool.Get().(*chunk)
	c.level, c.number = k.level, k.number
	c.use()
	c.valid, c.dirty = [2]uint64{}, [2]uint64{}
	if t.chunks == nil {
		t.chunks = map[chunkKey]*chunk{}
	}
	t.chunks[k] = c
	t.ring = append(t.ring, c)
	allChunks.Add(1)
	if k.level == 0 {
		t.last = c
	}
	return c
}

// evict drops one chunk that is on the disk and was not used lately; false if
// there is none.
func (t *nodes) evict() bool {
	for range 5 * len(t.ring) {
		if t.hand >= len(t.ring) {
			t.hand = 0
		}
		c := t.ring[t.hand]
		switch {
		case c.isDirty() || c.pins > 0:
		case c.used > 0:
			c.used--
		default:
			t.ring[t.hand] = t.ring[len(t.ring)-1]
			t.ring = t.ring[:len(t.ring)-1]
			t.drop(c)
			return true
		}
		t.hand++
	}
	return false
}

func (t *nodes) drop(c *chunk) {
	delete(t.chunks, chunkKey{c.level, c.number})
	if t.last == c {
		t.last = nil
	}
	allChunks.Add(-1)
	chunkPool.Put(c)
}

// trim drops every chunk that is in the file.
func (t *nodes) trim() {
	keep := t.ring[:0]
	for _, c := range t.ring {
		if c.isDirty() || c.pins > 0 {
			keep = append(keep, c)
		} else {
			t.drop(c)
		}
	}
	clear(t.ring[len(keep):])
	t.ring, t.hand = keep, 0
}

// get returns a node that is held. A failure to read it is noted in t.err.
func (t *nodes) get(n uint64) (merkle.Node, bool) {
	k, s := locate(n)
	c := t.chunk(k)
	if c != nil && c.has(s) {
		return t.checked(c.node(s, n))
	}
	if !t.image.Tree.Get(n) {
		return merkle.Node{}, false
	}
	if c == nil {
		c = t.add(k)
	}
	if err := t.load(c, s, n); err != nil {
		t.fail(err)
		return merkle.Node{}, false
	}
	return t.checked(c.node(s, n))
}

// checked returns a node that is held, unless its record is blank, or has a size that
// no node has and sums of which could overflow.
func (t *nodes) checked(n merkle.Node) (merkle.Node, bool) {
	switch {
	case n.Size > merkle.MaxInt:
		t.fail(errBadNode{n.Index, fmt.Sprintf("has %d bytes", n.Size)})
	case n.Hash == (merkle.Hash{}) && n.Size == 0:
		t.fail(errBadNode{n.Index, "is missing"})
	default:
		return n, true
	}
	return merkle.Node{}, false
}

func (t *nodes) fail(err error) {
	if t.err == nil {
		t.err = err
	}
}

// Get implements merkle.Bits: whether node n is held.
func (t *nodes) Get(n uint64) bool { return t.image.Tree.Get(n) }

// errBadNode is the cause when a node that is held, says the bitfield, cannot be one.
type errBadNode struct {
	n   uint64
	why string
}

func (e errBadNode) Error() string { return "node " + e.why }

// load reads slot s of a chunk, and with it, on level 0, all others.
func (t *nodes) load(c *chunk, s int, n uint64) error {
	if c.level > 0 {
		r := c.rec[s*nodeSize : (s+1)*nodeSize]
		m, err := readFull(t.file, r, nodeOffset(n))
		if err != nil {
			return err
		}
		if m < nodeSize || isZero(r) {
			return errBadNode{n, "is missing"}
		}
		c.valid[s>>6] |= 1 << (s & 63)
		return nil
	}
	first := n - uint64(s)
	if c.valid == [2]uint64{} {
		m, err := readFull(t.file, c.rec[:lastSlot*nodeSize], nodeOffset(first))
		if err != nil {
			return err
		}
		clear(c.rec[m-m%nodeSize : lastSlot*nodeSize])
	} else {
		buf := nodeBuffers.Get().(*[lastSlot * nodeSize]byte)
		defer nodeBuffers.Put(buf)
		m, err := readFull(t.file, buf[:], nodeOffset(first))
		if err != nil {
			return err
		}
		clear(buf[m-m%nodeSize:])
		for i := range lastSlot {
			if !c.has(i) {
				copy(c.rec[i*nodeSize:(i+1)*nodeSize], buf[i*nodeSize:])
			}
		}
	}
	// All that are held are in the chunk now; what should be and is blank is
	// noticed when it is asked for.
	c.valid[0] |= bits.Reverse64(t.image.Tree.Word(first))
	c.valid[1] |= bits.Reverse64(t.image.Tree.Word(first+64)) &^ (1 << 63)
	return nil
}

var nodeBuffers = sync.Pool{New: func() any { return new([lastSlot * nodeSize]byte) }}

func nodeOffset(n uint64) int64 { return headerSize + int64(n)*nodeSize }

func isZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

// set stores a node: it is held from now on, and written with the next flush.
func (t *nodes) set(n *merkle.Node) {
	k, s := locate(n.Index)
	c := t.chunk(k)
	if c == nil {
		c = t.add(k)
	}
	putNode(c.rec[s*nodeSize:], n)
	if !c.isDirty() {
		t.dirty = append(t.dirty, c)
	}
	w, bit := s>>6, uint64(1)<<(s&63)
	if c.dirty[w]&bit == 0 {
		t.count++
	}
	c.valid[w] |= bit
	c.dirty[w] |= bit
	t.image.SetTree(n.Index, true)
}

// takeErr returns and forgets the first failure of get.
func (t *nodes) takeErr() error {
	err := t.err
	t.err = nil
	return err
}
