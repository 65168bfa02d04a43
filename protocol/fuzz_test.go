package protocol_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/feed/merkle"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/protocol/protocoltest"
	"github.com/go-hypercore/hypercore/protocol/wire"
)

// FuzzSession gives a sequence of frames to a live engine, after a proper opening: as a source would
// send them to a clone, or as a clone to a source. Nothing may panic, hang, or let anything but the
// writer's blocks in.
func FuzzSession(f *testing.F) {
	src := open(f, feed.Options{SecretKey: seedKey(4)})
	var blocks [][]byte
	for i := range 20 {
		blocks = append(blocks, bytes.Repeat([]byte{byte(i)}, 3*i))
	}
	if _, err := src.Append(ctx, blocks...); err != nil {
		f.Fatal(err)
	}
	if err := src.Sync(ctx); err != nil {
		f.Fatal(err)
	}
	var good []byte
	good = wire.AppendHave(good, 0, wire.Have{Start: 19, Length: 1})
	good = wire.AppendHave(good, 0, wire.Have{Length: 1 << 20, HasBitfield: true, Bitfield: wire.EncodeRLE([]byte{}, src.Bitmap(nil, 0, 24))})
	for i := range uint64(20) {
		p, err := src.Proof(ctx, i)
		if err != nil {
			f.Fatal(err)
		}
		good = wire.AppendData(good, 0, wire.DataOf[merkle.Node]{Index: i, Value: p.Value, HasValue: true, Nodes: p.Nodes, Signature: p.Signature})
	}
	var asks []byte
	asks = wire.AppendWant(asks, 0, wire.Want{Length: 1 << 20})
	asks = wire.AppendRequest(asks, 0, wire.Request{Index: 3})
	asks = wire.AppendRequest(asks, 0, wire.Request{Index: 4, Hash: true, Nodes: 9})
	asks = wire.AppendRequest(asks, 0, wire.Request{Bytes: 50, Hash: true})
	asks = wire.AppendRequest(asks, 0, wire.Request{Index: 20, Wait: true})
	asks = wire.AppendRequestRange(asks, 0, wire.RequestRange{Start: 2, Length: 9})
	asks = wire.AppendCancel(asks, 0, wire.Cancel{Index: 4, Length: 3})
	asks = wire.AppendCancel(asks, 0, wire.Cancel{Index: 20})
	asks = wire.AppendUnwant(asks, 0, wire.Unwant{})
	asks = wire.AppendInfo(asks, 0, wire.Info{Uploading: true})
	var odd []byte
	odd = wire.AppendUnhave(odd, 0, wire.Unhave{Start: 1 << 30, Length: 1 << 40})
	odd = wire.AppendNoData(odd, 0, wire.NoData{Index: 5, Length: 10, Reason: wire.ReasonNotHere})
	odd = wire.AppendExtension(odd, 0, 0, []byte("x"))
	odd = wire.AppendFeed(odd, 0, wire.Feed{DiscoveryKey: src.DiscoveryKey()})
	odd = wire.AppendHave(odd, 0, wire.Have{Start: 0, Length: wire.MaxBlocks})
	for _, s := range [][]byte{good, asks, odd, append(bytes.Clone(asks), odd...), append(bytes.Clone(good), asks...)} {
		for _, way := range []byte{0, 1, 2, 3} {
			f.Add(way, s)
		}
	}

	f.Fuzz(func(t *testing.T, way byte, in []byte) {
		if len(in) > 1<<16 {
			return
		}
		b := newSide(t, "b")
		var g *feed.Feed
		if way&1 == 0 {
			g = b.clone(src.Key(), false)
		} else {
			g = open(t, feed.Options{SecretKey: seedKey(4)})
			if _, err := g.Append(ctx, blocks...); err != nil {
				t.Fatal(err)
			}
			b.add(g)
		}
		ca, cb := protocoltest.Pipe(1 << 20)
		o := protocol.StreamOptions{LocalID: b.id, RemoteID: []byte("x"), Ends: way&4 != 0}
		first := wire.Feed{DiscoveryKey: src.DiscoveryKey()}
		if way&2 == 0 {
			first.Nonce = make([]byte, wire.NonceLen)
			c := protocol.Capability(src.Key(), []byte("x"), b.id, first.Nonce)
			first.Capability = c[:]
		} else {
			o.Dialect, o.Plain = protocol.V6, true
		}
		s := b.e.NewStream(cb, o)
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		go func() { // the answers
			buf := make([]byte, 4096)
			for {
				if _, err := ca.Read(buf); err != nil {
					return
				}
			}
		}()
		ca.Write(wire.AppendFeed(nil, 0, first))
		ca.Write(wire.AppendHandshake(nil, 0, wire.Handshake{Live: way&4 == 0}))
		ca.Write(in)
		ca.CloseWrite()
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			t.Fatal("the stream does not end")
		}
		ca.Close()
		for i := range g.Len() {
			if v, err := g.Local(i); err == nil && !bytes.Equal(v, blocks[i]) {
				t.Fatalf("block %d is wrong", i)
			}
		}
		b.e.Close()
		g.Close()
	})
}
