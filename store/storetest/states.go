package storetest

import (
	"hash/maphash"
	"iter"

	"github.com/go-hypercore/hypercore/store"
)

// DefaultPerOp is the default of Explore.PerOp.
const DefaultPerOp = 64

// Explore says which crashes to try. The zero value tries some at every
// operation.
type Explore struct {
	// From and To are the first and the last operation after which to crash; 0 as
	// To is the last there is.
	From, To int
	// PerOp is the largest number of states for one operation; 0 is DefaultPerOp.
	// Nothing lost, everything lost and all prefixes come first, then all subsets
	// if there is room for them, else random ones; torn sectors get at least a
	// third.
	PerOp int
	// Seed starts the random choices.
	Seed uint64
	// Promise names what the program had acknowledged after an operation. States
	// with the same content are tried once for each promise: the same disk may be
	// right before an acknowledgement and wrong after it. Nil: once for each
	// operation.
	Promise func(at int) uint64
}

// States calls yield with the outcomes of crashes, in the order of the
// operations, no two of them the same under one promise. No operation may be under
// way on c meanwhile.
func (c *Crash) States(e Explore) iter.Seq[State] {
	if e.To == 0 {
		e.To = c.Len()
	}
	if e.PerOp == 0 {
		e.PerOp = DefaultPerOp
	}
	if e.Promise == nil {
		e.Promise = func(at int) uint64 { return uint64(at) }
	}
	return func(yield func(State) bool) {
		type key struct{ promise, sum uint64 }
		seen := map[key]bool{}
		p := c.pendingAt(e.From)
		for at := e.From; at <= e.To; at++ {
			if at > e.From {
				c.advance(p, at-1)
			}
			try := func(policy Policy, seed uint64) bool {
				s := State{At: at, Policy: policy, Seed: seed, Storage: c.image(p, policy, seed)}
				s.Sum = sum(s.Storage)
				k := key{e.Promise(at), s.Sum}
				if seen[k] {
					return true
				}
				seen[k] = true
				return yield(s)
			}
			for policy, seed := range plan(len(p.ops), e.PerOp, e.Seed+uint64(at)<<32) {
				if !try(policy, seed) {
					return
				}
			}
		}
	}
}

// plan lists the choices to try for n undecided operations.
func plan(n, limit int, seed uint64) iter.Seq2[Policy, uint64] {
	return func(yield func(Policy, uint64) bool) {
		left := limit
		try := func(p Policy, s uint64) bool {
			left--
			return left >= 0 && yield(p, s)
		}
		if !try(Drop, 0) || n == 0 || !try(Keep, 0) {
			return
		}
		tears := limit / 3
		for k := uint64(1); k < uint64(n) && left > tears; k++ {
			if !try(Prefix, k) {
				return
			}
		}
		if n < 16 && left-tears >= 1<<n {
			for m := uint64(1); m < 1<<n-1; m++ {
				if !try(Mask, m) {
					return
				}
			}
		} else {
			for k := uint64(0); left > tears; k++ {
				if !try(Subset, seed+k) {
					return
				}
			}
		}
		for k := uint64(0); left > 0; k++ {
			if !try(Torn, seed+k) {
				return
			}
		}
	}
}

var sumSeed = maphash.MakeSeed()

// sum hashes the names, sizes and content of all files.
func sum(m *store.MemoryStorage) uint64 {
	var h maphash.Hash
	h.SetSeed(sumSeed)
	for _, name := range m.Names() {
		p, err := m.ReadFile(name)
		if err != nil {
			panic(err) // nothing can fail in memory
		}
		maphash.WriteComparable(&h, len(name))
		h.WriteString(name)
		maphash.WriteComparable(&h, len(p))
		h.Write(p)
	}
	return h.Sum64()
}
