// Package lanes computes BLAKE2b-256 (RFC 7693) of many messages at once, each in
// its own lane of the processor's vectors: eight with AVX-512, four with AVX2, one
// after the other without.
//
// Messages may differ in length. A lane walks through its message in three parts,
// of which the first and the last are copied to be whole blocks:
//
//	| Head, A ... 128 bytes | A in place, blocks of 128 bytes | 1 to 128 bytes of A, zeros |
//
// All lanes take as many blocks as the one that has least left in its part; a lane
// that is done takes the next message.
package lanes

import (
	"encoding/binary"
	"sync"

	"golang.org/x/crypto/blake2b"
)

// HeadSize is the length of a Job's head, in bytes: the type and the size that
// hypercore hashes before a block, and before two siblings.
const HeadSize = 9

// Job is one message, Head A B, and where its sum goes. B must be empty unless the
// three fit one block of 128 bytes.
type Job struct {
	Head [HeadSize]byte
	A, B []byte
	Sum  *[32]byte
}

const (
	blockSize = blake2b.BlockSize
	maxWidth  = 8
)

// Width is how many messages are hashed at once here: 8, 4 or 1. Fewer jobs than
// that take as long as so many.
var Width = width()

// lane is one message under way.
type lane struct {
	job  *Job
	part []byte // whole blocks to be hashed, at least one
	rest []byte // of A, behind part
	last bool   // part ends the message
}

// state is what the vectors are loaded from; rows have the lanes side by side. The
// assembly knows the offsets of its first fields.
type state struct {
	h [8][maxWidth]uint64
	t [maxWidth]uint64 // bytes hashed when the next block is
	f [maxWidth]uint64 // all ones if that block is the last
	p [maxWidth]*byte  // that block

	width int
	lane  [maxWidth]lane
	edge  [maxWidth][blockSize]byte // the copied parts
}

var states = sync.Pool{New: func() any { return new(state) }}

var iv = [8]uint64{
	0x6a09e667f3bcc908 ^ 0x01010020, // no key, 32 bytes of sum, no tree
	0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
	0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
}

// Run computes the sums of jobs. It does not keep them, and allocates nothing
// once it has run before.
func Run(jobs []Job) { run(jobs, Width) }

func run(jobs []Job, width int) {
	if width == 1 || len(jobs) == 1 {
		for i := range jobs {
			j := &jobs[i]
			*j.Sum = Sum(&j.Head, j.A, j.B)
		}
		return
	}
	s := states.Get().(*state)
	s.width = width
	active := 0
	for active < min(width, len(jobs)) {
		s.begin(active, &jobs[active])
		active++
	}
	for jobs = jobs[active:]; active > 0; {
		n, some := s.least()
		for l := range width {
			if s.lane[l].job == nil {
				s.p[l] = some
			}
		}
		s.compress(uint64(n))
		for l := range width {
			if s.lane[l].job == nil || s.proceed(l, n) {
				continue
			}
			if len(jobs) > 0 {
				s.begin(l, &jobs[0])
				jobs = jobs[1:]
			} else {
				active--
			}
		}
	}
	s.p = [maxWidth]*byte{}
	states.Put(s)
}

// least returns how many blocks every lane has before it, and where one of the
// lanes with so many has them.
func (s *state) least() (n int, at *byte) {
	for l := range s.width {
		if a := &s.lane[l]; a.job != nil && (n == 0 || len(a.part)/blockSize < n) {
			n, at = len(a.part)/blockSize, &a.part[0]
		}
	}
	return n, at
}

// begin puts a message into a lane.
func (s *state) begin(l int, j *Job) {
	for i, v := range iv {
		s.h[i][l] = v
	}
	s.t[l], s.f[l] = blockSize, 0
	e := &s.edge[l]
	copy(e[:], j.Head[:])
	n := copy(e[HeadSize:], j.A)
	a := &s.lane[l]
	*a = lane{job: j, part: e[:], rest: j.A[n:]}
	if len(a.rest) == 0 {
		s.close(l, HeadSize+n+copy(e[HeadSize+n:], j.B))
	} else if len(j.B) > 0 {
		panic("lanes: a second part behind a long first one")
	}
	s.p[l] = &a.part[0]
}

// close makes the copied part, of which n bytes are used, the last.
func (s *state) close(l, n int) {
	clear(s.edge[l][n:])
	s.t[l] += uint64(n) - blockSize
	s.f[l] = ^uint64(0)
	s.lane[l].last = true
}

// proceed moves a lane on after n blocks. False: the message was done, and the lane
// is empty.
func (s *state) proceed(l, n int) bool {
	a := &s.lane[l]
	a.part = a.part[n*blockSize:]
	switch {
	case len(a.part) > 0:
	case a.last:
		for i := range 4 {
			binary.LittleEndian.PutUint64(a.job.Sum[8*i:], s.h[i][l])
		}
		*a = lane{}
		return false
	case len(a.rest) > blockSize:
		k := (len(a.rest) - 1) / blockSize * blockSize
		a.part, a.rest = a.rest[:k], a.rest[k:]
	default:
		a.part = s.edge[l][:]
		s.close(l, copy(a.part, a.rest))
	}
	s.p[l] = &a.part[0]
	return true
}
