package protocol_test

import (
	"bytes"

	"github.com/go-hypercore/hypercore/feed/merkle"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/protocol/wire"
)

// hypercore 6 passes over a message that it cannot read; the native dialect does not.
const passedOver = "the message is passed over, as in hypercore 6"

// formatAttacks are single messages that make other implementations fail.
var formatAttacks = []attack{
	{
		name: "Have and Unhave of 2^52 blocks",
		run: func(w *world, x *raw) {
			x.repeat(1000, func(b []byte, i uint64) []byte {
				b = wire.AppendHave(b, 0, wire.Have{Start: i, Length: wire.MaxBlocks - i})
				return wire.AppendUnhave(b, 0, wire.Unhave{Start: i, Length: wire.MaxBlocks - i})
			})
			x.live()
		},
		held: "ranges cost what their regions do",
	},
	{
		name: "Have whose end passes 2^53", run: garbage(wire.AppendHave(nil, 0, wire.Have{Start: wire.MaxBlocks, Length: wire.MaxBlocks})),
		native: wire.ErrRange, held: passedOver, within: atOnce,
	},
	{
		name: "bitfield of 2^40 bytes from 7", run: saying(bitfield(0, varint(1<<42|3))),
		native: wire.ErrRLE, v6: wire.ErrRLE, within: atOnce,
	},
	{
		name: "bitfield of 512 MiB from 5 bytes", run: saying(bitfield(0, varint(1<<31|3))),
		native: wire.ErrRLE, v6: wire.ErrRLE, within: atOnce,
	},
	{
		name: "whole map of 512 MiB from 5 bytes",
		run:  saying(wire.AppendHave(nil, 0, wire.Have{Length: 1, HasBitfield: true, Bitfield: varint(1<<31 | 3)})), native: wire.ErrRLE, v6: wire.ErrRLE, within: atOnce,
	},
	{
		name: "bitfield that ends in a varint", run: saying(bitfield(0, []byte{0xff, 0xff})),
		native: wire.ErrRLE, v6: wire.ErrRLE, within: atOnce,
	},
	{
		name: "bitfield that ends in a literal", run: saying(bitfield(0, []byte{0x20, 1, 2})),
		native: wire.ErrRLE, v6: wire.ErrRLE, within: atOnce,
	},
	{
		name: "bitfield that begins at block 3", run: garbage(bitfield(3, []byte{0x07})),
		native: wire.ErrRange, held: passedOver, within: atOnce,
	},
	{
		name: "bitfield for 2^40 blocks", run: saying(wire.AppendHave(nil, 0, wire.Have{Length: 1 << 40, HasBitfield: true})),
		native: wire.ErrRange, v6: wire.ErrRange, within: atOnce,
	},
	{
		name: "Want of 2^40 blocks", run: saying(wire.AppendWant(nil, 1, wire.Want{Length: 1 << 40})),
		native: wire.ErrRange, v6: wire.ErrRange, within: atOnce,
	},
	{
		name: "Want of 2^30 blocks", run: saying(wire.AppendWant(nil, 1, wire.Want{Length: 1 << 30})),
		native: wire.ErrRange, v6: wire.ErrRange, within: atOnce,
	},
	{
		name: "varint of 200 bytes", run: garbage(frame(1, wire.TypeRequest, append([]byte{0x08}, bytes.Repeat([]byte{0xff}, 200)...)...)),
		native: wire.ErrInteger, held: passedOver, within: atOnce,
	},
	{
		name: "varint without end in 8 MiB", run: garbage(frame(1, wire.TypeHave, append([]byte{0x08}, bytes.Repeat([]byte{0x80}, 8_000_000)...)...)),
		native: wire.ErrInteger, held: passedOver, within: atOnce,
	},
	{
		name: "length of a frame without end", run: saying(bytes.Repeat([]byte{0xff}, 64)),
		native: wire.ErrFrameTooLarge, v6: wire.ErrFrameTooLarge, within: atOnce,
	},
	{
		name: "header without end", run: saying(append([]byte{20}, bytes.Repeat([]byte{0xff}, 20)...)),
		native: wire.ErrChannel, v6: wire.ErrChannel, within: atOnce,
	},
	{
		name: "index of 2^53", run: garbage(wire.AppendRequest(nil, 1, wire.Request{Index: 1 << 53})),
		native: wire.ErrInteger, held: passedOver, within: atOnce,
	},
	{
		name: "byte offset of 2^53", run: garbage(wire.AppendRequest(nil, 1, wire.Request{Bytes: 1 << 53, Hash: true})),
		native: wire.ErrInteger, held: passedOver, within: atOnce,
	},
	{
		name: "node size of 2^53", run: garbage(proofFrame(merkle.Node{Index: 2, Size: 1 << 53})),
		native: wire.ErrInteger, held: passedOver, within: atOnce,
	},
	{
		name: "hash of 31 bytes", run: garbage(frame(0, wire.TypeData, append([]byte{8, 0}, field(3, append([]byte{8, 2, 0x18, 1}, field(2, make([]byte, 31))...))...)...)),
		native: wire.ErrLength, held: passedOver, within: atOnce,
	},
	{
		name: "signature of 63 bytes", run: garbage(frame(0, wire.TypeData, append([]byte{8, 0, 0x12, 0}, field(4, make([]byte, 63))...)...)),
		native: wire.ErrLength, held: passedOver, within: atOnce,
	},
	{
		name: "value that passes the end", run: garbage(frame(0, wire.TypeData, 8, 0, 0x12, 0xff, 0xff, 3, 1)),
		native: wire.ErrTruncated, held: passedOver, within: atOnce,
	},
	{
		name: "Data without value and nodes", run: saying(wire.AppendData(nil, 0, wire.Data{Index: 1})),
		native: protocol.ErrEmptyData, v6: protocol.ErrEmptyData, within: atOnce,
	},
	{
		name: "Data with 100000 nodes",
		run: func(w *world, x *raw) {
			one := field(3, append([]byte{8, 2, 0x18, 1}, field(2, make([]byte, 32))...))
			x.send(frame(0, wire.TypeData, append([]byte{8, 0}, bytes.Repeat(one, 100_000)...)...))
			x.live()
		},
		native: wire.ErrTooMany, held: passedOver, within: atOnce,
	},
	{
		name: "100000 sizes for one run", dialect: onlyNative,
		run:    saying(frame(0, wire.TypeDataRange, append(append([]byte{8, 0}, field(5, bytes.Repeat([]byte{1}, 100_000))...), field(2, make([]byte, 100_000))...)...)),
		native: wire.ErrTooMany, within: atOnce,
	},
	{
		name: "request for 2^50 blocks", dialect: onlyNative,
		run:    saying(wire.AppendRequestRange(nil, 1, wire.RequestRange{Start: 0, Length: 1 << 50})),
		native: wire.ErrTooMany, within: atOnce,
	},
}

// garbage is an attack that goes on keeping the stream alive.
func garbage(b []byte) func(*world, *raw) {
	return func(_ *world, x *raw) {
		x.send(b)
		x.live()
	}
}

func varint(v uint64) []byte { return wire.AppendVarint(nil, v) }

// bitfield is a Have of a region from start on.
func bitfield(start uint64, code []byte) []byte {
	return wire.AppendHave(nil, 0, wire.Have{Start: start, Length: 1 << 20, HasBitfield: true, Bitfield: code})
}

// proofFrame is a Data without value.
func proofFrame(nodes ...merkle.Node) []byte {
	return wire.AppendData(nil, 0, wire.DataOf[merkle.Node]{Index: 0, Nodes: nodes})
}
