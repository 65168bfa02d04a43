package protocol_test

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/protocol/wire"
)

// TestFalseLength: a length that a remote announces and takes back, or does not prove, holds
// up a download and who asks for the head for some seconds at most.
func TestFalseLength(t *testing.T) {
	have := func(start, n uint64) []byte { return wire.AppendHave(nil, 0, wire.Have{Start: start, Length: n}) }
	for name, liar := range map[string]struct {
		says   []byte
		again  bool // and all over again, on a channel that it opens anew
		within time.Duration
		zeros  bool // beside more keep-alives than blocks would be
	}{
		"taken back":      {append(have(0, wire.MaxBlocks), wire.AppendUnhave(nil, 0, wire.Unhave{Length: wire.MaxBlocks})...), false, 0, false},
		"not here":        {append(have(0, 1000), wire.AppendNoData(nil, 0, wire.NoData{Length: 1000, Reason: wire.ReasonNotHere})...), false, 0, false},
		"never proven":    {have(1000, 1), false, 15 * time.Second, false},
		"among zeros":     {have(1000, 1), false, 15 * time.Second, true},
		"too long for us": {have(wire.MaxBlocks-1, 1), false, 15 * time.Second, false},
		"opened anew":     {have(1000, 1), true, 15 * time.Second, false},
	} {
		for _, dialect := range []protocol.Dialect{protocol.Native, protocol.V6} {
			if dialect == protocol.V6 && (name == "not here" || liar.again) {
				continue
			}
			t.Run(name+dialect.String(), func(t *testing.T) {
				bubble.Test(t, func(t *testing.T) {
					a, b := newSide(t, "a"), newSide(t, "b")
					f := a.create(300)
					g := b.clone(f.Key(), false)
					x := dial(t, b, "liar", protocol.StreamOptions{Dialect: dialect, Plain: true, Feeds: []feed.Key{f.Key()}})
					go x.discard()
					x.hello(f.Key())
					x.send(liar.says)
					go x.live()
					if liar.zeros {
						go x.zeros()
					}
					if liar.again {
						go func() {
							for err := error(nil); err == nil; {
								time.Sleep(5 * time.Second)
								_, err = x.conn.Write(append(x.feed(f.Key(), x.id), liar.says...))
							}
						}()
					}
					l := connect(a, b, linkOptions{feedsB: []feed.Key{f.Key()}})
					synctest.Wait()
					start := time.Now()
					c, cancel := context.WithTimeout(ctx, time.Minute)
					defer cancel()
					head := make(chan error)
					go func() {
						last, err := g.Head(c)
						if err == nil && !bytes.Equal(last, content(299)) {
							t.Error("another block is the head")
						}
						head <- err
					}()
					if err := g.Download(feed.Range{}).Wait(c); err != nil {
						t.Error("download:", err)
					}
					if err := <-head; err != nil {
						t.Error("head:", err)
					}
					if took := time.Since(start); took > liar.within {
						t.Error("took", took)
					}
					same(t, g, 0, 300)
					if x.s.Stats().Ended {
						t.Error("the liar's stream has ended: this tests nothing")
					}
					x.s.Close()
					<-x.done
					x.conn.Close()
					l.close()
					<-l.errA
					<-l.errB
				})
			})
		}
	}
}

// TestLateProof: what a remote proves late counts again. What peers clear at the end makes no
// feed shorter, nor does what they announce before.
func TestLateProof(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newSide(t, "b")
		f := open(t, feed.Options{})
		appendBlocks(t, f, 300)
		g := b.clone(f.Key(), false)
		x := dial(t, b, "late", protocol.StreamOptions{Feeds: []feed.Key{f.Key()}})
		x.hello(f.Key())
		x.send(wire.AppendHave(nil, 0, wire.Have{Start: 299, Length: 1}))
		go x.live()
		state := func() protocol.PeerStats { return b.e.Peers(g.DiscoveryKey())[0] }
		time.Sleep(8 * time.Second)
		if s := state(); s.Doubted || s.Length != 300 {
			t.Errorf("after 8 s: %+v", s)
		}
		time.Sleep(7 * time.Second)
		if s := state(); !s.Doubted || s.Length != 300 {
			t.Errorf("after 15 s: %+v", s)
		}
		go x.serve(f, data)
		for g.Len() < 300 { // a question is asked anew
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if state().Doubted {
			t.Error("doubted after it was proven")
		}
		x.send(wire.AppendHave(nil, 0, wire.Have{Length: 300}))
		download(t, g, 0, 300)
		x.send(wire.AppendUnhave(nil, 0, wire.Unhave{Start: 290, Length: 10}))
		synctest.Wait()
		if s := state(); g.Len() != 300 || s.Length != 290 || s.Doubted {
			t.Errorf("length %d after the end was cleared: %+v", g.Len(), s)
		}
		if _, err := g.Head(within(t)); err != nil {
			t.Error(err)
		}
		x.s.Close()
		<-x.done
		x.conn.Close()
	})
}

// TestClaimsAreNotForgotten: remotes that connect anew again and again do not begin their claim anew.
func TestClaimsAreNotForgotten(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, b := newSide(t, "a"), newSide(t, "b")
		f := a.create(30)
		g := b.clone(f.Key(), false)
		l := connect(a, b, linkOptions{feedsB: []feed.Key{f.Key()}})
		synctest.Wait()
		download(t, g, 0, 30)
		var liars sync.WaitGroup
		stop := make(chan struct{})
		for i, name := range []string{"liar", "other liar"} {
			liars.Go(func() {
				time.Sleep(time.Duration(i) * 4 * time.Second)
				for over := false; !over; {
					x := dial(t, b, name, protocol.StreamOptions{Feeds: []feed.Key{f.Key()}})
					x.hello(f.Key())
					x.send(wire.AppendHave(nil, 0, wire.Have{Start: 1000, Length: 1}))
					go x.discard()
					select {
					case <-time.After(9 * time.Second): // before it is doubted
					case <-stop:
						over = true
					}
					x.conn.Close()
					<-x.done
				}
			})
		}
		synctest.Wait()
		began := time.Now()
		want, err := f.Local(29)
		if err != nil {
			t.Fatal(err)
		}
		if head, err := g.Head(ctx); err != nil || !bytes.Equal(head, want) {
			t.Errorf("head %q, %v", head, err)
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("beside two liars the head took %v", took)
		}
		close(stop)
		liars.Wait()
		l.close()
		<-l.errA
		<-l.errB
	})
}
