package protocol_test

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/protocol/wire"
)

// TestAddDoesNotWait: a V6 remote has asked for blocks of a feed that is not here, and of another one for so many,
// without reading them, that no more of its requests are taken. The feed can be added at once, and what was asked of it
// is answered when the remote reads.
func TestAddDoesNotWait(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		const early, many = 16, 72_000 // more than are kept, and what is being answered
		b := newSide(t, "b")
		own, later := open(t, feed.Options{}), open(t, feed.Options{})
		appendBlocks(t, later, 1)
		if _, err := own.Append(ctx, bytes.Repeat([]byte{1}, 100)); err != nil {
			t.Fatal(err)
		}
		if err := own.Sync(ctx); err != nil {
			t.Fatal(err)
		}
		b.add(own)
		x := dialRoom(t, b, "x", protocol.StreamOptions{Dialect: protocol.V6, Plain: true, Kin: together}, 4<<10)
		go func() {
			x.send(wire.AppendFeed(nil, 0, wire.Feed{DiscoveryKey: own.DiscoveryKey()}))
			x.send(wire.AppendHandshake(nil, 0, wire.Handshake{Live: true}))
			x.send(wire.AppendFeed(nil, 1, wire.Feed{DiscoveryKey: later.DiscoveryKey()}))
			x.repeat(early, func(b []byte, _ uint64) []byte { return wire.AppendRequest(b, 1, wire.Request{}) })
			x.repeat(many, func(b []byte, _ uint64) []byte { return wire.AppendRequest(b, 0, wire.Request{}) })
		}()
		synctest.Wait()
		start := time.Now()
		b.add(later)
		if d := time.Since(start); d > 0 {
			t.Errorf("the feed was added after %v", d)
		}
		answers := [2]int{}
		for answers[0] < many || answers[1] < early {
			f := x.next(wire.TypeData)
			answers[f.Channel]++
		}
		if answers != [2]int{many, early} {
			t.Errorf("%d answers, and %d for the feed that was added later", answers[0], answers[1])
		}
		x.s.Close()
		<-x.done
	})
}
