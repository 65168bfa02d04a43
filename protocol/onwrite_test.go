package protocol_test

import (
	"errors"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/protocol"
)

// TestOnWrite: a block that the reader's OnWrite refuses for a while is asked for again, nobody is
// blamed, and everything comes in the end.
func TestOnWrite(t *testing.T) {
	for _, d := range []protocol.Dialect{protocol.Native, protocol.V6} {
		bubble.Test(t, func(t *testing.T) {
			a, b := newSide(t, "a"), newSide(t, "b")
			f := a.create(300)
			refusals := 0
			g := open(t, feed.Options{Key: f.Key(), OnWrite: func(i uint64, _ []byte) error {
				if i == 100 && refusals < 3 {
					refusals++
					return errors.New("not yet")
				}
				return nil
			}})
			b.add(g)
			l := connect(a, b, linkOptions{dialect: d, feedsB: []feed.Key{f.Key()}})
			start := time.Now()
			download(t, g, 0, 300)
			same(t, g, 0, 300)
			if refusals != 3 {
				t.Errorf("refused %d times", refusals)
			}
			if took := time.Since(start); took > 30*time.Second {
				t.Errorf("it took %v", took)
			}
			l.close()
			if len(a.blame)+len(b.blame) > 0 {
				t.Error("somebody was blamed")
			}
		})
	}
}
