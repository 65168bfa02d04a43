package bitfield_test

import (
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/go-hypercore/hypercore/feed/bitfield"
)

// TestHuge claims what a hostile peer may claim: it must cost next to nothing.
func TestHuge(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b := new(bitfield.Bits)
	const n = 1 << 52
	if got := b.SetRange(0, n, true); got != n {
		t.Errorf("SetRange changed %d", got)
	}
	if got := b.Count(0, 1<<63); got != n {
		t.Errorf("Count = %d", got)
	}
	if got := b.NextClear(5); got != n {
		t.Errorf("NextClear = %d", got)
	}
	if !b.Set(n/2+1, false) || b.Get(n/2+1) || !b.Get(n/2) {
		t.Error("a bit in the middle")
	}
	if got := b.NextClear(0); got != n/2+1 {
		t.Errorf("NextClear = %d", got)
	}
	if got := b.SetRange(10, n-10, false); got != n-21 {
		t.Errorf("SetRange changed %d", got)
	}
	if i, ok := b.NextSet(10); !ok || i != n-10 {
		t.Errorf("NextSet = %d, %v", i, ok)
	}
	if i, ok := b.PrevSet(n - 10); !ok || i != 9 {
		t.Errorf("PrevSet = %d, %v", i, ok)
	}
	if got := b.Len(); got != n {
		t.Errorf("Len = %d", got)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
		t.Errorf("%d bytes allocated", used)
	}
}

func TestLimits(t *testing.T) {
	b := new(bitfield.Bits)
	for _, i := range []uint64{bitfield.Limit, 1<<64 - 1} {
		if b.Set(i, true) || b.Get(i) || b.SetRange(i, i+1, true) != 0 || b.NextClear(i) != i {
			t.Errorf("bit %d", i)
		}
		b.SetBytes(i, []byte{0xff})
	}
	if b.Len() != 0 || b.Count(0, 1<<64-1) != 0 {
		t.Errorf("Len = %d", b.Len())
	}
	if got := b.SetRange(0, 1<<64-1, true); got != bitfield.Limit {
		t.Errorf("all: %d", got)
	}
	if got := b.NextClear(0); got != bitfield.Limit || b.Len() != bitfield.Limit {
		t.Errorf("NextClear = %d, Len = %d", got, b.Len())
	}
	if i, ok := b.NextSet(bitfield.Limit - 1); !ok || i != bitfield.Limit-1 {
		t.Errorf("NextSet = %d, %v", i, ok)
	}
	if _, ok := b.NextSet(bitfield.Limit); ok {
		t.Error("NextSet behind the limit")
	}
	if i, ok := b.PrevSet(1<<64 - 1); !ok || i != bitfield.Limit-1 {
		t.Errorf("PrevSet = %d, %v", i, ok)
	}
	if got := b.SetRange(0, bitfield.Limit, false); got != bitfield.Limit || b.Len() != 0 {
		t.Errorf("none: %d", got)
	}
	if got := b.SetRange(5, 5, true) + b.SetRange(6, 5, true); got != 0 {
		t.Errorf("empty ranges changed %d", got)
	}
	b.Set(3, true)
	b.Clear()
	if b.Get(3) || b.Len() != 0 {
		t.Error("Clear")
	}
}

func TestNextSetNotIn(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	for range 50 {
		a, b := new(bitfield.Bits), new(bitfield.Bits)
		for range 30 {
			for _, x := range []*bitfield.Bits{a, b} {
				i := near(r, 1<<22)
				x.SetRange(i, i+uint64(r.IntN(10000)), r.IntN(3) > 0)
				x.Set(near(r, 1<<22), true)
			}
		}
		for range 200 {
			from := near(r, 1<<22)
			want, wantOK := a.NextSet(from)
			for wantOK && b.Get(want) {
				want, wantOK = a.NextSet(want + 1)
			}
			if got, ok := a.NextSetNotIn(b, from); ok != wantOK || got != want {
				t.Fatalf("NextSetNotIn(%d) = %d, %v, want %d, %v", from, got, ok, want, wantOK)
			}
		}
	}
	all := new(bitfield.Bits)
	all.SetRange(0, 1<<52, true)
	if i, ok := all.NextSetNotIn(all, 0); ok {
		t.Errorf("%d", i)
	}
	if i, ok := all.NextSetNotIn(new(bitfield.Bits), 77); !ok || i != 77 {
		t.Errorf("%d, %v", i, ok)
	}
}

func TestWord(t *testing.T) {
	b := new(bitfield.Bits)
	b.Set(70, true)
	b.Set(64, true)
	for i, want := range map[uint64]uint64{0: 0, 64: 1<<63 | 1<<57, 127: 1<<63 | 1<<57, 128: 0, 1 << 60: 0} {
		if got := b.Word(i); got != want {
			t.Errorf("Word(%d) = %x", i, got)
		}
	}
}

// FuzzBits runs a program of operations on Bits and on the model.
func FuzzBits(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11})
	f.Add([]byte{2, 0, 0, 255, 4, 0, 1, 0, 6, 31, 0, 9, 0, 32, 1, 1})
	f.Fuzz(func(t *testing.T, in []byte) {
		b, m := new(bitfield.Bits), model{}
		for in = in[:min(len(in), 400)]; len(in) >= 4; in = in[4:] {
			// Around the seam of two pages, and of two nodes.
			i := uint64(in[1])<<8&0x1f00 + uint64(in[2])
			if in[1]&0x80 != 0 {
				i += 1<<21 - 4096
			} else {
				i += 4096
			}
			n, v := uint64(in[3])*16, in[0]&0x80 == 0
			switch in[0] % 6 {
			case 0:
				if b.Set(i, v) != (m.setRange(i, i+1, v) == 1) {
					t.Fatal("Set")
				}
			case 1, 2:
				if b.SetRange(i, i+n, v) != m.setRange(i, i+n, v) {
					t.Fatal("SetRange")
				}
			case 3:
				if b.Count(i, i+n) != m.count(i, i+n) {
					t.Fatal("Count")
				}
			case 4:
				p := make([]byte, in[3])
				for k := range p {
					p[k] = in[k%4]
				}
				b.SetBytes(i&^7, p)
				m.setBytes(i&^7, p)
			case 5:
				if string(b.Bytes(nil, i&^7, 8*uint64(in[3]))) != string(m.bytes(i&^7, 8*uint64(in[3]))) {
					t.Fatal("Bytes")
				}
			}
		}
		if b.Len() != m.len() || b.Count(0, bitfield.Limit) != uint64(len(m)) {
			t.Fatalf("Len %d, Count %d", b.Len(), b.Count(0, bitfield.Limit))
		}
		var c uint64
		for i, ok := b.NextSet(0); ok; i, ok = b.NextSet(i + 1) {
			if c++; !m[i] {
				t.Fatalf("bit %d", i)
			}
		}
		if c != uint64(len(m)) {
			t.Fatalf("%d of %d bits", c, len(m))
		}
	})
}
