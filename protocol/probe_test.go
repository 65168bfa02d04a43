package protocol_test

import (
	"errors"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/protocol/wire"
	"github.com/go-hypercore/hypercore/store"
	"github.com/go-hypercore/hypercore/store/storetest"
)

// TestProbeLocalFailure: a remote counts on nodes that are not here, so its block
// does not add up; when it has shown the whole proof our disk fails. That is not
// its fault: it keeps its stream, and is asked again when the disk is well.
func TestProbeLocalFailure(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, b := newSide(t, "a"), newSide(t, "b")
		f := a.create(40)
		disk := storetest.NewFaulty(store.Memory())
		g, err := feed.Open(ctx, disk, feed.Options{Key: f.Key()})
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		b.add(g)
		probed := make(chan struct{})
		x := dial(t, b, "x", protocol.StreamOptions{Feeds: []feed.Key{f.Key()}})
		go func() {
			x.hello(f.Key())
			x.send(wire.AppendHave(nil, 0, wire.Have{Start: 7, Length: 1}))
			x.send(wire.AppendHave(nil, 0, wire.Have{Length: 1 << 20, Bitfield: wire.EncodeRLE([]byte{}, []byte{1}), HasBitfield: true}))
			for {
				fr, err := x.r.Next()
				if err != nil {
					return
				}
				var m wire.Request
				if fr.Type != wire.TypeRequest || wire.ParseRequest(fr.Body, &m) != nil {
					continue
				}
				p, err := f.Proof(ctx, m.Index)
				if err != nil {
					return
				}
				if !m.Hash {
					p.Nodes, p.Signature = nil, nil
				} else {
					disk.Fail(storetest.Fault{Kinds: []storetest.Kind{storetest.Write}, File: "data"})
					p = hashOf(f, m.Index)
					close(probed)
				}
				x.send(data(&p))
			}
		}()
		<-probed
		time.Sleep(10 * time.Second)
		if err := g.Stats().Err; !errors.Is(err, storetest.ErrInjected) {
			t.Errorf("the feed says %v", err)
		}
		select {
		case bl := <-b.blame:
			t.Errorf("blamed: %v", bl)
		case err := <-x.done:
			t.Errorf("the stream has ended: %v", err)
		default:
		}
		disk.Heal()
		l := connect(a, b, linkOptions{feedsB: []feed.Key{f.Key()}})
		download(t, g, 0, 40)
		same(t, g, 0, 40)
		l.close()
		<-l.errA
		<-l.errB
		x.s.Close()
		x.conn.Close()
	})
}

// hashOf is the whole proof of a block, without the block.
func hashOf(f *feed.Feed, i uint64) (p feed.Proof) {
	if err := f.Prove(feed.ProofRequest{Index: i, Hash: true}, nil, &p); err != nil {
		panic(err)
	}
	return p
}
