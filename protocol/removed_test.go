package protocol_test

import (
	"crypto/ed25519"
	"encoding/binary"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/protocol/wire"
	"github.com/go-hypercore/hypercore/store"
)

// manyFeeds is more than there are channels.
const manyFeeds = wire.MaxNativeChannels + 500

// numberedKey is a secret key of many.
func numberedKey(n int) ed25519.PrivateKey {
	var seed [32]byte
	binary.LittleEndian.PutUint32(seed[:], uint32(n)+1)
	return ed25519.NewKeyFromSeed(seed[:])
}

// oneOf opens a feed that a test closes soon.
func oneOf(t *testing.T, n int) *feed.Feed {
	f, err := feed.Open(ctx, store.Memory(), feed.Options{SecretKey: numberedKey(n)})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestOffersTakenBack: a side offers more feeds than there are channels, one after the other, and
// closes each. The remote has none of them. The channels are free again, on both sides.
func TestOffersTakenBack(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, b := newSide(t, "a"), newSide(t, "b")
		f := a.create(3)
		l := connect(a, b, linkOptions{feedsA: []feed.Key{f.Key()}})
		for i := range manyFeeds {
			g := oneOf(t, i)
			a.add(g)
			if err := l.A.Offer(g.Key()); err != nil {
				t.Fatalf("feed %d: %v", i, err)
			}
			if i%2 == 0 {
				synctest.Wait() // else it is closed before the remote knows of it
			}
			g.Close()
		}
		synctest.Wait()
		for _, s := range []*protocol.Stream{l.A, l.B} {
			if st := s.Stats(); st.Offered != 1 || st.Ended {
				t.Errorf("%s is left with %+v", st.Label, st)
			}
		}
		same(t, downloaded(t, b, f.Key()), 0, 3) // what was offered first is still
		g := b.create(5)
		if err := l.B.Offer(g.Key()); err != nil {
			t.Error(err)
		}
		same(t, downloaded(t, a, g.Key()), 0, 5)
		l.close()
		<-l.errA
		<-l.errB
	})
}

// downloaded waits until a feed that is added to a side has come.
func downloaded(t *testing.T, s *side, key feed.Key) *feed.Feed {
	g := s.clone(key, false)
	time.Sleep(time.Second)
	return g
}

// TestTakenBackBeforeRun: what is removed before the stream runs is not offered on it.
func TestTakenBackBeforeRun(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, b := newSide(t, "a"), newSide(t, "b")
		f := a.create(3)
		b.clone(f.Key(), false)
		l := unstarted(a, b, linkOptions{})
		if err := l.A.Offer(f.Key()); err != nil {
			t.Fatal(err)
		}
		f.Close()
		l.start()
		synctest.Wait()
		if st := l.A.Stats(); st.Offered+st.Feeds != 0 {
			t.Errorf("it is offered: %+v", st)
		}
		if err := l.A.Offer(f.Key()); err != protocol.ErrNotAdded {
			t.Error(err)
		}
		l.close()
		<-l.errA
		<-l.errB
	})
}

// TestClosedFeedsAreForgotten: neither side keeps a feed in memory that was closed, for the sake of
// a stream that goes on, be it closed here or there, after it was open on both sides or not.
func TestClosedFeedsAreForgotten(t *testing.T) {
	for _, d := range dialects {
		t.Run(d.name, func(t *testing.T) { closedFeedsAreForgotten(t, d.d, d.plain) })
	}
}

func closedFeedsAreForgotten(t *testing.T, d protocol.Dialect, plain bool) {
	const n = 12
	a, b := newSide(t, "a"), newSide(t, "b")
	first := a.create(1)
	b.clone(first.Key(), false)
	keys := []feed.Key{first.Key()}
	l := connect(a, b, linkOptions{dialect: d, plain: plain, feedsA: keys, feedsB: keys})
	c := within(t)
	var kept []weak.Pointer[feed.Feed]
	open := func(s *side, o feed.Options) *feed.Feed {
		f, err := feed.Open(ctx, store.Memory(), o)
		if err != nil {
			t.Fatal(err)
		}
		s.add(f)
		kept = append(kept, weak.Make(f))
		return f
	}
	for i := range n {
		f := open(a, feed.Options{SecretKey: numberedKey(i)})
		appendBlocks(t, f, 20)
		if err := l.A.Offer(f.Key()); err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 { // the remote has not got it
			f.Close()
			continue
		}
		g := open(b, feed.Options{Key: f.Key(), Sparse: true})
		for k := range uint64(20) {
			if _, err := g.Get(c, 7*k%20); err != nil { // out of order: both sides note what was sent
				t.Fatal(err)
			}
		}
		if i%3 == 1 {
			f, g = g, f
		}
		f.Close()
		g.Close()
	}
	appendBlocks(t, first, 1) // the streams go on, and have something to do
	left := 0
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		runtime.GC()
		left = 0
		for _, p := range kept {
			if p.Value() != nil {
				left++
			}
		}
		if left == 0 {
			break
		}
	}
	if left > 0 {
		t.Errorf("%d of %d closed feeds are in memory", left, len(kept))
	}
	if l.A.Stats().Ended || l.B.Stats().Ended {
		t.Error("the streams have ended")
	}
	l.close()
	<-l.errA
	<-l.errB
}

// TestAnswerWaitsForANumber: a side that has offered as many feeds as there are channels cannot
// answer for one more, and does when one of them is closed.
func TestAnswerWaitsForANumber(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newSide(t, "b")
		f, more := b.create(3), b.create(1)
		x := dial(t, b, "x", protocol.StreamOptions{})
		x.says(0, f.Key(), 1, []byte{})
		x.hears()
		go x.discard()
		var first *feed.Feed
		for i := range wire.MaxNativeChannels - 1 {
			g := oneOf(t, i)
			defer g.Close()
			b.add(g)
			if err := x.s.Offer(g.Key()); err != nil {
				t.Fatal(i, err)
			}
			if i == 0 {
				first = g
			}
		}
		if err := x.s.Offer(more.Key()); err != protocol.ErrTooManyFeeds {
			t.Error(err)
		}
		x.send(wire.AppendInfo(nil, 0, wire.Info{}))
		synctest.Wait()
		if err := x.s.Offer(more.Key()); err != nil { // the number of f
			t.Error(err)
		}
		x.says(1, f.Key(), 2, []byte{})
		synctest.Wait()
		if st := x.s.FeedState(f.DiscoveryKey()); !st.Bound || st.Offered {
			t.Errorf("answered: %+v", st)
		}
		first.Close()
		time.Sleep(6 * time.Second)
		if st := x.s.FeedState(f.DiscoveryKey()); !st.Open {
			t.Errorf("not answered: %+v", st)
		}
		x.bye()
	})
}

// TestEachItsShare: two sides offer as many feeds as there are channels, of which the other one has
// none, and each has a channel left for one more of the other's that it has.
func TestEachItsShare(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, b := newSide(t, "a"), newSide(t, "b")
		l := connect(a, b, linkOptions{})
		fill := func(s *side, str *protocol.Stream, from int) {
			for i := range wire.MaxNativeChannels - 2 {
				g := oneOf(t, from+i)
				t.Cleanup(func() { g.Close() })
				s.add(g)
				if err := str.Offer(g.Key()); err != nil {
					t.Fatalf("%s: feed %d: %v", s.id, i, err)
				}
			}
			synctest.Wait()
		}
		fill(a, l.A, 0)
		fill(b, l.B, manyFeeds)
		f, g := a.create(3), b.create(4)
		for _, err := range []error{l.A.Offer(f.Key()), l.B.Offer(g.Key())} {
			if err != nil {
				t.Fatal(err)
			}
		}
		same(t, downloaded(t, b, f.Key()), 0, 3)
		same(t, downloaded(t, a, g.Key()), 0, 4)
		l.close()
		<-l.errA
		<-l.errB
	})
}
