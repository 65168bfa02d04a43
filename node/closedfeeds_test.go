package node_test

import (
	"errors"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/store"
)

// A feed that was closed by itself, and not by the node, is not in the node any more.
func TestFeedClosedByItself(t *testing.T) {
	n := start(t, node.Config{Network: "none"})
	for _, ours := range []bool{true, false} {
		open := func(s store.Storage, o feed.Options) (*feed.Feed, error) { return n.Open(t.Context(), s, o) }
		if !ours {
			open = func(s store.Storage, o feed.Options) (*feed.Feed, error) { return feed.Open(t.Context(), s, o) }
		}
		dir := t.TempDir()
		f, err := open(store.Dir(dir), feed.Options{})
		if err != nil {
			t.Fatal(err)
		}
		j := share(t, n, f, node.JoinOptions{Announce: true})
		if _, err := n.Open(t.Context(), store.Memory(), feed.Options{Key: f.Key()}); !errors.Is(err, protocol.ErrAdded) {
			t.Errorf("opened by the node %v: opened twice: %v", ours, err)
		}
		for round := range 2 { // at once, and when the node has forgotten it
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			if round == 1 {
				waitFor(t, "the topic is left", func() bool { return n.Status().Topics == 0 && n.Status().Feeds == 0 })
				for range j.Peers(t.Context()) {
				}
			}
			if n.Feed(f.Key()) != nil || len(n.Feeds()) != 0 {
				t.Errorf("opened by the node %v, round %d: the node has the closed feed", ours, round)
			}
			if _, err := n.Share(t.Context(), f, node.JoinOptions{}); !errors.Is(err, feed.ErrClosed) {
				t.Errorf("opened by the node %v, round %d: shared when closed: %v", ours, round, err)
			}
			if err := n.CloseFeed(f.Key()); !errors.Is(err, node.ErrNotOpen) {
				t.Errorf("opened by the node %v, round %d: CloseFeed: %v", ours, round, err)
			}
			if f, err = open(store.Dir(dir), feed.Options{}); err != nil {
				t.Fatal(err)
			}
			j = share(t, n, f, node.JoinOptions{Announce: true})
		}
		if n.Feed(f.Key()) != f {
			t.Errorf("opened by the node %v: the feed that was opened again is not known", ours)
		}
		if err := errors.Join(n.CloseFeed(f.Key()), f.Close()); err != nil {
			t.Error(err)
		}
	}
}
