package wire

import (
	"io"
	"sync/atomic"
)

const (
	// smallSlab is what an idle stream holds.
	smallSlab = 16 << 10
	// DefaultSlab is what a Reader reads into while a stream is busy, in bytes.
	DefaultSlab = 1 << 20
	// busyRead is the size of a single read, in bytes, after which a stream counts as busy.
	busyRead = 4 << 10
	// idleReads is how many reads of less than busyRead in a row make it idle again.
	idleReads = 32
	// emptyReads is how many reads may return nothing before the connection counts as broken.
	emptyReads = 100
)

// Reader cuts a byte stream into frames. It reads large pieces into slabs, in which the frames
// stay: what the remote announces costs no memory before it has come, and what has come is not
// copied, except the begin of a frame that passes the end of a slab.
//
// Received and Carried may be called from any goroutine, everything else belongs to one.
//
// The Body of a frame is valid until the next call of Next, or as long as the slab is held.
type Reader struct {
	// constant
	src io.Reader

	// of the goroutine that calls Next
	channels uint64 // how many there may be
	budget   Budget // of the slabs, nil for none
	slab     *Slab
	buf      []byte // the slab's whole capacity
	pos      int    // buf[pos:end] has come and is not yet given out
	end      int
	last     int     // length of the frame given out last
	cipher   *Cipher // applied to everything that comes, nil for none
	size     int     // the slab to take next
	large    int     // longest frame since the last change of slab
	idle     int     // small reads in a row
	pending  error   // came with the bytes read last
	err      error   // ends everything

	received atomic.Uint64
	whole    uint64        // carried by frames that were given out
	carried  atomic.Uint64 // and by what has come of the one at pos
}

// NewReader returns a Reader of src that refuses channels of MaxChannels or more.
func NewReader(src io.Reader) *Reader {
	return &Reader{src: src, channels: MaxChannels, size: smallSlab}
}

// SetChannels changes how many channels there may be: MaxNativeChannels in the native dialect.
func (r *Reader) SetChannels(n uint64) { r.channels = n }

// SetBudget counts the Reader's slabs with b. What b refuses makes the Reader slower, as it reads
// into smaller slabs, until it has no room for one more byte of a frame.
func (r *Reader) SetBudget(b Budget) { r.budget = b }

// Next returns the next frame. Keep-alives and frames of one byte are passed over, as in hypercore
// 6. At the end of the stream it returns io.EOF, inside a frame io.ErrUnexpectedEOF, errors of the
// connection as they are, and an *Error if the remote sent something that is no frame. After an
// error it returns the same error again.
func (r *Reader) Next() (Frame, error) {
	for r.err == nil {
		f, n, err := Split(r.buf[r.pos:r.end], r.channels)
		switch {
		case err != nil:
			r.err = err
		case n > r.end-r.pos:
			r.carry(n)
			r.err = r.fill(n)
		default:
			r.pos += n
			r.large = max(r.large, n)
			if f.Body != nil {
				r.last = n
				if carries(f.Type) {
					r.whole += uint64(n)
					r.carried.Store(r.whole)
				}
				return f, nil
			}
		}
	}
	return Frame{}, r.err
}

// Buffered tells whether another whole frame is in memory, so that Next will not wait.
func (r *Reader) Buffered() bool {
	for pos := r.pos; pos < r.end; {
		f, n, err := Split(r.buf[pos:r.end], r.channels)
		if err != nil {
			return true // Next returns it at once
		}
		if n > r.end-pos {
			return false
		}
		if f.Body != nil {
			return true
		}
		pos += n
	}
	return r.err != nil
}

// Slab returns the slab of the frame that Next returned last. Retain it before the next call of
// Next to use the frame's body longer.
func (r *Reader) Slab() *Slab { return r.slab }

// Span returns where in the stream the frame that Next returned last lies, in bytes from the begin.
func (r *Reader) Span() (start, end uint64) {
	end = r.received.Load() - uint64(r.end-r.pos)
	return end - uint64(r.last), end
}

// SetCipher decrypts everything that comes after the frame that Next returned last.
func (r *Reader) SetCipher(c *Cipher) {
	r.cipher = c
	c.XOR(r.buf[r.pos:r.end])
}

// Received returns how many bytes have come.
func (r *Reader) Received() uint64 { return r.received.Load() }

// Carried returns how many of them belong to messages that may be as large as a frame, so that
// the next one has to wait for them: to Data, DataRange and Extension, also to one of which only
// a part has come.
func (r *Reader) Carried() uint64 { return r.carried.Load() }

// carries tells whether messages of a type are counted by Carried.
func carries(t Type) bool { return t == TypeData || t == TypeDataRange || t == TypeExtension }

// carry counts what has come of the frame at pos, of n bytes as far as is known.
func (r *Reader) carry(n int) {
	b := r.buf[r.pos:r.end]
	k := 0
	for k < len(b) && b[k] >= 0x80 {
		k++ // through the length
	}
	if n <= k+2 || k+1 >= len(b) {
		return
	}
	if h, size := readVarint(b[k+1:]); size > 0 && carries(Type(h&15)) {
		r.carried.Store(r.whole + uint64(len(b)))
	}
}

// Close gives the Reader's slab back. Slabs held by others stay theirs. It does not close the
// connection.
func (r *Reader) Close() {
	if r.slab != nil {
		r.slab.Release()
	}
	r.slab, r.buf, r.pos, r.end = nil, nil, 0, 0
	if r.err == nil {
		r.err = io.ErrClosedPipe
	}
}

// fill reads once. need is what is known of the length of the frame at pos.
func (r *Reader) fill(need int) error {
	if err := r.makeRoom(need); err != nil {
		return err
	}
	err := r.pending
	for range emptyReads {
		if err != nil {
			break
		}
		var n int
		n, err = r.src.Read(r.buf[r.end:])
		if n > 0 {
			r.pending = err
			r.take(n)
			return nil
		}
	}
	switch {
	case err == nil:
		return io.ErrNoProgress
	case err == io.EOF && r.pos < r.end:
		return io.ErrUnexpectedEOF
	}
	return err
}

// take accepts n bytes that were read to the end, and chooses the size of the next slab by them: a
// larger one if they filled this one, the small one if there were only few for a while.
func (r *Reader) take(n int) {
	if r.cipher != nil {
		r.cipher.XOR(r.buf[r.end : r.end+n])
	}
	r.end += n
	r.received.Add(uint64(n))
	if n >= busyRead {
		r.idle = 0
	} else if r.idle++; r.idle >= idleReads {
		r.size = smallSlab
	}
	if r.end == len(r.buf) {
		r.size = max(r.size, min(4*len(r.buf), DefaultSlab))
	}
}

// makeRoom sees to it that there is room for the frame at pos, or for some more bytes of it: a slab
// has at most four times the bytes that have come, or twice those of this frame.
func (r *Reader) makeRoom(need int) error {
	rest := r.buf[r.pos:r.end]
	fits := need <= len(r.buf)-r.pos
	if len(rest) > 0 && fits {
		return nil
	}
	if r.large <= DefaultSlab {
		r.size = min(r.size, DefaultSlab) // the large frames are over
	}
	r.large = 0
	right := len(r.buf) == r.size
	sole := r.slab != nil && r.slab.sole()
	switch {
	case len(rest) > 0:
	case right && sole:
		r.pos, r.end = 0, 0
		return nil
	case right && fits && len(r.buf)-r.end >= busyRead:
		return nil // others use what was read before
	}
	if need > r.size {
		r.size = slabSize(min(need, max(2*len(rest), r.size)))
	}
	if sole && len(r.buf) == r.size && len(rest) < len(r.buf) {
		r.pos, r.end = 0, copy(r.buf, rest)
		return nil
	}
	return r.replace(r.size, max(len(rest)+1, smallSlab))
}

// replace takes another slab, with room for size bytes, or at least for need, and moves the bytes
// from pos to its begin.
func (r *Reader) replace(size, need int) error {
	if r.pos == r.end && r.slab != nil { // nothing to move: it can go first
		r.slab.Release()
		r.slab, r.buf, r.pos, r.end = nil, nil, 0, 0
	}
	s, err := TakeSlab(size, need, r.budget)
	if err != nil {
		return err
	}
	buf := s.B[:cap(s.B)]
	n := copy(buf, r.buf[r.pos:r.end])
	if r.slab != nil {
		r.slab.Release()
	}
	r.slab, r.buf, r.pos, r.end = s, buf, 0, n
	return nil
}
