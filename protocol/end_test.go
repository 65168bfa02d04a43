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

// TestEnds: streams that are not live end by themselves, on both sides, cleanly.
func TestEnds(t *testing.T) {
	for _, d := range dialects {
		for _, n := range []int{0, 1, 1000} {
			t.Run(fmt.Sprintf("%s/%d", d.name, n), func(t *testing.T) {
				bubble.Test(t, func(t *testing.T) {
					a, b := newSide(t, "a"), newSide(t, "b")
					f := a.create(n)
					g := b.clone(f.Key(), false)
					keys := []feed.Key{f.Key()}
					l := connect(a, b, linkOptions{dialect: d.d, plain: d.plain, ends: true, feedsA: keys, feedsB: keys})
					if err := wait(t, "a", l.errA); err != nil {
						t.Error("a:", err)
					}
					if err := wait(t, "b", l.errB); err != nil {
						t.Error("b:", err)
					}
					same(t, g, 0, uint64(n))
					if g.Len() != uint64(n) {
						t.Error("length", g.Len())
					}
				})
			})
		}
	}
}

// TestEndsAfterAppend: what was appended just before, and is not durable yet, is part of it.
func TestEndsAfterAppend(t *testing.T) {
	for range 20 {
		a, b := newSide(t, "a"), newSide(t, "b")
		f := open(t, feed.Options{})
		a.add(f)
		g := b.clone(f.Key(), false)
		for i := range uint64(10) {
			if _, err := f.Append(ctx, content(i)); err != nil {
				t.Fatal(err)
			}
		}
		keys := []feed.Key{f.Key()}
		l := connect(a, b, linkOptions{dialect: protocol.V6, ends: true, feedsA: keys, feedsB: keys})
		if err := errors.Join(wait(t, "a", l.errA), wait(t, "b", l.errB)); err != nil {
			t.Fatal(err)
		}
		same(t, g, 0, 10)
	}
}

// TestEndsTwoClones: each has half; both end with everything.
func TestEndsTwoClones(t *testing.T) {
	for _, d := range dialects {
		t.Run(d.name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				f := open(t, feed.Options{})
				appendBlocks(t, f, 400)
				a, b := newSide(t, "a"), newSide(t, "b")
				ga, gb := a.clone(f.Key(), false), b.clone(f.Key(), false)
				for i := range uint64(400) {
					p, err := f.Proof(ctx, i)
					if err != nil {
						t.Fatal(err)
					}
					if p.Value == nil {
						p.Value = []byte{}
					}
					g := ga
					if i%3 == 0 {
						g = gb
					}
					if err := g.Put(ctx, p); err != nil {
						t.Fatal(err)
					}
				}
				keys := []feed.Key{f.Key()}
				l := connect(a, b, linkOptions{dialect: d.d, plain: d.plain, ends: true, feedsA: keys, feedsB: keys})
				if err := errors.Join(wait(t, "a", l.errA), wait(t, "b", l.errB)); err != nil {
					t.Fatal(err)
				}
				same(t, ga, 0, 400)
				same(t, gb, 0, 400)
			})
		})
	}
}

// TestEndsExpectedFeeds: two feeds, the stream ends with the second.
func TestEndsExpectedFeeds(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, b := newSide(t, "a"), newSide(t, "b")
		f1, f2 := a.create(10), a.create(2000)
		g1, g2 := b.clone(f1.Key(), false), b.clone(f2.Key(), false)
		keys := []feed.Key{f1.Key(), f2.Key()}
		l := connect(a, b, linkOptions{dialect: protocol.V6, ends: true, feedsA: keys, feedsB: keys, expectedFeed: 2})
		if err := errors.Join(wait(t, "a", l.errA), wait(t, "b", l.errB)); err != nil {
			t.Fatal(err)
		}
		same(t, g1, 0, 10)
		same(t, g2, 0, 2000)
	})
}

// TestLiveDoesNotEnd: a live stream goes on after everything is there, kept alive by keep-alives.
func TestLiveDoesNotEnd(t *testing.T) {
	for _, d := range dialects {
		t.Run(d.name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				a, b := newSide(t, "a"), newSide(t, "b")
				f := a.create(10)
				g := b.clone(f.Key(), false)
				l := connect(a, b, linkOptions{dialect: d.d, plain: d.plain, feedsB: []feed.Key{f.Key()}})
				time.Sleep(10 * time.Minute)
				same(t, g, 0, 10)
				appendBlocks(t, f, 5)
				time.Sleep(time.Second)
				same(t, g, 0, 15)
				l.A.Close()
				if err := wait(t, "a", l.errA); err != protocol.ErrClosed {
					t.Error("closed stream ends with", err)
				}
				if err := wait(t, "b", l.errB); err != nil {
					t.Error("the other side:", err)
				}
			})
		})
	}
}

// TestTimeout: a remote from which nothing comes has timed out, after 7.5 s in V6.
func TestTimeout(t *testing.T) {
	for _, d := range dialects[:2] {
		t.Run(d.name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				a, b := newSide(t, "a"), newSide(t, "b")
				f := a.create(10)
				g := b.clone(f.Key(), false)
				l := connect(a, b, linkOptions{dialect: d.d, feedsB: []feed.Key{f.Key()}})
				time.Sleep(time.Second)
				same(t, g, 0, 10)
				l.ConnB.Freeze(true)
				start := time.Now()
				err := wait(t, "b", l.errB)
				if !errors.Is(err, protocol.ErrTimeout) || !isRemote(err) {
					t.Error("ended with", err)
				}
				want := 30 * time.Second
				if d.d == protocol.V6 {
					want = 7500 * time.Millisecond
				}
				if took := time.Since(start); took < want-time.Second || took > want+want/4+2*time.Second {
					t.Error("after", took)
				}
				l.close()
			})
		})
	}
}

// TestCloseLeavesNothing: synctest fails if a goroutine is left.
func TestCloseLeavesNothing(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, b := newSide(t, "a"), newSide(t, "b")
		f := a.create(3000)
		b.clone(f.Key(), false)
		l := connect(a, b, linkOptions{feedsB: []feed.Key{f.Key()}, size: 1000})
		time.Sleep(time.Microsecond)
		a.e.Close()
		a.e.Close()
		b.e.Close()
		if err := wait(t, "a", l.errA); err != protocol.ErrClosed {
			t.Error(err)
		}
		wait(t, "b", l.errB)
		if err := a.e.Add(f, protocol.FeedOptions{}); err != protocol.ErrClosed {
			t.Error("add after close:", err)
		}
	})
}

// TestFeedClosed: the channel goes, the stream and its other feeds live on.
func TestFeedClosed(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, b := newSide(t, "a"), newSide(t, "b")
		f1, f2 := a.create(5), a.create(5)
		g1, g2 := b.clone(f1.Key(), false), b.clone(f2.Key(), false)
		l := connect(a, b, linkOptions{feedsB: []feed.Key{f1.Key(), f2.Key()}})
		time.Sleep(time.Second)
		same(t, g1, 0, 5)
		f1.Close()
		time.Sleep(time.Second)
		if n := len(l.A.Feeds()); n != 1 {
			t.Error("open at a:", n)
		}
		if n := len(l.B.Feeds()); n != 1 {
			t.Error("open at b:", n)
		}
		appendBlocks(t, f2, 5)
		time.Sleep(time.Second)
		same(t, g2, 0, 10)
		if err := b.e.Remove(g2.DiscoveryKey()); err != nil {
			t.Error(err)
		}
		if err := b.e.Remove(g2.DiscoveryKey()); err != protocol.ErrNotAdded {
			t.Error(err)
		}
		time.Sleep(time.Second)
		if len(l.A.Feeds()) != 0 || len(l.B.Feeds()) != 0 {
			t.Error("still open")
		}
		b.add(g2) // and again
		if err := l.B.Offer(g2.Key()); err != nil {
			t.Error(err)
		}
		appendBlocks(t, f2, 5)
		time.Sleep(time.Second)
		same(t, g2, 0, 15)
		l.close()
	})
}
