package node_test

import (
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/node"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/protocol/wire"
	"github.com/go-hypercore/hypercore/store"
)

// TestTCPListenerOccupied: who connects to a TCP listener as often as it allows, and opens nothing, keeps nobody out.
func TestTCPListenerOccupied(t *testing.T) {
	t.Parallel()
	w := start(t, node.Config{Network: "none"})
	f := writer(t, w, 2)
	l, err := w.ListenTCP("127.0.0.1:0", node.TCPOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for range node.MaxTCP {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Write(make([]byte, 1)) // a keep-alive
	}
	r := start(t, node.Config{Network: "none"})
	g, err := r.Open(t.Context(), store.Memory(), feed.Options{Key: f.Key()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	go r.DialTCP(ctx, l.Addr().String(), f.Key(), node.TCPOptions{})
	if _, err := g.Get(ctx, 0); err != nil {
		t.Error("a reader was kept out:", err)
	}
}

// from is a connection that comes from elsewhere.
type from struct {
	net.Conn
	addr net.TCPAddr
}

func (f from) RemoteAddr() net.Addr { return &f.addr }

// TestTCPSlots: a connection is kept that has named a feed, be it here or not. One that has not ends soon, or
// earlier when there are too many from its address.
func TestTCPSlots(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		const keepAlive = 2 * time.Second
		e := protocol.New(protocol.Config{})
		defer func() {
			e.Close()
			time.Sleep(keepAlive) // those that sent them notice
		}()
		here, later := feedOf(t), feedOf(t)
		if err := e.Add(here, protocol.FeedOptions{}); err != nil {
			t.Fatal(err)
		}
		var slots node.TCPSlots
		mute := false // who knows only the discovery key can say nothing more
		call := func(ip string, names *feed.Feed) (done chan error) {
			c, d := net.Pipe()
			go io.Copy(io.Discard, d)
			done = slots.Serve(e, from{c, net.TCPAddr{IP: net.ParseIP(ip), Port: 1}})
			go func() {
				if names != nil {
					hello := wire.AppendFeed(nil, 0, wire.Feed{DiscoveryKey: names.DiscoveryKey()})
					if !mute {
						hello = wire.AppendHandshake(hello, 0, wire.Handshake{ID: make([]byte, 32), Live: true})
					}
					d.Write(hello)
				}
				for {
					if _, err := d.Write([]byte{0}); err != nil { // a keep-alive
						return
					}
					time.Sleep(keepAlive)
				}
			}()
			synctest.Wait()
			return done
		}
		over := func(done chan error) bool {
			select {
			case <-done:
				return true
			default:
				return false
			}
		}

		nameless, early, open := call("127.0.0.1", nil), call("127.0.0.1", later), call("127.0.0.1", here)
		mute = true
		keyless := call("127.0.0.1", here)
		mute = false
		time.Sleep(node.TCPNameless - time.Second)
		if over(nameless) {
			t.Error("a connection has ended that had a second left to name a feed")
		}
		time.Sleep(time.Minute)
		if !over(nameless) {
			t.Error("a connection goes on that has named no feed for a minute")
		}
		if !over(keyless) {
			t.Error("a connection goes on that has named a feed and said nothing on it")
		}
		if over(early) || over(open) {
			t.Error("a connection has ended that has named a feed")
		}
		if err := e.Add(later, protocol.FeedOptions{}); err != nil {
			t.Fatal(err)
		}
		for _, s := range e.Streams() {
			if n := len(s.Feeds()); n != 1 {
				t.Errorf("%d feeds are open on a stream that has named one", n)
			}
		}

		open = call("203.0.113.7", here)
		var crowd []chan error
		for i := range 2*node.MaxTCPPerIP - 1 {
			names := here
			if mute = i%2 == 0; !mute {
				names = nil
			}
			crowd = append(crowd, call("203.0.113.7", names))
		}
		for i, done := range crowd {
			if first := i < node.MaxTCPPerIP; over(done) != first {
				t.Fatalf("connection %d of an address, which may have %d: ended is %v", i+1, node.MaxTCPPerIP, !first)
			}
		}
		if over(open) || over(early) {
			t.Error("a connection with a feed has ended for others that have none")
		}
	})
}

func feedOf(t *testing.T) *feed.Feed {
	t.Helper()
	f, err := feed.Open(t.Context(), store.Memory(), feed.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}
