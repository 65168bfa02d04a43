package control_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node/control"
	"github.com/go-hypercore/hypercore/node/diagnosis"
	"github.com/go-hypercore/hypercore/store"
)

// backend holds one feed.
type backend struct{ of control.OpenFeed }

func (b backend) Node() control.NodeInfo {
	return control.NodeInfo{PID: 7, Role: "test", Started: time.Unix(1, 0)}
}
func (b backend) Facts(_ context.Context, k feed.Key) (diagnosis.Facts, error) {
	f := diagnosis.Facts{Node: diagnosis.Node{ID: "me"}}
	if !k.IsZero() {
		f.Feed = &diagnosis.Feed{Key: k.String()}
	}
	return f, nil
}
func (b backend) Feeds() []control.OpenFeed { return []control.OpenFeed{b.of} }
func (b backend) Feed(k feed.Key) (control.OpenFeed, bool) {
	return b.of, k == b.of.Feed.Key()
}

// serve opens a feed and a node that holds it, and returns the feed as a
// client sees it.
func serve(t *testing.T) (*control.Home, *feed.Feed, control.Feed, *control.Server) {
	t.Helper()
	h := openHome(t)
	dir := filepath.Join(t.TempDir(), "feed")
	f, err := feed.Open(t.Context(), store.Dir(dir), feed.Options{})
	if err != nil {
		t.Fatal(err)
	}
	slot, err := h.Claim("node")
	if err != nil {
		t.Fatal(err)
	}
	l, err := control.Listen(slot.Socket())
	if err != nil {
		t.Fatal(err)
	}
	s := control.NewServer(l, backend{control.OpenFeed{Feed: f, Dir: control.Canonical(dir)}})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		f.Close()
		slot.Close()
	})
	c, k, err := h.Find(t.Context(), dir, feed.Key{})
	if err != nil || k != f.Key() {
		t.Fatalf("find by directory: %v, %v", k, err)
	}
	c.Close()
	if c, k, err = h.Find(t.Context(), "", f.Key()); err != nil || k != f.Key() {
		t.Fatalf("find by key: %v, %v", k, err)
	}
	if _, _, err := h.Find(t.Context(), "", feed.Key{1}); !errors.Is(err, control.ErrNoNode) {
		t.Errorf("find another key: %v", err)
	}
	if _, _, err := h.Find(t.Context(), t.TempDir(), feed.Key{}); !errors.Is(err, control.ErrNoNode) {
		t.Errorf("find another directory: %v", err)
	}
	n, err := c.Node(t.Context())
	if err != nil || n.API != 1 || n.PID != 7 || n.Role != "test" {
		t.Errorf("node: %+v, %v", n, err)
	}
	if facts, err := c.Facts(t.Context(), k); err != nil || facts.Node.ID != "me" || facts.Feed == nil || facts.Feed.Key != k.String() {
		t.Errorf("facts: %+v, %v", facts, err)
	}
	if facts, err := c.Facts(t.Context(), feed.Key{}); err != nil || facts.Feed != nil {
		t.Errorf("facts without a feed: %+v, %v", facts, err)
	}
	if _, err := c.Facts(t.Context(), feed.Key{1}); !errors.Is(err, feed.ErrNotFound) {
		t.Errorf("facts of a feed that is not here: %v", err)
	}
	return h, f, c.Feed(k), s
}

func catString(t *testing.T, f control.Feed, o control.CatOptions) (string, error) {
	t.Helper()
	var b strings.Builder
	err := f.Cat(t.Context(), o, func(i uint64, data []byte) error {
		fmt.Fprintf(&b, "%d:%s ", i, data)
		return nil
	})
	return strings.TrimSpace(b.String()), err
}

func TestRemoteFeed(t *testing.T) {
	_, f, r, _ := serve(t)
	ctx := t.Context()
	a, err := r.Append(ctx, strings.NewReader("one\ntwo\n\nthree"), control.Cut{By: control.CutLines})
	if want := (control.Appended{First: 0, Blocks: 4, Bytes: 14, Length: 4}); err != nil || a != want {
		t.Fatalf("append: %+v, %v", a, err)
	}
	a, err = r.Append(ctx, strings.NewReader(""), control.Cut{})
	if want := (control.Appended{First: 4, Length: 4}); err != nil || a != want {
		t.Fatalf("append nothing: %+v, %v", a, err)
	}
	for i, want := range []string{"one\n", "two\n", "\n", "three"} {
		if b, err := r.Get(ctx, uint64(i)); err != nil || string(b) != want {
			t.Errorf("block %d: %q, %v", i, b, err)
		}
	}
	for _, c := range []struct {
		o    control.CatOptions
		want string
	}{
		{control.CatOptions{}, "0:one\n 1:two\n 2:\n 3:three"},
		{control.CatOptions{Start: 3}, "3:three"},
		{control.CatOptions{Start: 4}, ""},
		{control.CatOptions{Start: 1, End: 2}, "1:two"},
		{control.CatOptions{Tail: 1}, "3:three"},
		{control.CatOptions{Tail: 9}, "0:one\n 1:two\n 2:\n 3:three"},
	} {
		if got, err := catString(t, r, c.o); err != nil || got != c.want {
			t.Errorf("cat %+v: %q, %v; want %q", c.o, got, err, c.want)
		}
	}
	i, err := r.Info(ctx)
	if err != nil || i.Key != f.Key().String() || i.Length != 4 || i.ByteLength != 14 || i.Downloaded != 4 || !i.Writable {
		t.Errorf("info: %+v, %v", i, err)
	}
	rep, err := r.Verify(ctx, func(uint64, uint64) {})
	if err != nil || rep.Length != 4 || rep.Present != 4 || rep.Bytes != 14 || rep.Signature != control.SignatureValid || !rep.OK() {
		t.Errorf("verify: %+v, %v", rep, err)
	}
	if p, err := r.Peers(ctx); err != nil || len(p) != 0 {
		t.Errorf("peers: %v, %v", p, err)
	}
}

// What errors.Is finds in the node, it finds at the client.
func TestErrorIdentity(t *testing.T) {
	h, f, r, s := serve(t)
	ctx := t.Context()
	if _, err := r.Get(ctx, 0); !errors.Is(err, feed.ErrOutOfBounds) || errors.Is(err, feed.ErrNotLocal) {
		t.Errorf("out of bounds: %v", err)
	}
	if _, err := catString(t, r, control.CatOptions{End: 3}); !errors.Is(err, feed.ErrOutOfBounds) {
		t.Errorf("cat out of bounds: %v", err)
	}
	if _, err := catString(t, r, control.CatOptions{End: 3, Live: true}); !errors.Is(err, control.ErrBadRequest) {
		t.Errorf("live with an end: %v", err)
	}
	if _, err := r.Append(ctx, strings.NewReader("x"), control.Cut{By: "words"}); !errors.Is(err, control.ErrBadRequest) {
		t.Errorf("bad cut: %v", err)
	}
	boom := errors.New("boom")
	a, err := r.Append(ctx, io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(boom)), control.Cut{By: control.CutLines})
	if !errors.Is(err, boom) {
		t.Errorf("failing input: %+v, %v", a, err)
	}
	if b, err := f.Get(ctx, 0); err != nil || string(b) != "a\n" {
		t.Errorf("what came before the failure: %q, %v", b, err)
	}
	if err := r.Cat(ctx, control.CatOptions{Live: true}, func(uint64, []byte) error { return boom }); err != boom {
		t.Errorf("failing output: %v", err)
	}
	cctx, cancel := context.WithTimeoutCause(ctx, time.Millisecond, boom)
	defer cancel()
	if err := r.Cat(cctx, control.CatOptions{Live: true}, func(uint64, []byte) error { return nil }); err != boom {
		t.Errorf("ended context: %v", err)
	}
	f.Close()
	if _, err := r.Append(ctx, strings.NewReader("x"), control.Cut{}); !errors.Is(err, feed.ErrClosed) {
		t.Errorf("closed feed: %v", err)
	}
	s.Close()
	if _, err := r.Info(ctx); !errors.Is(err, control.ErrNoNode) {
		t.Errorf("closed server: %v", err)
	}
	if _, _, err := h.Find(ctx, "", f.Key()); !errors.Is(err, control.ErrNoNode) {
		t.Errorf("closed server: %v", err)
	}
	other := control.NewClient(filepath.Join(t.TempDir(), "none"))
	if _, err := other.Node(ctx); !errors.Is(err, control.ErrNoNode) {
		t.Errorf("no socket: %v", err)
	}
}

// A follower sees each append, in order, and a node that ends ends the follower.
func TestLive(t *testing.T) {
	_, _, r, s := serve(t)
	const n = 2000
	var got bytes.Buffer
	seen := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- r.Cat(t.Context(), control.CatOptions{Live: true}, func(i uint64, data []byte) error {
			got.Write(data)
			if i == n-1 {
				close(seen)
			}
			return nil
		})
	}()
	var want bytes.Buffer
	for i := range n {
		fmt.Fprintf(&want, "line %d\n", i)
	}
	// As slow as a pipe: every line is a read of its own.
	lines := bytes.SplitAfter(want.Bytes(), []byte("\n"))
	var mu sync.Mutex
	src := readerFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		if len(lines) == 0 {
			return 0, io.EOF
		}
		l := lines[0]
		lines = lines[1:]
		return copy(p, l), nil
	})
	if a, err := r.Append(t.Context(), src, control.Cut{By: control.CutLines}); err != nil || a.Blocks != n {
		t.Fatalf("append: %+v, %v", a, err)
	}
	<-seen
	if !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Error("the follower saw something else")
	}
	s.Close()
	if err := <-ended; !errors.Is(err, control.ErrNodeEnded) {
		t.Errorf("the node ended, the follower: %v", err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
