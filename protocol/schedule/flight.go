package schedule

import (
	"math/bits"
	"time"
)

// flight is up to 64 blocks in flight at a peer, asked for at one time.
type flight struct {
	word uint64        // blocks 64*word up to 64*word+63
	mask uint64        // those not answered yet, bit(b) each
	at   time.Duration // when they were asked
	due  time.Duration // when the answer was expected
}

// bit is the mask of block b in its word: block 64w is the highest bit, as in
// the bitfields of the wire.
func bit(b uint64) uint64 { return 1 << (63 - b%64) }

// low is the offset in its word of the last block of m, which is not zero.
func low(m uint64) uint64 { return 63 - uint64(bits.TrailingZeros64(m)) }

// ring is a queue of flights in the order they were asked. Answered ones in its
// middle stay, with an empty mask, until they reach the head or there is no room.
//
// A chain for each hash of a word leads from the newest flight to the oldest. What was
// dropped at the head is not taken out of it: a chain ends where it would lead to a
// place that is not older.
type ring struct {
	buf   []flight // length a power of two
	chain []int32  // for each of buf the one before with the same hash, -1 for none
	last  []int32  // for each hash the newest, -1 for none; as many as buf has
	head  int      // of the oldest
	n     int
	hint  int // offset from head of the flight found last
}

func (r *ring) at(i int) *flight { return &r.buf[(r.head+i)&(len(r.buf)-1)] }

// push appends, joining the newest flight if it is for the same word and time.
func (r *ring) push(f flight) {
	if r.n > 0 {
		if last := r.at(r.n - 1); last.word == f.word && last.at == f.at && last.mask != 0 {
			last.mask |= f.mask
			return
		}
	}
	if r.n == len(r.buf) {
		r.grow()
	}
	r.n++
	*r.at(r.n - 1) = f
	r.link(r.n - 1)
}

// link puts the flight at offset i, the newest so far, into its chain.
func (r *ring) link(i int) {
	at, h := (r.head+i)&(len(r.buf)-1), r.hash(r.at(i).word)
	r.chain[at], r.last[h] = r.last[h], int32(at)
}

// hash is the chain of a word.
func (r *ring) hash(word uint64) int {
	return int(word*0x9e3779b97f4a7c15>>32) & (len(r.buf) - 1)
}

// grow makes room for as many flights as have blocks left, and drops the others:
// a head that is never answered must not keep all that came after it.
func (r *ring) grow() {
	left, size := 0, 8
	r.each(func(*flight) { left++ })
	for size < 2*left {
		size *= 2
	}
	buf := make([]flight, 0, size)
	r.each(func(f *flight) { buf = append(buf, *f) })
	r.buf, r.head, r.n, r.hint = buf[:size], 0, left, 0
	r.chain, r.last = make([]int32, size), make([]int32, size)
	for i := range r.last {
		r.last[i] = -1
	}
	for i := range left {
		r.link(i)
	}
}

// find returns the oldest flight that has a block of word and mask, nil if none; or the
// one that was found last, if that has.
func (r *ring) find(word, mask uint64) *flight {
	if r.hint < r.n {
		if f := r.at(r.hint); f.word == word && f.mask&mask != 0 {
			return f
		}
	}
	if r.n == 0 {
		return nil
	}
	found := -1
	for at, newer := r.last[r.hash(word)], r.n; at >= 0; at = r.chain[at] {
		i := (int(at) - r.head) & (len(r.buf) - 1)
		if i >= newer {
			break
		}
		if f := &r.buf[at]; f.word == word && f.mask&mask != 0 {
			found = i
		}
		newer = i
	}
	if found < 0 {
		return nil
	}
	r.hint = found
	return r.at(found)
}

// trim drops empty flights from the head.
func (r *ring) trim() {
	for r.n > 0 && r.at(0).mask == 0 {
		r.pop()
	}
	if r.n == 0 && len(r.buf) > 64 {
		r.buf, r.chain, r.last = nil, nil, nil // an idle peer holds little memory
		r.head, r.hint = 0, 0
	}
}

// pop drops the head.
func (r *ring) pop() {
	r.head = (r.head + 1) & (len(r.buf) - 1)
	r.n--
	r.hint = max(0, r.hint-1)
}

// each calls fn for every flight that has blocks left. fn may clear its mask.
func (r *ring) each(fn func(*flight)) {
	for i := range r.n {
		if f := r.at(i); f.mask != 0 {
			fn(f)
		}
	}
}

// within calls fn for every flight that has blocks left of [start, end), with those, in no
// order. fn may clear its mask.
func (r *ring) within(start, end uint64, fn func(f *flight, mask uint64)) {
	if start >= end || r.n == 0 {
		return
	}
	first, last := start/64, (end-1)/64
	if last-first >= uint64(r.n) {
		for i := range r.n {
			f := r.at(i)
			if m := f.mask & span(f.word, start, end); m != 0 {
				fn(f, m)
			}
		}
		return
	}
	for word := first; word <= last; word++ {
		newer := r.n
		for at := r.last[r.hash(word)]; at >= 0; at = r.chain[at] {
			i := (int(at) - r.head) & (len(r.buf) - 1)
			if i >= newer {
				break
			}
			newer = i
			f := &r.buf[at]
			if f.word != word {
				continue
			}
			if m := f.mask & span(word, start, end); m != 0 {
				fn(f, m)
			}
		}
	}
}

// oldest returns the oldest flight that has blocks left, nil if none.
func (r *ring) oldest() *flight {
	r.trim()
	if r.n == 0 {
		return nil
	}
	return r.at(0)
}
