package bitfield_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/go-hypercore/hypercore/feed/bitfield"
)

// model is the obvious implementation.
type model map[uint64]bool

func (m model) setRange(start, end uint64, v bool) (changed uint64) {
	for i := start; i < end; i++ {
		if m[i] != v {
			changed++
		}
		if v {
			m[i] = true
		} else {
			delete(m, i)
		}
	}
	return changed
}

func (m model) count(start, end uint64) (c uint64) {
	for i := range m {
		if i >= start && i < end {
			c++
		}
	}
	return c
}

func (m model) len() (n uint64) {
	for i := range m {
		n = max(n, i+1)
	}
	return n
}

func (m model) mixed() (n int) {
	pages := map[uint64]int{}
	for i := range m {
		pages[i/8192]++
	}
	for _, set := range pages {
		if set < 8192 {
			n++
		}
	}
	return n
}

func (m model) bytes(start, n uint64) []byte {
	p := make([]byte, n/8)
	for i := range n {
		if m[start+i] {
			p[i/8] |= 0x80 >> (i % 8)
		}
	}
	return p
}

func (m model) setBytes(start uint64, p []byte) {
	for i := range uint64(len(p)) * 8 {
		m.setRange(start+i, start+i+1, p[i/8]&(0x80>>(i%8)) != 0)
	}
}

// near returns an index close to where something can go wrong: ends of words,
// pages and nodes.
func near(r *rand.Rand, limit uint64) uint64 {
	edges := []uint64{0, 64, 8192, 16384, 1 << 21, 1<<21 + 8192, 1 << 29}
	e := edges[r.IntN(len(edges))]
	i := e + uint64(r.IntN(300))
	if e > 0 && r.IntN(2) == 0 {
		i = e - uint64(r.IntN(64))
	}
	if r.IntN(4) == 0 {
		i = uint64(r.IntN(20000))
	}
	return min(i, limit)
}

func TestRandom(t *testing.T) {
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 1))
		b, m := new(bitfield.Bits), model{}
		for op := range 400 {
			i := near(r, 1<<30)
			v := r.IntN(5) > 1
			switch r.IntN(9) {
			case 0, 1:
				if got, want := b.Set(i, v), m[i] != v; got != want {
					t.Fatalf("seed %d op %d: Set(%d, %v) = %v", seed, op, i, v, got)
				}
				m.setRange(i, i+1, v)
			case 2:
				end := i + uint64(r.IntN(20000))
				if got, want := b.SetRange(i, end, v), m.setRange(i, end, v); got != want {
					t.Fatalf("seed %d op %d: SetRange(%d, %d, %v) = %d, want %d", seed, op, i, end, v, got, want)
				}
			case 3:
				end := i + uint64(r.IntN(20000))
				if got, want := b.Count(i, end), m.count(i, end); got != want {
					t.Fatalf("seed %d op %d: Count(%d, %d) = %d, want %d", seed, op, i, end, got, want)
				}
			case 4:
				got, ok := b.NextSet(i)
				want, wantOK := uint64(0), false
				for j := range m {
					if j >= i && (!wantOK || j < want) {
						want, wantOK = j, true
					}
				}
				if got != want || ok != wantOK {
					t.Fatalf("seed %d op %d: NextSet(%d) = %d, %v, want %d, %v", seed, op, i, got, ok, want, wantOK)
				}
				got, ok = b.PrevSet(i)
				want, wantOK = 0, false
				for j := range m {
					if j < i && (!wantOK || j > want) {
						want, wantOK = j, true
					}
				}
				if got != want || ok != wantOK {
					t.Fatalf("seed %d op %d: PrevSet(%d) = %d, %v, want %d, %v", seed, op, i, got, ok, want, wantOK)
				}
			case 5:
				want := i
				for m[want] {
					want++
				}
				if got := b.NextClear(i); got != want {
					t.Fatalf("seed %d op %d: NextClear(%d) = %d, want %d", seed, op, i, got, want)
				}
				end := near(r, 1<<30)
				if got, want := b.RunEnd(i, end), max(i, min(want, end)); got != want {
					t.Fatalf("seed %d op %d: RunEnd(%d, %d) = %d, want %d", seed, op, i, end, got, want)
				}
			case 6:
				start, n := i&^7, uint64(r.IntN(2500))*8
				if got, want := b.Bytes([]byte{1}, start, n), m.bytes(start, n); !bytes.Equal(got[1:], want) {
					t.Fatalf("seed %d op %d: Bytes(%d, %d)", seed, op, start, n)
				}
			case 7:
				p := make([]byte, r.IntN(1500))
				switch r.IntN(4) {
				case 0:
					for j := range p {
						p[j] = 0xff
					}
				case 1:
				default:
					for j := range p {
						p[j] = byte(r.Uint32())
					}
				}
				b.SetBytes(i&^7, p)
				m.setBytes(i&^7, p)
			case 8:
				if got, want := b.Len(), m.len(); got != want {
					t.Fatalf("seed %d op %d: Len = %d, want %d", seed, op, got, want)
				}
				if got, want := b.Mixed(), m.mixed(); got != want {
					t.Fatalf("seed %d op %d: Mixed = %d, want %d", seed, op, got, want)
				}
				if got, want := b.Get(i), m[i]; got != want {
					t.Fatalf("seed %d op %d: Get(%d) = %v", seed, op, i, got)
				}
				if r.IntN(3) == 0 {
					old := b
					b = b.Clone()
					old.SetRange(0, bitfield.Limit, v)
				}
			}
		}
		if got, want := b.Count(0, bitfield.Limit), uint64(len(m)); got != want {
			t.Fatalf("seed %d: %d bits, want %d", seed, got, want)
		}
		for i := range m {
			if !b.Get(i) {
				t.Fatalf("seed %d: bit %d is clear", seed, i)
			}
		}
	}
}
