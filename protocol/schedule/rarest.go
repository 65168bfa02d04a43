package schedule

import (
	"math/bits"
	"time"
)

const (
	// maxCounted is how many other peers are looked at to tell how rare a block
	// is. A block that so many have is not rare.
	maxCounted = 32
	// lookahead is how many chunks with something to take are compared before
	// the rarest blocks among them are taken.
	lookahead = 8
	// levels is how finely rarity is told: 0 to 6 other holders, 7 or more.
	levels = 8
)

// rarity counts, for each block of a chunk, the other peers that have it: three
// bits, one in each plane, that stop at 7.
type rarity struct {
	window
	planes [3][chunkWord]uint64
}

// takeRarest takes up to room free blocks of [start, end) that p has, those
// with the fewest other holders first. It begins at the rover, goes around, and
// stops after a bounded look.
func (t *Table) takeRarest(p *Peer, start, end uint64, room int, now time.Duration, runs []Run) ([]Run, int) {
	from := t.rover
	if from < start || from >= end {
		from = start + from%(end-start)
	}
	alone := len(t.peers) == 1
	n, lap, at := 0, 0, from
	for steps := 0; room > 0; steps++ {
		if steps == maxChunks {
			t.rover, t.cut = at, true // go on from there the next time
			break
		}
		stop := end
		if lap == 1 {
			stop = from
		}
		next, ok := t.candidate(p, at, stop)
		if !ok {
			if lap++; lap == 2 {
				break
			}
			at = start
			continue
		}
		if alone {
			w := &t.win
			t.load(w, p, next, stop)
			at = w.base + chunk
			for i := 0; i < chunkWord && room > 0; i++ {
				if m := w.free[i]; m != 0 {
					word := w.base/64 + uint64(i)
					runs, room = t.takeMask(p, word, m, room, now, runs)
					t.rover = word * 64
				}
			}
			continue
		}
		if t.rare == nil {
			t.rare = new([lookahead]rarity)
		}
		c := &t.rare[n]
		any := t.load(&c.window, p, next, stop)
		at = c.base + chunk
		if !any {
			continue
		}
		t.count(p, c)
		if n++; n == lookahead {
			runs, room = t.takeLevels(p, t.rare[:n], room, now, runs)
			n = 0
		}
	}
	if n > 0 {
		runs, room = t.takeLevels(p, t.rare[:n], room, now, runs)
	}
	return runs, room
}

// count fills the planes of c from the maps of the peers besides p.
func (t *Table) count(p *Peer, c *rarity) {
	c.planes = [3][chunkWord]uint64{}
	var words [chunkWord]uint64
	counted := 0
	for _, q := range t.peers {
		if q == p {
			continue
		}
		if _, some := q.HasBetween(c.base, c.base+chunk); !some {
			continue
		}
		t.words(&q.remote, c.base, &words)
		for i, w := range words {
			a, b, d := c.planes[0][i], c.planes[1][i], c.planes[2][i]
			full := a & b & d
			w &^= full
			c.planes[0][i] = a ^ w
			c.planes[1][i] = b ^ (a & w)
			c.planes[2][i] = d ^ (a & b & w)
		}
		if counted++; counted == maxCounted {
			return
		}
	}
}

// level is the mask of the blocks of word i that exactly l other peers have.
func (c *rarity) level(i, l int) uint64 {
	m := c.free[i]
	for k := range c.planes {
		if l>>k&1 == 1 {
			m &= c.planes[k][i]
		} else {
			m &^= c.planes[k][i]
		}
	}
	return m
}

// takeLevels takes the rarest blocks of the chunks. Among the rarest it takes its
// share; among other equals it begins at a random one, so that the members of a
// swarm do not all choose the same. (Not at the first after a random place: the
// block behind a gap would be everyone's.)
func (t *Table) takeLevels(p *Peer, cs []rarity, room int, now time.Duration, runs []Run) ([]Run, int) {
	n := len(cs) * chunkWord
	shared := t.named(p)
	for l := 0; l < levels && room > 0; l++ {
		total := 0
		for i := range n {
			total += bits.OnesCount64(cs[i/chunkWord].level(i%chunkWord, l))
		}
		if total == 0 {
			continue
		}
		first, skip := 0, int(t.random()%uint64(total))
		for ; ; first++ {
			k := bits.OnesCount64(cs[first/chunkWord].level(first%chunkWord, l))
			if skip < k {
				break
			}
			skip -= k
		}
		if shared {
			shared = false // what is less rare is passed on by others already
			t.share(p, cs, l, first, room)
			runs, room = t.takeParts(p, cs, room, now, runs)
			skip = 0
		}
		// The first word is visited twice: from the chosen block on, then up to it.
		for k := 0; k <= n && room > 0; k++ {
			i := (first + k) % n
			c := &cs[i/chunkWord]
			m := c.level(i%chunkWord, l)
			if k == 0 {
				m &^= firstBits(m, skip)
			}
			if m != 0 {
				word := c.base/64 + uint64(i%chunkWord)
				c.free[i%chunkWord] &^= m
				runs, room = t.takeMask(p, word, m, room, now, runs)
				t.rover = word * 64
			}
		}
	}
	return runs, room
}

// random is the next number of a sequence that the seed decides (splitmix64).
func (t *Table) random() uint64 {
	t.seed += golden
	return mix(t.seed)
}

const golden = 0x9e3779b97f4a7c15

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
