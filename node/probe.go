package node

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	libproto "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"github.com/multiformats/go-multistream"
)

const (
	// silentAfter is how long a stream that was just receiving may be silent
	// until its connection is probed: transports take half a minute and more
	// to notice that the way is gone.
	silentAfter = 2 * time.Second
	// busyWithin is how recently it must have received to be probed at all; a
	// stream at rest has keep-alives.
	busyWithin = time.Minute
	// probeTimeout is how long a peer may take to answer.
	probeTimeout = 3 * time.Second
	// probeLate is how long an answer may take before others are asked, too.
	probeLate = time.Second
	// probeEvery is how often silence is looked for.
	probeEvery = time.Second
)

// probe asks the peer for a sign of life over the connection of a stream, and
// closes the connection when there is none. If the answer is late the fault may
// be here, and all connections are asked.
func (p *peers) probe(l *link) {
	c := l.raw.Conn()
	ctx, cancel := context.WithTimeout(p.n.ctx, probeTimeout)
	defer cancel()
	late := time.AfterFunc(probeLate, func() { p.n.asking.begin(p.n) })
	err := pingOver(ctx, c)
	late.Stop()
	if err == nil || p.n.ctx.Err() != nil {
		return
	}
	// Something may have come meanwhile: a slow way is not a dead one.
	if time.Since(l.heard()) < probeTimeout {
		return
	}
	log.Debugw("connection is dead", "peer", c.RemotePeer(), "error", err)
	_ = c.Close()
}

// pingOver sends 32 bytes and wants them back, as libp2p's ping protocol
// does, but over the connection given and no other.
func pingOver(ctx context.Context, c network.Conn) error {
	s, err := c.NewStream(network.WithAllowLimitedConn(ctx, "ping"))
	if err != nil {
		return err
	}
	defer func() { _ = s.Reset() }()
	if deadline, ok := ctx.Deadline(); ok {
		_ = s.SetDeadline(deadline)
	}
	if err := s.SetProtocol(ping.ID); err != nil {
		return err
	}
	if err := multistream.SelectProtoOrFail[libproto.ID](ping.ID, s); err != nil {
		var none multistream.ErrNotSupported[libproto.ID]
		if errors.As(err, &none) {
			return nil // an answer is all that was wanted
		}
		return err
	}
	var sent, got [ping.PingSize]byte
	rand.Read(sent[:])
	if _, err := s.Write(sent[:]); err != nil {
		return err
	}
	if _, err := io.ReadFull(s, got[:]); err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(sent[:], got[:]) != 1 {
		return errors.New("node: ping answered with other bytes")
	}
	return nil
}

// listen probes streams that fell silent, each silence once.
func (p *peers) listen(now time.Time) {
	var silent []*link
	p.mu.Lock()
	for _, st := range p.m {
		if l := st.link; l != nil {
			heard := l.heard()
			if quiet := now.Sub(heard); quiet > silentAfter && quiet < busyWithin && l.probed.Before(heard) {
				l.probed = now
				st.common = l.stream.Feeds() // in case that it is gone
				silent = append(silent, l)
			}
		}
	}
	p.goProbe(silent)
	p.mu.Unlock()
}

// moved is called when the addresses of this host changed: connections may be
// dead, and peers may be reachable that were not.
func (p *peers) moved() {
	now := time.Now()
	p.mu.Lock()
	for _, st := range p.m {
		if st.link == nil && st.fails > 0 && st.wanted() {
			st.fails, st.next = 0, now.Add(jitter(time.Second/2))
			signal(st.wake)
		}
	}
	p.mu.Unlock()
	p.n.asking.begin(p.n)
}

// goProbe probes in the background. p.mu is held.
func (p *peers) goProbe(links []*link) {
	if p.closed {
		return
	}
	for _, l := range links {
		p.n.wg.Go(func() { p.probe(l) })
	}
}
