package feed

import (
	"bytes"
	"context"
	"fmt"
	"io"
)

// Cut says where a [Writer] ends blocks.
type Cut int

const (
	// CutWrites makes each Write a block.
	CutWrites Cut = iota
	// CutLines makes each line a block, its newline included.
	CutLines
	// CutSize makes blocks of WriterOptions.Size bytes; the last may be shorter.
	CutSize
)

// DefaultBlockSize is the size of CutSize's blocks if none is given.
const DefaultBlockSize = 64 << 10

const (
	// batchBytes and batchBlocks bound what a Writer holds back to append it at
	// once: one signature and one write of each file for all of it.
	batchBytes  = 4 << 20
	batchBlocks = 4096
)

// WriterOptions of [Feed.NewWriter]. The zero value makes each Write a block.
type WriterOptions struct {
	Cut Cut
	// Size of CutSize's blocks in bytes, at most MaxBlock. 0: DefaultBlockSize.
	Size int
}

// Writer cuts a stream of bytes into blocks and appends them in batches. A batch
// is appended when it is large, at Flush and at Close. It is not safe for
// concurrent use.
type Writer struct {
	feed *Feed
	ctx  context.Context
	cut  Cut
	size int

	buf   []byte // bytes of the blocks that wait, then of the one not ended
	ends  []int  // where in buf the waiting blocks end
	first uint64
	n     uint64
	bytes uint64
	err   error // the first failure, or ErrClosed: what every later call returns

	closed bool
}

var (
	_ io.WriteCloser = (*Writer)(nil)
	_ io.ReaderFrom  = (*Writer)(nil)
)

// NewWriter returns a Writer; ctx is for all its appends. The error tells of
// options out of range.
func (f *Feed) NewWriter(ctx context.Context, o WriterOptions) (*Writer, error) {
	if o.Size == 0 {
		o.Size = DefaultBlockSize
	}
	if o.Size < 0 || o.Size > MaxBlock {
		return nil, fmt.Errorf("%w: blocks of %d bytes, at most %d are possible", ErrTooLarge, o.Size, MaxBlock)
	}
	if o.Cut < CutWrites || o.Cut > CutSize {
		return nil, fmt.Errorf("feed: WriterOptions.Cut is %d", int(o.Cut))
	}
	return &Writer{feed: f, ctx: ctx, cut: o.Cut, size: o.Size}, nil
}

// Write takes all of p, or fails: then nothing of the batch that failed is
// appended, and every later call returns the same error. A block of more than
// MaxBlock bytes is ErrTooLarge.
func (w *Writer) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	total := len(p)
	for first := true; first || len(p) > 0; first = false {
		n, end := w.find(p)
		if len(w.buf)-w.start()+n > MaxBlock {
			w.err = fmt.Errorf("%w: block %d of the stream has more than %d bytes", ErrTooLarge, w.n+uint64(len(w.ends)), MaxBlock)
			return total - len(p), w.err
		}
		w.buf = append(w.buf, p[:n]...)
		p = p[n:]
		if end {
			w.ends = append(w.ends, len(w.buf))
		}
		if len(w.ends) >= batchBlocks || len(w.ends) > 0 && len(w.buf) >= batchBytes {
			if err := w.Flush(); err != nil {
				return total - len(p), err
			}
		}
		if w.cut == CutWrites {
			break
		}
	}
	return total, nil
}

// find returns how many bytes of p belong to the current block, and whether it
// ends behind them.
func (w *Writer) find(p []byte) (n int, end bool) {
	switch w.cut {
	case CutLines:
		if i := bytes.IndexByte(p, '\n'); i >= 0 {
			return i + 1, true
		}
		return len(p), false
	case CutSize:
		n = min(len(p), w.size-(len(w.buf)-w.start()))
		return n, len(w.buf)-w.start()+n == w.size
	}
	return len(p), true
}

// start is where the block that is not ended begins in buf.
func (w *Writer) start() int {
	if len(w.ends) == 0 {
		return 0
	}
	return w.ends[len(w.ends)-1]
}

// ReadFrom writes all of r. Each read is a Write. r ends with io.EOF itself, as for
// io.Copy: an error that wraps it says that something was cut off.
func (w *Writer) ReadFrom(r io.Reader) (int64, error) {
	var total int64
	buf := make([]byte, 256<<10)
	for {
		n, err := r.Read(buf)
		total += int64(n)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return total, err
			}
		}
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// Flush appends the blocks that are complete. Of CutLines and CutSize, a block
// that has begun stays until it ends or the Writer is closed.
func (w *Writer) Flush() error {
	if w.err != nil || len(w.ends) == 0 {
		return w.err
	}
	blocks := make([][]byte, len(w.ends))
	from := 0
	for i, end := range w.ends {
		blocks[i] = w.buf[from:end]
		from = end
	}
	first, err := w.feed.Append(w.ctx, blocks...)
	if err != nil {
		w.err = err
		return err
	}
	if w.n == 0 {
		w.first = first
	}
	w.n += uint64(len(blocks))
	w.bytes += uint64(from)
	w.buf = w.buf[:copy(w.buf, w.buf[from:])]
	w.ends = w.ends[:0]
	return nil
}

// Close ends the last block, if one has begun, and appends what is left. It does
// not close the feed. Called again it does nothing.
func (w *Writer) Close() error {
	if w.closed {
		return nil
	}
	w.closed = true
	if w.err == nil && len(w.buf) > w.start() {
		w.ends = append(w.ends, len(w.buf))
	}
	err := w.Flush()
	if w.err == nil {
		w.err = fmt.Errorf("feed: writer: %w", ErrClosed)
	}
	w.buf, w.ends = nil, nil
	return err
}

// Appended returns the index of the first block that was appended, how many were
// and their size in bytes. What waits for Flush is not counted.
func (w *Writer) Appended() (first, blocks, bytes uint64) { return w.first, w.n, w.bytes }
