package protocol_test

import (
	"bytes"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/protocol"
)

var dialects = []struct {
	name  string
	d     protocol.Dialect
	plain bool
}{{"native", protocol.Native, false}, {"v6", protocol.V6, false}, {"v6plain", protocol.V6, true}}

func TestWhole(t *testing.T) {
	for _, d := range dialects {
		for _, n := range []int{1, 2, 5, 100, 5000} {
			t.Run(fmt.Sprintf("%s/%d", d.name, n), func(t *testing.T) {
				a, b := newSide(t, "a"), newSide(t, "b")
				f := a.create(n)
				g := b.clone(f.Key(), false)
				connect(a, b, linkOptions{dialect: d.d, plain: d.plain, feedsB: []feed.Key{f.Key()}})
				download(t, g, 0, uint64(n))
				same(t, g, 0, uint64(n))
				if g.Len() != f.Len() || g.ByteLen() != f.ByteLen() {
					t.Fatal(g.Len(), f.Len())
				}
			})
		}
	}
}

func TestSparse(t *testing.T) {
	for _, d := range dialects {
		t.Run(d.name, func(t *testing.T) {
			a, b := newSide(t, "a"), newSide(t, "b")
			f := a.create(3000)
			g := b.clone(f.Key(), true)
			l := connect(a, b, linkOptions{dialect: d.d, plain: d.plain, feedsB: []feed.Key{f.Key()}})
			for _, i := range []uint64{2999, 0, 1, 1500, 1501, 7} {
				v, err := g.Get(within(t), i)
				if err != nil || !bytes.Equal(v, content(i)) {
					t.Fatal(i, err)
				}
			}
			if n := g.Downloaded(0, 0); n != 6 {
				t.Fatal("downloaded", n, "blocks instead of 6")
			}
			download(t, g, 1000, 1011)
			same(t, g, 1000, 1011)
			if n := g.Downloaded(0, 0); n != 17 {
				t.Fatal("downloaded", n, "blocks instead of 17")
			}
			st := l.B.Stats()
			sum := uint64(0)
			for i := range f.Len() {
				if g.Has(i) {
					sum += uint64(len(content(i)))
				}
			}
			t.Logf("blocks %d bytes, moved in %d, out %d", sum, st.BytesIn, st.BytesOut)
			if st.BytesIn > sum+32_000 {
				t.Error("too much was moved")
			}
		})
	}
}

func TestSeekAndUpdate(t *testing.T) {
	for _, d := range dialects {
		t.Run(d.name, func(t *testing.T) {
			a, b := newSide(t, "a"), newSide(t, "b")
			f := a.create(1000)
			g := b.clone(f.Key(), true)
			connect(a, b, linkOptions{dialect: d.d, plain: d.plain, feedsB: []feed.Key{f.Key()}})
			if err := g.Update(within(t), 1); err != nil {
				t.Fatal(err)
			}
			if g.Len() != 1000 || g.ByteLen() != f.ByteLen() {
				t.Fatal("length", g.Len(), g.ByteLen())
			}
			for _, off := range []uint64{1, 500, f.ByteLen() - 1, f.ByteLen() / 2} {
				i, rel, err := g.Seek(within(t), off)
				if err != nil {
					t.Fatal(off, err)
				}
				wi, wrel, _ := f.Seek(ctx, off)
				if i != wi || rel != wrel {
					t.Fatalf("seek %d: %d,%d want %d,%d", off, i, rel, wi, wrel)
				}
			}
			appendBlocks(t, f, 10)
			if err := g.Update(within(t), 1005); err != nil {
				t.Fatal(err)
			}
			if g.Len() != 1010 {
				t.Fatal("length", g.Len())
			}
		})
	}
}

func TestLive(t *testing.T) {
	for _, d := range dialects {
		t.Run(d.name, func(t *testing.T) {
			a, b := newSide(t, "a"), newSide(t, "b")
			f := a.create(0)
			g := b.clone(f.Key(), false)
			connect(a, b, linkOptions{dialect: d.d, plain: d.plain, feedsB: []feed.Key{f.Key()}})
			const n = 2000
			go func() {
				for i := range uint64(n) {
					f.Append(ctx, content(i))
				}
			}()
			for i := range uint64(n) {
				v, err := g.Get(within(t), i)
				if err != nil || !bytes.Equal(v, content(i)) {
					t.Fatal(i, err)
				}
			}
			// The rest of it too, which nobody asked for by Get.
			start := f.Len()
			appendBlocks(t, f, 300)
			download(t, g, start, start+300)
			same(t, g, 0, start+300)
		})
	}
}

func TestManyFeeds(t *testing.T) {
	for _, d := range dialects {
		t.Run(d.name, func(t *testing.T) {
			n := 200
			if d.d == protocol.Native {
				n = 1000
			}
			a, b := newSide(t, "a"), newSide(t, "b")
			var keys []feed.Key
			var clones []*feed.Feed
			for i := range n {
				f := a.create(1 + i%5)
				keys = append(keys, f.Key())
				clones = append(clones, b.clone(f.Key(), false))
			}
			connect(a, b, linkOptions{dialect: d.d, plain: d.plain, feedsB: keys})
			for i, g := range clones {
				download(t, g, 0, uint64(1+i%5))
				same(t, g, 0, uint64(1+i%5))
			}
		})
	}
}

// TestOfferLater opens a second feed on a running stream, from either side, and one that the other
// side adds only afterwards.
func TestOfferLater(t *testing.T) {
	for _, d := range dialects {
		t.Run(d.name, func(t *testing.T) {
			a, b := newSide(t, "a"), newSide(t, "b")
			f1, f2, f3 := a.create(3), a.create(4), open(t, feed.Options{})
			appendBlocks(t, f3, 5)
			g1, g2, g3 := b.clone(f1.Key(), false), b.clone(f2.Key(), false), b.clone(f3.Key(), false)
			l := connect(a, b, linkOptions{dialect: d.d, plain: d.plain, feedsB: []feed.Key{f1.Key()}})
			download(t, g1, 0, 3)
			if err := l.A.Offer(f2.Key()); err != nil {
				t.Fatal(err)
			}
			download(t, g2, 0, 4)
			if err := l.B.Offer(f3.Key()); err != nil {
				t.Fatal(err)
			}
			if err := l.A.Offer(f3.Key()); err != protocol.ErrNotAdded {
				t.Fatal("offer of a feed that was not added:", err)
			}
			time.Sleep(20 * time.Millisecond)
			a.add(f3)
			download(t, g3, 0, 5)
			if n := len(l.A.Feeds()); n != 3 {
				t.Fatal("feeds:", n)
			}
		})
	}
}

// TestOfferCrossing adds feeds that the other side has asked for, from several goroutines: what the
// remote says as soon as it sees our Feed must not come too early.
func TestOfferCrossing(t *testing.T) {
	for _, d := range dialects {
		t.Run(d.name, func(t *testing.T) {
			offerCrossing(t, d.d, d.plain)
		})
	}
}

func offerCrossing(t *testing.T, dialect protocol.Dialect, plain bool) {
	a, b := newSide(t, "a"), newSide(t, "b")
	first := a.create(1)
	g := b.clone(first.Key(), false)
	l := connect(a, b, linkOptions{dialect: dialect, plain: plain, feedsB: []feed.Key{first.Key()}})
	download(t, g, 0, 1) // of a V6 stream the first feed has to be there
	var feeds, clones []*feed.Feed
	for range 100 {
		f := open(t, feed.Options{})
		appendBlocks(t, f, 2)
		g := b.clone(f.Key(), false)
		feeds, clones = append(feeds, f), append(clones, g)
		if err := l.B.Offer(f.Key()); err != nil {
			t.Fatal(err)
		}
	}
	// Not in a bubble: there the two sides run in turns, and nothing comes too early.
	for last := feeds[len(feeds)-1].DiscoveryKey(); !l.A.FeedState(last).Bound; {
		runtime.Gosched()
	}
	var added sync.WaitGroup
	for _, f := range feeds {
		added.Go(func() {
			if err := a.e.Add(f, protocol.FeedOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	added.Wait()
	for _, g := range clones {
		download(t, g, 0, 2)
	}
	l.close()
	<-l.errA
	<-l.errB
}

// TestThreeSources downloads from three at once; each has to do its part.
func TestThreeSources(t *testing.T) {
	f := open(t, feed.Options{})
	appendBlocks(t, f, 4000)
	b := newSide(t, "b")
	var sources []*side
	for i := range 3 {
		s := newSide(t, fmt.Sprint("source", i))
		g := s.clone(f.Key(), false)
		copyAll(t, f, g)
		sources = append(sources, s)
	}
	g := b.clone(f.Key(), true)
	for _, s := range sources {
		connect(s, b, linkOptions{feedsB: []feed.Key{f.Key()}, size: 4096})
	}
	for ready := 0; ready < 3; time.Sleep(time.Millisecond) {
		ready = 0
		for _, p := range b.e.Peers(f.DiscoveryKey()) {
			if p.HaveKnown {
				ready++
			}
		}
	}
	download(t, g, 0, 4000)
	same(t, g, 0, 4000)
	for _, p := range b.e.Peers(f.DiscoveryKey()) {
		t.Logf("%s: %d blocks", p.Label, p.DownloadedBlocks)
		if p.DownloadedBlocks == 0 {
			t.Errorf("%s did nothing", p.Label)
		}
	}
}

// copyAll puts all blocks of f into g without a network.
func copyAll(t testing.TB, f, g *feed.Feed) {
	t.Helper()
	for i := range f.Len() {
		p, err := f.Proof(ctx, i)
		if err != nil {
			t.Fatal(err)
		}
		if p.Value == nil {
			p.Value = []byte{} // an empty block
		}
		if err := g.Put(ctx, p); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Sync(ctx); err != nil {
		t.Fatal(err)
	}
}

// TestMiddle: c gets everything from b, which gets it from a; then a goes, and d still gets it.
func TestMiddle(t *testing.T) {
	for _, d := range dialects {
		t.Run(d.name, func(t *testing.T) {
			a, b, c, e := newSide(t, "a"), newSide(t, "b"), newSide(t, "c"), newSide(t, "e")
			f := a.create(2000)
			keys := []feed.Key{f.Key()}
			gb, gc, ge := b.clone(f.Key(), false), c.clone(f.Key(), false), e.clone(f.Key(), false)
			connect(b, c, linkOptions{dialect: d.d, plain: d.plain, feedsA: keys, feedsB: keys})
			ab := connect(a, b, linkOptions{dialect: d.d, plain: d.plain, feedsB: keys})
			download(t, gc, 0, 2000)
			download(t, gb, 0, 2000)
			same(t, gc, 0, 2000)
			ab.close()
			connect(c, e, linkOptions{dialect: d.d, plain: d.plain, feedsB: keys})
			download(t, ge, 0, 2000)
			same(t, ge, 0, 2000)
		})
	}
}

// TestFeedAgain: a feed that was removed and is added anew, empty, is replicated over the
// same stream, as often as one likes.
func TestFeedAgain(t *testing.T) {
	for _, d := range dialects {
		if d.d != protocol.Native {
			continue // hypercore 6 has no message that closes a channel
		}
		a, b := newSide(t, "a"), newSide(t, "b")
		f := a.create(5)
		g := b.clone(f.Key(), false)
		l := connect(a, b, linkOptions{dialect: d.d, feedsB: []feed.Key{f.Key()}})
		download(t, g, 0, 5)
		for range 10 {
			if err := b.e.Remove(f.DiscoveryKey()); err != nil {
				t.Fatal(err)
			}
			g = b.clone(f.Key(), false)
			if err := l.B.Offer(f.Key()); err != nil {
				t.Fatal(err)
			}
			download(t, g, 0, 5)
		}
	}
}
