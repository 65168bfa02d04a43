package node

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	libproto "github.com/libp2p/go-libp2p/core/protocol"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/protocol"
)

// Codes with which a replication stream is reset.
const (
	codeDuplicate network.StreamErrorCode = 0x101 // another stream of the two peers is kept
	codeRefused   network.StreamErrorCode = 0x102 // the peer is not welcome for a while
)

// contestWindow is the age up to which a stream may have crossed one that
// the other side opened at the same time, two trips of the network. An older
// one the other side has lost: it would not have opened another.
const contestWindow = 5 * time.Second

// protocolIDs are the stream protocols spoken, the preferred one first.
func protocolIDs() []libproto.ID { return []libproto.ID{protocol.NativeID, protocol.V6ID} }

// link is one replication stream with a peer.
type link struct {
	// Constant.
	raw       network.Stream
	stream    *protocol.Stream
	initiator bool // opened by this node
	relayed   bool
	opened    time.Time
	cancel    context.CancelCauseFunc // ends the stream with a cause

	last    atomic.Int64 // when bytes came last, Unix nanoseconds
	writing atomic.Int32 // calls of Write under way
	// peers.mu guards the fields below.
	probed time.Time
	served bool // the remote had a feed open
	idle   bool // it is let go because it had nothing that was missing here
}

// heard returns when bytes came last.
func (l *link) heard() time.Time { return time.Unix(0, l.last.Load()) }

// faulty tells whether a stream ended by what the remote must not do. Being
// slow, silent or without the feed is none of that.
func faulty(err error) bool {
	var remote *protocol.RemoteError
	if !errors.As(err, &remote) {
		return false
	}
	for _, harmless := range []error{protocol.ErrTimeout, protocol.ErrNotReading, protocol.ErrSilent, protocol.ErrUnknownFeed, protocol.ErrFirstFeed} {
		if errors.Is(err, harmless) {
			return false
		}
	}
	return true
}

var (
	errReplaced = errors.New("node: replaced by another stream of the same peers")
	errIdle     = errors.New("node: no feed in common")
)

// keepNew decides between two streams of the same peers, the one kept so far
// and a new one; both peers come to the same answer without talking.
//
//   - Opened by the same side: the new one. That side has lost the old one,
//     or moves from a relay to a direct connection.
//   - Opened by both sides at about the same time: the one opened by the peer
//     whose ID is the lesser, byte by byte.
//   - Otherwise the new one: its opener does not know the old one any more.
func keepNew(self, remote peer.ID, oldByUs, newByUs bool, age time.Duration) bool {
	if oldByUs == newByUs || age > contestWindow {
		return true
	}
	return newByUs == (self < remote)
}

// reserve puts a stream under the limits of the resource manager.
func (p *peers) reserve(s network.Stream) (scopeMemory, error) {
	m := scopeMemory{s.Scope(), p.n.hosting.ours}
	if err := s.Scope().SetService(service); err != nil {
		return m, fmt.Errorf("node: %s: %w", service, err)
	}
	return m, m.begin()
}

// handle serves a stream opened by a peer.
func (p *peers) handle(s network.Stream) {
	id := s.Conn().RemotePeer()
	at := s.Conn().RemoteMultiaddr()
	until := p.refusedUntil(id)
	if p.n.rules.blocks(id, at) || time.Now().Before(until) && !p.n.rules.allows(id, at) {
		_ = s.ResetWithError(codeRefused)
		return
	}
	if err := p.adopt(id, s, false); err != nil {
		log.Debugw("stream not accepted", "peer", id, "error", err)
	}
}

// adopt makes s the stream kept with a peer and runs it in the background, or
// resets it and says why. What is to be offered is looked up in the same breath
// as the link is set: a feed shared before is among it, one shared later finds
// the link.
func (p *peers) adopt(id peer.ID, s network.Stream, initiator bool) error {
	memory, err := p.reserve(s)
	if err != nil {
		_ = s.ResetWithError(network.StreamResourceLimitExceeded)
		return err
	}
	dialect := protocol.Native
	if s.Protocol() == protocol.V6ID {
		dialect = protocol.V6
	}
	self := p.n.host.ID()
	relayed := isRelayed(s.Conn().RemoteMultiaddr())

	p.mu.Lock()
	st := p.get(id)
	old := st.link
	switch {
	case p.closed:
		err = ErrClosed
	case old != nil && !keepNew(self, id, old.initiator, initiator, time.Since(old.opened)):
		err = errReplaced
	}
	if err != nil {
		p.drop(st)
		p.mu.Unlock()
		memory.end()
		_ = s.ResetWithError(codeDuplicate)
		return err
	}
	ctx, cancel := context.WithCancelCause(p.n.ctx)
	l := &link{raw: s, initiator: initiator, relayed: relayed, opened: time.Now(), cancel: cancel}
	l.stream = p.n.engine.NewStream(metered{s, l, p.n}, protocol.StreamOptions{
		Dialect: dialect, Initiator: initiator,
		LocalID: []byte(self), RemoteID: []byte(id),
		Kin: p.n.cfg.Kin, Label: id.String(), Limited: poor(s.Conn()), Memory: memory,
	})
	l.last.Store(l.opened.UnixNano())
	st.link, st.asked = l, l.opened
	st.offered = map[feed.Key]bool{}
	p.offer(st)
	p.n.wg.Add(1) // under p.mu: Close sets closed before it waits
	p.mu.Unlock()

	if old != nil {
		old.cancel(errReplaced)
	}
	p.n.host.ConnManager().Protect(id, connTag)
	p.n.emit(Event{Type: StreamOpened, Peer: id, Addr: s.Conn().RemoteMultiaddr()})
	p.linked(st)
	go func() {
		defer p.n.wg.Done()
		err := l.stream.Run(ctx)
		_ = s.Close() // Run has closed it unless it did not begin
		memory.end()
		cancel(nil)
		p.ended(st, l, err)
	}()
	return nil
}

// metered counts what passes through a stream.
type metered struct {
	network.Stream
	l *link
	n *Node
}

func (m metered) Read(p []byte) (int, error) {
	k, err := m.Stream.Read(p)
	m.n.in.Add(uint64(k))
	m.l.last.Store(time.Now().UnixNano())
	return k, err
}

func (m metered) Write(p []byte) (int, error) {
	m.l.writing.Add(1)
	defer m.l.writing.Add(-1)
	k, err := m.Stream.Write(p)
	m.n.out.Add(uint64(k))
	return k, err
}

// Close ends the stream in order. Over QUIC that does not wake a Write that waits for a
// remote which has stopped reading, so a stream with one under way, whose last frame is
// cut off in any case, is reset. A Write that begins later finds it closed.
func (m metered) Close() error {
	err := m.Stream.Close()
	if m.l.writing.Load() > 0 {
		return m.Stream.Reset()
	}
	return err
}
