package protocol_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/protocol"
)

var rounds = flag.Uint64("rounds", 25, "rounds of TestRandom")

// TestRandom: a writer and some clones, whole and sparse, are connected and disconnected at random,
// in both dialects, while blocks are appended, read, cleared and downloaded. Whatever is here must
// be what the writer wrote, and once all are connected everybody gets everything.
func TestRandom(t *testing.T) {
	for seed := range *rounds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) { randomRound(t, seed) })
		})
	}
}

func randomRound(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 3))
	writer := newSide(t, "writer")
	f := writer.create(r.IntN(300))
	key := f.Key()
	sides, feeds := []*side{writer}, []*feed.Feed{f}
	for i := range 2 + r.IntN(3) {
		s := newSide(t, fmt.Sprint("clone", i))
		sides = append(sides, s)
		feeds = append(feeds, s.clone(key, r.IntN(3) == 0))
	}
	type pair struct{ a, b int }
	links := map[pair]*link{}
	end := func(p pair) {
		l := links[p]
		delete(links, p)
		l.close()
		wait(t, "a", l.errA)
		wait(t, "b", l.errB)
	}
	join := func(p pair) {
		d := dialects[r.IntN(len(dialects))]
		o := linkOptions{dialect: d.d, plain: d.plain, feedsB: []feed.Key{key}, size: []int{0, 100, 5000}[r.IntN(3)]}
		if r.IntN(2) == 0 {
			o.feedsA = o.feedsB
		}
		links[p] = connect(sides[p.a], sides[p.b], o)
	}
	gets, cancel := context.WithCancel(ctx)
	for range 60 {
		i := r.IntN(len(feeds))
		g := feeds[i]
		switch r.IntN(8) {
		case 0:
			appendBlocks(t, f, r.IntN(60))
		case 1, 2:
			p := pair{i, r.IntN(len(sides))}
			if p.a == p.b {
				break
			}
			if links[p] != nil {
				end(p)
			} else if links[pair{p.b, p.a}] == nil {
				join(p)
			}
		case 3:
			if n := g.Len(); n > 0 && i > 0 {
				a := r.Uint64N(n)
				if err := g.Clear(ctx, a, min(n, a+r.Uint64N(20))); err != nil {
					t.Fatal("clear:", err)
				}
			}
		case 4:
			if n := f.Len(); n > 0 {
				k := r.Uint64N(n + 5)
				go func() {
					if b, err := g.Get(gets, k); err == nil && !bytes.Equal(b, content(k)) {
						t.Errorf("block %d read through %d differs", k, i)
					}
				}()
			}
		case 5:
			if n := f.Len(); n > 0 {
				a := r.Uint64N(n)
				d := g.Download(feed.Range{Start: a, End: a + 1 + r.Uint64N(50), Linear: r.IntN(2) == 0})
				if r.IntN(3) == 0 {
					d.Cancel()
				}
			}
		default:
			time.Sleep(time.Duration(r.IntN(1000)) * time.Millisecond)
		}
		n := g.Len()
		for range 3 {
			if n == 0 {
				break
			}
			k := r.Uint64N(n)
			if b, err := g.Local(k); err == nil && !bytes.Equal(b, content(k)) {
				t.Fatalf("side %d: block %d differs", i, k)
			}
		}
	}
	for p := range links {
		end(p)
	}
	cancel()
	for i := 1; i < len(sides); i++ {
		join(pair{i - 1, i}) // a chain: most only see other clones
	}
	appendBlocks(t, f, 1)
	for i, g := range feeds[1:] {
		d := g.Download(feed.Range{End: f.Len()})
		c, cancel := context.WithTimeout(ctx, 5*time.Minute)
		err := d.Wait(c)
		cancel()
		if err != nil {
			t.Errorf("clone %d has %d of %d: %v\n%s", i, g.Downloaded(0, 0), f.Len(), err, protocol.Debug(sides[i+1].e, key.Discovery()))
			continue
		}
		same(t, g, 0, f.Len())
	}
	for _, s := range sides {
		select {
		case b := <-s.blame:
			t.Errorf("%s blames %s: %v", s.id, b.Label, b.Reason)
		default:
		}
	}
	for p := range links {
		end(p)
	}
}
