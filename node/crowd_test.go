package node_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/simtest"
	"github.com/go-hypercore/hypercore/node"
	"github.com/go-hypercore/hypercore/store"
)

// A flash crowd: readers on lines of 20 Mbit/s come within a few seconds to a
// live feed whose writer has such a line too, far too thin to feed them all. How
// far behind the writer is each block at each reader?
func TestFlashCrowd(t *testing.T) {
	readers, blocks, size := 15, 100, 2<<10
	if simtest.Full() {
		readers = 200
	}
	if testing.Short() {
		t.Skip("simulates a network")
	}
	const every = 50 * time.Millisecond
	simtest.Run(t, func(t *testing.T, nw *simtest.Network) {
		at := 0
		join := func(cfg node.Config) (*node.Node, host.Host) {
			h := nw.Host(simtest.Public(at), 20)
			at++
			cfg.Network, cfg.Host = "test", h
			n, err := node.New(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			nw.Defer(func() { n.Close() })
			return n, h
		}
		_, h := join(node.Config{Server: true})
		cfg := node.Config{Bootstrap: []peer.AddrInfo{{ID: h.ID(), Addrs: h.Addrs()}}}
		source, line := join(cfg)
		f, err := source.Open(t.Context(), store.Memory(), feed.Options{})
		if err != nil {
			t.Fatal(err)
		}
		share(t, source, f, node.JoinOptions{Announce: true, Lookup: true})
		time.Sleep(2 * time.Second)

		appended := make([]time.Time, blocks)
		var mu sync.Mutex
		var lags []time.Duration
		worst := make([]time.Duration, readers)
		var wg sync.WaitGroup
		for r := range readers {
			time.Sleep(10 * time.Millisecond)
			n, _ := join(cfg)
			g, err := n.Open(t.Context(), store.Memory(), feed.Options{Key: f.Key()})
			if err != nil {
				t.Fatal(err)
			}
			share(t, n, g, node.JoinOptions{Announce: true, Lookup: true})
			wg.Go(func() {
				for i := range blocks {
					if _, err := g.Get(t.Context(), uint64(i)); err != nil {
						t.Errorf("reader %d, block %d: %v", r, i, err)
						return
					}
					mu.Lock()
					lag := time.Since(appended[i])
					lags = append(lags, lag)
					worst[r] = max(worst[r], lag)
					mu.Unlock()
				}
			})
		}
		joined := time.Now()
		block := make([]byte, size)
		for i := range blocks {
			mu.Lock()
			appended[i] = time.Now()
			mu.Unlock()
			if _, err := f.Append(t.Context(), block); err != nil {
				t.Fatal(err)
			}
			time.Sleep(every)
		}
		wg.Wait()
		rate := float64(size) * 8 / every.Seconds() / 1e6
		slices.Sort(lags)
		slices.Sort(worst)
		t.Logf("%d readers of %.2f Mbit/s on lines of 20 Mbit/s, %d connections at the writer, over %v after the last came: "+
			"blocks are behind by p50 %v, p99 %v; the slowest reader was behind by at most %v, the median one by %v",
			readers, rate, len(line.Network().Conns()), time.Since(joined).Round(time.Second),
			lags[len(lags)/2].Round(time.Millisecond), lags[len(lags)*99/100].Round(time.Millisecond),
			worst[readers-1].Round(time.Millisecond), worst[readers/2].Round(time.Millisecond))
		if p99 := lags[len(lags)*99/100]; p99 > 5*time.Second {
			t.Errorf("p99 of the lag is %v", p99)
		}
	})
}
