package merkle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"sync"

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

// leafOnStack is the largest block that is copied behind its header and hashed
// in one call: five blocks of BLAKE2b. Above it the copy and the clearing of the
// buffer cost more than a pooled state that is fed header and block in turn.
const leafOnStack = 5*blake2b.BlockSize - 9

// hasher is a pooled BLAKE2b state with room for the header and the sum, so
// that neither is allocated per block.
type hasher struct {
	h   hash.Hash
	buf [32]byte
}

var hashers = sync.Pool{New: func() any {
	h, err := blake2b.New256(nil)
	if err != nil {
		panic("merkle: " + err.Error()) // only a key that is too long fails
	}
	return &hasher{h: h}
}}

// Leaf returns the node of a block: number 2*block, the length of data, and the
// leaf hash. It does not allocate and does not keep data.
func Leaf(block uint64, data []byte) Node {
	n := Node{Index: 2 * block, Size: uint64(len(data))}
	if len(data) <= leafOnStack {
		var b [9 + leafOnStack]byte
		b[0] = typeLeaf
		binary.BigEndian.PutUint64(b[1:], uint64(len(data)))
		n.Hash = blake2b.Sum256(b[:9+copy(b[9:], data)])
		return n
	}
	s := hashers.Get().(*hasher)
	s.h.Reset()
	s.buf[0] = typeLeaf
	binary.BigEndian.PutUint64(s.buf[1:], uint64(len(data)))
	s.h.Write(s.buf[:9])
	s.h.Write(data)
	s.h.Sum(s.buf[:0])
	n.Hash = s.buf
	hashers.Put(s)
	return n
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
	var buf [1 + 8 + 2*32]byte
	buf[0] = typeParent
	binary.BigEndian.PutUint64(buf[1:], p.Size)
	copy(buf[9:], a.Hash[:])
	copy(buf[41:], b.Hash[:])
	p.Hash = blake2b.Sum256(buf[:])
	return p
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
