package protocol_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/protocol/wire"
)

// says opens a feed on channel n. No answers: it is an offer.
func (x *raw) says(n uint64, key feed.Key, nonce byte, answers []byte) {
	m := wire.Feed{DiscoveryKey: key.Discovery(), Nonce: bytes.Repeat([]byte{nonce}, wire.NonceLen), Answers: answers}
	c := protocol.Capability(key, x.id, x.peer, m.Nonce)
	m.Capability = c[:]
	x.send(wire.AppendFeed(nil, n, m))
}

// hears is the next Feed.
func (x *raw) hears() (n uint64, m wire.Feed) {
	x.t.Helper()
	f := x.next(wire.TypeFeed)
	if err := wire.ParseFeed(f.Body, &m); err != nil {
		x.t.Fatal(err)
	}
	m.Nonce, m.Answers = bytes.Clone(m.Nonce), bytes.Clone(m.Answers)
	return f.Channel, m
}

// over waits for the end of the other side's half n.
func (x *raw) over(n uint64) {
	x.t.Helper()
	var m wire.Info
	if f := x.next(wire.TypeInfo); f.Channel != n || wire.ParseInfo(f.Body, &m) != nil || m.Uploading || m.Downloading {
		x.t.Errorf("on channel %d came %+v", f.Channel, m)
	}
}

// bye ends a raw remote's stream, which must be alive.
func (x *raw) bye() {
	synctest.Wait()
	if st := x.s.Stats(); st.Ended {
		x.t.Errorf("the stream has ended: %+v", st)
	}
	x.s.Close()
	<-x.done
	x.conn.Close()
}

// TestAnswerToWhatWasClosed: a feed is offered, closed and offered again. An answer to the first
// offer opens nothing, whatever follows on its channel; one to the second does.
func TestAnswerToWhatWasClosed(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newSide(t, "b")
		f := b.create(3)
		x := dial(t, b, "x", protocol.StreamOptions{Feeds: []feed.Key{f.Key()}})
		n, first := x.hears()
		b.e.Remove(f.DiscoveryKey())
		x.over(n)
		b.add(f)
		x.s.Offer(f.Key())
		again, second := x.hears()
		if again != n || len(second.Answers) != 0 || bytes.Equal(first.Nonce, second.Nonce) {
			t.Errorf("offered again on channel %d, before %d: %+v", again, n, second)
		}
		x.says(5, f.Key(), 1, first.Nonce)
		x.send(wire.AppendWant(nil, 5, wire.Want{Length: 1 << 20}))
		synctest.Wait()
		if st := x.s.FeedState(f.DiscoveryKey()); st.Bound || st.Open {
			t.Errorf("an answer to what was closed: %+v", st)
		}
		x.send(wire.AppendInfo(nil, 5, wire.Info{}))
		x.says(5, f.Key(), 2, second.Nonce)
		x.send(wire.AppendHandshake(nil, 5, wire.Handshake{Live: true}))
		x.send(wire.AppendWant(nil, 5, wire.Want{Length: 1 << 20}))
		if m := x.next(wire.TypeHave); m.Channel != n {
			t.Error("answered on channel", m.Channel)
		}
		x.send(wire.AppendInfo(nil, 5, wire.Info{})) // it does not want it any more: the offer stands
		x.over(n)
		if _, m := x.hears(); m.DiscoveryKey != f.DiscoveryKey() || len(m.Answers) != 0 {
			t.Errorf("not offered again: %+v", m)
		}
		x.bye()
	})
}

// TestOffersCross: of two offers of a feed that cross, that of the greater ID stands.
func TestOffersCross(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newSide(t, "b")
		f := b.create(3)
		x := dial(t, b, "x", protocol.StreamOptions{Feeds: []feed.Key{f.Key()}})
		n, _ := x.hears()
		x.says(0, f.Key(), 1, nil)
		x.over(n)
		if _, m := x.hears(); !bytes.Equal(m.Answers, bytes.Repeat([]byte{1}, wire.NonceLen)) {
			t.Errorf("not answered: %+v", m)
		}
		x.bye()

		y := dial(t, b, "a", protocol.StreamOptions{Feeds: []feed.Key{f.Key()}})
		_, first := y.hears()
		y.says(0, f.Key(), 1, nil)
		synctest.Wait()
		if st := y.s.FeedState(f.DiscoveryKey()); st.Bound || st.Open {
			t.Errorf("an offer that does not stand: %+v", st)
		}
		y.send(wire.AppendInfo(nil, 0, wire.Info{}))
		y.says(0, f.Key(), 2, first.Nonce)
		y.next(wire.TypeHandshake)
		y.bye()
	})
}

// TestSameIDs: a native stream between sides that cannot be told apart does not begin, as what proves
// one side would prove the other one; with hypercore 6's protocol IDs are only names.
func TestSameIDs(t *testing.T) {
	b := newSide(t, "b")
	f := b.create(1)
	for _, id := range [][]byte{nil, []byte("b")} {
		conn, other := net.Pipe()
		s := b.e.NewStream(conn, protocol.StreamOptions{Feeds: []feed.Key{f.Key()}, LocalID: id, RemoteID: id})
		if err := s.Run(ctx); !errors.Is(err, protocol.ErrSameID) {
			t.Errorf("IDs %q: %v", id, err)
		}
		if _, err := other.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("IDs %q: the other side reads %v", id, err)
		}
	}
	conn, other := net.Pipe()
	other.Close()
	s := b.e.NewStream(conn, protocol.StreamOptions{Dialect: protocol.V6, LocalID: []byte("b"), RemoteID: []byte("b")})
	if err := s.Run(ctx); errors.Is(err, protocol.ErrSameID) {
		t.Error("V6:", err)
	}
}

// TestNothingComesLate: a remote reads slowly. Of a feed that is closed meanwhile nothing comes on its
// number when that belongs to another one, neither blocks nor announcements that have waited.
func TestNothingComesLate(t *testing.T) {
	for _, announce := range []bool{false, true} {
		bubble.Test(t, func(t *testing.T) { nothingComesLate(t, announce) })
	}
}

func nothingComesLate(t *testing.T, announce bool) {
	b := newSide(t, "b")
	f, g := open(t, feed.Options{}), b.create(1)
	large := bytes.Repeat([]byte{1}, 200_000)
	if _, err := f.Append(ctx, large, large); err != nil {
		t.Fatal(err)
	}
	b.add(f)
	ext, err := b.e.RegisterExtension(f.DiscoveryKey(), "fill", nil)
	if err != nil {
		t.Fatal(err)
	}
	x := dialRoom(t, b, "x", protocol.StreamOptions{Feeds: []feed.Key{f.Key()}}, 1<<10)
	_, m := x.hears()
	x.says(0, f.Key(), 1, m.Nonce)
	x.send(wire.AppendHandshake(nil, 0, wire.Handshake{Live: true, Extensions: []string{"fill"}}))
	x.send(wire.AppendWant(nil, 0, wire.Want{Length: 1 << 20}))
	x.next(wire.TypeHave)
	synctest.Wait()
	if announce {
		for range 2 { // one is being written
			if ext.Broadcast(bytes.Repeat(large, 2)) != 1 {
				t.Fatal("not sent")
			}
			synctest.Wait()
		}
		appendBlocks(t, f, 1)
	} else {
		x.send(wire.AppendRequest(nil, 0, wire.Request{}))
		x.send(wire.AppendRequest(nil, 0, wire.Request{Index: 1}))
	}
	synctest.Wait()
	f.Close()
	synctest.Wait()
	if err := x.s.Offer(g.Key()); err != nil {
		t.Fatal(err)
	}
	other := ^uint64(0) // the number of g
	for fr, err := x.r.Next(); err == nil; fr, err = x.r.Next() {
		switch {
		case fr.Type == wire.TypeFeed:
			other = fr.Channel
			go func() {
				synctest.Wait() // all that has waited was read
				x.s.Close()
			}()
		case fr.Channel == other:
			t.Errorf("announce %v: %v on channel %d, of the feed that is closed", announce, fr.Type, other)
		}
	}
	if other == ^uint64(0) {
		t.Errorf("announce %v: the other feed was not offered", announce)
	}
	<-x.done
	x.conn.Close()
}
