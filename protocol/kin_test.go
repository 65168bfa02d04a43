package protocol_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/protocol/wire"
)

// keyed is a V6 remote that knows the key of one feed, with which the stream begins, and no other.
type keyed struct {
	*raw
	out *wire.Cipher
}

// begin sends the first Feed, and a Handshake unless silent. The remote's answer, if it has
// come, is read.
func (x *keyed) begin(key feed.Key, silent bool) {
	nonce := bytes.Repeat([]byte{7}, wire.NonceLen)
	x.raw.send(wire.AppendFeed(nil, 0, wire.Feed{DiscoveryKey: key.Discovery(), Nonce: nonce}))
	x.out = wire.NewCipher((*[32]byte)(&key), (*[wire.NonceLen]byte)(nonce))
	if !silent {
		x.send(wire.AppendHandshake(nil, 0, wire.Handshake{Live: true, ID: x.id}))
	}
}

// answered reads the first Feed that the other side sends.
func (x *keyed) answered(key feed.Key) {
	var m wire.Feed
	if err := wire.ParseFeed(x.next(wire.TypeFeed).Body, &m); err != nil {
		x.t.Fatal(err)
	}
	x.r.SetCipher(wire.NewCipher((*[32]byte)(&key), (*[wire.NonceLen]byte)(m.Nonce)))
}

func (x *keyed) send(b []byte) {
	x.out.XOR(b)
	x.raw.send(b)
}

// TestKin: over V6, who knows the key of one feed and the discovery key of another reads the
// other one only if the program has said that they go together.
func TestKin(t *testing.T) {
	for _, test := range []struct {
		name         string
		kin, offered bool
		late         bool // the other feed is added when it was opened
	}{
		{name: "opened"},
		{name: "opened before it is here", late: true},
		{name: "kin", kin: true},
		{name: "kin before it is here", kin: true, late: true},
		{name: "offered kin", kin: true, offered: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				b := newSide(t, "b")
				first, other := b.create(3), open(t, feed.Options{})
				appendBlocks(t, other, 20)
				if !test.late {
					b.add(other)
				}
				o := protocol.StreamOptions{Dialect: protocol.V6}
				if test.kin {
					o.Kin = func(f, g feed.DiscoveryKey) bool {
						return f == first.DiscoveryKey() && g == other.DiscoveryKey()
					}
				}
				if test.offered {
					o.Feeds = []feed.Key{first.Key(), other.Key()}
				}
				x := &keyed{raw: dial(t, b, "evil", o)}
				x.begin(first.Key(), false)
				x.answered(first.Key())
				x.send(wire.AppendFeed(nil, 1, wire.Feed{DiscoveryKey: other.DiscoveryKey()}))
				x.send(wire.AppendRequest(nil, 1, wire.Request{Index: 7}))
				if test.late {
					time.Sleep(time.Second)
					b.add(other)
				}
				x.send(wire.AppendRequest(nil, 0, wire.Request{Index: 1}))
				got := map[uint64]bool{}
				for !got[1] || test.kin && !got[7] {
					var m wire.Data
					if err := wire.ParseData(x.next(wire.TypeData).Body, &m); err != nil {
						t.Fatal(err)
					}
					got[m.Index] = true
				}
				time.Sleep(time.Second)
				if n := len(x.s.Feeds()); (n == 2) != test.kin {
					t.Errorf("%d feeds are open", n)
				}
				if got[7] != test.kin || !got[1] {
					t.Errorf("answers: %v", got)
				}
				if err := x.s.Offer(other.Key()); (err == nil) != test.kin || err != nil && !errors.Is(err, protocol.ErrNotKin) {
					t.Error("offering it:", err)
				}
				x.s.Close()
				<-x.done
			})
		})
	}
}

// TestUnprovenV6: who knows only the discovery key of a feed cannot make a Handshake that can be
// read, and is not answered, nor reported.
func TestUnprovenV6(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newSide(t, "b")
		f, more := b.create(10), b.create(1)
		events := f.Watch(t.Context())
		x := &keyed{raw: dial(t, b, "evil", protocol.StreamOptions{Dialect: protocol.V6, Kin: together})}
		x.begin(f.Key(), true)
		time.Sleep(time.Second)
		if err := x.s.Offer(more.Key()); err != nil { // it waits
			t.Error(err)
		}
		time.Sleep(time.Second)
		if st := x.s.Stats(); st.BytesOut != 0 || st.Feeds != 0 || st.Ended {
			t.Errorf("%d bytes came, %d feeds open, ended %v", st.BytesOut, st.Feeds, st.Ended)
		}
		select {
		case e := <-events:
			if p, ok := e.(feed.PeerEvent); ok {
				t.Errorf("reported: %+v", p)
			}
		default:
		}
		// The one that has the key is answered, and offered what was to be offered.
		x.send(wire.AppendHandshake(nil, 0, wire.Handshake{Live: true, ID: x.id}))
		x.answered(f.Key())
		var m wire.Feed
		if err := wire.ParseFeed(x.next(wire.TypeFeed).Body, &m); err != nil || feed.DiscoveryKey(m.DiscoveryKey) != more.DiscoveryKey() {
			t.Errorf("offered %x, %v", m.DiscoveryKey, err)
		}
		x.s.Close()
		<-x.done
	})
}
