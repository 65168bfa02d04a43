package protocol_test

import (
	"testing"
	"testing/synctest"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/store"
)

// TestRottenBlock: a byte of a block changes on the disk of the only one who has it. The first reader
// hangs up over it; then the seeder knows, and whoever comes gets everything else.
func TestRottenBlock(t *testing.T) {
	for _, d := range []protocol.Dialect{protocol.Native, protocol.V6} {
		bubble.Test(t, func(t *testing.T) {
			const n, rotten = 300, 77
			a, b := newSide(t, "a"), newSide(t, "b")
			st := store.Memory()
			f, err := feed.Open(ctx, st, feed.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			appendBlocks(t, f, n)
			if err := f.Sync(ctx); err != nil {
				t.Fatal(err)
			}
			off := uint64(0)
			for i := range uint64(rotten) {
				size, err := f.BlockSize(i)
				if err != nil {
					t.Fatal(err)
				}
				off += size
			}
			data, err := st.Open("data", false)
			if err != nil {
				t.Fatal(err)
			}
			defer data.Close()
			if _, err := data.WriteAt([]byte{0xff}, int64(off)); err != nil {
				t.Fatal(err)
			}
			a.add(f)
			g := b.clone(f.Key(), false)
			go tryDownload(g, 0, n)
			blamed := 0
			for range 3 {
				l := connect(a, b, linkOptions{dialect: d, feedsB: []feed.Key{f.Key()}})
				synctest.Wait()
				select {
				case <-b.blame:
					blamed++
				default:
				}
				l.close()
				<-l.errA
				<-l.errB
				synctest.Wait()
			}
			if blamed != 1 {
				t.Errorf("%v: the seeder was blamed %d times", d, blamed)
			}
			if lost := f.Stats().Lost; lost != 1 || f.Downloaded(rotten, rotten+1) != 0 || f.Downloaded(0, n) != n-1 {
				t.Errorf("%v: %d lost, %d here", d, lost, f.Downloaded(0, n))
			}
			if got := g.Downloaded(0, n); got != n-1 || g.Downloaded(rotten, rotten+1) != 0 {
				t.Errorf("%v: the reader has %d", d, got)
			}
			if len(a.blame) > 0 {
				t.Errorf("%v: blamed by the seeder: %+v", d, <-a.blame)
			}
		})
	}
}
