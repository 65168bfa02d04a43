package protocol_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/store"
	"github.com/go-hypercore/hypercore/store/storetest"
)

// TestFork: a source with another history signed by the same writer is not blamed; the feed keeps
// the evidence and freezes, and goes on serving what it has.
func TestFork(t *testing.T) {
	for _, common := range []int{0, 5, 10} {
		for _, longer := range []bool{true, false} {
			bubble.Test(t, func(t *testing.T) {
				key := seedKey(9)
				f1, f2 := open(t, feed.Options{SecretKey: key}), open(t, feed.Options{SecretKey: key})
				n1, n2 := 12, 40
				if !longer {
					n1, n2 = 40, 12
				}
				for i := range n1 {
					f1.Append(ctx, []byte(fmt.Sprint("block ", i)))
				}
				for i := range n2 {
					s := fmt.Sprint("block ", i)
					if i >= common {
						s = fmt.Sprint("other ", i)
					}
					f2.Append(ctx, []byte(s))
				}
				a1, a2, b, c := newSide(t, "a1"), newSide(t, "a2"), newSide(t, "b"), newSide(t, "c")
				a1.add(f1)
				a2.add(f2)
				g := b.clone(f1.Key(), false)
				keys := []feed.Key{f1.Key()}
				l1 := connect(a1, b, linkOptions{feedsB: keys})
				time.Sleep(time.Second)
				if g.Downloaded(0, 0) != uint64(n1) {
					t.Fatal("first download")
				}
				l2 := connect(a2, b, linkOptions{feedsB: keys})
				time.Sleep(time.Minute)
				if g.Fork() == nil && n2 > common {
					t.Errorf("common %d, longer %v: no evidence", common, longer)
				}
				select {
				case x := <-b.blame:
					t.Error("blamed", x)
				default:
				}
				if n := len(b.e.Peers(g.DiscoveryKey())); n != 2 {
					t.Error("peers:", n)
				}
				h := c.clone(f1.Key(), false)
				l3 := connect(b, c, linkOptions{feedsB: keys})
				time.Sleep(time.Second)
				if h.Downloaded(0, 0) != uint64(n1) {
					t.Error("no longer served:", h.Downloaded(0, 0))
				}
				for _, l := range []*link{l1, l2, l3} {
					l.close()
					<-l.errA
					<-l.errB
				}
			})
		}
	}
}

// TestLocalFailure: when this side's disk is full nobody is blamed, the stream and its other feeds
// go on, and so does the download once there is space again.
func TestLocalFailure(t *testing.T) {
	for _, d := range dialects[:2] {
		t.Run(d.name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				a, b := newSide(t, "a"), newSide(t, "b")
				f, f2 := a.create(3000), a.create(10)
				faulty := storetest.NewFaulty(store.Memory())
				g, err := feed.Open(ctx, faulty, feed.Options{Key: f.Key()})
				if err != nil {
					t.Fatal(err)
				}
				defer g.Close()
				b.add(g)
				g2 := b.clone(f2.Key(), false)
				faulty.LimitSpace(300_000)
				l := connect(a, b, linkOptions{dialect: d.d, feedsB: []feed.Key{f.Key(), f2.Key()}})
				time.Sleep(20 * time.Second)
				if n := g.Downloaded(0, 0); n == 3000 {
					t.Fatal("the disk was not full")
				}
				if st := l.B.Stats(); st.BytesOut > 200_000 {
					t.Errorf("%d bytes were sent in 20 seconds of a full disk: it is asked on and on", st.BytesOut)
				}
				same(t, g2, 0, 10)
				faulty.Heal()
				time.Sleep(60 * time.Second)
				if n := g.Downloaded(0, 0); n != 3000 {
					t.Errorf("%d blocks after there is space again; %v", n, g.Stats().Err)
				} else {
					same(t, g, 0, 3000)
				}
				select {
				case x := <-b.blame:
					t.Error("blamed", x)
				default:
				}
				if st := l.B.Stats(); st.Ended {
					t.Error("the stream has ended")
				}
				l.close()
				<-l.errA
				<-l.errB
			})
		})
	}
}

// TestLimited: over a limited connection only single small blocks someone waits for are fetched.
func TestLimited(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, b := newSide(t, "a"), newSide(t, "b")
		f := a.create(3000)
		g := b.clone(f.Key(), false)
		l := connect(a, b, linkOptions{feedsB: []feed.Key{f.Key()}, mutB: func(o *protocol.StreamOptions) { o.Limited = true }})
		time.Sleep(time.Minute)
		if n := g.Downloaded(0, 0); n != 0 {
			t.Error("downloaded", n)
		}
		if _, err := g.Get(within(t), 17); err != nil {
			t.Error(err)
		}
		if err := g.Update(within(t), 3000); err != nil {
			t.Error(err)
		}
		l.close()
		<-l.errA
		<-l.errB
	})
}

// TestManyReopens opens and closes a feed more often than there are channels.
func TestManyReopens(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, b := newSide(t, "a"), newSide(t, "b")
		f := a.create(3)
		g := b.clone(f.Key(), false)
		l := connect(a, b, linkOptions{feedsB: []feed.Key{f.Key()}})
		time.Sleep(time.Second)
		for i := range 5000 {
			if err := b.e.Remove(g.DiscoveryKey()); err != nil {
				t.Fatal(i, err)
			}
			b.add(g)
			if err := l.B.Offer(g.Key()); err != nil {
				t.Fatal(i, err)
			}
			synctest.Wait()
		}
		appendBlocks(t, f, 5)
		time.Sleep(time.Second)
		same(t, g, 0, 8)
		l.close()
		<-l.errA
		<-l.errB
	})
}
