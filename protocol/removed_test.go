package protocol_test

import (
	"crypto/ed25519"
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

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
