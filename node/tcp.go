package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/protocol"
)

// Plain TCP, for JavaScript peers that pipe feed.replicate() into a socket:
// the stream of npm hypercore 6 without libp2p below it. Its own cipher hides
// the blocks from those who do not know the feed's key; nothing tells who the
// peer is.

const (
	// tcpDialTimeout bounds one attempt, tcpRetry is the first wait after a
	// failure, doubling up to tcpRetryMax.
	tcpDialTimeout = 10 * time.Second
	tcpRetry       = 250 * time.Millisecond
	tcpRetryMax    = 30 * time.Second
)

// TCPOptions are those of the plain streams of npm hypercore.
type TCPOptions struct {
	// Plain: without the cipher, encrypt: false on the other side. Nothing is proven
	// then: a peer can read each feed of which it knows the discovery key.
	Plain bool
	Ends  bool // ends when both sides have everything: live: false
}

// TCPListener serves JavaScript peers on one address.
type TCPListener struct {
	n    *Node
	opts TCPOptions
	l    net.Listener
	once sync.Once
	err  error
}

// ListenTCP serves the feeds open in the node to peers that speak npm
// hypercore's protocol over plain TCP, until Close of the listener or of the
// node. addr is HOST:PORT. A peer has ten seconds to name its first feed, which may
// be opened here later. It gets that one, and others as Config.Kin says.
func (n *Node) ListenTCP(addr string, o TCPOptions) (*TCPListener, error) {
	if err := n.usable(); err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(n.ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	if a, ok := ln.Addr().(*net.TCPAddr); n.hosting.loopback && ok && !a.IP.IsLoopback() {
		return nil, errors.Join(fmt.Errorf("%w: %s", ErrLoopback, addr), ln.Close())
	}
	l := &TCPListener{n: n, opts: o, l: ln}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, errors.Join(ErrClosed, ln.Close())
	}
	n.listeners[l] = struct{}{}
	n.wg.Go(l.accept)
	return l, nil
}

// Addr returns the address listened on.
func (l *TCPListener) Addr() net.Addr { return l.l.Addr() }

// Close stops accepting; streams that run go on.
func (l *TCPListener) Close() error {
	l.once.Do(func() {
		l.err = l.l.Close()
		l.n.mu.Lock()
		delete(l.n.listeners, l)
		l.n.mu.Unlock()
	})
	return l.err
}

func (l *TCPListener) accept() {
	var slots tcpSlots
	for {
		c, err := l.l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of files, for example
			select {
			case <-l.n.ctx.Done():
				return
			case <-time.After(tcpRetry):
			}
			continue
		}
		if at, err := manet.FromNetAddr(c.RemoteAddr()); err == nil && l.n.rules.blocks("", at) {
			c.Close()
			continue
		}
		slot := slots.enter(c)
		if slot == nil {
			c.Close()
			continue
		}
		l.n.wg.Go(func() {
			defer slots.leave(slot)
			err := l.n.serveTCP(l.n.ctx, c, protocol.StreamOptions{
				Dialect: protocol.V6, Plain: l.opts.Plain, Ends: l.opts.Ends, Label: "tcp:" + c.RemoteAddr().String(),
			}, func(s *protocol.Stream) func() bool { return slots.begin(slot, s) })
			if err != nil && l.n.ctx.Err() == nil {
				log.Debugw("TCP stream ended", "peer", c.RemoteAddr(), "error", err)
			}
		})
	}
}

// serveTCP runs the protocol over c until it ends. begun, if not nil, is told the
// stream, and what it returns is called at the end.
func (n *Node) serveTCP(ctx context.Context, c net.Conn, o protocol.StreamOptions, begun func(*protocol.Stream) func() bool) error {
	m, done, err := n.serviceMemory()
	if err != nil {
		return errors.Join(err, ignoreClosed(c.Close()))
	}
	defer done()
	o.Memory, o.Kin = m, n.cfg.Kin
	s := n.engine.NewStream(counted{c, n}, o)
	stop := context.AfterFunc(ctx, func() { s.Close(); c.Close() })
	defer stop()
	if begun != nil {
		defer begun(s)()
	}
	err = s.Run(ctx)
	return errors.Join(err, s.Close(), ignoreClosed(c.Close()))
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// DialTCP replicates the feed of key with a peer that speaks npm hypercore's
// protocol at addr, HOST:PORT, and dials again when the connection is lost.
// The feed must be open in the node. It returns when ctx ends, with its
// error; when the feed or the node is closed; and, with TCPOptions.Ends, with
// nil when a stream ended in order.
func (n *Node) DialTCP(ctx context.Context, addr string, key feed.Key, o TCPOptions) error {
	if err := n.usable(); err != nil {
		return err
	}
	if n.hosting.loopback {
		if err := loopbackHost(addr); err != nil {
			return err
		}
	}
	call, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(n.ctx, cancel)()
	st := n.tcp.begin(addr, key, cancel)
	defer n.tcp.end(st)
	if n.Feed(key) == nil { // looked at when those who close it can end the call
		return fmt.Errorf("%w: %s", ErrNotOpen, key)
	}
	for fails := 0; ; {
		began := time.Now()
		err := n.dialTCP(call, st, o)
		switch {
		case n.ctx.Err() != nil:
			return ErrClosed
		case ctx.Err() != nil:
			return ctx.Err()
		case call.Err() != nil || n.Feed(key) == nil:
			return fmt.Errorf("%w: %s", ErrNotOpen, key)
		case err == nil && o.Ends:
			return nil
		}
		if fails++; time.Since(began) > steadyAfter {
			fails = 1
		}
		n.tcp.failed(st, fails, err)
		wait := jitter(min(tcpRetry<<min(fails-1, 10), tcpRetryMax))
		log.Debugw("TCP peer lost", "addr", addr, "error", err, "again in", wait)
		n.emit(Event{Type: DialFailed, Text: addr, Err: err})
		select {
		case <-call.Done():
		case <-time.After(wait):
		}
	}
}

func (n *Node) dialTCP(ctx context.Context, st *tcpCall, o TCPOptions) error {
	d := net.Dialer{Timeout: tcpDialTimeout}
	c, err := d.DialContext(ctx, "tcp", st.addr)
	if err != nil {
		return err
	}
	opened := true
	err = n.serveTCP(ctx, c, protocol.StreamOptions{
		Dialect: protocol.V6, Initiator: true, Plain: o.Plain, Ends: o.Ends,
		Feeds: []feed.Key{st.key}, Label: "tcp:" + st.addr,
	}, func(s *protocol.Stream) func() bool {
		n.tcp.begun(st, s)
		return func() bool { opened = s.Stats().Opened; return true }
	})
	if err == nil && !opened && !o.Ends {
		return errNoFeed
	}
	return err
}

// loopbackHost refuses an address that is not of this machine alone.
func loopbackHost(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	if ip, err := netip.ParseAddr(host); host == "localhost" || err == nil && ip.Unmap().IsLoopback() {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrLoopback, addr)
}

// counted counts what passes through a TCP connection.
type counted struct {
	net.Conn
	n *Node
}

func (c counted) Read(p []byte) (int, error) {
	k, err := c.Conn.Read(p)
	c.n.in.Add(uint64(k))
	return k, err
}

func (c counted) Write(p []byte) (int, error) {
	k, err := c.Conn.Write(p)
	c.n.out.Add(uint64(k))
	return k, err
}
