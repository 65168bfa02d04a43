package node_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/store"
)

// A thousand feeds go from one node to another over one stream, and go on live,
// while each side has the files of a few open at a time.
func TestThousandFeedsOverOneStream(t *testing.T) {
	feeds, blocks := 1000, 4
	if testing.Short() {
		feeds = 200
	}
	const open = 20
	dir := t.TempDir()
	lots := [2]*feed.Lot{feed.NewLot(feed.LotOptions{Open: open}), feed.NewLot(feed.LotOptions{Open: open})}
	src := start(t, node.Config{Network: "none", Lot: lots[0]})
	dst := start(t, node.Config{Network: "none", Lot: lots[1], Peers: []peer.AddrInfo{info(src)}})

	in := make([]*feed.Feed, feeds)
	for i := range in {
		f, err := src.Open(t.Context(), store.Dir(filepath.Join(dir, fmt.Sprint("src", i))), feed.Options{Durability: feed.NoSync})
		if err != nil {
			t.Fatal(err)
		}
		in[i] = f
		appendBlocks(t, f, blocks)
		share(t, src, f, node.JoinOptions{})
	}
	out := make([]*feed.Feed, feeds)
	for i := range out {
		f, err := dst.Open(t.Context(), store.Dir(filepath.Join(dir, fmt.Sprint("dst", i))), feed.Options{Key: in[i].Key(), Durability: feed.NoSync})
		if err != nil {
			t.Fatal(err)
		}
		out[i] = f
		share(t, dst, f, node.JoinOptions{})
	}
	began := time.Now()
	for i := range out {
		for b := range blocks {
			wantBlock(t, out[i], uint64(b))
		}
	}
	t.Logf("%d feeds of %d blocks in %v; %+v, %+v", feeds, blocks, time.Since(began).Round(time.Millisecond), lots[0].Status(), lots[1].Status())
	if n := streams(src); n != 1 {
		t.Errorf("%d replication streams", n)
	}
	// Live, in feeds that have parked long ago, several at once.
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 1))
			for range 25 {
				i := r.IntN(feeds/4)*4 + w
				n := in[i].Len()
				appendBlocks(t, in[i], 1)
				wantBlock(t, out[i], n)
			}
		})
	}
	wg.Wait()
	for k, lot := range lots {
		if s := lot.Status(); s.Open > open+4 || s.Open+s.Parked != feeds {
			t.Errorf("side %d: %+v", k, s)
		}
	}
}

func appendBlocks(t testing.TB, f *feed.Feed, n int) {
	t.Helper()
	for range n {
		if _, err := f.Append(t.Context(), fmt.Appendf(nil, "block %d", f.Len())); err != nil {
			t.Error(err)
		}
	}
}

// streams counts the replication streams of a node.
func streams(n *node.Node) (k int) {
	for _, c := range n.Host().Network().Conns() {
		for _, s := range c.GetStreams() {
			if id := s.Protocol(); id == protocol.NativeID || id == protocol.V6ID {
				k++
			}
		}
	}
	return k
}
