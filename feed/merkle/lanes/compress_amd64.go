//go:build !purego

package lanes

import "golang.org/x/sys/cpu"

// compress8 takes n blocks of each of eight messages into their states. t counts
// on by 128 for each. It needs AVX-512.
//
//go:noescape
func compress8(s *state, n uint64)

// compress4 does so for the first four lanes. It needs AVX2.
//
//go:noescape
func compress4(s *state, n uint64)

func width() int {
	switch {
	case cpu.X86.HasAVX512F:
		return 8
	case cpu.X86.HasAVX2:
		return 4
	}
	return 1
}

func (s *state) compress(n uint64) {
	if s.width == 8 {
		compress8(s, n)
	} else {
		compress4(s, n)
	}
}
