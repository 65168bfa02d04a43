package protocol_test

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/feed/merkle"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/protocol/protocoltest"
	"github.com/go-hypercore/hypercore/protocol/wire"
)

// raw is a remote that says what a test wants it to.
type raw struct {
	t    *testing.T
	conn *protocoltest.Conn
	r    *wire.Reader
	id   []byte // its own
	peer []byte // the other side's
	done chan error
	s    *protocol.Stream
}

// dial connects a raw remote to a side. The side may offer feeds.
func dial(t *testing.T, b *side, id string, o protocol.StreamOptions) *raw {
	return dialRoom(t, b, id, o, 1<<20)
}

// dialRoom is dial with room for so many bytes in the connection.
func dialRoom(t *testing.T, b *side, id string, o protocol.StreamOptions, room int) *raw {
	ca, cb := protocoltest.Pipe(room)
	o.LocalID, o.RemoteID, o.Label = b.id, []byte(id), id
	s := b.e.NewStream(cb, o)
	x := &raw{t: t, conn: ca, r: wire.NewReader(ca), id: []byte(id), peer: b.id, done: make(chan error, 1), s: s}
	x.r.SetChannels(wire.MaxNativeChannels)
	go func() { x.done <- s.Run(ctx) }()
	return x
}

func (x *raw) send(b []byte) { x.conn.Write(b) }

// feed opens a feed with a capability for key, as who.
func (x *raw) feed(key feed.Key, who []byte) []byte {
	nonce := bytes.Repeat([]byte{7}, wire.NonceLen)
	c := protocol.Capability(key, who, x.peer, nonce)
	return wire.AppendFeed(nil, 0, wire.Feed{DiscoveryKey: key.Discovery(), Nonce: nonce, Capability: c[:]})
}

// hello opens a feed properly.
func (x *raw) hello(key feed.Key) {
	x.send(x.feed(key, x.id))
	x.send(wire.AppendHandshake(nil, 0, wire.Handshake{Live: true}))
}

// next returns the next frame of a type.
func (x *raw) next(typ wire.Type) wire.Frame {
	x.t.Helper()
	for {
		f, err := x.r.Next()
		if err != nil {
			x.t.Fatalf("waiting for %v: %v", typ, err)
		}
		if f.Type == typ {
			return f
		}
	}
}

// TestUnproven: who knows only the discovery key, or has a capability recorded from somebody else,
// or one meant for somebody else, gets not a byte, whether the feed is here or not.
func TestUnproven(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newSide(t, "b")
		f := b.create(10)
		other := open(t, feed.Options{})
		dk := f.DiscoveryKey()
		nonce := bytes.Repeat([]byte{7}, wire.NonceLen)
		open := func(c *[32]byte, n []byte) []byte {
			m := wire.Feed{DiscoveryKey: dk, Nonce: n}
			if c != nil {
				m.Capability = c[:]
			}
			return wire.AppendFeed(nil, 0, m)
		}
		recorded := protocol.Capability(f.Key(), []byte("honest"), b.id, nonce)
		forOther := protocol.Capability(f.Key(), []byte("evil"), []byte("c"), nonce)
		echoed := protocol.Capability(f.Key(), b.id, []byte("evil"), nonce)
		wrongKey := protocol.Capability(other.Key(), []byte("evil"), b.id, nonce)
		for name, first := range map[string][]byte{
			"nothing":       open(nil, nonce),
			"no nonce":      open(&recorded, nil),
			"recorded":      open(&recorded, nonce),
			"for another":   open(&forOther, nonce),
			"our own":       open(&echoed, nonce),
			"another key":   open(&wrongKey, nonce),
			"not here":      wire.AppendFeed(nil, 0, wire.Feed{DiscoveryKey: other.DiscoveryKey(), Nonce: nonce, Capability: recorded[:]}),
			"really absent": (&raw{id: []byte("evil"), peer: b.id}).feed(other.Key(), []byte("evil")),
		} {
			x := dial(t, b, "evil", protocol.StreamOptions{})
			x.send(first)
			x.send(wire.AppendHandshake(nil, 0, wire.Handshake{Live: true}))
			x.send(wire.AppendWant(nil, 0, wire.Want{Length: 1 << 20}))
			x.send(wire.AppendRequest(nil, 0, wire.Request{Index: 3}))
			x.send(wire.AppendRequest(nil, 0, wire.Request{Index: 3, Hash: true}))
			time.Sleep(5 * time.Second)
			appendBlocks(t, f, 1) // nor is anything announced
			time.Sleep(5 * time.Second)
			st := x.s.Stats()
			if st.BytesOut != 0 || st.Feeds != 0 || st.Ended {
				t.Errorf("%s: %d bytes came, %d feeds open, ended %v", name, st.BytesOut, st.Feeds, st.Ended)
			}
			x.s.Close()
			<-x.done
		}
		if len(b.e.Peers(dk)) != 0 {
			t.Error("listed as a peer")
		}
		// The right one is answered at once.
		x := dial(t, b, "honest", protocol.StreamOptions{})
		x.hello(f.Key())
		m := wire.Feed{}
		if err := wire.ParseFeed(x.next(wire.TypeFeed).Body, &m); err != nil {
			t.Fatal(err)
		}
		want := protocol.Capability(f.Key(), b.id, []byte("honest"), m.Nonce)
		if !bytes.Equal(m.Capability, want[:]) {
			t.Error("our own capability is wrong")
		}
		x.s.Close()
		<-x.done
	})
}

// evil is a source that has f and answers requests with answer's choice.
func evil(t *testing.T, b *side, id string, f *feed.Feed, answer func(p *feed.Proof) []byte) *raw {
	x := dial(t, b, id, protocol.StreamOptions{Feeds: []feed.Key{f.Key()}})
	go func() {
		x.hello(f.Key())
		x.send(wire.AppendHave(nil, 0, wire.Have{Start: 0, Length: f.Len()}))
		bits := wire.EncodeRLE([]byte{}, f.Bitmap(nil, 0, (f.Len()+7)&^7))
		x.send(wire.AppendHave(nil, 0, wire.Have{Start: 0, Length: 1 << 20, Bitfield: bits, HasBitfield: true}))
		x.serve(f, answer)
	}()
	return x
}

// serve answers requests for blocks of f until the stream ends.
func (x *raw) serve(f *feed.Feed, answer func(p *feed.Proof) []byte) {
	x.serveAs(func() *feed.Feed { return f }, answer)
}

// serveAs is serve with another feed perhaps for each message.
func (x *raw) serveAs(from func() *feed.Feed, answer func(p *feed.Proof) []byte) {
	for {
		fr, err := x.r.Next()
		if err != nil {
			return
		}
		var list []uint64
		switch fr.Type {
		case wire.TypeRequest:
			var m wire.Request
			wire.ParseRequest(fr.Body, &m)
			list = append(list, m.Index)
		case wire.TypeRequestRange:
			var m wire.RequestRange
			wire.ParseRequestRange(fr.Body, &m)
			for i := range m.Length {
				list = append(list, m.Start+i)
			}
		}
		for _, i := range list {
			p, err := from().Proof(ctx, i)
			if err != nil {
				continue // not a block of it
			}
			if p.Value == nil {
				p.Value = []byte{}
			}
			if b := answer(&p); b != nil {
				x.send(b)
			}
		}
	}
}

func data(p *feed.Proof) []byte {
	return wire.AppendData(nil, 0, wire.DataOf[merkle.Node]{Index: p.Index, Value: p.Value, HasValue: p.Value != nil, Nodes: p.Nodes, Signature: p.Signature})
}

// TestWrongBlock: a source that sends wrong blocks loses its stream and is blamed; the download is
// finished from another.
func TestWrongBlock(t *testing.T) {
	for name, spoil := range map[string]func(p *feed.Proof){
		"value": func(p *feed.Proof) {
			if p.Index%50 == 20 {
				p.Value = append(bytes.Clone(p.Value), 1)
			}
		},
		"node":      func(p *feed.Proof) { p.Nodes[0].Hash[5] ^= 1 },
		"size":      func(p *feed.Proof) { p.Nodes[0].Size++ },
		"signature": func(p *feed.Proof) { p.Signature = bytes.Repeat([]byte{1}, 64) },
		"no nodes":  func(p *feed.Proof) { p.Nodes = nil },
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				a, b := newSide(t, "a"), newSide(t, "b")
				f := a.create(500)
				g := b.clone(f.Key(), false)
				x := evil(t, b, "evil", f, func(p *feed.Proof) []byte { spoil(p); return data(p) })
				err := wait(t, "evil", x.done)
				if !errors.Is(err, feed.ErrInvalidProof) || !isRemote(err) {
					t.Fatal("ended with", err)
				}
				if bl := <-b.blame; string(bl.RemoteID) != "evil" || !errors.Is(bl.Reason, feed.ErrInvalidProof) {
					t.Error("blamed:", bl)
				}
				x.conn.Close()
				l := connect(a, b, linkOptions{feedsB: []feed.Key{f.Key()}})
				download(t, g, 0, 500)
				same(t, g, 0, 500)
				l.close()
				if err := wait(t, "b", l.errB); err != nil && err != protocol.ErrClosed {
					t.Error(err)
				}
				wait(t, "a", l.errA)
			})
		})
	}
}

// TestWrongBlockBeside: the same while an honest source is connected.
func TestWrongBlockBeside(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, b := newSide(t, "a"), newSide(t, "b")
		f := a.create(3000)
		g := b.clone(f.Key(), false)
		n := 0
		x := evil(t, b, "evil", f, func(p *feed.Proof) []byte {
			if n++; n > 10 {
				p.Value = []byte("wrong")
			}
			return data(p)
		})
		l := connect(a, b, linkOptions{feedsB: []feed.Key{f.Key()}, size: 2000})
		download(t, g, 0, 3000)
		same(t, g, 0, 3000)
		l.close()
		x.s.Close()
		<-x.done
		wait(t, "a", l.errA)
		wait(t, "b", l.errB)
		x.conn.Close()
	})
}

// TestSilentSource announces everything and answers nothing: it holds the download up for a few
// seconds at most, and loses its stream.
func TestSilentSource(t *testing.T) {
	for _, alone := range []bool{false, true} {
		bubble.Test(t, func(t *testing.T) {
			a, b := newSide(t, "a"), newSide(t, "b")
			f := a.create(300)
			g := b.clone(f.Key(), false)
			x := evil(t, b, "silent", f, func(p *feed.Proof) []byte { return wire.AppendKeepAlive(nil) })
			start := time.Now()
			if !alone {
				time.Sleep(time.Second)
				l := connect(a, b, linkOptions{feedsB: []feed.Key{f.Key()}})
				download(t, g, 0, 300)
				if took := time.Since(start); took > 10*time.Second {
					t.Error("took", took)
				}
				defer func() { l.close(); <-l.errA; <-l.errB }()
			}
			go func() { // it keeps the stream alive
				for range 30 {
					time.Sleep(2 * time.Second)
					x.send(wire.AppendKeepAlive(nil))
				}
			}()
			if alone {
				err := <-x.done
				if !errors.Is(err, protocol.ErrSilent) {
					t.Error("ended with", err)
				}
				if took := time.Since(start); took > 45*time.Second {
					t.Error("took", took)
				}
			} else {
				x.s.Close()
				<-x.done
			}
			x.conn.Close()
			time.Sleep(2 * time.Minute)
		})
	}
}

// TestNoAnswerForOne: a V6 source does not answer for one block, as npm does when it was cleared.
// Another source has it.
func TestNoAnswerForOne(t *testing.T) {
	for _, dia := range []protocol.Dialect{protocol.Native} {
		bubble.Test(t, func(t *testing.T) {
			a, b := newSide(t, "a"), newSide(t, "b")
			f := a.create(2000)
			g := b.clone(f.Key(), false)
			x := evil(t, b, "holey", f, func(p *feed.Proof) []byte {
				if p.Index == 77 {
					return nil
				}
				return data(p)
			})
			time.Sleep(3 * time.Second)
			if n := g.Downloaded(0, 0); n != 1999 {
				t.Error("downloaded", n)
			}
			l := connect(a, b, linkOptions{dialect: dia, feedsB: []feed.Key{f.Key()}})
			start := time.Now()
			download(t, g, 0, 2000)
			if took := time.Since(start); took > 10*time.Second {
				t.Error("took", took)
			}
			same(t, g, 0, 2000)
			l.close()
			<-l.errA
			<-l.errB
			x.s.Close()
			<-x.done
			x.conn.Close()
		})
	}
}

// TestNotReading: a remote that asks and never reads loses the stream; memory stays bounded.
func TestNotReading(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newSide(t, "b")
		f := b.create(1000)
		x := dial(t, b, "deaf", protocol.StreamOptions{})
		x.hello(f.Key())
		x.send(wire.AppendWant(nil, 0, wire.Want{Length: 1 << 20}))
		go func() {
			for i := range 200_000 {
				if _, err := x.conn.Write(wire.AppendRequest(nil, 0, wire.Request{Index: uint64(i) % 1000})); err != nil {
					return
				}
			}
		}()
		err := <-x.done
		if !errors.Is(err, protocol.ErrNotReading) && !errors.Is(err, protocol.ErrTimeout) {
			t.Error("ended with", err)
		}
		x.conn.Close()
	})
}

// TestNotReadingOne: a remote that asks for small blocks one by one and never reads keeps nobody but
// its own stream. The answer it is stuck at is one that the server writes itself.
func TestNotReadingOne(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newSide(t, "b")
		f := b.create(3)
		if _, err := f.Append(ctx, make([]byte, 10<<10)); err != nil {
			t.Fatal(err)
		}
		x := dialRoom(t, b, "deaf", protocol.StreamOptions{}, 256<<10)
		x.hello(f.Key())
		for range 40 {
			x.send(wire.AppendRequest(nil, 0, wire.Request{Index: 3}))
			synctest.Wait()
		}
		appendBlocks(t, f, 1) // and waits until it is committed
		if n := x.s.Stats().BytesOut; n < 200<<10 || n > 300<<10 {
			t.Errorf("%d bytes written to a remote that has room for 256 KiB", n)
		}
		go func() {
			for {
				if _, err := x.conn.Write(wire.AppendKeepAlive(nil)); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}()
		if err := <-x.done; !errors.Is(err, protocol.ErrNotReading) {
			t.Error("ended with", err)
		}
		x.conn.Close()
	})
}
