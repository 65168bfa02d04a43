package protocol_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/leaktest"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/protocol/protocoltest"
	"github.com/go-hypercore/hypercore/store"
)

var ctx = context.Background()

// side is one program: an engine and its feeds.
type side struct {
	t     testing.TB
	id    []byte
	e     *protocol.Engine
	blame chan protocol.Blame
}

func newSide(t testing.TB, name string) *side {
	leaktest.Check(t)
	s := &side{t: t, id: []byte(name), blame: make(chan protocol.Blame, 64)}
	s.e = protocol.New(protocol.Config{OnBlame: func(b protocol.Blame) {
		select {
		case s.blame <- b:
		default:
		}
	}})
	t.Cleanup(func() { s.e.Close() })
	return s
}

func open(t testing.TB, o feed.Options) *feed.Feed {
	t.Helper()
	f, err := feed.Open(ctx, store.Memory(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func seedKey(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, 32))
}

// create makes a writable feed with n blocks.
func (s *side) create(n int) *feed.Feed {
	s.t.Helper()
	f := open(s.t, feed.Options{})
	appendBlocks(s.t, f, n)
	s.add(f)
	return f
}

func (s *side) add(f *feed.Feed) {
	s.t.Helper()
	if err := s.e.Add(f, protocol.FeedOptions{}); err != nil {
		s.t.Fatal(err)
	}
}

// clone makes an empty feed to be downloaded.
func (s *side) clone(key feed.Key, sparse bool) *feed.Feed {
	s.t.Helper()
	f := open(s.t, feed.Options{Key: key, Sparse: sparse})
	s.add(f)
	return f
}

// content is what block i of the tests' feeds holds: sizes differ, some are empty.
func content(i uint64) []byte {
	r := rand.New(rand.NewPCG(i, 7))
	if i%13 == 5 {
		return []byte{}
	}
	b := make([]byte, 1+r.IntN(300))
	if i%97 == 3 {
		b = make([]byte, 20_000+r.IntN(80_000))
	}
	for k := range b {
		b[k] = byte(r.Uint32())
	}
	return b
}

func appendBlocks(t testing.TB, f *feed.Feed, n int) {
	t.Helper()
	var blocks [][]byte
	start := f.Len()
	for i := range uint64(n) {
		blocks = append(blocks, content(start+i))
		if len(blocks) == 128 || i == uint64(n)-1 {
			if _, err := f.Append(ctx, blocks...); err != nil {
				t.Fatal(err)
			}
			blocks = nil
		}
	}
	if err := f.Sync(ctx); err != nil {
		t.Fatal(err)
	}
}

// together is StreamOptions.Kin where all feeds of a test may be on one stream.
func together(_, _ feed.DiscoveryKey) bool { return true }

// link is a running connection of two sides.
type link struct {
	t          testing.TB
	A, B       *protocol.Stream
	ConnA      *protocoltest.Conn
	ConnB      *protocoltest.Conn
	errA, errB chan error
}

type linkOptions struct {
	dialect      protocol.Dialect
	plain, ends  bool
	feedsA       []feed.Key
	feedsB       []feed.Key
	size         int
	mutA, mutB   func(*protocol.StreamOptions)
	tapA, tapB   func([]byte)
	remoteA      []byte // what A takes B for
	remoteB      []byte
	expectedFeed int
}

func connect(a, b *side, o linkOptions) *link {
	l := unstarted(a, b, o)
	l.start()
	return l
}

// unstarted is a connection of which the streams do not run yet.
func unstarted(a, b *side, o linkOptions) *link {
	ca, cb := protocoltest.Pipe(o.size)
	ca.Tap, cb.Tap = o.tapA, o.tapB
	l := &link{t: a.t, ConnA: ca, ConnB: cb, errA: make(chan error, 1), errB: make(chan error, 1)}
	oa := protocol.StreamOptions{Dialect: o.dialect, Initiator: true, Plain: o.plain, Ends: o.ends, Feeds: o.feedsA, LocalID: a.id, RemoteID: b.id, Label: string(b.id), ExpectedFeeds: o.expectedFeed}
	ob := protocol.StreamOptions{Dialect: o.dialect, Plain: o.plain, Ends: o.ends, Feeds: o.feedsB, LocalID: b.id, RemoteID: a.id, Label: string(a.id), ExpectedFeeds: o.expectedFeed}
	oa.Kin, ob.Kin = together, together
	if o.remoteA != nil {
		oa.RemoteID = o.remoteA
	}
	if o.remoteB != nil {
		ob.RemoteID = o.remoteB
	}
	if o.mutA != nil {
		o.mutA(&oa)
	}
	if o.mutB != nil {
		o.mutB(&ob)
	}
	l.A, l.B = a.e.NewStream(ca, oa), b.e.NewStream(cb, ob)
	return l
}

func (l *link) start() {
	go func() { l.errA <- l.A.Run(ctx) }()
	go func() { l.errB <- l.B.Run(ctx) }()
}

func (l *link) close() {
	l.A.Close()
	l.B.Close()
}

// wait gives up after some (perhaps virtual) time.
func wait(t testing.TB, what string, c <-chan error) error {
	t.Helper()
	select {
	case err := <-c:
		return err
	case <-time.After(60 * time.Second):
		t.Fatal("waited too long for", what)
		return nil
	}
}

func within(t testing.TB) context.Context {
	c, cancel := context.WithTimeout(ctx, 60*time.Second)
	t.Cleanup(cancel)
	return c
}

// same checks that blocks [start, end) are in f as content says.
func same(t testing.TB, f *feed.Feed, start, end uint64) {
	t.Helper()
	for i := start; i < end; i++ {
		b, err := f.Local(i)
		if err != nil {
			t.Fatalf("block %d: %v", i, err)
		}
		if !bytes.Equal(b, content(i)) {
			t.Fatalf("block %d differs", i)
		}
	}
}

// download waits for a whole range.
func download(t testing.TB, f *feed.Feed, start, end uint64) {
	t.Helper()
	if err := tryDownload(f, start, end); err != nil {
		t.Fatal(err)
	}
}

func tryDownload(f *feed.Feed, start, end uint64) error {
	c, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	d := f.Download(feed.Range{Start: start, End: end})
	if err := d.Wait(c); err != nil {
		return fmt.Errorf("download %d-%d, %d here: %w", start, end, f.Downloaded(0, 0), err)
	}
	return nil
}

func isRemote(err error) bool {
	var r *protocol.RemoteError
	return errors.As(err, &r)
}
