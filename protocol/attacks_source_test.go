package protocol_test

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/feed/merkle"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/protocol/wire"
)

// sourceAttacks are sources that lie.
var sourceAttacks = []attack{
	{
		name: "announces everything, answers nothing", deaf: true, ahead: 2 * time.Second,
		run: func(w *world, x *raw) {
			x.announce(0, w.f)
			go x.live()
			x.discard()
		},
		native: protocol.ErrSilent, v6: protocol.ErrSilent, within: time.Minute, mayHold: true,
		held: "nothing is asked of it any more",
	},
	{
		name: "announces everything, answers nothing, alone", deaf: true, ahead: time.Minute,
		run: func(w *world, x *raw) {
			x.announce(0, w.f)
			go x.live()
			x.discard()
		},
		native: protocol.ErrSilent, v6: protocol.ErrSilent, within: time.Minute,
	},
	{
		name: "announces 2^52 blocks, answers nothing", deaf: true, ahead: time.Second,
		run: func(w *world, x *raw) {
			x.send(wire.AppendHave(nil, 0, wire.Have{Length: wire.MaxBlocks}))
			go x.live()
			x.discard()
		},
		native: protocol.ErrSilent, v6: protocol.ErrSilent, within: time.Minute,
	},
	lying(10, "wrong value", func(p *feed.Proof) { p.Value = append(bytes.Clone(p.Value), 1) }),
	lying(10, "wrong hash", func(p *feed.Proof) { p.Nodes[0].Hash[5] ^= 1 }),
	lying(0, "wrong signature", func(p *feed.Proof) { p.Signature = bytes.Repeat([]byte{1}, 64) }),
	lying(10, "no nodes", func(p *feed.Proof) { p.Nodes = nil }),
	lying(10, "sizes whose sum passes 2^53", func(p *feed.Proof) {
		for i := range p.Nodes {
			p.Nodes[i].Size = merkle.MaxInt
		}
	}),
	lying(10, "bytes moved between siblings", func(p *feed.Proof) {
		// The leaf of the block takes some from its sibling: their sum is what is hashed.
		p.Nodes[0].Size++
		p.Value = p.Value[:max(0, len(p.Value)-1)]
	}),
	{
		name: "old signature replayed", deaf: true, ahead: time.Second,
		run: func(w *world, x *raw) {
			old := w.old(100)
			sig, err := old.Proof(ctx, 0)
			if err != nil {
				w.t.Error(err)
				return
			}
			x.announce(0, w.f)
			x.serve(w.f, func(p *feed.Proof) []byte { p.Signature = sig.Signature; return data(p) })
		},
		native: feed.ErrInvalidProof, v6: feed.ErrInvalidProof, within: 10 * time.Second,
	},
	{
		name: "another history by the same key", deaf: true,
		run: func(w *world, x *raw) {
			key := seedKey(77)
			f1, f2 := open(w.t, feed.Options{SecretKey: key}), open(w.t, feed.Options{SecretKey: key})
			for i := range 40 {
				if i < 3 {
					f1.Append(ctx, []byte(fmt.Sprint(i)))
				}
				f2.Append(ctx, []byte(fmt.Sprint("other ", i)))
			}
			h := w.b.clone(f1.Key(), false)
			w.open(2, h.Key())
			x.announce(2, f1)
			go func() {
				time.Sleep(time.Second)
				x.announce(2, f2)
				x.live()
				if h.Fork() == nil {
					w.t.Error("no evidence of the fork")
				}
			}()
			from := f1
			x.serveAs(func() *feed.Feed {
				if h.Len() >= 3 {
					from = f2
				}
				return from
			}, func(p *feed.Proof) []byte {
				return wire.AppendData(nil, 2, wire.DataOf[merkle.Node]{Index: p.Index, Value: p.Value, HasValue: true, Nodes: p.Nodes, Signature: p.Signature})
			})
		},
		held: "the writer's fault: that feed freezes, others go on",
	},
	{
		name: "valid blocks nobody asked for",
		run: func(w *world, x *raw) {
			var list [][]byte
			for i := range uint64(100) {
				p, err := w.f.Proof(ctx, i)
				if err != nil {
					w.t.Error(err)
				}
				list = append(list, data(&p))
			}
			x.repeat(20_000, func(b []byte, i uint64) []byte { return append(b, list[i%100]...) })
		},
		native: protocol.ErrUnasked, v6: protocol.ErrUnasked, within: 10 * time.Second,
	},
	{
		name: "hashes nobody asked for",
		run: func(w *world, x *raw) {
			b := proofFrame(merkle.Node{Index: 0, Size: 1})
			x.repeat(20_000, func(c []byte, _ uint64) []byte { return append(c, b...) })
		},
		native: protocol.ErrUnasked, v6: protocol.ErrUnasked, within: 10 * time.Second,
	},
	{
		name: "runs nobody asked for beside answers", dialect: []protocol.Dialect{protocol.Native}, deaf: true, ahead: time.Second,
		run: func(w *world, x *raw) {
			x.announce(0, w.f)
			go x.live()
			run := wire.AppendDataRange(nil, 0, wire.DataRange{Start: 1 << 40, Sizes: slices.Repeat([]uint64{1}, 100), Values: make([]byte, 100)})
			x.serve(w.f, func(p *feed.Proof) []byte { return append(data(p), run...) })
		},
		native: protocol.ErrUnasked, within: time.Second,
	},
	{
		name: "8 MiB blocks nobody asked for",
		run: func(w *world, x *raw) {
			b := large().block
			for range 20 {
				x.send(b)
			}
			x.live()
		},
		held: "a few may cross; bytes that wait are bounded",
	},
	{
		name: "tiny answers between frames of 8 MiB",
		run: func(w *world, x *raw) {
			tiny := proofFrame(merkle.Node{Index: 0, Size: 1})
			junk := large().junk
			for range 20 {
				x.send(tiny)
				x.send(junk)
			}
			x.live()
		},
		held: "memory counts, not the bytes of the answers",
	},
}

// lying is a source whose answers are spoiled after so many good ones.
func lying(good int, name string, spoil func(p *feed.Proof)) attack {
	return attack{
		name: name, deaf: true, ahead: time.Second,
		run: func(w *world, x *raw) {
			x.announce(0, w.f)
			n := 0
			x.serve(w.f, func(p *feed.Proof) []byte {
				if n++; n > good {
					spoil(p)
				}
				return data(p)
			})
		},
		native: feed.ErrInvalidProof, v6: feed.ErrInvalidProof, within: 10 * time.Second,
	}
}

// large are frames of almost 8 MiB: a block, and what has no meaning. The memory is the attacker's.
var large = sync.OnceValue(func() (f struct{ block, junk []byte }) {
	f.block = wire.AppendData(nil, 0, wire.Data{Index: 1, HasValue: true, Value: make([]byte, 8_000_000)})
	f.junk = frame(0, 13, make([]byte, 8_000_000)...)
	return f
})

// announce tells that all of f is there.
func (x *raw) announce(channel uint64, f *feed.Feed) {
	x.send(wire.AppendHave(nil, channel, wire.Have{Length: f.Len()}))
	bits := wire.EncodeRLE([]byte{}, f.Bitmap(nil, 0, (f.Len()+7)&^7))
	x.send(wire.AppendHave(nil, channel, wire.Have{Length: 1 << 20, Bitfield: bits, HasBitfield: true}))
}

// old is the honest feed as it was when it had n blocks.
func (w *world) old(n int) *feed.Feed {
	f := open(w.t, feed.Options{SecretKey: honestKey})
	appendBlocks(w.t, f, n)
	return f
}
