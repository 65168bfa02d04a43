package node_test

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/simtest"
	"github.com/go-hypercore/hypercore/node"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/store"
)

// A crowd of hosts that know no more than the discovery key, and let themselves be
// connected to, keeps nobody from the writer that comes after them, and goes as others
// come.
func TestCrowdWithoutTheFeed(t *testing.T) {
	const crowd = 34 // more than there are trials
	for name, serve := range map[string]network.StreamHandler{
		"no protocol": nil,
		"no feed": func(s network.Stream) {
			defer s.Reset()
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				io.Copy(io.Discard, s)
			}()
			for {
				s.Write([]byte{0}) // a keep-alive
				select {
				case <-ended:
					return
				case <-time.After(10 * time.Second):
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			simtest.Run(t, func(t *testing.T, nw *simtest.Network) {
				run := func(cfg node.Config, at int) *node.Node { return simulated(t, nw, cfg, at) }
				w := run(node.Config{}, crowd)
				f := writer(t, w, 1)
				routing := &records{t: t, gone: crowd, of: map[cid.Cid][]peer.AddrInfo{}}
				topic := discoveryTopic(f).CID()
				for i := range crowd {
					h := nw.Host(simtest.Public(i), 20)
					if serve != nil {
						h.SetStreamHandler(protocol.NativeID, serve)
					}
					routing.of[topic] = append(routing.of[topic], peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()})
				}
				r := run(node.Config{Routing: routing}, crowd+1)
				g, err := r.Open(t.Context(), store.Memory(), feed.Options{Key: f.Key()})
				if err != nil {
					t.Fatal(err)
				}
				j := share(t, r, g, node.JoinOptions{Lookup: true})
				// Those that came last have been tried, too.
				for began := time.Now(); ; time.Sleep(time.Second) {
					tried := 0
					for _, p := range j.Status().Peers {
						if p.Stream || p.Err != nil {
							tried++
						}
					}
					if tried == crowd {
						break
					}
					if time.Since(began) > time.Minute {
						t.Fatalf("%d of %d tried", tried, crowd)
					}
				}
				routing.mu.Lock()
				routing.there = info(w)
				routing.mu.Unlock()
				began := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if _, err := g.Get(ctx, 0); err != nil {
					t.Fatal(err)
				}
				t.Logf("%d connections, the block after %v", len(r.Host().Network().Conns()), time.Since(began))
			})
		})
	}
}

// simulated runs a node with a public address in a simulated network.
func simulated(t *testing.T, nw *simtest.Network, cfg node.Config, at int) *node.Node {
	t.Helper()
	cfg.Network, cfg.Host = "test", nw.Host(simtest.Public(at), 20)
	n, err := node.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	nw.Defer(func() { n.Close() })
	return n
}
