//go:build !purego

package wire

import (
	"encoding/binary"

	//lint:ignore SA1019 hypercore 6 encrypts with it, and package salsa20 has no stream that goes on
	"golang.org/x/crypto/salsa20/salsa"
	"golang.org/x/sys/cpu"
)

// sixLen is what xorSix does at a time, in bytes.
const sixLen = 6 * 64

// sixBlocks is the initial state of six blocks for xorSix: words of the matrix, twice four for a
// register.
type sixBlocks struct {
	d0, d1, d3 [8]uint32
	d2         [3][8]uint32 // with the counters of two blocks each
	step       [8]uint32    // added to each of d2 for the next six
}

// xorSix XORs n times six blocks of key stream to p. The low words of the counters must not
// overflow. It needs AVX2.
//
//go:noescape
func xorSix(p *byte, n uint64, s *sixBlocks)

// xorKeyStream XORs key stream to p, whole blocks, with the blocks' numbers from counter on: 2.5
// times as fast as the package salsa where there is AVX2.
func xorKeyStream(p []byte, counter *[16]byte, key *[32]byte) {
	n := uint64(len(p)) / sixLen
	low := binary.LittleEndian.Uint32(counter[8:])
	if cpu.X86.HasAVX2 && n > 0 && uint64(low)+6*n <= 1<<32 {
		var s sixBlocks
		s.init(counter, key)
		xorSix(&p[0], n, &s)
		next := *counter
		binary.LittleEndian.PutUint64(next[8:], binary.LittleEndian.Uint64(counter[8:])+6*n)
		p, counter = p[n*sixLen:], &next
	}
	if len(p) > 0 {
		salsa.XORKeyStream(p, p, counter, key)
	}
}

// init fills the matrix: the constants are its diagonal, the key words 1 to 4 and 11 to 14, the nonce
// words 6 and 7, the counter words 8 and 9.
func (s *sixBlocks) init(counter *[16]byte, key *[32]byte) {
	k := func(i int) uint32 { return binary.LittleEndian.Uint32(key[4*i:]) }
	n := func(i int) uint32 { return binary.LittleEndian.Uint32(counter[4*i:]) }
	c := func(i int) uint32 { return binary.LittleEndian.Uint32(salsa.Sigma[4*i:]) }
	for half := 0; half < 8; half += 4 {
		copy(s.d0[half:], []uint32{c(0), c(1), c(2), c(3)})
		copy(s.d1[half:], []uint32{k(3), n(3), k(7), k(2)})
		copy(s.d3[half:], []uint32{k(5), k(0), n(0), k(4)})
		for i := range s.d2 {
			copy(s.d2[i][half:], []uint32{n(2) + uint32(2*i+half/4), k(6), k(1), n(1)})
		}
		s.step[half] = 6
	}
}
