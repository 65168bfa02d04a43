package merkle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/go-hypercore/hypercore/feed/merkle/lanes"
	"golang.org/x/crypto/blake2b"
)

// Hash is a BLAKE2b-256 digest.
type Hash = [32]byte

// Node is one node of the tree: its number, the bytes of data below it and its
// hash.
type Node struct {
	Index uint64
	Size  uint64
	Hash  Hash
}

var (
	// ErrSize is returned when sizes add up to more than MaxInt.
	ErrSize = errors.New("merkle: size exceeds 2^53-1")

	// ErrRoots is returned when nodes are not the roots of any length.
	ErrRoots = errors.New("merkle: not the roots of a log")

	// ErrSiblings is returned when two nodes have no common parent.
	ErrSiblings = errors.New("merkle: nodes are not siblings")
)

// First bytes of what is hashed (hypercore-crypto): they keep a block from
// passing for a node and the reverse.
const (
	typeLeaf   = 0
	typeParent = 1
	typeRoot   = 2
)

// Leaf returns the node of a block: number 2*block, the length of data, and the
// leaf hash. It does not allocate and does not keep data.
func Leaf(block uint64, data []byte) Node {
	head := headOf(typeLeaf, uint64(len(data)))
	return Node{Index: 2 * block, Size: uint64(len(data)), Hash: lanes.Sum(&head, data, nil)}
}

// headOf is what is hashed first: the type and a size.
func headOf(kind byte, size uint64) (h [lanes.HeadSize]byte) {
	h[0] = kind
	binary.BigEndian.PutUint64(h[1:], size)
	return h
}

// Lanes is how many leaves Leaves computes in the time of one: fewer blocks do not
// take less.
var Lanes = lanes.Width

// jobs is room for one call of lanes.Run.
type jobs [64]lanes.Job

var jobPool = sync.Pool{New: func() any { return new(jobs) }}

// Leaves sets Size and Hash of each node to those of the leaf of a block, as Leaf
// does, several times as fast with many blocks. The numbers are left alone.
func Leaves(nodes []Node, blocks [][]byte) {
	if len(blocks) < 2 || Lanes == 1 {
		for i, b := range blocks {
			index := nodes[i].Index
			nodes[i] = Leaf(0, b)
			nodes[i].Index = index
		}
		return
	}
	list := jobPool.Get().(*jobs)
	for len(blocks) > 0 {
		n := min(len(blocks), len(list))
		for i, b := range blocks[:n] {
			nodes[i].Size = uint64(len(b))
			list[i] = lanes.Job{Head: headOf(typeLeaf, uint64(len(b))), A: b, Sum: &nodes[i].Hash}
		}
		lanes.Run(list[:n])
		clear(list[:n]) // it is the caller's
		nodes, blocks = nodes[n:], blocks[n:]
	}
	jobPool.Put(list)
}

// Join returns the parent of two siblings, given in any order. It fails with
// ErrSize when the sizes add up to more than MaxInt and with ErrSiblings when
// the nodes have different parents.
func Join(a, b Node) (Node, error) {
	if Sibling(a.Index) != b.Index {
		return Node{}, fmt.Errorf("%w: %d and %d", ErrSiblings, a.Index, b.Index)
	}
	if a.Size > MaxInt || b.Size > MaxInt-a.Size {
		return Node{}, fmt.Errorf("%w: nodes %d and %d", ErrSize, a.Index, b.Index)
	}
	return join(a, b), nil
}

// join is Join for siblings whose sizes have been checked.
func join(a, b Node) Node {
	if a.Index > b.Index {
		a, b = b, a
	}
	p := Node{Index: Parent(a.Index), Size: a.Size + b.Size}
	var buf [lanes.HeadSize + 2*32]byte
	head := headOf(typeParent, p.Size)
	copy(buf[:], head[:])
	copy(buf[9:], a.Hash[:])
	copy(buf[41:], b.Hash[:])
	p.Hash = blake2b.Sum256(buf[:])
	return p
}

// joinAll sets parents to those of the nodes left, if it is not nil, and list, of
// which each two are siblings.
func joinAll(left *Node, list, parents []Node) {
	at := func(i int) *Node {
		if left == nil {
			return &list[i]
		} else if i == 0 {
			return left
		}
		return &list[i-1]
	}
	if len(parents) < 2 || Lanes == 1 {
		for i := range parents {
			parents[i] = join(*at(2 * i), *at(2*i + 1))
		}
		return
	}
	jobs := jobPool.Get().(*jobs)
	for i := 0; i < len(parents); {
		n := min(len(parents)-i, len(jobs))
		for k := range jobs[:n] {
			a, b, p := at(2*(i+k)), at(2*(i+k)+1), &parents[i+k]
			p.Index, p.Size = Parent(a.Index), a.Size+b.Size
			jobs[k] = lanes.Job{Head: headOf(typeParent, p.Size), A: a.Hash[:], B: b.Hash[:], Sum: (*[32]byte)(&p.Hash)}
		}
		lanes.Run(jobs[:n])
		clear(jobs[:n]) // it is the caller's
		i += n
	}
	jobPool.Put(jobs)
}

// TreeHash returns the hash over all roots of a log, left to right: what the
// writer signs, and the key of a static log. Only the first MaxRoots are
// hashed; there cannot be more.
func TreeHash(roots []Node) Hash {
	var buf [1 + MaxRoots*48]byte
	buf[0] = typeRoot
	b := buf[:1]
	for _, r := range roots[:min(len(roots), MaxRoots)] {
		b = append(b, r.Hash[:]...)
		b = binary.BigEndian.AppendUint64(b, r.Index)
		b = binary.BigEndian.AppendUint64(b, r.Size)
	}
	return blake2b.Sum256(b)
}

// Signable9 returns what hypercore 9 signs: the tree hash followed by the
// length in blocks. Hypercore 6 to 8 sign the tree hash alone.
func Signable9(h Hash, length uint64) (s [40]byte) {
	copy(s[:], h[:])
	binary.BigEndian.PutUint64(s[32:], length)
	return s
}
