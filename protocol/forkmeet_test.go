package protocol_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/protocol"
)

// history appends the blocks from..to of a history; those from fork on are of another.
func history(f *feed.Feed, to, fork int) {
	for i := range to {
		s := fmt.Sprint("block ", i)
		if i >= fork {
			s = fmt.Sprint("other ", i)
		}
		f.Append(ctx, []byte(s))
	}
	f.Sync(ctx) // only what is durable is shown
}

// blamed reports whether a side has blamed its remote.
func (s *side) blamed() bool {
	select {
	case x := <-s.blame:
		s.t.Error("blamed", x)
		return true
	default:
		return false
	}
}

// forked checks that a feed has frozen, with evidence that stands by itself.
func forked(t *testing.T, name string, f *feed.Feed) {
	t.Helper()
	e := f.Fork()
	if e == nil {
		t.Errorf("%s: no evidence", name)
		return
	}
	if err := e.Verify(); err != nil {
		t.Errorf("%s: the evidence proves nothing: %v", name, err)
	}
	if f.Writable() {
		if _, err := f.Append(ctx, []byte("more")); !errors.Is(err, feed.ErrFrozen) {
			t.Errorf("%s: append: %v", name, err)
		}
	}
}

// TestForkedWriters: two copies of a writer's directory that were both appended to meet each other
// and nobody else. Neither downloads, and yet both see it.
func TestForkedWriters(t *testing.T) {
	for _, c := range []struct{ n1, n2, common int }{
		{10, 10, 0}, {10, 10, 9}, {10, 10, 4}, {40, 12, 3}, {12, 40, 3}, {3000, 5, 4}, {1, 1, 0}, {64, 33, 32},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				a, b := newSide(t, "a"), newSide(t, "b")
				key := seedKey(9)
				f, g := open(t, feed.Options{SecretKey: key}), open(t, feed.Options{SecretKey: key})
				history(f, c.n1, c.n1)
				history(g, c.n2, c.common)
				a.add(f)
				b.add(g)
				l := connect(a, b, linkOptions{feedsB: []feed.Key{f.Key()}})
				time.Sleep(time.Minute)
				forked(t, "the first", f)
				forked(t, "the second", g)
				a.blamed()
				b.blamed()
				l.close()
				<-l.errA
				<-l.errB
			})
		})
	}
}

// TestCopiedWriters: two copies of one history are no fork. The one that is behind learns that there
// is more, and does not append.
func TestCopiedWriters(t *testing.T) {
	for _, c := range []struct{ n1, n2 int }{{10, 10}, {40, 12}, {5, 3000}, {0, 7}, {0, 0}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				a, b := newSide(t, "a"), newSide(t, "b")
				key := seedKey(9)
				f, g := open(t, feed.Options{SecretKey: key}), open(t, feed.Options{SecretKey: key})
				history(f, c.n1, c.n1)
				history(g, c.n2, c.n2)
				a.add(f)
				b.add(g)
				l := connect(a, b, linkOptions{feedsB: []feed.Key{f.Key()}})
				time.Sleep(time.Minute)
				for _, x := range []struct {
					f     *feed.Feed
					n, of int
				}{{f, c.n1, c.n2}, {g, c.n2, c.n1}} {
					if x.f.Fork() != nil {
						t.Error("a fork where there is none")
					}
					_, err := x.f.Append(ctx, []byte("more"))
					switch behind := x.n > 0 && x.n < x.of; {
					case behind && !errors.Is(err, feed.ErrBehind):
						t.Errorf("append at %d of %d: %v", x.n, x.of, err)
					case !behind && err != nil:
						t.Errorf("append at %d, the other has %d: %v", x.n, x.of, err)
					}
				}
				a.blamed()
				b.blamed()
				l.close()
				<-l.errA
				<-l.errB
			})
		})
	}
}

// TestForkBesideReader: a writer and a reader that holds another history by the same key, of any
// length, in both dialects.
func TestForkBesideReader(t *testing.T) {
	for _, d := range dialects[:2] {
		for _, c := range []struct{ n1, n2, common int }{{10, 10, 4}, {40, 12, 3}, {12, 40, 3}} {
			t.Run(fmt.Sprint(d.name, c), func(t *testing.T) {
				bubble.Test(t, func(t *testing.T) {
					a, b, other := newSide(t, "a"), newSide(t, "b"), newSide(t, "other")
					key := seedKey(9)
					f, g := open(t, feed.Options{SecretKey: key}), open(t, feed.Options{SecretKey: key})
					history(f, c.n1, c.n1)
					history(g, c.n2, c.common)
					a.add(f)
					other.add(g)
					keys := []feed.Key{f.Key()}
					r := b.clone(f.Key(), false)
					l1 := connect(other, b, linkOptions{dialect: d.d, feedsB: keys})
					time.Sleep(time.Second)
					if r.Downloaded(0, 0) != uint64(c.n2) {
						t.Fatal("the first download")
					}
					l1.close()
					<-l1.errA
					<-l1.errB
					l2 := connect(a, b, linkOptions{dialect: d.d, feedsB: keys})
					time.Sleep(time.Minute)
					forked(t, "the reader", r)
					if d.d == protocol.Native {
						a.blamed()
						b.blamed()
					}
					l2.close()
					<-l2.errA
					<-l2.errB
				})
			})
		}
	}
}
