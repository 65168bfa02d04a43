package node

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/go-hypercore/hypercore/protocol"
)

const (
	// maxTCP bounds the connections of one listener.
	maxTCP = 256
	// maxTCPPerIP bounds those from one public address. Behind private ones, and
	// on loopback, there may be a proxy that all come through.
	maxTCPPerIP = connsPerIP
	// tcpNameless is how long a remote may take to name its first feed, here or
	// not. npm hypercore does so at once; a listener never does it first.
	tcpNameless = 10 * time.Second
)

// tcpSlots are the connections that a listener serves. Nothing tells who they come
// from, and a keep-alive now and then is all it takes to stay. So one that names no
// feed ends soon, and where there is no room a newcomer takes the place of the
// oldest that has no feed open on both sides. Who knows only a discovery key can name
// the feed, but not say a Handshake that can be read: that counts for nothing.
type tcpSlots struct {
	mu  sync.Mutex
	all []*tcpSlot // the oldest first
}

// tcpSlot is one of them.
type tcpSlot struct {
	c      net.Conn         // constant
	from   netip.Prefix     // constant; the zero value: not counted by address
	stream *protocol.Stream // nil: not begun. tcpSlots.mu guards it
}

// enter makes room for c; nil if there is none.
func (t *tcpSlots) enter(c net.Conn) *tcpSlot {
	sl := &tcpSlot{c: c, from: tcpOrigin(c.RemoteAddr())}
	same := func(o *tcpSlot) bool { return sl.from.IsValid() && o.from == sl.from }
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for _, o := range t.all {
		if same(o) {
			n++
		}
	}
	if n >= maxTCPPerIP && !t.displace(same) ||
		len(t.all) >= maxTCP && !t.displace(func(*tcpSlot) bool { return true }) {
		return nil
	}
	t.all = append(t.all, sl)
	return sl
}

// displace ends the oldest connection without a feed among some. mu held.
func (t *tcpSlots) displace(among func(*tcpSlot) bool) bool {
	for i, o := range t.all {
		if among(o) && !o.proven() {
			o.c.Close()
			t.all = slices.Delete(t.all, i, i+1)
			return true
		}
	}
	return false
}

// proven tells whether the remote has a feed open and has said what only who knows its
// key can say. tcpSlots.mu is held.
func (sl *tcpSlot) proven() bool {
	if sl.stream == nil {
		return false
	}
	st := sl.stream.Stats()
	return st.Feeds > 0 && st.Opened
}

func (t *tcpSlots) leave(sl *tcpSlot) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(t.all, sl); i >= 0 {
		t.all = slices.Delete(t.all, i, i+1)
	}
}

// begin watches over the stream of a slot until done.
func (t *tcpSlots) begin(sl *tcpSlot, s *protocol.Stream) (done func() bool) {
	t.mu.Lock()
	sl.stream = s
	t.mu.Unlock()
	return time.AfterFunc(tcpNameless, func() {
		if st := s.Stats(); st.Feeds+st.Offered == 0 || !st.Opened {
			s.Close()
		}
	}).Stop
}

// tcpOrigin is what the connections from a public address have in common: the
// address, or the site of it in IPv6, as with libp2p's limits.
func tcpOrigin(a net.Addr) (none netip.Prefix) {
	at, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return none
	}
	ip := at.Addr().Unmap().WithZone("")
	bits := 32
	if ip.Is6() {
		bits = 56
	}
	if ip.IsLoopback() || privateRange(ip) >= 0 {
		return none
	}
	from, _ := ip.Prefix(bits)
	return from
}
