package wire

import (
	"io"
	"sync/atomic"
)

// keepBuffer is what an idle Writer keeps between flushes, in bytes. A larger buffer is kept as long
// as at least a quarter of it is used each time, and goes back to the pool then.
const keepBuffer = 64 << 10

// Writer writes frames in large pieces and encrypts them on the way. Frames are gathered in Buf and
// written by Flush, all in one goroutine; or they are gathered elsewhere, in slabs, and given to
// WriteFrames by one goroutine. Written may be called from any.
type Writer struct {
	// Buf holds the frames for the next Flush: give it to the Append functions as dst and put the
	// result back.
	Buf []byte

	dst     io.Writer
	cipher  *Cipher
	clear   int // bytes still to come that the cipher leaves alone
	slab    *Slab
	written atomic.Uint64
}

// NewWriter returns a Writer to dst.
func NewWriter(dst io.Writer) *Writer { return &Writer{dst: dst} }

// SetCipher encrypts what is written from now on, except the next clear bytes: the first Feed frame
// of hypercore 6, if it is not written yet.
func (w *Writer) SetCipher(c *Cipher, clear int) { w.cipher, w.clear = c, clear }

// Reserve makes room for n more bytes in Buf.
func (w *Writer) Reserve(n int) {
	if cap(w.Buf)-len(w.Buf) >= n {
		return
	}
	s := NewSlab(max(len(w.Buf)+n, 2*cap(w.Buf)))
	buf := append(s.B, w.Buf...)
	w.drop()
	w.slab, w.Buf = s, buf
}

// Flush writes Buf and empties it, also if it fails.
func (w *Writer) Flush() error {
	if len(w.Buf) == 0 {
		return nil
	}
	n := len(w.Buf)
	err := w.WriteFrames(w.Buf)
	w.Buf = w.Buf[:0]
	if cap(w.Buf) > keepBuffer && n < cap(w.Buf)/4 {
		w.drop()
	}
	return err
}

func (w *Writer) drop() {
	if w.slab != nil {
		w.slab.Release()
	}
	w.slab, w.Buf = nil, nil
}

// WriteFrames writes whole frames. With a cipher they are encrypted in place: p is of no use
// afterwards. The error is the connection's.
func (w *Writer) WriteFrames(p []byte) error {
	if w.cipher != nil {
		n := min(w.clear, len(p))
		w.clear -= n
		w.cipher.XOR(p[n:])
	}
	n, err := w.dst.Write(p)
	w.written.Add(uint64(n))
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return err
}

// Written returns how many bytes were written.
func (w *Writer) Written() uint64 { return w.written.Load() }
