package schedule

import (
	"math"
	"math/bits"
	"time"
)

// The members of a swarm that lack the same blocks divide them among themselves
// without a word: a block is first fetched by the one whose name gives the
// highest number together with the block's place. Each member finds the same
// order of all members for each block, and takes the blocks first in whose order
// it stands highest. So one source sends each block once, while the members
// pass on to each other what each has fetched, and a member that is not there
// or does not fetch its part delays nothing: the next ones in the order take it
// when they have taken theirs.

const (
	// shareBytes is about how much is divided as one: adjacent blocks are cheaper
	// to ask for together.
	shareBytes = 256 << 10
	// shareGroups is how many parts a feed is to have at least, if it has as many
	// blocks, so that all members get about as many of them.
	shareGroups = 1024
	// maxShared bounds the parts that one search for the rarest blocks looks at.
	maxShared = 4096
	// ranks is how finely the order of members is told; those behind are alike.
	ranks = 8
)

// part is some candidates of one word that are in one group.
type part struct {
	word int // among those of the chunks
	mask uint64
}

// groupBits is the logarithm of the number of blocks in a group, at most 6. It
// must be the same at all members, so it depends on what all see alike.
func (t *Table) groupBits(length uint64) int {
	if t.size.value == 0 {
		return 0
	}
	s := math.Round(math.Log2(shareBytes / t.size.value))
	return int(max(0, min(s, float64(bits.Len64(length/shareGroups))-1, 6)))
}

// rank is how many peers besides p that lack block b, and may want it, come
// before this table in the order of the block's group.
func (t *Table) rank(p *Peer, b uint64, group int) (n int) {
	g := (b >> group) * golden
	for _, q := range t.peers {
		if q == p || q.name == 0 || q.remote.Get(b) {
			continue
		}
		if mix(g^q.name) > mix(g^q.self) {
			if n++; n == ranks-1 {
				break
			}
		}
	}
	return n
}

// share sorts the candidates of a level by rank into t.parts: from word first on,
// around, until there are room blocks of rank 0 or enough was looked at.
func (t *Table) share(p *Peer, cs []rarity, level, first, room int) {
	for r := range t.parts {
		t.parts[r] = t.parts[r][:0]
	}
	group := t.groupBits(p.remote.Len())
	size := 1 << group
	n := len(cs) * chunkWord
	looks := min(maxShared, (len(t.peers)+1)*(room>>group+8))
	for k := 0; k < n && looks > 0 && room > 0; k++ {
		i := (first + k) % n
		m := cs[i/chunkWord].level(i%chunkWord, level)
		for base := cs[i/chunkWord].base + uint64(i%chunkWord)*64; m != 0; looks-- {
			at := bits.LeadingZeros64(m) &^ (size - 1)
			part := part{i, m & (^uint64(0) << (64 - size) >> at)}
			m &^= part.mask
			r := t.rank(p, base+uint64(at), group)
			t.parts[r] = append(t.parts[r], part)
			if r == 0 {
				room -= bits.OnesCount64(part.mask)
			}
		}
	}
}

// takeParts takes what share has found, the lowest ranks first.
func (t *Table) takeParts(p *Peer, cs []rarity, room int, now time.Duration, runs []Run) ([]Run, int) {
	for _, parts := range t.parts {
		for _, x := range parts {
			if room == 0 {
				return runs, 0
			}
			c := &cs[x.word/chunkWord]
			c.free[x.word%chunkWord] &^= x.mask
			word := c.base/64 + uint64(x.word%chunkWord)
			runs, room = t.takeMask(p, word, x.mask, room, now, runs)
			t.rover = word * 64
		}
	}
	return runs, room
}

// named reports whether a peer besides p has a name, so that there is something
// to be shared.
func (t *Table) named(p *Peer) bool {
	for _, q := range t.peers {
		if q != p && q.name != 0 {
			return true
		}
	}
	return false
}
