package wire

import (
	"encoding/binary"
	"slices"
)

// EncodeRLE appends the run-length code of bits to dst, byte for byte as bitfield-rle 2.2.1 (the
// encoder of hypercore 6) makes it. Trailing zero bytes of bits are not coded: a decoder gets
// zeros where the code ends.
func EncodeRLE(dst, bits []byte) []byte {
	bits = trimZeros(bits)
	e := rleEncoder{dst: dst, bits: bits}
	for i := 0; i < len(bits); {
		if b := bits[i]; b != e.val {
			e.flush(i)
			e.run = 0
			if b != 0 && b != 0xff {
				for i++; i < len(bits) && bits[i] != 0 && bits[i] != 0xff; i++ {
				}
				continue
			}
			e.val = b
		}
		n := sameBytes(bits[i:], e.val)
		e.run += n
		i += n
	}
	e.flush(len(bits))
	return e.literal(len(bits))
}

// rleEncoder is the state of EncodeRLE.
type rleEncoder struct {
	dst  []byte
	bits []byte
	pos  int  // bits before it are in dst
	val  byte // 00 or ff: the value of the run
	run  int  // bytes of the run that ends where the encoder looks, 0 if none
}

// flush writes the run that ends at i, with the literal before it, unless a literal of both is
// shorter.
func (e *rleEncoder) flush(i int) {
	if e.run == 0 {
		return
	}
	cost := varintLen(uint64(4*e.run + 1))
	if h := i - e.run - e.pos; h > 0 {
		cost += varintLen(uint64(2*h)) + h
	}
	if cost >= varintLen(uint64(2*(i-e.pos)))+i-e.pos {
		return
	}
	e.dst = e.literal(i - e.run)
	code := uint64(4*e.run + 1)
	if e.val != 0 {
		code += 2
	}
	e.dst = AppendVarint(e.dst, code)
	e.pos = i
}

// literal returns dst with the bits up to end, which no run covers.
func (e *rleEncoder) literal(end int) []byte {
	if end <= e.pos {
		return e.dst
	}
	return append(AppendVarint(e.dst, uint64(2*(end-e.pos))), e.bits[e.pos:end]...)
}

// trimZeros cuts off the zero bytes at the end of b.
func trimZeros(b []byte) []byte {
	for len(b) >= 8 && binary.LittleEndian.Uint64(b[len(b)-8:]) == 0 {
		b = b[:len(b)-8]
	}
	for len(b) > 0 && b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	return b
}

// sameBytes counts the bytes at the begin of b that are v.
func sameBytes(b []byte, v byte) int {
	i := 0
	for w := uint64(v) * 0x0101010101010101; len(b)-i >= 8 && binary.LittleEndian.Uint64(b[i:]) == w; {
		i += 8
	}
	for i < len(b) && b[i] == v {
		i++
	}
	return i
}

// Run is a piece of a run-length coded bitfield.
type Run struct {
	Len     int    // bytes, at least 1
	Literal []byte // the bytes, aliasing the code; nil: all are Fill
	Fill    byte   // 00 or ff
}

// Append appends the bytes of the run to dst.
func (r Run) Append(dst []byte) []byte {
	if r.Literal != nil {
		return append(dst, r.Literal...)
	}
	if r.Len == 1 {
		return append(dst, r.Fill)
	}
	at := len(dst)
	dst = slices.Grow(dst, r.Len)[:at+r.Len]
	fill(dst[at:], r.Fill)
	return dst
}

// Runs walks over a run-length coded bitfield without decoding it, so that its cost is that of the
// code and not that of the bits:
//
//	for r := wire.NewRuns(code, max); r.Next(); { use r.Run() }
//	if r.Err() …
type Runs struct {
	src  []byte
	left int
	run  Run
	err  error
}

// NewRuns begins a walk. Runs of more than max bytes in all are refused.
func NewRuns(src []byte, max int) Runs { return Runs{src: src, left: max} }

// Next goes to the next run; empty ones are passed over. It is false at the end and after an error.
func (r *Runs) Next() bool {
	for len(r.src) > 0 && r.err == nil {
		x, n := readVarint(r.src)
		literal := x&1 == 0
		size := x >> 2
		if literal {
			size = x >> 1
		}
		switch {
		case n <= 0, size > uint64(r.left), literal && size > uint64(len(r.src)-n):
			r.err = &Error{Type: TypeHave, Field: "bitfield", Err: ErrRLE}
			return false
		}
		r.src = r.src[n:]
		if size == 0 {
			continue
		}
		r.left -= int(size)
		r.run = Run{Len: int(size)}
		if literal {
			r.run.Literal = r.src[:size:size]
			r.src = r.src[size:]
		} else if x&2 != 0 {
			r.run.Fill = 0xff
		}
		return true
	}
	return false
}

// Run returns where Next went to.
func (r *Runs) Run() Run { return r.run }

// Err returns an *Error (ErrRLE) if the code is invalid or too long.
func (r *Runs) Err() error { return r.err }

// DecodeRLE appends the bits of a run-length coded bitfield to dst, padded with zeros to a multiple
// of 4 bytes. If they are more than max bytes before padding, or the code ends inside a run, dst is
// returned as it was with an *Error (ErrRLE).
func DecodeRLE(dst, src []byte, max int) ([]byte, error) {
	out := dst
	r := NewRuns(src, max)
	for r.Next() {
		out = r.run.Append(out)
	}
	if r.Err() != nil {
		return dst, r.Err()
	}
	for (len(out)-len(dst))%4 != 0 {
		out = append(out, 0)
	}
	return out, nil
}

// fill sets all of b, which is not empty, to v.
func fill(b []byte, v byte) {
	b[0] = v
	for n := 1; n < len(b); n *= 2 {
		copy(b[n:], b[:n])
	}
}
