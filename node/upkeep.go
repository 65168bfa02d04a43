package node

import (
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// direct is called for each new connection that is not relayed: a stream on
// a relay moves to it.
func (p *peers) direct(id peer.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if st := p.m[id]; st != nil && st.link != nil && st.link.relayed && st.link.initiator {
		p.keep(st)
		signal(st.wake)
	}
}

// sweep closes streams without feeds, offers what there was no room for, and forgets
// peers.
func (p *peers) sweep() {
	now := time.Now()
	var idle []*link
	p.mu.Lock()
	for _, st := range p.m {
		if st.link != nil {
			st.seen = now
			if st.full {
				p.offer(st)
			}
			switch {
			case len(st.link.stream.Feeds()) > 0 || p.hasKeys(st):
				st.idle = time.Time{}
			case st.idle.IsZero():
				st.idle = now
			case now.Sub(st.idle) > idleAfter:
				idle = append(idle, st.link)
			}
			continue
		}
		if now.Sub(st.seen) > forgetAfter {
			for dk := range st.topics {
				p.strike(st, dk)
			}
			if !st.fixed {
				p.notLAN(st)
				st.fails = 0
			}
			signal(st.wake)
			p.drop(st)
		}
	}
	p.offenders.sweep(now)
	p.mu.Unlock()
	for _, l := range idle {
		l.cancel(errIdle)
	}
}

// close ends every stream.
func (p *peers) close() {
	p.mu.Lock()
	p.closed = true
	var links []*link
	for _, st := range p.m {
		if st.link != nil {
			links = append(links, st.link)
		}
		signal(st.wake)
	}
	p.mu.Unlock()
	for _, l := range links {
		l.cancel(ErrClosed)
	}
}

// notifiee tells p of new connections.
type notifiee struct {
	network.NotifyBundle
}

func (p *peers) notifiee() network.Notifiee {
	return &notifiee{network.NotifyBundle{
		ConnectedF: func(_ network.Network, c network.Conn) {
			p.n.keepAllowed(c)
			p.n.routes.opened(c)
			p.returned(c)
			if !isRelayed(c.RemoteMultiaddr()) {
				p.direct(c.RemotePeer())
			}
		},
		DisconnectedF: func(_ network.Network, c network.Conn) {
			p.n.routes.closed(c)
			if !connected(p.n.host, c.RemotePeer()) {
				p.gone(c.RemotePeer(), c.Stat().Opened)
			}
		},
	}}
}

// gone is called when a peer has no connection left; the last one was opened at a
// time. Peers with a stream are told by its end. Where the connection was all, because
// there is no feed to offer, its end is that of the attempt: a peer that refuses this
// node lets it connect first.
func (p *peers) gone(id peer.ID, opened time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	st := p.m[id]
	if st == nil || st.link != nil || p.closed {
		return
	}
	st.dialed = false
	if now, next := time.Now(), st.next; !p.hasKeys(st) && st.wanted() {
		if now.Sub(opened) >= steadyAfter {
			st.fails, st.next = 0, now.Add(jitter(firstRetry))
			if st.lan {
				st.lost = now // it has shown that it is there
			}
		} else {
			st.failed(now)
		}
		if next.After(st.next) {
			st.next = next
		}
	}
	signal(st.wake)
	p.down(st)
}
