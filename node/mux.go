package node

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	mux "github.com/libp2p/go-yamux/v5"
)

const (
	// muxFrame: frames of 256 KiB carry 20 % more per second than yamux's 64 KiB.
	muxFrame = 256 << 10
	// muxWindow is how much a remote may send on a stream before it is read: what
	// 1 Gbit/s carries in 100 ms, twice, because the window is opened anew when
	// half of it was read. It is the first window and the largest: go-yamux loses
	// half of a window whenever it doubles it, for good.
	muxWindow = 24 << 20
)

// Muxer is yamux as the node's own host has it, for hosts that are given to
// Config.Host: libp2p.Muxer("/yamux/1.0.0", node.Muxer()). Its windows are large
// enough for long fast paths; what remotes send into them before it is read is
// reserved in the resource manager as it comes, and they are not read from while
// it cannot be.
func Muxer() network.Multiplexer {
	cfg := *yamux.DefaultTransport.Config()
	cfg.MaxMessageSize = muxFrame
	cfg.InitialStreamWindowSize, cfg.MaxStreamWindowSize = muxWindow, muxWindow
	return &muxer{cfg}
}

type muxer struct{ cfg mux.Config }

// NewConn starts a session. scope may be nil.
func (m *muxer) NewConn(c net.Conn, isServer bool, scope network.PeerScope) (network.MuxedConn, error) {
	start := mux.Client
	if isServer {
		start = mux.Server
	}
	var newSpan func() (mux.MemoryManager, error)
	u := &unread{Conn: c, streams: map[uint32]*pile{}, closed: make(chan struct{})}
	if scope != nil {
		newSpan = func() (mux.MemoryManager, error) { return scope.BeginSpan() }
		span, err := scope.BeginSpan()
		if err != nil {
			return nil, err
		}
		u.span = span
	}
	s, err := start(u, &m.cfg, newSpan)
	if err != nil {
		u.end()
		return nil, err
	}
	return &muxConn{s, u}, nil
}

// muxConn is a session whose unread bytes are counted.
type muxConn struct {
	s *mux.Session
	u *unread
}

func (c *muxConn) Close() error { return c.s.Close() }

func (c *muxConn) CloseWithError(code network.ConnErrorCode) error {
	return c.s.CloseWithError(uint32(code))
}

func (c *muxConn) IsClosed() bool { return c.s.IsClosed() }

func (c *muxConn) As(target any) bool {
	if t, ok := target.(**mux.Session); ok {
		*t = c.s
		return true
	}
	return false
}

func (c *muxConn) OpenStream(ctx context.Context) (network.MuxedStream, error) {
	s, err := c.s.OpenStream(ctx)
	if err != nil {
		return nil, muxError(err)
	}
	return &muxStream{s, c.u, c.u.take(s.StreamID())}, nil
}

func (c *muxConn) AcceptStream() (network.MuxedStream, error) {
	s, err := c.s.AcceptStream()
	if err != nil {
		return nil, muxError(err)
	}
	return &muxStream{s, c.u, c.u.take(s.StreamID())}, nil
}

// muxStream is a stream of one.
type muxStream struct {
	*mux.Stream
	u *unread
	p *pile
}

func (s *muxStream) Read(p []byte) (int, error) {
	n, err := s.Stream.Read(p)
	s.u.read(s.p, n)
	return n, muxError(err)
}

func (s *muxStream) Write(p []byte) (int, error) {
	n, err := s.Stream.Write(p)
	return n, muxError(err)
}

// Close, Reset and ResetWithError let go of what was not read.

func (s *muxStream) Close() error {
	err := s.Stream.Close()
	s.u.drop(s.StreamID(), s.p)
	return err
}

func (s *muxStream) Reset() error { return s.ResetWithError(0) }

func (s *muxStream) ResetWithError(code network.StreamErrorCode) error {
	err := s.Stream.ResetWithError(uint32(code))
	s.u.drop(s.StreamID(), s.p)
	return err
}

// muxError is a yamux error as libp2p's own muxer words it.
func muxError(err error) error {
	var stream *mux.StreamError
	var away *mux.GoAwayError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &stream):
		return &network.StreamError{Remote: stream.Remote, ErrorCode: network.StreamErrorCode(stream.ErrorCode), TransportError: err}
	case errors.As(err, &away):
		return &network.ConnError{Remote: away.Remote, ErrorCode: network.ConnErrorCode(away.ErrorCode), TransportError: err}
	case errors.Is(err, mux.ErrStreamReset):
		return fmt.Errorf("%w: %w", network.ErrReset, err)
	}
	return err
}
