package protocol_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/protocol"
)

// TestOpenAndClose: two sides add, offer and remove a few feeds at random, each while it cannot see
// what the other one does. Once what is under way has come, a feed is open if both have it and one of
// them has offered it and not removed it since, and a channel is kept for it only where that is so on
// one side. What comes over it is its own.
func TestOpenAndClose(t *testing.T) {
	for seed := range 2 * *rounds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) { newOpenModel(t, seed).run() })
		})
	}
}

// openModel is what two sides have.
type openModel struct {
	t     *testing.T
	r     *rand.Rand
	l     *link
	sides [2]*openSide
	keys  []feed.Key
}

type openSide struct {
	*side
	s       *protocol.Stream
	feeds   []*feed.Feed
	here    []bool
	offered []bool
}

func newOpenModel(t *testing.T, seed uint64) *openModel {
	m := &openModel{t: t, r: rand.New(rand.NewPCG(seed, 9))}
	m.sides = [2]*openSide{{side: newSide(t, "a")}, {side: newSide(t, "b")}}
	for i := range 3 {
		f := open(t, feed.Options{})
		for k := range uint64(40) {
			if _, err := f.Append(ctx, openBlock(i, k)); err != nil {
				t.Fatal(err)
			}
		}
		m.keys = append(m.keys, f.Key())
		w := m.r.IntN(2) // whose it is
		m.sides[w].feeds = append(m.sides[w].feeds, f)
		m.sides[1-w].feeds = append(m.sides[1-w].feeds, open(t, feed.Options{Key: f.Key(), Sparse: m.r.IntN(2) == 0}))
	}
	for _, s := range m.sides {
		s.here, s.offered = make([]bool, len(m.keys)), make([]bool, len(m.keys))
	}
	m.l = connect(m.sides[0].side, m.sides[1].side, linkOptions{size: []int{0, 2000, 60_000}[m.r.IntN(3)]})
	m.sides[0].s, m.sides[1].s = m.l.A, m.l.B
	return m
}

// openBlock is a block that no other feed has.
func openBlock(f int, k uint64) []byte {
	return bytes.Repeat([]byte{byte(f + 1), byte(k)}, 1+int(k*k*k%5000))
}

func (m *openModel) run() {
	for range 12 {
		for range 1 + m.r.IntN(12) {
			m.step()
		}
		m.settle()
	}
	for _, s := range m.sides {
		if n := protocol.Numbers(s.s); n > uint64(3*len(m.keys)) {
			m.t.Errorf("%s has used %d numbers", s.id, n)
		}
	}
	m.l.close()
	<-m.l.errA
	<-m.l.errB
}

// step is one thing that one side does, or the network.
func (m *openModel) step() {
	i := m.r.IntN(len(m.keys))
	s := m.sides[m.r.IntN(2)]
	switch m.r.IntN(10) {
	case 0, 1:
		if !s.here[i] {
			s.add(s.feeds[i])
			s.here[i] = true
		}
	case 2, 3, 4:
		err := s.s.Offer(m.keys[i])
		if s.here[i] != (err == nil) {
			m.t.Fatalf("%s offers feed %d, here %v: %v", s.id, i, s.here[i], err)
		}
		s.offered[i] = s.here[i]
	case 5, 6:
		if s.here[i] {
			if err := s.e.Remove(m.keys[i].Discovery()); err != nil {
				m.t.Fatal(err)
			}
			s.here[i], s.offered[i] = false, false
		}
	case 7:
		m.l.ConnA.Freeze(m.r.IntN(2) == 0)
		m.l.ConnB.Freeze(m.r.IntN(2) == 0)
	case 8:
		m.ask(s.feeds[i])
	default:
		for range m.r.IntN(30) {
			runtime.Gosched()
		}
	}
}

// ask wants something of a feed, which may not come.
func (m *openModel) ask(f *feed.Feed) {
	if f.Writable() {
		return
	}
	if err := f.Clear(ctx, 0, f.Len()); err != nil {
		m.t.Fatal(err)
	}
	d := f.Download(feed.Range{Start: m.r.Uint64N(30), End: 40})
	m.t.Cleanup(d.Cancel)
}

// settle waits until nothing is under way, and compares.
func (m *openModel) settle() {
	m.l.ConnA.Freeze(false)
	m.l.ConnB.Freeze(false)
	time.Sleep(200 * time.Millisecond)
	synctest.Wait()
	a, b := m.sides[0], m.sides[1]
	for i, k := range m.keys {
		standing := a.offered[i] || b.offered[i]
		is := standing && a.here[i] && b.here[i]
		for _, s := range m.sides {
			if st := s.s.FeedState(k.Discovery()); st.Open != is || (st.Offered || st.Bound) != standing {
				m.t.Fatalf("feed %d at %s: %+v; here %v and %v, offered %v and %v", i, s.id, st, a.here[i], b.here[i], a.offered[i], b.offered[i])
			}
		}
		if is {
			m.fetch(i)
		}
	}
	for _, s := range m.sides {
		select {
		case x := <-s.blame:
			m.t.Fatalf("%s blames %s: %v", s.id, x.Label, x.Reason)
		default:
		}
		if st := s.s.Stats(); st.Ended {
			m.t.Fatalf("%s: the stream has ended", s.id)
		}
	}
}

// fetch gets a block of a feed that is open.
func (m *openModel) fetch(i int) {
	for _, s := range m.sides {
		f := s.feeds[i]
		if f.Writable() {
			continue
		}
		k := m.r.Uint64N(40)
		if err := f.Clear(ctx, 0, f.Len()); err != nil {
			m.t.Fatal(err)
		}
		c, cancel := context.WithTimeout(ctx, 30*time.Second)
		b, err := f.Get(c, k)
		cancel()
		if err != nil || !bytes.Equal(b, openBlock(i, k)) {
			m.t.Fatalf("block %d of feed %d: %d bytes, %v\n%s", k, i, len(b), err, protocol.Debug(s.e, m.keys[i].Discovery()))
		}
	}
}
