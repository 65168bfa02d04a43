package node_test

import (
	"context"
	"crypto/rand"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node"
	"github.com/go-hypercore/hypercore/store"
)

// records is a routing in which each topic has providers that are no more, and one
// that is there, once it is set.
type records struct {
	t    *testing.T
	gone int

	mu    sync.Mutex
	of    map[cid.Cid][]peer.AddrInfo
	there peer.AddrInfo
}

func (r *records) Provide(context.Context, cid.Cid, bool) error { return nil }

func (r *records) FindProvidersAsync(_ context.Context, c cid.Cid, _ int) <-chan peer.AddrInfo {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of[c] == nil {
		for range r.gone {
			r.of[c] = append(r.of[c], peer.AddrInfo{ID: somebody(r.t), Addrs: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/1")}})
		}
	}
	out := make(chan peer.AddrInfo, r.gone+1)
	for _, p := range r.of[c] {
		out <- p
	}
	if r.there.ID != "" {
		out <- r.there
	}
	close(out)
	return out
}

// somebody is a peer ID.
func somebody(t *testing.T) peer.ID {
	_, pub, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// Whoever is found when there are more candidates than there is room for, in his topic
// or in all of them, and all of them gone, is tried all the same.
func TestNewcomerAmongTheGone(t *testing.T) {
	for name, topics := range map[string]int{"one topic": 1, "many topics": 17} {
		if topics > 1 && testing.Short() {
			continue // it dials thousands, which takes the race detector a minute
		}
		t.Run(name, func(t *testing.T) {
			w := start(t, node.Config{})
			f := writer(t, w, 3)
			routing := &records{t: t, gone: 300, of: map[cid.Cid][]peer.AddrInfo{}}
			h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { h.Close() })
			n := start(t, node.Config{Host: h, Routing: routing})
			var last *feed.Feed
			for i := range topics {
				key := f.Key()
				if i < topics-1 {
					rand.Read(key[:])
				}
				if last, err = n.Open(t.Context(), store.Memory(), feed.Options{Key: key}); err != nil {
					t.Fatal(err)
				}
				j := share(t, n, last, node.JoinOptions{Lookup: true})
				awaitThat(t, "all candidates", func() bool { return j.Status().Candidates >= 250 })
			}
			routing.mu.Lock()
			routing.there = info(w)
			routing.mu.Unlock()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if _, err := last.Get(ctx, 0); err != nil {
				t.Fatal(err)
			}
		})
	}
}
