// Package protocoltest has connections for tests of the replication engine: in
// memory, without the clock or sockets of the operating system, so that they run
// inside testing/synctest.
package protocoltest

import (
	"io"
	"sync"
)

// Conn is one end of a Pipe. Its methods are safe for concurrent use.
type Conn struct {
	in, out *half
	once    sync.Once
	// Tap, if set before use, is called with all bytes that are written to this
	// end, in order, before the other end can read them. It may change them.
	Tap func(p []byte)
}

// half is one direction: a buffer of limited size.
type half struct {
	mu     sync.Mutex
	cond   sync.Cond
	buf    []byte
	size   int
	eof    bool // the writer has ended it
	broken bool // the reader is gone
	frozen bool // nothing is read
}

// Pipe returns two connected ends, with room for size bytes in each direction
// (default 256 KiB).
func Pipe(size int) (*Conn, *Conn) {
	if size <= 0 {
		size = 256 << 10
	}
	a, b := &half{size: size}, &half{size: size}
	a.cond.L, b.cond.L = &a.mu, &b.mu
	return &Conn{in: a, out: b}, &Conn{in: b, out: a}
}

// Read waits until there is something to read, the other end has ended, or this
// end is closed.
func (c *Conn) Read(p []byte) (int, error) {
	h := c.in
	h.mu.Lock()
	defer h.mu.Unlock()
	for (len(h.buf) == 0 || h.frozen) && !h.broken && (!h.eof || h.frozen) {
		h.cond.Wait()
	}
	if h.broken {
		return 0, io.ErrClosedPipe
	}
	if len(h.buf) == 0 {
		return 0, io.EOF
	}
	n := copy(p, h.buf)
	h.buf = h.buf[n:]
	if len(h.buf) == 0 {
		h.buf = nil
	}
	h.cond.Broadcast()
	return n, nil
}

// Write waits while the buffer is full.
func (c *Conn) Write(p []byte) (n int, err error) {
	if c.Tap != nil {
		p = append([]byte(nil), p...)
		c.Tap(p)
	}
	h := c.out
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(p) > 0 {
		for len(h.buf) >= h.size && !h.broken && !h.eof {
			h.cond.Wait()
		}
		if h.broken || h.eof {
			return n, io.ErrClosedPipe
		}
		k := min(len(p), h.size-len(h.buf))
		h.buf = append(h.buf, p[:k]...)
		p, n = p[k:], n+k
		h.cond.Broadcast()
	}
	return n, nil
}

// CloseWrite ends the direction that this end writes to.
func (c *Conn) CloseWrite() error {
	c.out.mu.Lock()
	c.out.eof = true
	c.out.cond.Broadcast()
	c.out.mu.Unlock()
	return nil
}

// Close ends both directions. What was written can still be read.
func (c *Conn) Close() error {
	c.once.Do(func() {
		c.CloseWrite()
		c.in.mu.Lock()
		c.in.broken = true
		c.in.cond.Broadcast()
		c.in.mu.Unlock()
	})
	return nil
}

// Freeze makes this end read nothing until it is called with false, as if the
// network had stopped.
func (c *Conn) Freeze(v bool) {
	c.in.mu.Lock()
	c.in.frozen = v
	c.in.cond.Broadcast()
	c.in.mu.Unlock()
}
