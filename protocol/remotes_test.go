package protocol_test

import (
	"bytes"
	"testing"
	"testing/synctest"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/protocol"
)

// TestRemotes: a remote of a feed is one *Peer, which can be written to before it has spoken, and
// after the feed was opened on its stream anew.
func TestRemotes(t *testing.T) {
	for _, d := range []protocol.Dialect{protocol.Native, protocol.V6} {
		t.Run(short(d), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				a, b := newSide(t, "a"), newSide(t, "b")
				f := a.create(1)
				g := b.clone(f.Key(), false)
				dk := f.DiscoveryKey()
				spoke, heard := make(chan *protocol.Peer, 8), make(chan string, 8)
				xa, err := a.e.RegisterExtension(dk, "x", func(p *protocol.Peer, _ []byte) { spoke <- p })
				if err != nil {
					t.Fatal(err)
				}
				if a.e.Remotes(dk) != nil || a.e.Remotes(feed.DiscoveryKey{}) != nil {
					t.Error("remotes of nothing")
				}
				register := func() *protocol.Extension {
					x, err := b.e.RegisterExtension(dk, "x", func(_ *protocol.Peer, m []byte) { heard <- string(m) })
					if err != nil {
						t.Fatal(err)
					}
					return x
				}
				xb := register()
				l := connect(a, b, linkOptions{dialect: d, feedsB: []feed.Key{f.Key()}})
				synctest.Wait()
				ps := a.e.Remotes(dk)
				if len(ps) != 1 || ps[0].Stream() != l.A {
					t.Fatalf("remotes: %v", ps)
				}
				if err := xa.Send(ps[0], []byte("first")); err != nil {
					t.Fatal(err)
				}
				if m := <-heard; m != "first" {
					t.Error("heard", m)
				}
				xb.Broadcast(nil)
				xb.Broadcast(nil)
				if p, q := <-spoke, <-spoke; p != q || p != ps[0] {
					t.Error("one remote is several peers")
				}
				if d == protocol.V6 && !bytes.Equal(l.A.HandshakeID(), b.id) {
					t.Errorf("ID %q", l.A.HandshakeID())
				}
				if d == protocol.Native { // V6 opens no feed twice on a stream
					if err := b.e.Remove(dk); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
					if err := xa.Send(ps[0], nil); err != protocol.ErrNoExtension {
						t.Error("to who has closed the feed:", err)
					}
					b.add(g)
					register()
					if err := l.B.Offer(f.Key()); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
					if now := a.e.Remotes(dk); len(now) != 1 || now[0] != ps[0] {
						t.Errorf("%v, it was %v", now, ps)
					}
					if err := xa.Send(ps[0], []byte("again")); err != nil {
						t.Error(err)
					}
					if m := <-heard; m != "again" {
						t.Error("heard", m)
					}
				}
				l.close()
				<-l.errA
				<-l.errB
				if err := xa.Send(ps[0], nil); err != protocol.ErrClosed || len(a.e.Remotes(dk)) > 0 {
					t.Error("at the end:", err)
				}
			})
		})
	}
}
