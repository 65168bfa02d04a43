package protocol_test

import (
	"errors"
	"time"

	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/protocol/wire"
)

const (
	// flood is how many messages a flood has: more than what may wait to be answered.
	flood = 150_000
	// unread bounds the time until a remote is dropped that makes us answer and reads nothing: it is
	// not read either then, and times out; or a write does not get through.
	unread = 70 * time.Second
)

// errUnread stands for ErrTimeout and ErrNotReading.
var errUnread = errors.New("either")

// askAttacks are floods.
var askAttacks = []attack{
	{
		name: "150000 Requests, answers never read", deaf: true,
		run: flooding(func(b []byte, i uint64) []byte {
			return wire.AppendRequest(b, 1, wire.Request{Index: i % ownBlocks})
		}),
		native: errUnread, v6: errUnread, within: unread,
	},
	{
		name: "150000 Requests, answers read",
		run: flooding(func(b []byte, i uint64) []byte {
			return wire.AppendRequest(b, 1, wire.Request{Index: i * 7 % ownBlocks})
		}),
		held: "each is answered, 65536 wait at most",
	},
	{
		name: "150000 Requests of unknown blocks, never read", deaf: true,
		run: flooding(func(b []byte, i uint64) []byte {
			return wire.AppendRequest(b, 1, wire.Request{Index: ownBlocks + i})
		}),
		native: errUnread, v6: errUnread, within: unread,
	},
	{
		name: "1000 requests for 4096 unknown blocks", dialect: onlyNative,
		run: func(w *world, x *raw) {
			x.repeat(1000, func(b []byte, i uint64) []byte {
				return wire.AppendRequestRange(b, 1, wire.RequestRange{Start: ownBlocks, Length: wire.MaxRunBlocks})
			})
			x.live()
		},
		held: "each is refused at once",
	},
	{
		name: "150000 waiting Requests, never read", deaf: true, dialect: onlyNative,
		run: flooding(func(b []byte, i uint64) []byte {
			return wire.AppendRequest(b, 1, wire.Request{Index: ownBlocks + i, Wait: true})
		}),
		native: errUnread, within: unread,
	},
	{
		name: "75000 waiting Requests, each taken back", dialect: onlyNative,
		run: flooding(func(b []byte, i uint64) []byte {
			if i%2 == 1 {
				return wire.AppendCancel(b, 1, wire.Cancel{Index: ownBlocks + i/2})
			}
			return wire.AppendRequest(b, 1, wire.Request{Index: ownBlocks + i/2, Wait: true})
		}),
		held: "one is kept at a time",
	},
	{
		name: "150000 seeks, never read", deaf: true,
		run: flooding(func(b []byte, i uint64) []byte {
			return wire.AppendRequest(b, 1, wire.Request{Bytes: 1 + i%1000, Hash: true, Nodes: 1<<53 - 1})
		}),
		native: errUnread, v6: errUnread, within: unread,
	},
	{
		name: "150000 Wants, never read", deaf: true, rough: true,
		run:    flooding(func(b []byte, i uint64) []byte { return wire.AppendWant(b, 1, wire.Want{Length: 1 << 20}) }),
		native: errUnread, v6: errUnread, within: unread,
	},
	{
		name: "150000 Wants of everything, read", rough: true,
		run:  flooding(func(b []byte, i uint64) []byte { return wire.AppendWant(b, 1, wire.Want{}) }),
		held: "each is answered, 65536 wait at most",
	},
	{
		name: "150000 Requests that are refused, never read", deaf: true, noUpload: true,
		run:    flooding(func(b []byte, i uint64) []byte { return wire.AppendRequest(b, 1, wire.Request{Index: i}) }),
		native: errUnread, v6: errUnread, within: unread,
	},
	{
		name: "ranges cut by Cancels, never read", deaf: true, dialect: onlyNative,
		run: func(w *world, x *raw) {
			x.repeat(5000, func(b []byte, i uint64) []byte {
				return wire.AppendRequestRange(b, 1, wire.RequestRange{Length: wire.MaxRunBlocks})
			})
			x.repeat(2000, func(b []byte, i uint64) []byte {
				return wire.AppendCancel(b, 1, wire.Cancel{Index: wire.MaxRunBlocks - 2 - 2*i, Length: 1 << 20})
			})
			x.live()
		},
		native: errUnread, within: unread,
	},
	{
		name: "150000 Cancels",
		run: flooding(func(b []byte, i uint64) []byte {
			return wire.AppendCancel(b, 1, wire.Cancel{Index: i})
		}),
		held: "each looks at 4096 requests at most",
	},
	{
		name: "150000 Haves of single blocks",
		run: flooding(func(b []byte, i uint64) []byte {
			return wire.AppendHave(b, 0, wire.Have{Start: i * 8193 % (1 << 20), Length: 1})
		}),
		held: "maps of one remote take 8 MiB at most",
	},
	{
		name: "150000 Haves of growing length",
		run: flooding(func(b []byte, i uint64) []byte {
			return wire.AppendHave(b, 0, wire.Have{Start: honestBlocks + i, Length: 1})
		}),
		native: protocol.ErrSilent, v6: protocol.ErrSilent, within: heldFor, // the block it announces is asked for
	},
	{
		name: "150000 Haves and Unhaves of a whole region",
		run: flooding(func(b []byte, i uint64) []byte {
			if i%2 == 0 {
				return wire.AppendHave(b, 0, wire.Have{Length: 1 << 20})
			}
			return wire.AppendUnhave(b, 0, wire.Unhave{Length: 1 << 20})
		}),
		held: "ranges cost what their regions do",
	},
	{
		name: "200 ragged maps of 128 KiB",
		run: func(w *world, x *raw) {
			ragged := make([]byte, 131072)
			for i := range ragged {
				ragged[i] = 0xaa
			}
			code := wire.EncodeRLE([]byte{}, ragged)
			for range 200 {
				if _, err := x.conn.Write(bitfield(0, code)); err != nil {
					return
				}
			}
			x.live()
		},
		native: protocol.ErrSilent, v6: protocol.ErrSilent, within: heldFor, // it is asked for what it announces
	},
}

// flooding is an attack that sends many messages, then keeps the stream alive.
func flooding(fn func(b []byte, i uint64) []byte) func(*world, *raw) {
	return func(_ *world, x *raw) {
		x.repeat(flood, fn)
		x.live()
	}
}
