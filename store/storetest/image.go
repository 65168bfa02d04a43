package storetest

import (
	"fmt"
	"math/rand/v2"

	"github.com/go-hypercore/hypercore/store"
)

// Policy says what survives of the operations that were not synced.
type Policy uint8

// The policies. What the seed means depends on it.
const (
	Drop   Policy = iota // nothing
	Keep                 // everything: the process was killed, not the computer
	Prefix               // the first seed operations
	Mask                 // operation i, from 0, if bit i of the seed is set
	Subset               // some operations, chosen by the seed
	Torn                 // some sectors, and some changes of size, chosen by the seed
)

func (p Policy) String() string {
	return [...]string{"drop", "keep", "prefix", "mask", "subset", "torn"}[p]
}

// sector is the unit that a disk writes whole or not at all.
const sector = 512

// pending is what a crash after an operation has to decide about.
type pending struct {
	base *store.MemoryStorage // what is durable, with the files that may be missing
	ops  []int                // undecided operations, indexes in Crash.ops, in order
}

// pendingAt returns the decisions of a crash after operation at.
func (c *Crash) pendingAt(at int) *pending {
	p := &pending{base: c.start.Clone()}
	for i := range at {
		c.advance(p, i)
	}
	return p
}

// advance lets the operation with index i happen.
func (c *Crash) advance(p *pending, i int) {
	o := c.ops[i]
	var decided func(k int) bool
	switch o.Kind {
	case Sync:
		decided = func(k int) bool { return c.ops[k].File == o.File && c.ops[k].Kind != Create }
	case SyncStorage:
		decided = func(k int) bool { return c.ops[k].Kind == Create }
	case Create:
		open(p.base, o.File)
		fallthrough
	default:
		p.ops = append(p.ops, i)
		return
	}
	rest := p.ops[:0]
	for _, k := range p.ops {
		if !decided(k) {
			rest = append(rest, k)
		} else if c.ops[k].Kind != Create {
			whole(c.ops[k], c.data[k], open(p.base, o.File))
		}
	}
	p.ops = rest
}

// open opens a file of an image, in which nothing can fail.
func open(m *store.MemoryStorage, name string) store.File {
	f, err := m.Open(name, true)
	if err != nil {
		panic(err)
	}
	return f
}

// whole applies an operation.
func whole(o Op, data []byte, f store.File) {
	switch o.Kind {
	case Write:
		f.WriteAt(data, o.Off)
	case Truncate:
		f.Truncate(o.Size)
	case Punch:
		f.Punch(o.Off, o.Size)
	}
}

// torn applies those sectors of an operation that keep chooses, and its change
// of size if keep(-1).
func torn(o Op, data []byte, f store.File, keep func(n int64) bool) {
	size, _ := f.Size()
	if o.Kind == Truncate {
		if keep(-1) {
			f.Truncate(o.Size)
		}
		return
	}
	end := o.Off + o.Size
	if o.Kind == Punch || end > size && !keep(-1) {
		end = min(end, size)
	} else if end > size {
		f.Truncate(end)
	}
	for off := o.Off; off < end; {
		next := min(off-off%sector+sector, end)
		if keep(off / sector) {
			if o.Kind == Write {
				f.WriteAt(data[off-o.Off:next-o.Off], off)
			} else {
				f.Punch(off, next-off)
			}
		}
		off = next
	}
}

// Image returns what a crash after operation at (0: before the first) leaves
// under a policy: a storage of its own, unlocked. The same arguments give the
// same image.
func (c *Crash) Image(at int, policy Policy, seed uint64) *store.MemoryStorage {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.image(c.pendingAt(at), policy, seed)
}

func (c *Crash) image(p *pending, policy Policy, seed uint64) *store.MemoryStorage {
	m := p.base.Clone()
	rng := rand.New(rand.NewPCG(seed, uint64(policy)))
	// Some crashes lose much, some little.
	odds := 1 + rng.IntN(7)
	chance := func(int64) bool { return rng.IntN(8) < odds }
	for i, k := range p.ops {
		o := c.ops[k]
		kept := false
		switch policy {
		case Keep:
			kept = true
		case Prefix:
			kept = uint64(i) < seed
		case Mask:
			kept = i < 64 && seed>>i&1 == 1
		case Subset, Torn:
			kept = chance(0)
		}
		if o.Kind == Create {
			if !kept {
				m.Remove(o.File)
			}
			continue
		}
		if _, err := m.Open(o.File, false); err != nil {
			continue // the file itself is missing
		}
		switch {
		case policy == Torn:
			torn(o, c.data[k], open(m, o.File), chance)
		case kept:
			whole(o, c.data[k], open(m, o.File))
		}
	}
	return m
}

// State is one outcome of a crash.
type State struct {
	At      int    // the last operation that was done
	Policy  Policy // with Seed and At, the arguments of Image that make it again
	Seed    uint64 //
	Sum     uint64 // hash of all names and content, for counting
	Storage *store.MemoryStorage
}

// String returns the arguments of Image that make the state again.
func (s State) String() string { return fmt.Sprintf("Image(%d, %v, %#x)", s.At, s.Policy, s.Seed) }
