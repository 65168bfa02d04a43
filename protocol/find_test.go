package protocol_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"slices"
	"testing"
	"time"
	"weak"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/internal/leaktest"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/protocol/protocoltest"
	"github.com/go-hypercore/hypercore/protocol/wire"
)

// TestFind: a feed that a remote opens and that was not added is asked for. That it is not here is
// the remote's affair; that looking for it failed is not.
func TestFind(t *testing.T) {
	leaktest.Check(t)
	f, broken := open(t, feed.Options{}), errors.New("the index is broken")
	appendBlocks(t, f, 2)
	for _, c := range []struct {
		name    string
		found   *feed.Feed
		err     error
		dialect protocol.Dialect
	}{
		{"found", f, nil, protocol.Native},
		{"found, v6", f, nil, protocol.V6},
		{"not here", nil, nil, protocol.V6},
		{"failed", nil, broken, protocol.V6},
	} {
		t.Run(c.name, func(t *testing.T) {
			blamed := make(chan protocol.Blame, 1)
			e := protocol.New(protocol.Config{
				Find: func(_ context.Context, dk feed.DiscoveryKey) (*feed.Feed, error) {
					if dk != f.DiscoveryKey() {
						t.Errorf("asked for %v", dk)
					}
					return c.found, c.err
				},
				OnBlame: func(b protocol.Blame) { blamed <- b },
			})
			defer e.Close()
			r := newSide(t, "reader")
			g := r.clone(f.Key(), false)
			ca, cb := protocoltest.Pipe(1 << 16)
			done := make(chan error, 1)
			go func() {
				done <- e.NewStream(ca, protocol.StreamOptions{Dialect: c.dialect, LocalID: []byte("writer"), RemoteID: r.id}).Run(ctx)
			}()
			s := r.e.NewStream(cb, protocol.StreamOptions{Dialect: c.dialect, LocalID: r.id, RemoteID: []byte("writer"), Feeds: []feed.Key{f.Key()}})
			go s.Run(ctx)
			if c.found != nil {
				if _, err := g.Get(ctx, 1); err != nil {
					t.Error(err)
				}
				s.Close()
				<-done
				return
			}
			err := <-done
			var remote *protocol.RemoteError
			if c.err != nil && (!errors.Is(err, broken) || errors.As(err, &remote) || len(blamed) > 0) {
				t.Errorf("a failure of this side: %v, %d blamed", err, len(blamed))
			}
			if c.err == nil && (!errors.Is(err, protocol.ErrUnknownFeed) || !errors.As(err, &remote) || len(blamed) != 1) {
				t.Errorf("a feed that is not here: %v, %d blamed", err, len(blamed))
			}
			s.Close()
		})
	}
}

// TestEcho: a remote that knows no key and repeats what it hears, on the same stream or from another
// one, proves nothing with it.
func TestEcho(t *testing.T) {
	for _, streams := range []int{1, 2} {
		b := newSide(t, "b")
		f := b.create(3)
		var conns []*protocoltest.Conn
		done := make(chan error, streams)
		for i := range streams {
			ca, cb := protocoltest.Pipe(1 << 16)
			conns = append(conns, ca)
			s := b.e.NewStream(cb, protocol.StreamOptions{Dialect: protocol.V6, RemoteID: []byte{byte(i)}, Feeds: []feed.Key{f.Key()}})
			go func() {
				err := s.Run(ctx)
				if s.FeedState(f.DiscoveryKey()).Verified {
					t.Errorf("%d streams: an echo has proven that it knows the key", streams)
				}
				done <- err
			}()
		}
		for i, c := range conns {
			go func() {
				io.Copy(conns[(i+1)%streams], c)
				c.Close()
			}()
		}
		if err := <-done; !errors.Is(err, protocol.ErrEcho) {
			t.Errorf("%d streams: %v", streams, err)
		}
		for _, c := range conns {
			c.Close()
		}
		for range streams - 1 {
			<-done
		}
	}
}

// TestFindEnds: what looks for a feed is told when the stream ends, however it does, and nobody
// has to wait for it.
func TestFindEnds(t *testing.T) {
	for name, end := range map[string]func(e *protocol.Engine, s *protocol.Stream, remote io.Closer){
		"engine closed": func(e *protocol.Engine, _ *protocol.Stream, _ io.Closer) { e.Close() },
		"stream closed": func(_ *protocol.Engine, s *protocol.Stream, _ io.Closer) { s.Close() },
		"remote silent": func(*protocol.Engine, *protocol.Stream, io.Closer) {},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				in, given := make(chan struct{}), make(chan struct{})
				e := protocol.New(protocol.Config{Find: func(ctx context.Context, _ feed.DiscoveryKey) (*feed.Feed, error) {
					close(in)
					select {
					case <-ctx.Done():
						return nil, ctx.Err()
					case <-given:
						return nil, nil
					}
				}})
				ca, cb := protocoltest.Pipe(1 << 16)
				s := e.NewStream(ca, protocol.StreamOptions{LocalID: []byte("a"), RemoteID: []byte("b")})
				done := make(chan error, 1)
				go func() { done <- s.Run(ctx) }()
				cb.Write(wire.AppendFeed(nil, 0, wire.Feed{DiscoveryKey: feed.DiscoveryKey{1}}))
				<-in
				ended := make(chan struct{})
				go func() { end(e, s, cb); <-done; close(ended) }()
				select {
				case <-ended:
				case <-time.After(time.Minute):
					t.Error("it is waited for")
				}
				close(given)
				<-ended
				cb.Close()
				e.Close()
			})
		})
	}
}

// TestLeftIsForgotten: a feed does not keep the stream of a remote that was the first to have its
// newest block, and has left.
func TestLeftIsForgotten(t *testing.T) {
	w, r, k := newSide(t, "w"), newSide(t, "r"), newSide(t, "k")
	f := w.create(1)
	keys := []feed.Key{f.Key()}
	g, h := r.clone(f.Key(), false), k.clone(f.Key(), false)
	connect(r, k, linkOptions{feedsA: keys}) // another reader, who stays
	left := func() weak.Pointer[protocol.Stream] {
		l := connect(w, r, linkOptions{feedsA: keys})
		if _, err := g.Get(within(t), 0); err != nil {
			t.Fatal(err)
		}
		appendBlocks(t, f, 1)
		if _, err := g.Get(within(t), 1); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Get(within(t), 1); err != nil {
			t.Fatal(err)
		}
		late := func(p protocol.PeerStats) bool { return p.Length < 2 }
		for slices.ContainsFunc(r.e.Peers(f.DiscoveryKey()), late) { // k announces it later
			time.Sleep(time.Millisecond)
		}
		l.close()
		<-l.errA
		<-l.errB
		return weak.Make(l.B)
	}()
	for deadline := time.Now().Add(10 * time.Second); left.Value() != nil; time.Sleep(time.Millisecond) {
		runtime.GC()
		if time.Now().After(deadline) {
			t.Fatal("its stream is kept")
		}
	}
}
