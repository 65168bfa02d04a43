package protocol_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/protocol"
)

// TestLimitedAfterLargeBlocks: blocks that somebody waits for come over a limited connection too, at
// once whatever size a wrong block had that another remote sent, and after a while where blocks are
// large.
func TestLimitedAfterLargeBlocks(t *testing.T) {
	for _, c := range []struct {
		name   string
		liar   bool // blocks are asked of a liar first
		first  uint64
		within time.Duration
	}{
		{"wrong", true, 7, time.Second}, {"right", false, 100, 30 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				a, b := newSide(t, "a"), newSide(t, "b")
				f := a.create(130)
				g := b.clone(f.Key(), true)
				if c.liar {
					x := dial(t, b, "liar", protocol.StreamOptions{})
					x.hello(f.Key())
					x.announce(0, f)
					go x.serve(f, func(p *feed.Proof) []byte {
						if p.Index != c.first {
							p.Value = make([]byte, 8_000_000)
						}
						return data(p)
					})
					synctest.Wait()
					defer func() {
						if err := wait(t, "end", x.done); !errors.Is(err, feed.ErrInvalidProof) {
							t.Error("the liar's stream ended with", err)
						}
					}()
				}
				l := connect(a, b, linkOptions{feedsB: []feed.Key{f.Key()}, mutB: func(o *protocol.StreamOptions) { o.Limited = true }})
				if _, err := g.Get(within(t), c.first); err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				for i := uint64(20); i < 24; i++ {
					if _, err := g.Get(within(t), i); err != nil {
						t.Fatal(err)
					}
				}
				if d := time.Since(start); d > c.within {
					t.Error("it took", d)
				}
				l.close()
				<-l.errA
				<-l.errB
			})
		})
	}
}
