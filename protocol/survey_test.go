package protocol_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/protocol/wire"
)

// A survey says of each missing block whether somebody has it, as a look at
// each block does.
func TestSurvey(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		const n = 600
		r := rand.New(rand.NewPCG(1, 2))
		w := newSide(t, "writer")
		src := w.create(n)
		// part makes a side that holds the blocks for which keep is true.
		part := func(name string, keep func(i uint64) bool) (*side, *feed.Feed) {
			s := newSide(t, name)
			f := s.clone(src.Key(), true)
			for i := range uint64(n) {
				if keep(i) {
					p, err := src.Proof(ctx, i)
					if err == nil {
						err = f.Put(ctx, p)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := f.Sync(ctx); err != nil {
				t.Fatal(err)
			}
			return s, f
		}
		s1, f1 := part("one", func(i uint64) bool { return i < 300 && i != 17 })
		s2, f2 := part("two", func(i uint64) bool { return i >= 250 && i != 300 && r.IntN(2) == 0 })
		me, f := part("me", func(i uint64) bool { return i%50 == 7 || i == n-1 })
		if _, ok := w.e.Survey(feed.DiscoveryKey{}, protocol.SurveyOptions{}); ok {
			t.Error("a survey of a feed that is not here")
		}

		alone, _ := me.e.Survey(f.DiscoveryKey(), protocol.SurveyOptions{Ranges: 8})
		if alone.Nowhere != 0 || alone.Missing != n-13 || alone.Length != n {
			t.Errorf("without peers: %+v", alone)
		}
		keys := []feed.Key{f.Key()}
		defer connect(me, s1, linkOptions{feedsA: keys}).close()
		defer connect(me, s2, linkOptions{feedsA: keys}).close()
		time.Sleep(time.Second) // virtual: until both have shown their maps
		synctest.Wait()

		check := func(wanted []feed.Range) {
			t.Helper()
			got, ok := me.e.Survey(f.DiscoveryKey(), protocol.SurveyOptions{Wanted: wanted, Ranges: 1000})
			var missing, nowhere uint64
			var spans []feed.Span
			for i := range uint64(n) {
				in := wanted == nil || slices.ContainsFunc(wanted, func(r feed.Range) bool { return i >= r.Start && i < r.End })
				if !in || f.Has(i) {
					continue
				}
				missing++
				if f1.Has(i) || f2.Has(i) {
					continue
				}
				nowhere++
				if last := len(spans) - 1; last >= 0 && spans[last].End == i {
					spans[last].End++
				} else {
					spans = append(spans, feed.Span{Start: i, End: i + 1})
				}
			}
			if !ok || got.Missing != missing || got.Nowhere != nowhere || !slices.Equal(got.Ranges, spans) || got.Unknown != 0 || got.Cut {
				t.Errorf("%+v\nwant %d missing, %d nowhere: %v", got, missing, nowhere, spans)
			}
			slices.SortFunc(got.Peers, func(a, b protocol.Holding) int { return strings.Compare(a.Label, b.Label) })
			if len(got.Peers) != 2 || !got.Peers[0].Known || got.Peers[0].Blocks != f1.Downloaded(0, n) || got.Peers[1].Blocks != f2.Downloaded(0, n) {
				t.Errorf("peers: %+v", got.Peers)
			}
		}
		check(nil)
		check([]feed.Range{{Start: 10, End: 20}})
		check([]feed.Range{{Start: 17, End: 18}, {Start: 290, End: n}})

		st := me.e.Streams()[0].FeedState(f.DiscoveryKey())
		if !st.Open || !st.Offered || !st.Bound || !st.Verified {
			t.Errorf("state of the feed on a stream: %+v", st)
		}
		if got, _ := me.e.Survey(f.DiscoveryKey(), protocol.SurveyOptions{Ranges: 1}); len(got.Ranges) != 1 || got.Ranges[0] != (feed.Span{Start: 17, End: 18}) {
			t.Errorf("one range: %v", got.Ranges)
		}
	})
}

// In V6 a remote is known to have the key when what it encrypted can be read.
func TestFeedStateOfV6(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		for _, plain := range []bool{false, true} {
			a, b := newSide(t, "a"), newSide(t, "b")
			f := a.create(1)
			b.clone(f.Key(), true)
			keys := []feed.Key{f.Key()}
			l := connect(a, b, linkOptions{dialect: protocol.V6, plain: plain, feedsA: keys, feedsB: keys})
			time.Sleep(time.Second)
			if st := l.A.FeedState(f.DiscoveryKey()); !st.Open || st.Verified == plain {
				t.Errorf("plain %v: %+v", plain, st)
			}
			l.close()
		}
	})
}

// A remote that claims a length beyond measure and a map as ragged as can be
// costs a bounded look.
func TestSurveyOfAnything(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newSide(t, "b")
		f := b.clone(open(t, feed.Options{}).Key(), true)
		x := dial(t, b, "evil", protocol.StreamOptions{})
		x.hello(f.Key())
		x.next(wire.TypeWant)
		ragged := wire.EncodeRLE(nil, bytes.Repeat([]byte{0xaa}, 1<<17))
		x.send(wire.AppendHave(nil, 0, wire.Have{Length: 1 << 20, Bitfield: ragged, HasBitfield: true}))
		x.send(wire.AppendHave(nil, 0, wire.Have{Start: 1<<50 - 1, Length: 1}))
		synctest.Wait()
		got, _ := b.e.Survey(f.DiscoveryKey(), protocol.SurveyOptions{Ranges: 3})
		if got.Length != 1<<50 || !got.Cut || got.At == 0 || got.At > 1<<20 || got.Missing != got.At || got.Nowhere != got.At/2 || len(got.Ranges) != 3 {
			t.Errorf("%+v", got)
		}
		// What was not asked for is not known.
		got, _ = b.e.Survey(f.DiscoveryKey(), protocol.SurveyOptions{Wanted: []feed.Range{{Start: 1 << 30, End: 1<<30 + 5}, {Start: 1, End: 2}}})
		if got.Missing != 6 || got.Unknown != 5 || got.Nowhere != 1 || got.Cut {
			t.Errorf("%+v", got)
		}
		x.conn.Close()
		<-x.done
	})
}
