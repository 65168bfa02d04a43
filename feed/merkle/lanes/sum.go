package lanes

import (
	"hash"
	"sync"

	"golang.org/x/crypto/blake2b"
)

// onStack is the largest message that is copied together and hashed in one call.
// Above it the copy and the clearing of the buffer cost more than a pooled state
// that is fed one part after the other.
const onStack = 5 * blockSize

// hasher is a pooled BLAKE2b state with room for the head and the sum, so that
// neither is allocated per message.
type hasher struct {
	h   hash.Hash
	buf [32]byte
}

var hashers = sync.Pool{New: func() any {
	h, err := blake2b.New256(nil)
	if err != nil {
		panic("lanes: " + err.Error()) // only a key that is too long fails
	}
	return &hasher{h: h}
}}

// Sum returns the sum of one message. It does not allocate.
func Sum(head *[HeadSize]byte, a, b []byte) [32]byte {
	if len(a)+len(b) <= onStack-HeadSize {
		var m [onStack]byte
		copy(m[:], head[:])
		n := HeadSize + copy(m[HeadSize:], a)
		return blake2b.Sum256(m[:n+copy(m[n:], b)])
	}
	s := hashers.Get().(*hasher)
	s.h.Reset()
	s.h.Write(s.buf[:copy(s.buf[:], head[:])])
	s.h.Write(a)
	s.h.Write(b)
	s.h.Sum(s.buf[:0])
	sum := s.buf
	hashers.Put(s)
	return sum
}
