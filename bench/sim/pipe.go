package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// pipeNet connects hosts by byte pipes of a rate and a delay, in both
// directions alike. Addresses are those of TCP.
type pipeNet struct {
	bytesPerSecond float64
	delay          time.Duration // one way

	mu        sync.Mutex
	listeners map[string]*pipeListener
	port      int
}

func newPipeNet(bytesPerSecond float64, delay time.Duration) *pipeNet {
	return &pipeNet{bytesPerSecond: bytesPerSecond, delay: delay, listeners: map[string]*pipeListener{}, port: 50000}
}

// transport is a constructor for libp2p.Transport.
func (n *pipeNet) transport(u transport.Upgrader, rm network.ResourceManager) (*pipeTransport, error) {
	return &pipeTransport{n, u, rm}, nil
}

type pipeTransport struct {
	net      *pipeNet
	upgrader transport.Upgrader
	rcmgr    network.ResourceManager
}

func (t *pipeTransport) CanDial(a ma.Multiaddr) bool {
	_, err := a.ValueForProtocol(ma.P_TCP)
	return err == nil
}
func (t *pipeTransport) Protocols() []int { return []int{ma.P_TCP} }
func (t *pipeTransport) Proxy() bool      { return false }

func (t *pipeTransport) Dial(ctx context.Context, raddr ma.Multiaddr, p peer.ID) (transport.CapableConn, error) {
	scope, err := t.rcmgr.OpenConnection(network.DirOutbound, true, raddr)
	if err != nil {
		return nil, err
	}
	c, err := t.net.dial(raddr)
	if err != nil {
		scope.Done()
		return nil, err
	}
	return t.upgrader.Upgrade(ctx, t, c, network.DirOutbound, p, scope)
}

func (t *pipeTransport) Listen(laddr ma.Multiaddr) (transport.Listener, error) {
	addr, err := manet.ToNetAddr(laddr)
	if err != nil {
		return nil, err
	}
	l := &pipeListener{net: t.net, ma: laddr, addr: addr, conns: make(chan manet.Conn, 16), closed: make(chan struct{})}
	t.net.mu.Lock()
	defer t.net.mu.Unlock()
	t.net.listeners[addr.String()] = l
	return t.upgrader.UpgradeGatedMaListener(t, t.upgrader.GateMaListener(l)), nil
}

type pipeListener struct {
	net    *pipeNet
	ma     ma.Multiaddr
	addr   net.Addr
	conns  chan manet.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) Accept() (manet.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}
func (l *pipeListener) Close() error            { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipeListener) Multiaddr() ma.Multiaddr { return l.ma }
func (l *pipeListener) Addr() net.Addr          { return l.addr }

func (n *pipeNet) dial(raddr ma.Multiaddr) (manet.Conn, error) {
	addr, err := manet.ToNetAddr(raddr)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	l := n.listeners[addr.String()]
	n.port++
	local := &net.TCPAddr{IP: net.IPv4(1, 0, 0, 1), Port: n.port}
	n.mu.Unlock()
	if l == nil {
		return nil, fmt.Errorf("nobody listens at %s", addr)
	}
	there, back := newHalf(n), newHalf(n)
	near, err := manet.WrapNetConn(&pipeConn{in: back, out: there, local: local, remote: addr})
	if err != nil {
		return nil, err
	}
	far, err := manet.WrapNetConn(&pipeConn{in: there, out: back, local: addr, remote: local})
	if err != nil {
		return nil, err
	}
	time.Sleep(2 * n.delay) // SYN and its answer
	select {
	case l.conns <- far:
		return near, nil
	case <-l.closed:
		return nil, fmt.Errorf("nobody listens at %s", addr)
	}
}

// half is one direction: bytes leave at the rate of the link and arrive a delay
// later. Up to window bytes are on their way; a writer waits beyond.
type half struct {
	net    *pipeNet
	window int

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced when anything changes
	segments []segment
	size     int
	free     time.Time // when the link has sent everything written so far
	closed   bool
}

type segment struct {
	data []byte
	at   time.Time // arrival
}

func newHalf(n *pipeNet) *half {
	// What is on its way at full rate, and a queue half as long, as behind a TCP
	// that does not fill buffers.
	window := int(1.5 * n.bytesPerSecond * n.delay.Seconds())
	return &half{net: n, window: max(window, 1<<20), changed: make(chan struct{}), free: time.Now()}
}

func (h *half) signal() {
	close(h.changed)
	h.changed = make(chan struct{})
}

func (h *half) write(p []byte, deadline *deadline) (n int, err error) {
	for len(p) > 0 {
		h.mu.Lock()
		if h.closed {
			h.mu.Unlock()
			return n, io.ErrClosedPipe
		}
		if room := h.window - h.size; room > 0 {
			k := min(room, len(p), 64<<10)
			if now := time.Now(); h.free.Before(now) {
				h.free = now
			}
			h.free = h.free.Add(time.Duration(float64(k) / h.net.bytesPerSecond * float64(time.Second)))
			h.segments = append(h.segments, segment{append([]byte(nil), p[:k]...), h.free.Add(h.net.delay)})
			h.size += k
			p, n = p[k:], n+k
			h.signal()
			h.mu.Unlock()
			continue
		}
		wait := h.changed
		h.mu.Unlock()
		if err := deadline.wait(wait, nil); err != nil {
			return n, err
		}
	}
	return n, nil
}

func (h *half) read(p []byte, deadline *deadline) (int, error) {
	for {
		h.mu.Lock()
		now := time.Now()
		n := 0
		for n < len(p) && len(h.segments) > 0 && !h.segments[0].at.After(now) {
			s := &h.segments[0]
			k := copy(p[n:], s.data)
			n += k
			if s.data = s.data[k:]; len(s.data) == 0 {
				h.segments = h.segments[1:]
			}
		}
		if n > 0 {
			h.size -= n
			h.signal()
			h.mu.Unlock()
			return n, nil
		}
		var arrival <-chan time.Time
		switch {
		case len(h.segments) > 0:
			arrival = time.After(h.segments[0].at.Sub(now))
		case h.closed:
			h.mu.Unlock()
			return 0, io.EOF
		}
		wait := h.changed
		if arrival != nil {
			wait = nil // the first segment stays the first
		}
		h.mu.Unlock()
		if err := deadline.wait(wait, arrival); err != nil {
			return 0, err
		}
	}
}

func (h *half) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.closed = true
		h.signal()
	}
}

// deadline is that of reads or writes; moving it wakes those who wait.
type deadline struct {
	mu    sync.Mutex
	t     time.Time
	moved chan struct{}
	gone  chan struct{} // the connection is closed
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.t = t
	close(d.moved)
	d.moved = make(chan struct{})
}

// wait returns when either channel is ready, or with an error when the
// deadline is over or the connection closed.
func (d *deadline) wait(changed <-chan struct{}, arrival <-chan time.Time) error {
	d.mu.Lock()
	t, moved := d.t, d.moved
	d.mu.Unlock()
	var over <-chan time.Time
	if !t.IsZero() {
		timer := time.NewTimer(time.Until(t))
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-changed:
	case <-arrival:
	case <-moved:
	case <-over:
		return os.ErrDeadlineExceeded
	case <-d.gone:
		return net.ErrClosed
	}
	return nil
}

type pipeConn struct {
	in, out       *half
	local, remote net.Addr

	init    sync.Once
	gone    chan struct{}
	rd, wd  deadline
	closing sync.Once
}

func (c *pipeConn) setUp() {
	c.init.Do(func() {
		c.gone = make(chan struct{})
		c.rd = deadline{moved: make(chan struct{}), gone: c.gone}
		c.wd = deadline{moved: make(chan struct{}), gone: c.gone}
	})
}

func (c *pipeConn) Read(p []byte) (int, error)  { c.setUp(); return c.in.read(p, &c.rd) }
func (c *pipeConn) Write(p []byte) (int, error) { c.setUp(); return c.out.write(p, &c.wd) }
func (c *pipeConn) Close() error {
	c.setUp()
	c.closing.Do(func() { close(c.gone); c.out.close(); c.in.close() })
	return nil
}
func (c *pipeConn) LocalAddr() net.Addr  { return c.local }
func (c *pipeConn) RemoteAddr() net.Addr { return c.remote }
func (c *pipeConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}
func (c *pipeConn) SetReadDeadline(t time.Time) error  { c.setUp(); c.rd.set(t); return nil }
func (c *pipeConn) SetWriteDeadline(t time.Time) error { c.setUp(); c.wd.set(t); return nil }
