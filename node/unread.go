package node

import (
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

const (
	// unreadFree is what may wait on a connection without a reservation of its
	// own: yamux reserves 256 KiB for each stream.
	unreadFree = 256 << 10
	// unreadStep is how much is reserved and given back at a time.
	unreadStep = 1 << 20
	// unreadPriority leaves half of a limit to others, as yamux does when it
	// enlarges a window.
	unreadPriority = 128
	// unreadRetry is how often a reservation that failed is tried again, and
	// unreadPatience for how long, while a connection is not read from. Streams
	// that are read make room; if none is, the remote fills streams on purpose, or
	// there is no memory for it.
	unreadRetry    = 20 * time.Millisecond
	unreadPatience = 10 * time.Second
)

var errUnread = errors.New("node: no memory for what the remote sends and nobody reads")

// unread is a connection below yamux that follows the frames coming in and
// counts what yamux keeps for streams nobody has read it from yet. That much is
// reserved; while it cannot be, the connection is not read, and TCP makes the
// remote wait.
//
// It counts for the streams that were accepted, until they are closed, and for
// those that wait for that, which yamux's backlog bounds. What yamux refuses, it
// resets: the connection follows the frames going out for these alone.
type unread struct {
	net.Conn
	span   network.ResourceScopeSpan // nil: nothing is reserved
	closed chan struct{}

	// of the goroutine that reads
	header [12]byte
	have   int    // of header
	body   uint32 // of the frame's payload, still to come

	mu       sync.Mutex
	streams  map[uint32]*pile // by stream
	waiting  int              // bytes of all together
	reserved int
	ended    bool
}

// pile is what waits in one stream. unread.mu guards it.
type pile struct {
	n     int  // bytes
	taken bool // by a muxStream, which drops it
}

// Of yamux's frames: version, type, flags (2), stream (4), length (4).
const (
	frameData   = 0
	frameWindow = 1
	flagSYN     = 1
	flagRST     = 8
)

func (u *unread) Read(p []byte) (int, error) {
	n, err := u.Conn.Read(p)
	for b := p[:n]; len(b) > 0; {
		if u.body > 0 {
			k := min(u.body, uint32(len(b)))
			u.body -= k
			b = b[k:]
			continue
		}
		k := copy(u.header[u.have:], b)
		u.have += k
		b = b[k:]
		if u.have < len(u.header) {
			break
		}
		u.have = 0
		if e := u.frame(); e != nil {
			return 0, e
		}
	}
	return n, err
}

// Write looks for resets. yamux writes a frame at a time.
func (u *unread) Write(p []byte) (int, error) {
	if len(p) >= len(u.header) && p[1] == frameWindow && p[3]&flagRST != 0 {
		u.refused(binary.BigEndian.Uint32(p[4:]))
	}
	return u.Conn.Write(p)
}

// frame takes note of a header. Nonsense is left to yamux, which ends the
// session.
func (u *unread) frame() error {
	h := &u.header
	kind, flags := h[1], binary.BigEndian.Uint16(h[2:])
	id, length := binary.BigEndian.Uint32(h[4:]), binary.BigEndian.Uint32(h[8:])
	if kind != frameData && kind != frameWindow {
		return nil
	}
	if flags&flagSYN != 0 {
		u.open(id)
	}
	if kind != frameData || length == 0 {
		return nil
	}
	u.body = length
	u.mu.Lock()
	p := u.streams[id]
	if p == nil || length > muxWindow { // yamux throws it away, or ends the session
		u.mu.Unlock()
		return nil
	}
	p.n += int(length)
	u.waiting += int(length)
	ok := u.reserve()
	u.mu.Unlock()
	if ok {
		return nil
	}
	return u.wait()
}

// reserve makes the reservation cover what waits. mu held.
func (u *unread) reserve() bool {
	if u.span == nil || u.ended {
		return true
	}
	more := u.waiting - unreadFree - u.reserved
	if more <= 0 {
		return true
	}
	more = (more + unreadStep - 1) / unreadStep * unreadStep
	if u.span.ReserveMemory(more, unreadPriority) != nil {
		return false
	}
	u.reserved += more
	return true
}

// wait waits until the reservation succeeds.
func (u *unread) wait() error {
	tick := time.NewTicker(unreadRetry)
	defer tick.Stop()
	over := time.NewTimer(unreadPatience)
	defer over.Stop()
	for {
		select {
		case <-tick.C:
		case <-u.closed:
			return net.ErrClosed
		case <-over.C:
			return errUnread
		}
		u.mu.Lock()
		ok := u.reserve()
		u.mu.Unlock()
		if ok {
			return nil
		}
	}
}

// open begins to count for a stream the remote opens. The number may be that of a
// stream that yamux has forgotten, and we have not closed yet: what is still to be
// read of that is apart.
func (u *unread) open(id uint32) {
	u.mu.Lock()
	if p := u.streams[id]; p == nil || p.taken {
		u.streams[id] = &pile{}
	}
	u.mu.Unlock()
}

// take returns the pile of a stream that we have opened or accepted.
func (u *unread) take(id uint32) *pile {
	u.mu.Lock()
	defer u.mu.Unlock()
	p := u.streams[id]
	if p == nil || p.taken {
		p = &pile{}
		u.streams[id] = p
	}
	p.taken = true
	return p
}

// refused tells that a stream is being reset. If it was not taken, yamux has
// refused it. (Or an earlier one of that number: then take begins anew, and what
// has come until then is within what yamux reserves for each stream.)
func (u *unread) refused(id uint32) {
	u.mu.Lock()
	if p := u.streams[id]; p != nil && !p.taken {
		delete(u.streams, id)
		u.less(p.n)
	}
	u.mu.Unlock()
}

// read tells that n bytes were read from a stream.
func (u *unread) read(p *pile, n int) {
	if n == 0 {
		return
	}
	u.mu.Lock()
	n = min(n, p.n)
	p.n -= n
	u.less(n)
	u.mu.Unlock()
}

// drop tells that a stream is gone with what was not read.
func (u *unread) drop(id uint32, p *pile) {
	u.mu.Lock()
	if u.streams[id] == p {
		delete(u.streams, id)
	}
	n := p.n
	p.n = 0
	u.less(n)
	u.mu.Unlock()
}

// less gives back what is not needed any more, unless it is little. mu held.
func (u *unread) less(n int) {
	u.waiting -= n
	spare := u.reserved - max(0, u.waiting-unreadFree)
	if spare >= 2*unreadStep || u.waiting == 0 && spare > 0 {
		if u.waiting > 0 {
			spare = spare / unreadStep * unreadStep
		}
		u.reserved -= spare
		if !u.ended {
			u.span.ReleaseMemory(spare)
		}
	}
}

// Close ends the connection, and the reservation.
func (u *unread) Close() error {
	u.end()
	return u.Conn.Close()
}

func (u *unread) end() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ended {
		return
	}
	u.ended = true
	close(u.closed)
	if u.span != nil {
		u.span.Done()
	}
}
