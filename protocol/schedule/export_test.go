package schedule

// Room is how many flights a peer's queues have room for.
func Room(p *Peer) (flights, lost int) { return len(p.flights.buf), len(p.lost.buf) }

// MaxLostFlights bounds those that were given to others.
const MaxLostFlights = maxLostFlights

// Ring is a queue of flights.
type Ring struct{ r ring }

// Push adds blocks of a word.
func (r *Ring) Push(word, mask uint64) { r.r.push(flight{word: word, mask: mask}) }

// Find returns which of the blocks a flight has that has any, 0 for none.
func (r *Ring) Find(word, mask uint64) uint64 {
	if f := r.r.find(word, mask); f != nil {
		return f.mask & mask
	}
	return 0
}

// Take takes blocks of a range out, and returns how many flights had any.
func (r *Ring) Take(start, end uint64) (n int) {
	r.r.within(start, end, func(f *flight, m uint64) { f.mask &^= m; n++ })
	r.r.trim()
	return n
}

// Walk is how many flights have blocks of a range, by looking at all of them.
func (r *Ring) Walk(start, end uint64) (n int) {
	r.r.each(func(f *flight) {
		if f.mask&span(f.word, start, end) != 0 {
			n++
		}
	})
	return n
}

// Drop drops the oldest.
func (r *Ring) Drop() {
	if r.r.n > 0 {
		r.r.pop()
	}
}
