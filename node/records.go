package node

import (
	"context"
	"net"
	"sync"
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
)

// crypto/tls writes each record of 16 KiB to the connection by itself. A frame of
// yamux has up to sixteen of them, and a call of the kernel for each, with a
// segment that goes through all of TCP and a remote that is woken, costs more than
// one more copy. TLS therefore runs over a connection that keeps the records of one
// Write together.

const (
	// gatherFrom is the size of a Write, in bytes, from which its records are
	// gathered.
	gatherFrom = 32 << 10
	// gatherMost is how much goes to the kernel at a time: a frame of yamux with
	// what TLS adds to it.
	gatherMost = muxFrame + 8<<10
)

// tlsTransport is libp2p's TLS, over connections that gather.
type tlsTransport struct{ *libp2ptls.Transport }

func newTLS(id protocol.ID, key crypto.PrivKey, muxers []upgrader.StreamMuxer) (*tlsTransport, error) {
	t, err := libp2ptls.New(id, key, muxers)
	if err != nil {
		return nil, err
	}
	return &tlsTransport{t}, nil
}

func (t *tlsTransport) SecureInbound(ctx context.Context, insecure net.Conn, p peer.ID) (sec.SecureConn, error) {
	g := &gathering{Conn: insecure}
	c, err := t.Transport.SecureInbound(ctx, g, p)
	return g.secured(c, err)
}

func (t *tlsTransport) SecureOutbound(ctx context.Context, insecure net.Conn, p peer.ID) (sec.SecureConn, error) {
	g := &gathering{Conn: insecure}
	c, err := t.Transport.SecureOutbound(ctx, g, p)
	return g.secured(c, err)
}

// gathering is a connection below TLS.
type gathering struct {
	net.Conn
	pushing atomic.Bool // the gathered bytes are being written

	mu  sync.Mutex
	buf *[]byte // of gatherMost; nil: what is written goes straight on
}

var gatherBuffers = sync.Pool{New: func() any {
	b := make([]byte, 0, gatherMost)
	return &b
}}

func (g *gathering) secured(c sec.SecureConn, err error) (sec.SecureConn, error) {
	if err != nil {
		return nil, err
	}
	return &tlsConn{SecureConn: c, g: g}, nil
}

// Write gathers, or writes.
func (g *gathering) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.buf == nil {
		return g.Conn.Write(p)
	}
	if len(*g.buf)+len(p) > gatherMost {
		if err := g.push(); err != nil {
			return 0, err
		}
		if len(p) > gatherMost {
			return g.Conn.Write(p)
		}
	}
	*g.buf = append(*g.buf, p...)
	return len(p), nil
}

// push writes what was gathered. mu held.
func (g *gathering) push() error {
	if len(*g.buf) == 0 {
		return nil
	}
	g.pushing.Store(true)
	_, err := g.Conn.Write(*g.buf)
	g.pushing.Store(false)
	*g.buf = (*g.buf)[:0]
	return err
}

func (g *gathering) begin() {
	g.mu.Lock()
	if g.buf == nil {
		g.buf = gatherBuffers.Get().(*[]byte)
	}
	g.mu.Unlock()
}

func (g *gathering) end() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	err := g.push()
	gatherBuffers.Put(g.buf)
	g.buf = nil
	return err
}

// tlsConn is a TLS connection over one that gathers.
type tlsConn struct {
	sec.SecureConn
	g  *gathering
	mu sync.Mutex // one large Write at a time
}

func (c *tlsConn) Write(p []byte) (int, error) {
	if len(p) < gatherFrom {
		return c.SecureConn.Write(p)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.g.begin()
	n, err := c.SecureConn.Write(p)
	if e := c.g.end(); err == nil && e != nil {
		return 0, e
	}
	return n, err
}

// Close does not say goodbye where a Write is stuck: it would wait for that.
func (c *tlsConn) Close() error {
	if c.g.pushing.Load() {
		return c.g.Conn.Close()
	}
	return c.SecureConn.Close()
}
