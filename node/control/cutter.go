package control

import (
	"bytes"
	"context"
	"fmt"
	"io"
)

// readAhead is how much of its input cutAll reads at once. Everything that
// came in one read is one append, so this is also the largest batch.
const readAhead = 2 << 20

// cutAll reads r to its end and calls add with the blocks of each piece that
// arrives, as soon as they are whole: input that comes slowly is not held
// back. The blocks are borrowed until add returns. Reading runs ahead of add by
// one piece.
func cutAll(ctx context.Context, r io.Reader, cut Cut, add func(blocks [][]byte) error) error {
	type piece struct {
		buf []byte
		err error
	}
	pieces := make(chan piece)
	free := make(chan []byte, 2)
	free <- make([]byte, readAhead)
	free <- make([]byte, readAhead)
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			var buf []byte
			select {
			case buf = <-free:
			case <-stop:
				return
			}
			n, err := r.Read(buf[:readAhead])
			select {
			case pieces <- piece{buf[:n], err}:
			case <-stop:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	c := cutter{cut: cut}
	for {
		var p piece
		select {
		case p = <-pieces:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		blocks, err := c.write(p.buf)
		if err == nil && p.err == io.EOF {
			blocks = c.finish(blocks)
		}
		if len(blocks) > 0 {
			if err := add(blocks); err != nil {
				return err
			}
		}
		switch {
		case err != nil:
			return err
		case p.err == io.EOF:
			return nil
		case p.err != nil:
			return p.err
		}
		free <- p.buf
	}
}

// cutter is where a block begins and ends.
type cutter struct {
	cut    Cut
	rest   []byte // of a block that is not whole yet
	blocks [][]byte
	n      uint64 // blocks so far
}

// write takes the next bytes and returns the blocks that are whole now, which
// are valid until the next write. It may return blocks and an error.
func (c *cutter) write(p []byte) ([][]byte, error) {
	c.blocks = c.blocks[:0]
	if len(c.rest) > 0 && c.cut.By != CutWhole {
		n := c.until(p, len(c.rest))
		if n < 0 {
			c.rest = append(c.rest, p...)
			return nil, c.tooLong()
		}
		c.rest = append(c.rest, p[:n]...)
		if err := c.tooLong(); err != nil {
			return nil, err
		}
		c.blocks = append(c.blocks, c.rest)
		c.rest = nil
		p = p[n:]
	}
	for len(p) > 0 {
		n := c.until(p, 0)
		if n < 0 {
			break
		}
		c.blocks = append(c.blocks, p[:n:n])
		p = p[n:]
	}
	c.rest = append(c.rest, p...)
	c.n += uint64(len(c.blocks))
	return c.blocks, c.tooLong()
}

// until tells how many bytes of p end the block of which have came before; -1: all and more.
func (c *cutter) until(p []byte, have int) int {
	switch c.cut.By {
	case CutLines:
		if i := bytes.IndexByte(p, '\n'); i >= 0 {
			return i + 1
		}
	case CutChunk:
		if n := c.cut.Size - have; n <= len(p) {
			return n
		}
	}
	return -1
}

func (c *cutter) tooLong() error {
	if len(c.rest) <= MaxBlock {
		return nil
	}
	what := "the input"
	if c.cut.By == CutLines {
		what = fmt.Sprintf("line %d of the input", c.n+1)
	}
	return tooLong(fmt.Sprintf("%s is longer than %d bytes, the largest block that peers can be sent", what, MaxBlock))
}

// finish adds the block that the end of the input makes whole.
func (c *cutter) finish(blocks [][]byte) [][]byte {
	if len(c.rest) > 0 || c.cut.By == CutWhole {
		blocks = append(blocks, c.rest)
	}
	return blocks
}
