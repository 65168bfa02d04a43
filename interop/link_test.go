package interop

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/protocol"
)

// quiet is how long nothing must happen until a stream counts as one that stays
// open: many times what an ending stream takes on loopback.
const quiet = 300 * time.Millisecond

// link is one TCP connection between an engine here and npm.
type link struct {
	d      *driver
	conn   int // npm's end
	stream *protocol.Stream
	raw    net.Conn
	done   chan error
}

// wire says how the two ends are set up.
type wire struct {
	npmDials bool
	npm      obj // replicate() options of npm: live, encrypt, …
	here     protocol.StreamOptions
	record   string // npm records the bytes in this file + .in and .out
}

// connect links npm feeds with an engine over TCP on loopback.
func connect(t *testing.T, d *driver, feeds []*npmFeed, e *protocol.Engine, w wire) *link {
	t.Helper()
	ids := make([]int, len(feeds))
	for i, f := range feeds {
		ids[i] = f.Feed
	}
	if w.npm == nil {
		w.npm = obj{"live": true}
	}
	w.here.Dialect = protocol.V6
	w.here.Kin = func(_, _ feed.DiscoveryKey) bool { return true }
	w.here.Initiator = !w.npmDials
	args := obj{"feeds": ids, "opts": w.npm}
	if w.record != "" {
		args["record"] = w.record
	}
	l := &link{d: d, done: make(chan error, 1)}
	var r struct{ Server, Port, Conn int }
	if w.npmDials {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		args["port"] = ln.Addr().(*net.TCPAddr).Port
		answer := d.start("dial", args)
		if l.raw, err = ln.Accept(); err != nil {
			t.Fatal(err)
		}
		raw, err := answer()
		if err != nil {
			t.Fatal(err)
		}
		decode(t, raw, &r)
	} else {
		d.call(t, "listen", args, &r)
		var err error
		if l.raw, err = net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", r.Port)); err != nil {
			t.Fatal(err)
		}
		d.call(t, "accept", obj{"server": r.Server}, &r)
		d.call(t, "closeServer", obj{"server": r.Server}, nil) // what was accepted stays
	}
	l.conn = r.Conn
	l.stream = e.NewStream(l.raw, w.here)
	go func() { l.done <- l.stream.Run(context.Background()) }()
	t.Cleanup(func() { l.stream.Close() })
	return l
}

// npmEnd is how a connection ended on npm's side.
type npmEnd struct {
	First    string // who ended it: local (npm), remote, transport
	Error    string
	BytesIn  uint64
	BytesOut uint64
}

// ended waits until both sides have ended.
func (l *link) ended(t *testing.T) (there npmEnd, here error) {
	t.Helper()
	l.d.call(t, "ended", obj{"conn": l.conn}, &there)
	select {
	case here = <-l.done:
	case <-time.After(patience):
		t.Fatal("npm has ended, the stream here has not")
	}
	return there, here
}

// endsWell waits until both sides have ended without an error.
func (l *link) endsWell(t *testing.T) {
	t.Helper()
	there, here := l.ended(t)
	if here != nil || there.Error != "" {
		t.Fatalf("ended with %v here, %q in npm", here, there.Error)
	}
}

// open reports whether the connection is open after a quiet while.
func (l *link) open(t *testing.T) bool {
	t.Helper()
	var r struct{ Open bool }
	l.d.call(t, "isOpen", obj{"conn": l.conn, "after": quiet.Milliseconds()}, &r)
	return r.Open
}

// drop cuts the connection.
func (l *link) drop(t *testing.T) {
	t.Helper()
	l.d.call(t, "destroy", obj{"conn": l.conn}, nil)
	select {
	case <-l.done:
	case <-time.After(patience):
		t.Fatal("the stream does not end when the connection does")
	}
}

// engineOf returns an engine with the feeds; it ends before they are closed.
func engineOf(t testing.TB, feeds ...*feed.Feed) *protocol.Engine {
	t.Helper()
	e := protocol.New(protocol.Config{})
	for _, f := range feeds {
		if err := e.Add(f, protocol.FeedOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { e.Close() })
	track(t, e, feeds...)
	return e
}

func keysOf(feeds ...*feed.Feed) []feed.Key {
	keys := make([]feed.Key, len(feeds))
	for i, f := range feeds {
		keys[i] = f.Key()
	}
	return keys
}

// untilGo waits until the feed has the length and that many blocks, as long as more
// come.
func untilGo(t testing.TB, f *feed.Feed, length, blocks uint64) {
	t.Helper()
	last, moved := uint64(0), time.Now()
	for {
		l, b := f.Len(), f.Downloaded(0, 0)
		if l >= length && b >= blocks {
			return
		}
		if l+b > last {
			last, moved = l+b, time.Now()
		}
		if t.Failed() || time.Since(moved) > patience {
			t.Fatalf("still %d long with %d blocks, want %d with %d", l, b, length, blocks)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// pipeGo links two engines here, in the dialect.
func pipeGo(t *testing.T, a, b *protocol.Engine, oa, ob protocol.StreamOptions) {
	t.Helper()
	x, y := net.Pipe()
	oa.Initiator = true
	var wg sync.WaitGroup
	sa, sb := a.NewStream(x, oa), b.NewStream(y, ob)
	wg.Go(func() { sa.Run(context.Background()) })
	wg.Go(func() { sb.Run(context.Background()) })
	t.Cleanup(func() { sa.Close(); sb.Close(); wg.Wait() })
}

// listenGo accepts connections for an engine and returns the port.
func listenGo(t *testing.T, e *protocol.Engine, o protocol.StreamOptions) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go e.NewStream(c, o).Run(context.Background())
		}
	}()
	return ln.Addr().(*net.TCPAddr).Port
}
