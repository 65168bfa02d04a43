package bitfield_test

import (
	"math/rand/v2"
	"testing"

	"github.com/go-hypercore/hypercore/feed/bitfield"
)

const ten = 10_000_000 // the feed the figures are about

// half has every second run of 1 to 64 bits set.
func half() *bitfield.Bits {
	b, r := new(bitfield.Bits), rand.New(rand.NewPCG(1, 1))
	for i := uint64(0); i < ten; {
		n := 1 + uint64(r.IntN(64))
		b.SetRange(i, min(i+n, ten), true)
		i += n + 1 + uint64(r.IntN(64))
	}
	return b
}

func BenchmarkGet(b *testing.B) {
	bits := half()
	for i := uint64(0); b.Loop(); i++ {
		bits.Get(i * 7919 % ten)
	}
}

// BenchmarkSetInOrder is a download in order: pages fill and vanish.
func BenchmarkSetInOrder(b *testing.B) {
	b.ReportAllocs()
	bits := new(bitfield.Bits)
	for i := uint64(0); b.Loop(); i++ {
		bits.Set(i, true)
	}
}

func BenchmarkSetRandom(b *testing.B) {
	b.ReportAllocs()
	bits := new(bitfield.Bits)
	for i := uint64(0); b.Loop(); i++ {
		bits.Set(i*7919%ten, true)
	}
}

func BenchmarkSetRange(b *testing.B) {
	b.ReportAllocs()
	bits := new(bitfield.Bits)
	for v := true; b.Loop(); v = !v {
		bits.SetRange(5, ten, v)
	}
}

func BenchmarkCount(b *testing.B) {
	bits := half()
	for b.Loop() {
		bits.Count(1, ten-1)
	}
}

func BenchmarkNextSet(b *testing.B) {
	bits, i := half(), uint64(0)
	for b.Loop() {
		n, ok := bits.NextSet(i)
		if i = n + 1; !ok {
			i = 0
		}
	}
}

// BenchmarkNextClearAtEnd looks for what is missing in a feed that has all.
func BenchmarkNextClearAtEnd(b *testing.B) {
	bits := new(bitfield.Bits)
	bits.SetRange(0, ten, true)
	for b.Loop() {
		bits.NextClear(0)
	}
}

func BenchmarkNextSetNotIn(b *testing.B) {
	bits, other, i := half(), half(), uint64(0)
	for k := uint64(0); k < ten; k += 100_000 {
		other.SetRange(k, k+1000, false)
	}
	for b.Loop() {
		n, ok := bits.NextSetNotIn(other, i)
		if i = n + 1; !ok {
			i = 0
		}
	}
}

// The bits of one Want region.
func BenchmarkBytes(b *testing.B) {
	bits, dst := half(), make([]byte, 0, 1<<17)
	b.SetBytes(1 << 17)
	b.ReportAllocs()
	for b.Loop() {
		dst = bits.Bytes(dst[:0], 1<<20, 1<<20)
	}
}

func BenchmarkSetBytes(b *testing.B) {
	bits := new(bitfield.Bits)
	p := half().Bytes(nil, 0, 1<<20)
	b.SetBytes(1 << 17)
	b.ReportAllocs()
	for b.Loop() {
		bits.SetBytes(0, p)
	}
}
