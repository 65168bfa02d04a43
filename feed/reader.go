package feed

import (
	"context"
	"fmt"
	"io"
	"sync"
)

// Reader reads the bytes of a feed as if its blocks were one file. Bytes that
// are not here are waited for and asked of peers. It ends where the feed ends at
// that moment: after io.EOF a later Read returns what was appended since. Its
// methods may be called from several goroutines; only ReadAt runs beside others.
type Reader struct {
	feed   *Feed
	ctx    context.Context
	cancel context.CancelCauseFunc

	mu   sync.Mutex // held during a Read, Seek or WriteTo; guards below
	pos  uint64     // byte offset of the next byte
	rest []byte     // what is left of the current block; pos is its first byte
	s    *stream    // at the block after it; nil: not begun
}

var (
	_ io.ReadSeekCloser = (*Reader)(nil)
	_ io.ReaderAt       = (*Reader)(nil)
	_ io.WriterTo       = (*Reader)(nil)
)

// NewReader returns a Reader at the first byte. ctx is for all that it will wait
// for. A reader that is not needed any more should be closed. The end is that of the
// feed as it is known here, see [Feed.Blocks].
func (f *Feed) NewReader(ctx context.Context) *Reader {
	r := &Reader{feed: f}
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	return r
}

// Read returns bytes of one block.
func (r *Reader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	if err := r.fill(); err != nil {
		return 0, err
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	r.pos += uint64(n)
	return n, nil
}

// fill makes rest hold at least one byte.
func (r *Reader) fill() error {
	for len(r.rest) == 0 {
		if r.s == nil {
			s, rest, err := r.at(r.pos)
			if err != nil {
				return r.cause(err)
			}
			r.s, r.rest = s, rest
			continue
		}
		b, err := r.s.next()
		if err != nil {
			r.drop()
			return r.cause(err)
		}
		r.rest = b.Data
	}
	return nil
}

// at begins to read blocks at a byte offset: it returns the rest of the block
// that holds it. io.EOF: there is none.
func (r *Reader) at(pos uint64) (*stream, []byte, error) {
	if err := r.ctx.Err(); err != nil {
		return nil, nil, err
	}
	if err := r.feed.usableNow(); err != nil {
		return nil, nil, err
	}
	if pos >= r.feed.ByteLen() {
		return nil, nil, io.EOF
	}
	index, rel, err := r.feed.Seek(r.ctx, pos)
	if err != nil {
		return nil, nil, err
	}
	s := newStream(r.ctx, r.feed, ReadOptions{Start: index})
	s.keep = true
	if rel == 0 {
		return s, nil, nil
	}
	b, err := s.next()
	if err == nil && rel > uint64(len(b.Data)) {
		err = fmt.Errorf("%w: byte %d, block %d", errShort, pos, index)
	}
	if err != nil {
		s.close()
		return nil, nil, err
	}
	return s, b.Data[rel:], nil
}

// drop ends the reading of blocks.
func (r *Reader) drop() {
	if r.s != nil {
		r.s.close()
	}
	r.s, r.rest = nil, nil
}

// cause returns ErrClosed instead of what a wait says that Close has ended.
func (r *Reader) cause(err error) error {
	if r.ctx.Err() != nil && context.Cause(r.ctx) == ErrClosed {
		return ErrClosed
	}
	return err
}

// WriteTo writes all from here to the end of the feed.
func (r *Reader) WriteTo(w io.Writer) (written int64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		if err := r.fill(); err == io.EOF {
			return written, nil
		} else if err != nil {
			return written, err
		}
		all := len(r.rest)
		n, err := w.Write(r.rest)
		written += int64(n)
		r.pos += uint64(n)
		r.rest = r.rest[n:]
		if err == nil && n < all {
			err = io.ErrShortWrite // as io.Copy: such a writer may never take more
		}
		if err != nil {
			return written, err
		}
	}
}

// ReadAt reads len(p) bytes at a byte offset, without moving the Reader. It
// returns io.EOF if the feed ends before.
func (r *Reader) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("%w: byte offset %d", ErrOutOfBounds, off)
	}
	if len(p) == 0 {
		return 0, nil
	}
	s, rest, err := r.at(uint64(off))
	if err != nil {
		return 0, r.cause(err)
	}
	defer s.close()
	for n = copy(p, rest); n < len(p); {
		b, err := s.next()
		if err != nil {
			return n, r.cause(err)
		}
		n += copy(p[n:], b.Data)
	}
	return n, nil
}

// Seek moves to a byte offset. io.SeekEnd counts from the end of the feed as it
// is now. An offset beyond the end is allowed, reading there returns io.EOF.
func (r *Reader) Seek(offset int64, whence int) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += int64(r.pos)
	case io.SeekEnd:
		offset += int64(r.feed.ByteLen())
	default:
		return 0, fmt.Errorf("feed: reader: seek with whence %d", whence)
	}
	if offset < 0 {
		return 0, fmt.Errorf("%w: byte offset %d", ErrOutOfBounds, offset)
	}
	if to := uint64(offset); to != r.pos {
		if to > r.pos && to-r.pos <= uint64(len(r.rest)) {
			r.rest = r.rest[to-r.pos:]
		} else {
			r.drop()
		}
		r.pos = to
	}
	return offset, nil
}

// Close ends whatever the Reader is waiting for. It may be called twice.
func (r *Reader) Close() error {
	r.cancel(ErrClosed)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop()
	return nil
}
