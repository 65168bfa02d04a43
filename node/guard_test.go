package node_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/fileclock"
	"github.com/go-hypercore/hypercore/node"
	"github.com/go-hypercore/hypercore/store"
)

// place is a directory with a feed and the node that writes it.
type place string

func (p place) feed() string   { return filepath.Join(string(p), "feed") }
func (p place) node() string   { return filepath.Join(string(p), "node") }
func (p place) writer() string { return filepath.Join(p.node(), "writer") }

// start starts the node and opens the feed.
func (p place) start(t *testing.T) (*node.Node, *feed.Feed) {
	t.Helper()
	n := start(t, node.Config{Dir: p.node(), Network: "none"})
	return n, openDir(t, n, p.feed(), feed.Options{})
}

func openDir(t *testing.T, n *node.Node, dir string, o feed.Options) *feed.Feed {
	t.Helper()
	f, err := n.Open(t.Context(), store.Dir(dir), o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func copyDir(t *testing.T, to, from string) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(to), os.CopyFS(to, os.DirFS(from))); err != nil {
		t.Fatal(err)
	}
}

func closeNode(t *testing.T, n *node.Node) {
	t.Helper()
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
}

// wantAppend appends a block, or is refused with want.
func wantAppend(t *testing.T, what string, f *feed.Feed, want error) {
	t.Helper()
	if _, err := f.Append(t.Context(), []byte("one more")); !errors.Is(err, want) {
		t.Errorf("%s at %d: Append: %v, want %v", what, f.Len(), err, want)
	}
}

// backup starts a feed of 10 blocks that a reader has seen, of which bak has the first 5.
func backup(t *testing.T, p place, bak string) (r *node.Node, rf *feed.Feed) {
	t.Helper()
	n, f := p.start(t)
	key := f.Key()
	appendBlocks(t, f, 5)
	if err := n.CloseFeed(key); err != nil {
		t.Fatal(err)
	}
	copyDir(t, bak, p.feed())
	f = openDir(t, n, p.feed(), feed.Options{})
	appendBlocks(t, f, 5)
	share(t, n, f, node.JoinOptions{})
	r = start(t, node.Config{Network: "none", Peers: []peer.AddrInfo{info(n)}})
	rf = reader(t, r, key, node.JoinOptions{})
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	for i := range uint64(10) { // from the last on: its length is known then
		if _, err := rf.Get(ctx, 9-i); err != nil {
			t.Fatal(err)
		}
	}
	closeNode(t, n)
	return r, rf
}

// A feed that was restored from a backup refuses to append, until it has fetched what is
// missing and was taken over.
func TestRestoredFeed(t *testing.T) {
	t.Parallel()
	p, bak := place(t.TempDir()), filepath.Join(t.TempDir(), "backup")
	r, rf := backup(t, p, bak)
	copyDir(t, p.feed(), bak)

	n, f := p.start(t)
	wantAppend(t, "restored", f, feed.ErrBehind)
	closeNode(t, n)
	n, f = p.start(t)
	wantAppend(t, "restored, opened again", f, feed.ErrBehind)
	if err := n.CloseFeed(f.Key()); err != nil {
		t.Fatal(err)
	}

	f, err := n.OpenToFetch(t.Context(), store.Dir(p.feed()), feed.Options{})
	if err != nil {
		t.Fatal(err)
	}
	have := f.Len()
	share(t, n, f, node.JoinOptions{})
	if err := n.AddPeer(info(r)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	if err := f.Update(ctx, have+1); err != nil {
		t.Fatal(err)
	}
	if err := f.Download(feed.Range{}).Wait(ctx); err != nil {
		t.Fatal(err)
	}
	if err := f.TakeOver(ctx, false); err != nil {
		t.Fatal(err)
	}
	wantAppend(t, "taken over", f, nil)
	if _, err := rf.Get(ctx, 10); err != nil {
		t.Errorf("the reader does not follow: %v (%v)", err, rf.Stats().Err)
	}
	closeNode(t, n)
	_, f = p.start(t)
	wantAppend(t, "after that", f, nil)
}

// What nobody has any more is given up, and that lasts.
func TestRestoredFeedForced(t *testing.T) {
	t.Parallel()
	p, bak := place(t.TempDir()), filepath.Join(t.TempDir(), "backup")
	r, _ := backup(t, p, bak)
	closeNode(t, r)
	copyDir(t, p.feed(), bak)
	n, f := p.start(t)
	if err := f.TakeOver(t.Context(), false); !errors.Is(err, feed.ErrBehind) {
		t.Errorf("TakeOver at 5 of 10: %v", err)
	}
	if err := f.TakeOver(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	wantAppend(t, "taken over", f, nil)
	closeNode(t, n)
	_, f = p.start(t)
	wantAppend(t, "after that", f, nil)
}

// A directory of the node that was copied with the feed is another writer's, one that was
// moved is not; and a feed of one node's is not written by another.
func TestCopiedDir(t *testing.T) {
	t.Parallel()
	tmp := t.TempDir()
	p := place(filepath.Join(tmp, "old"))
	n, f := p.start(t)
	appendBlocks(t, f, 3)
	closeNode(t, n)
	n, f = p.start(t)
	wantAppend(t, "started again", f, nil)
	closeNode(t, n)
	b, err := os.ReadFile(filepath.Join(p.writer(), "identity"))
	if err != nil {
		t.Fatal(err)
	}
	other := place(filepath.Join(tmp, "other"))
	copyDir(t, other.feed(), p.feed())
	_, f = other.start(t)
	wantAppend(t, "another node's", f, feed.ErrOtherWriter)
	if strings.Contains(string(b), "\nfile ") { // it is known when a file was made
		fileclock.Tick(t, tmp)
		copied := place(filepath.Join(tmp, "copied"))
		copyDir(t, string(copied), string(p))
		n, f = copied.start(t)
		wantAppend(t, "copied", f, feed.ErrOtherWriter)
		if err := f.TakeOver(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		wantAppend(t, "copied and taken over", f, nil)
		closeNode(t, n)
	}
	moved := place(filepath.Join(tmp, "moved"))
	if err := os.Rename(string(p), string(moved)); err != nil {
		t.Fatal(err)
	}
	_, f = moved.start(t)
	wantAppend(t, "moved", f, nil)
}

// Without a directory a node is another each time, so nothing is compared.
func TestNoDirAppends(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 2 {
		n := start(t, node.Config{Network: "none"})
		wantAppend(t, "without Dir", openDir(t, n, dir, feed.Options{}), nil)
		closeNode(t, n)
	}
}

// Of feeds that are read, of those in memory, and of those whose opener says who writes,
// nothing is kept.
func TestNothingToGuard(t *testing.T) {
	t.Parallel()
	p := place(t.TempDir())
	n := start(t, node.Config{Dir: p.node(), Network: "none"})
	appendBlocks(t, writer(t, n, 1), 1)
	f := openDir(t, n, filepath.Join(string(p), "theirs"), feed.Options{Identity: "somebody"})
	appendBlocks(t, f, 1)
	key, dir := feed.Key{1}, filepath.Join(string(p), "read")
	openDir(t, n, dir, feed.Options{Key: key})
	if err := n.CloseFeed(key); err != nil {
		t.Fatal(err)
	}
	openDir(t, n, dir, feed.Options{})
	closeNode(t, n)
	if _, err := os.Stat(p.writer()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a record: %v", err)
	}
}
