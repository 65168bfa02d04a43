package protocol_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/protocol/wire"
)

// refuser is a native remote that announces n blocks of f and refuses the first
// times requests for them, then serves f. Times of the requests come through asked.
func refuser(t *testing.T, b *side, f *feed.Feed, n uint64, reason wire.Reason, times int) (x *raw, asked chan time.Time) {
	x, asked = dial(t, b, "refuser", protocol.StreamOptions{}), make(chan time.Time, 1000)
	x.hello(f.Key())
	x.send(wire.AppendHave(nil, 0, wire.Have{Length: n}))
	bits := []byte{0xff}
	for range n / 8 {
		bits = append(bits, 0xff)
	}
	x.send(wire.AppendHave(nil, 0, wire.Have{Length: 1 << 20, Bitfield: wire.EncodeRLE([]byte{}, bits), HasBitfield: true}))
	go func() {
		for len(asked) < times {
			fr, err := x.r.Next()
			if err != nil {
				return
			}
			var m wire.Request
			var r wire.RequestRange
			switch {
			case fr.Type == wire.TypeRequestRange && wire.ParseRequestRange(fr.Body, &r) == nil:
				m.Index = r.Start
			case fr.Type != wire.TypeRequest || wire.ParseRequest(fr.Body, &m) != nil || m.Hash || m.Wait:
				continue
			}
			asked <- time.Now()
			x.send(wire.AppendNoData(nil, 0, wire.NoData{Index: m.Index, Length: max(1, r.Length), Reason: reason}))
		}
		x.serve(f, data)
	}()
	go x.live()
	synctest.Wait()
	return x, asked
}

// TestRefuserBesideOthers: a remote that refuses what it has announced is not asked for the same
// again at once, so that blocks come from another, those that somebody waits for and live ones.
func TestRefuserBesideOthers(t *testing.T) {
	for _, reason := range []wire.Reason{wire.ReasonLater, wire.ReasonCancelled} {
		for _, sparse := range []bool{true, false} {
			bubble.Test(t, func(t *testing.T) {
				a, b := newSide(t, "a"), newSide(t, "b")
				f := a.create(300)
				g := b.clone(f.Key(), sparse)
				x, asked := refuser(t, b, f, 1000, reason, 1000)
				l := connect(a, b, linkOptions{feedsB: []feed.Key{f.Key()}})
				start := time.Now()
				if _, err := g.Get(within(t), 150); err != nil {
					t.Error(err)
				}
				if !sparse {
					download(t, g, 0, 300)
				}
				appendBlocks(t, f, 20)
				download(t, g, 300, 320)
				if d := time.Since(start); d > 2*time.Second {
					t.Errorf("%v, sparse %v: it took %v", reason, sparse, d)
				}
				if n := len(asked); n == 0 || n > 320 { // once for each block at most
					t.Errorf("%v, sparse %v: the refuser was asked %d times", reason, sparse, n)
				}
				x.s.Close()
				<-x.done
				l.close()
				<-l.errA
				<-l.errB
			})
		}
	}
}

// TestRefuserAlone: the only remote that has a block is asked again after pauses that grow, until it
// answers, or has refused for so long that it is as one that says nothing.
func TestRefuserAlone(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newSide(t, "b")
		f := open(t, feed.Options{})
		appendBlocks(t, f, 10)
		g := b.clone(f.Key(), true)
		x, asked := refuser(t, b, f, f.Len(), wire.ReasonLater, 4)
		if _, err := g.Get(within(t), 7); err != nil {
			t.Fatal(err)
		}
		last := <-asked
		for _, pause := range []time.Duration{100, 200, 400} {
			at := <-asked
			if d := at.Sub(last) - pause*time.Millisecond; d < 0 || d > 100*time.Millisecond {
				t.Errorf("asked again after %v, not %v", at.Sub(last), pause*time.Millisecond)
			}
			last = at
		}
		if _, err := g.Get(within(t), 8); err != nil || time.Since(last) > time.Second {
			t.Errorf("after it has answered: %v, %v", err, time.Since(last))
		}
		x.s.Close()
		<-x.done

		x, asked = refuser(t, b, f, f.Len(), wire.ReasonLater, 1000)
		go g.Get(within(t), 9)
		if err := wait(t, "end", x.done); !errors.Is(err, protocol.ErrSilent) {
			t.Error("ended with", err)
		}
		if n := len(asked); n < 8 || n > 20 {
			t.Error("asked", n, "times")
		}
	})
}
