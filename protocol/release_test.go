package protocol_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/protocol/wire"
)

// TestWrongRunOverWhatIsHere: a remote answers a request for one block with a wrong run that also
// covers all others. Those that are here are not fetched again, those that are not can be.
func TestWrongRunOverWhatIsHere(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		const n = 200
		a, b := newSide(t, "a"), newSide(t, "b")
		f := a.create(n)
		g := b.clone(f.Key(), true)
		l := connect(a, b, linkOptions{feedsB: []feed.Key{f.Key()}})
		download(t, g, 0, 100)
		download(t, g, 110, n)
		next := g.Download(feed.Range{Start: n, End: n + 1}) // nobody has it yet
		defer next.Cancel()

		x := dial(t, b, "evil", protocol.StreamOptions{Feeds: []feed.Key{f.Key()}})
		x.hello(f.Key())
		x.next(wire.TypeWant)
		x.send(wire.AppendHave(nil, 0, wire.Have{Start: n, Length: 1}))
		for range 2 { // the block, and the second look
			var m wire.Request
			if err := wire.ParseRequest(x.next(wire.TypeRequest).Body, &m); err != nil {
				t.Fatal(err)
			}
			if m.Hash {
				x.send(wire.AppendData(nil, 0, wire.Data{Index: m.Index, Nodes: []wire.Node{{Index: 2 * m.Index, Size: 1}}}))
			} else {
				x.send(wire.AppendDataRange(nil, 0, wire.DataRange{Sizes: make([]uint64, n+1), Values: []byte{}}))
			}
		}
		if err := wait(t, "evil", x.done); !errors.Is(err, feed.ErrInvalidProof) {
			t.Error("ended with", err)
		}
		x.conn.Close()

		appendBlocks(t, f, 1)
		download(t, g, 0, n+1)
		same(t, g, 0, n+1)
		synctest.Wait() // what came is counted after it is stored
		if st := b.e.Peers(f.DiscoveryKey()); len(st) != 1 || st[0].DownloadedBlocks != n+1 {
			t.Errorf("of %d blocks some came again: %+v", n+1, st)
		}
		l.close()
		<-l.errA
		<-l.errB
	})
}
