package protocol_test

import (
	"bytes"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/protocol/wire"
)

var (
	onlyNative = []protocol.Dialect{protocol.Native}
	onlyV6     = []protocol.Dialect{protocol.V6}
)

// atOnce bounds the time until a remote is dropped that said what nobody may say.
const atOnce = 2 * time.Second

// openAttacks are about opening feeds: who may, and how many.
var openAttacks = []attack{
	{
		name: "knows only the discovery key", dialect: onlyNative, bare: true,
		run: func(w *world, x *raw) {
			x.send(wire.AppendFeed(nil, 0, wire.Feed{DiscoveryKey: w.own.DiscoveryKey(), Nonce: make([]byte, wire.NonceLen), Capability: make([]byte, 32)}))
			x.asks(heldFor)
			w.learnsNothing(x)
		},
		held: "not a byte is sent to it; to it the feed is not here",
	},
	{
		name: "capability recorded from another", dialect: onlyNative, bare: true,
		run: func(w *world, x *raw) {
			m := wire.Feed{DiscoveryKey: w.own.DiscoveryKey(), Nonce: make([]byte, wire.NonceLen)}
			c := protocol.Capability(w.own.Key(), w.a.id, w.b.id, m.Nonce)
			m.Capability = c[:]
			x.send(wire.AppendFeed(nil, 0, m))
			x.asks(heldFor)
			w.learnsNothing(x)
		},
		held: "not a byte is sent to it; to it the feed is not here",
	},
	{
		name: "opens a feed that is not here and asks", dialect: onlyV6, bare: true,
		run: func(w *world, x *raw) {
			x.send(wire.AppendFeed(nil, 0, wire.Feed{DiscoveryKey: feed.DiscoveryKey{1}}))
			x.asks(heldFor)
		},
		v6: protocol.ErrUnopened, within: heldFor, // after 17 messages
	},
	{
		name: "says nothing at all", bare: true,
		run:    func(*world, *raw) {},
		native: protocol.ErrTimeout, v6: protocol.ErrTimeout, within: 40 * time.Second,
	},
	{
		name: "4096 feeds that are not here", bare: true, dialect: onlyNative,
		run: func(w *world, x *raw) {
			x.repeat(wire.MaxNativeChannels, func(b []byte, i uint64) []byte { return strangeFeed(b, i, i) })
			x.live()
		},
		held: "each costs some 500 bytes and gets no answer",
	},
	{
		name: "10000 channels", bare: true,
		run: func(w *world, x *raw) {
			x.repeat(10000, func(b []byte, i uint64) []byte { return strangeFeed(b, i, i) })
		},
		native: wire.ErrChannel, v6: wire.ErrChannel, within: atOnce,
	},
	{
		name: "one channel opened 100000 times",
		run: func(w *world, x *raw) {
			x.repeat(100_000, func(b []byte, i uint64) []byte { return strangeFeed(b, 2, i) })
			x.live()
		},
		held: "a second Feed closes the first",
	},
	{
		name: "a feed that is here opened 20000 times",
		run: func(w *world, x *raw) {
			for i := range uint64(20_000) {
				w.open(1+i%50, w.own.Key())
			}
			x.live()
		},
		held: "the newest counts; it is answered as often as there are channels",
	},
	{
		name: "17 messages on each of 256 unopened feeds", bare: true, dialect: onlyV6,
		run: func(w *world, x *raw) {
			x.repeat(wire.MaxChannels, func(b []byte, i uint64) []byte {
				b = strangeFeed(b, i, i)
				for range 17 {
					b = append(b, frame(i, wire.TypeHave, bytes.Repeat([]byte{8, 1}, 500)...)...)
				}
				return b
			})
			x.live()
		},
		held: "4 MiB are kept until the feeds are added here",
	},
	{
		name: "18 messages on an unopened feed", bare: true, dialect: onlyV6,
		run: func(w *world, x *raw) {
			x.send(strangeFeed(nil, 0, 1))
			x.repeat(18, func(b []byte, i uint64) []byte { return wire.AppendWant(b, 0, wire.Want{Length: 8192}) })
		},
		v6: protocol.ErrUnopened, within: atOnce,
	},
	{
		name: "a message on a channel never opened",
		run:  saying(wire.AppendWant(nil, 9, wire.Want{Length: 8192})), native: protocol.ErrUnopened, v6: protocol.ErrUnopened, within: atOnce,
	},
	{
		name: "nonce of 23 bytes", bare: true,
		run:    saying(frame(0, wire.TypeFeed, append(field(1, make([]byte, 32)), field(2, make([]byte, 23))...)...)),
		native: wire.ErrLength, v6: wire.ErrLength, within: atOnce,
	},
	{
		name: "discovery key of 31 bytes", bare: true,
		run:    saying(frame(0, wire.TypeFeed, field(1, make([]byte, 31))...)),
		native: wire.ErrLength, v6: wire.ErrLength, within: atOnce,
	},
	{
		name: "Feed that passes its end", bare: true,
		run:    saying(frame(0, wire.TypeFeed, 0x0a, 0xff, 0xff, 0x03, 1)),
		native: wire.ErrTruncated, v6: wire.ErrTruncated, within: atOnce,
	},
	{
		name: "1000 extension names", bare: true,
		run: func(w *world, x *raw) {
			w.open(0, w.own.Key())
			var body []byte
			for range 1000 {
				body = append(body, field(4, []byte("name"))...)
			}
			x.send(frame(0, wire.TypeHandshake, body...))
			x.live()
		},
		native: wire.ErrTooMany, within: atOnce,
		held: "dropped message, as hypercore 6",
	},
}

// strangeFeed opens a feed that nobody has.
func strangeFeed(b []byte, channel, n uint64) []byte {
	dk := feed.DiscoveryKey{1, byte(n), byte(n >> 8), byte(n >> 16)}
	return wire.AppendFeed(b, channel, wire.Feed{DiscoveryKey: dk, Nonce: make([]byte, wire.NonceLen), Capability: make([]byte, 32)})
}

// field is a protobuf field of bytes.
func field(num byte, p []byte) []byte {
	return append(wire.AppendVarint([]byte{num<<3 | 2}, uint64(len(p))), p...)
}

// live keeps the stream from timing out until it ends, or for as long as it is watched.
func (x *raw) live() {
	for range heldFor / (2 * time.Second) {
		time.Sleep(2 * time.Second)
		if _, err := x.conn.Write(wire.AppendKeepAlive(nil)); err != nil {
			return
		}
	}
}

// zeros keeps the stream alive with more bytes than small blocks would have.
func (x *raw) zeros() {
	for err := error(nil); err == nil; {
		time.Sleep(time.Second / 2)
		_, err = x.conn.Write(make([]byte, 1100))
	}
}

// asks asks for what there is, again and again.
func (x *raw) asks(d time.Duration) {
	for range d / time.Second {
		x.send(wire.AppendHandshake(nil, 0, wire.Handshake{Live: true}))
		x.send(wire.AppendRequest(nil, 0, wire.Request{Index: 3}))
		time.Sleep(time.Second)
	}
}

// learnsNothing fails if a byte was sent to a remote besides keep-alives.
func (w *world) learnsNothing(x *raw) {
	if st := x.s.Stats(); st.BytesOut > 20 || st.Feeds > 0 {
		w.t.Errorf("%d bytes were sent", st.BytesOut)
	}
}
