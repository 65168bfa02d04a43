package node

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// askAtOnce bounds the connections asked for a sign of life at a time, and
	// askEvery is the least time between two rounds.
	askAtOnce = 32
	askEvery  = 5 * time.Second
)

// asking asks the peers of all connections for a sign of life, after a change
// of this host's addresses or when one of them is late with an answer. A router
// that restarts forgets its connections without a word, and transports take
// half a minute to notice: until then this host would believe itself connected
// to its bootstrap nodes and its relays, and wait on them.
type asking struct {
	mu   sync.Mutex // guards the fields below
	last time.Time
	busy bool
}

// begin starts a round unless one runs or was just there.
func (a *asking) begin(n *Node) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.busy || time.Since(a.last) < askEvery {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return
	}
	a.busy = true
	n.wg.Go(func() {
		n.askAll()
		a.mu.Lock()
		defer a.mu.Unlock()
		a.busy, a.last = false, time.Now()
	})
}

// askAll closes the connections over which nobody answers, and nothing else comes
// meanwhile. When most are dead, it is this host's network that was gone: the peers are
// called back, for they may wait for this host to come to them.
func (n *Node) askAll() {
	conns := slices.DeleteFunc(n.host.Network().Conns(), func(c network.Conn) bool { return isRelayed(c.RemoteMultiaddr()) })
	dead := make([]atomic.Bool, len(conns))
	slots := make(chan struct{}, askAtOnce)
	var wg sync.WaitGroup
	for i, c := range conns {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(n.ctx, probeTimeout)
			defer cancel()
			began := time.Now()
			dead[i].Store(pingOver(ctx, c) != nil && !n.peers.heard(c).After(began))
		})
	}
	wg.Wait()
	if n.ctx.Err() != nil {
		return
	}
	lost := map[peer.ID]bool{}
	for i, c := range conns {
		if dead[i].Load() {
			lost[c.RemotePeer()] = true
		}
	}
	if 2*len(lost) > len(conns) {
		n.peers.recall(lost)
	}
	for i, c := range conns {
		if dead[i].Load() {
			log.Debugw("connection is dead", "peer", c.RemotePeer())
			_ = c.Close()
		}
	}
}

// heard returns when bytes came last on the stream with a peer, if that is over c.
func (p *peers) heard(c network.Conn) (at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if st := p.m[c.RemotePeer()]; st != nil && st.link != nil && st.link.raw.Conn() == c {
		at = st.link.heard()
	}
	return at
}

const (
	// sameBreath is the age up to which connections of a peer were made
	// together.
	sameBreath = 2 * time.Second
	// returnedTimeout is how long a peer may take to answer over an old
	// connection after it made a new one.
	returnedTimeout = 1500 * time.Millisecond
)

// returned is called for each new connection. A peer that makes one although
// there is another may have moved, and the other be dead. As long as that
// seems to live nobody punches a hole to the peer: when it is dead, a relayed
// connection ends with it, and the peer begins anew.
func (p *peers) returned(c network.Conn) {
	if c.Stat().Direction != network.DirInbound {
		return
	}
	old := slices.DeleteFunc(p.n.host.Network().ConnsToPeer(c.RemotePeer()), func(o network.Conn) bool {
		return o == c || isRelayed(o.RemoteMultiaddr()) || c.Stat().Opened.Sub(o.Stat().Opened) < sameBreath
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(old) == 0 || p.closed {
		return
	}
	p.n.wg.Go(func() {
		ctx, cancel := context.WithTimeout(p.n.ctx, returnedTimeout)
		defer cancel()
		closed, began := false, time.Now()
		for _, o := range old {
			if pingOver(ctx, o) != nil && p.n.ctx.Err() == nil && !p.heard(o).After(began) {
				log.Debugw("peer has come back, its connection is dead", "peer", o.RemotePeer())
				_ = o.Close()
				closed = true
			}
		}
		if closed && isRelayed(c.RemoteMultiaddr()) && !hasDirect(p.n.host, c.RemotePeer()) {
			_ = c.Close()
		}
	})
}
