package protocol_test

import (
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/protocol/protocoltest"
	"github.com/go-hypercore/hypercore/protocol/wire"
)

// slowAttacks hold things up, or come again and again.
var slowAttacks = []attack{
	{
		name: "reads 64 bytes a second", deaf: true,
		run: func(w *world, x *raw) {
			go x.live()
			go x.repeat(20_000, func(b []byte, i uint64) []byte {
				return wire.AppendRequest(b, 1, wire.Request{Index: i % ownBlocks})
			})
			buf := make([]byte, 64)
			for {
				time.Sleep(time.Second)
				if _, err := x.conn.Read(buf); err != nil {
					return
				}
			}
		},
		native: protocol.ErrNotReading, v6: protocol.ErrNotReading, within: 2 * time.Minute,
	},
	{
		name: "reads 32 KiB a second", deaf: true,
		run: func(w *world, x *raw) {
			go x.live()
			go x.repeat(20_000, func(b []byte, i uint64) []byte {
				return wire.AppendRequest(b, 1, wire.Request{Index: i % ownBlocks})
			})
			buf := make([]byte, 32<<10)
			for {
				time.Sleep(time.Second)
				if _, err := x.conn.Read(buf); err != nil {
					return
				}
			}
		},
		held: "slow is no fault; two pieces of 16 to 512 KiB wait for it",
	},
	{
		name: "sends a byte every five seconds",
		run: func(w *world, x *raw) {
			b := frame(0, wire.TypeData, make([]byte, 1000)...)
			for i := range b {
				time.Sleep(5 * time.Second)
				if _, err := x.conn.Write(b[i : i+1]); err != nil {
					return
				}
			}
		},
		held: "memory follows the bytes that came: 16 KiB",
	},
	{
		name: "takes all requests, drips an answer of 8 MiB", deaf: true, ahead: time.Second,
		run: func(w *world, x *raw) {
			x.announce(0, w.f)
			go x.discard()
			b := large().block
			for i := 0; i < len(b); i += 1500 {
				time.Sleep(time.Second)
				if _, err := x.conn.Write(b[i : i+1500]); err != nil {
					return
				}
			}
		},
		held: "a large block on a slow line looks the same; what it was asked is asked of others",
	},
	{
		name: "takes all requests, sends kilobytes of keep-alives, alone", deaf: true, ahead: time.Minute,
		run: func(w *world, x *raw) {
			x.announce(0, w.f)
			go x.discard()
			x.zeros()
		},
		native: protocol.ErrSilent, v6: protocol.ErrSilent, within: time.Minute,
	},
	{
		name: "answers one block a second", deaf: true, ahead: time.Second,
		run: func(w *world, x *raw) {
			x.announce(0, w.f)
			go x.live()
			x.serve(w.f, func(p *feed.Proof) []byte { time.Sleep(time.Second); return data(p) })
		},
		held: "slow is no fault; the others are asked for more",
	},
	{
		name: "reconnects 200 times after a fault",
		run: func(w *world, x *raw) {
			x.send(wire.AppendWant(nil, 1, wire.Want{Length: 1 << 40}))
			for range 200 {
				ca, cb := protocoltest.Pipe(0)
				s := w.b.e.NewStream(cb, protocol.StreamOptions{Dialect: w.d, Plain: true, RemoteID: x.id, LocalID: x.peer, Kin: together})
				done := make(chan error, 1)
				go func() { done <- s.Run(ctx) }()
				y := &raw{t: w.t, conn: ca, id: x.id, peer: x.peer, s: s}
				v := *w
				v.x = y
				v.open(1, w.own.Key())
				y.send(wire.AppendHandshake(nil, 1, wire.Handshake{Live: true}))
				y.send(wire.AppendWant(nil, 1, wire.Want{Length: 1 << 40}))
				<-done
				ca.Close()
			}
			if n := len(w.b.blame); n != cap(w.b.blame) {
				w.t.Errorf("blamed %d times", n)
			}
		},
		native: wire.ErrRange, v6: wire.ErrRange, within: atOnce,
	},
}
