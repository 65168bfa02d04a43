package wire

import (
	"sync"
	"sync/atomic"
)

// slabSizes are the capacities of pooled slabs. The last one holds the largest frame.
var slabSizes = [...]int{16 << 10, 64 << 10, 256 << 10, 512 << 10, 1 << 20, 2 << 20, 4 << 20, MaxFrameLen + 4096 - 4}

// slabPools hold the slabs of each size that nobody uses.
var slabPools [len(slabSizes)]sync.Pool

// Slab is a pooled buffer with a count of its holders. The Reader's frames lie in slabs: who holds
// the slab may use the bytes of those frames from any goroutine, also while the Reader goes on.
// The writing side uses slabs as buffers that are filled in one goroutine and written in another.
type Slab struct {
	B      []byte // the bytes in use; of a Reader's slab, not to be touched by others
	refs   atomic.Int32
	budget Budget // told when the last holder releases; nil: nobody counts
}

// Budget counts the memory of slabs. It is called from any goroutine and must not wait in Give.
type Budget interface {
	// Take is asked before there is a slab of n bytes. Without must it answers at once, and a
	// smaller slab is tried if it refuses; with must it may wait for memory, and a refusal ends
	// what the slab is for with that error.
	Take(n int, must bool) error
	// Give is told when a slab of n bytes that Take was asked for is no more.
	Give(n int)
}

// TakeSlab is NewSlab with a budget: of want bytes if it allows that, else with room for at least
// need bytes, for which it may wait.
func TakeSlab(want, need int, b Budget) (*Slab, error) {
	if b == nil {
		return NewSlab(max(want, need)), nil
	}
	size := slabSize(max(want, need))
	if b.Take(size, false) != nil {
		size = slabSize(need)
		if err := b.Take(size, true); err != nil {
			return nil, err
		}
	}
	s := NewSlab(size)
	s.budget = b
	return s, nil
}

// NewSlab returns a slab with room for at least n bytes, length 0 and one holder, the caller.
func NewSlab(n int) *Slab {
	size := slabSize(n)
	var s *Slab
	if pool := slabPool(size); pool != nil {
		s, _ = pool.Get().(*Slab)
	}
	if s == nil {
		s = &Slab{B: make([]byte, 0, size)}
	}
	s.refs.Store(1)
	return s
}

// slabSize is the capacity of a new slab with room for n bytes.
func slabSize(n int) int {
	for _, size := range slabSizes {
		if n <= size {
			return size
		}
	}
	return n
}

// slabPool returns the pool of slabs of a capacity, nil if they are not pooled.
func slabPool(size int) *sync.Pool {
	for i := range slabSizes {
		if slabSizes[i] == size {
			return &slabPools[i]
		}
	}
	return nil
}

// Retain adds a holder. Only a holder may call it.
func (s *Slab) Retain() { s.refs.Add(1) }

// Release takes a holder away. After the last one the buffer is used again: every holder must
// release exactly once and not touch the bytes afterwards.
func (s *Slab) Release() {
	if s.refs.Add(-1) != 0 {
		return
	}
	if s.budget != nil {
		s.budget.Give(cap(s.B))
		s.budget = nil
	}
	s.B = s.B[:0]
	if pool := slabPool(cap(s.B)); pool != nil {
		pool.Put(s)
	}
}

// sole tells whether there is one holder only: the caller.
func (s *Slab) sole() bool { return s.refs.Load() == 1 }
