package protocol_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/feed/merkle"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/protocol/wire"
	"github.com/go-hypercore/hypercore/store"
)

// wants opens the feed of a side as a native remote that downloads.
func (x *raw) wants(key feed.Key) {
	x.hello(key)
	x.send(wire.AppendWant(nil, 0, wire.Want{Length: 1 << 20}))
	for {
		var m wire.Have
		if err := wire.ParseHave(x.next(wire.TypeHave).Body, &m); err != nil {
			x.t.Fatal(err)
		}
		if m.HasBitfield {
			return
		}
	}
}

// one returns the next frame of any type but keep-alives.
func (x *raw) one() wire.Frame {
	x.t.Helper()
	f, err := x.r.Next()
	if err != nil {
		x.t.Fatal(err)
	}
	return f
}

// haves fails unless the next frame announces a block.
func (x *raw) haves(i uint64) {
	x.t.Helper()
	var m wire.Have
	if f := x.one(); f.Type != wire.TypeHave || wire.ParseHave(f.Body, &m) != nil || m.Start != i || m.Length != 1 {
		x.t.Fatalf("%v %+v instead of Have %d", f.Type, m, i)
	}
}

// brings fails unless the next frame is a block that the clone g, which has what came before,
// can verify.
func (x *raw) brings(g *feed.Feed, i uint64) {
	x.t.Helper()
	fr := x.one()
	var m wire.DataOf[merkle.Node]
	if fr.Type != wire.TypeData || wire.ParseData(fr.Body, &m) != nil || m.Index != i || !bytes.Equal(m.Value, content(i)) {
		x.t.Fatalf("%v of block %d instead of Data of block %d", fr.Type, m.Index, i)
	}
	p := feed.Proof{Index: i, Value: m.Value, Nodes: m.Nodes, Signature: m.Signature}
	if _, err := g.Apply(ctx, []feed.Proof{p}); err != nil {
		x.t.Fatal(err)
	}
}

// denies fails unless the next frame is a NoData.
func (x *raw) denies(i uint64, reason wire.Reason) {
	x.t.Helper()
	var m wire.NoData
	if f := x.one(); f.Type != wire.TypeNoData || wire.ParseNoData(f.Body, &m) != nil || m.Index != i || m.Length != 1 || m.Reason != reason {
		x.t.Fatalf("%v %+v instead of NoData %d, %v", f.Type, m, i, reason)
	}
}

func waiting(i uint64) []byte {
	return wire.AppendRequest(nil, 0, wire.Request{Index: i, Wait: true})
}

// TestWaitingRequest: a request for a block that is not there yet is answered when it is, in place
// of an announcement; one per channel, until it is cancelled.
func TestWaitingRequest(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a := newSide(t, "a")
		f := a.create(5)
		x := dial(t, a, "reader", protocol.StreamOptions{})
		g := open(t, feed.Options{Key: f.Key(), Sparse: true})
		x.wants(f.Key())

		x.send(waiting(4)) // is there
		x.brings(g, 4)
		x.send(waiting(5))
		synctest.Wait()
		appendBlocks(t, f, 1)
		x.brings(g, 5)
		appendBlocks(t, f, 1) // nothing waits any more
		x.haves(6)

		// Of several new blocks the others are announced.
		x.send(waiting(8))
		synctest.Wait()
		appendBlocks(t, f, 3)
		got := map[wire.Type]int{}
		for range 3 {
			got[x.one().Type]++
		}
		if got[wire.TypeHave] != 2 || got[wire.TypeData] != 1 {
			t.Error("three blocks, of which one was waited for, came as", got)
		}

		x.send(waiting(10))
		x.send(waiting(11)) // one too many
		x.denies(11, wire.ReasonLater)
		x.send(wire.AppendCancel(nil, 0, wire.Cancel{Index: 10}))
		x.denies(10, wire.ReasonCancelled)
		appendBlocks(t, f, 1)
		x.haves(10)

		x.send(waiting(1 << 40))
		synctest.Wait()
		x.send(wire.AppendCancel(nil, 0, wire.Cancel{Index: 1<<40 - 1, Length: 2}))
		x.denies(1<<40, wire.ReasonCancelled)
		x.send(wire.AppendRequest(nil, 0, wire.Request{Index: 11})) // without wait: as ever
		x.denies(11, wire.ReasonNotHere)

		x.send(waiting(11))
		synctest.Wait()
		x.s.Close()
		<-x.done
		appendBlocks(t, f, 1)
	})
}

// TestWaitingRequestDurable: what is waited for is sent when it could be announced, not before.
func TestWaitingRequestDurable(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a := newSide(t, "a")
		disk := &slowDisk{store.Memory(), make(chan struct{})}
		f, err := feed.Open(ctx, disk, feed.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		a.add(f)
		x := dial(t, a, "reader", protocol.StreamOptions{})
		x.wants(f.Key())
		x.send(waiting(0))
		synctest.Wait()
		before := x.s.Stats().BytesOut
		if _, err := f.Append(ctx, content(0)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if out := x.s.Stats().BytesOut; out != before {
			t.Error(out-before, "bytes were sent before the block was durable")
		}
		close(disk.free)
		x.brings(open(t, feed.Options{Key: f.Key(), Sparse: true}), 0)
		x.s.Close()
		<-x.done
	})
}

// asksFor fails unless the next Request is for a block, and waits or not.
func (x *raw) asksFor(i uint64, wait bool) {
	x.t.Helper()
	var m wire.Request
	if err := wire.ParseRequest(x.next(wire.TypeRequest).Body, &m); err != nil || m.Hash || m.Index != i || m.Wait != wait {
		x.t.Fatalf("%+v instead of block %d, waiting %v", m, i, wait)
	}
}

func (x *raw) cancels(i uint64) {
	x.t.Helper()
	var m wire.Cancel
	if err := wire.ParseCancel(x.next(wire.TypeCancel).Body, &m); err != nil || m.Index != i {
		x.t.Fatalf("%+v instead of block %d", m, i)
	}
}

// source is a remote that has f as it is.
func source(t *testing.T, b *side, id string, f *feed.Feed) *raw {
	x := dial(t, b, id, protocol.StreamOptions{Feeds: []feed.Key{f.Key()}})
	x.hello(f.Key())
	x.next(wire.TypeWant)
	n := f.Len()
	x.send(wire.AppendHave(nil, 0, wire.Have{Start: 0, Length: n}))
	bits := wire.EncodeRLE([]byte{}, f.Bitmap(nil, 0, (n+7)&^7))
	x.send(wire.AppendHave(nil, 0, wire.Have{Start: 0, Length: 1 << 20, Bitfield: bits, HasBitfield: true}))
	return x
}

// gives sends a block of f with its proof.
func (x *raw) gives(f *feed.Feed, i uint64) {
	x.t.Helper()
	p, err := f.Proof(ctx, i)
	if err != nil {
		x.t.Fatal(err)
	}
	x.send(data(&p))
}

// proves answers the question for the hash of the last block, see swarm.compare.
func (x *raw) proves(f *feed.Feed, i uint64) {
	x.t.Helper()
	var p feed.Proof
	if err := f.Prove(feed.ProofRequest{Index: i, Hash: true}, nil, &p); err != nil {
		x.t.Fatal(err)
	}
	x.next(wire.TypeRequest)
	x.send(wire.AppendData(nil, 0, wire.DataOf[merkle.Node]{Index: i, Nodes: p.Nodes, Signature: p.Signature}))
}

type got struct {
	b   []byte
	err error
}

func get(c context.Context, g *feed.Feed, i uint64) chan got {
	ch := make(chan got, 1)
	go func() {
		b, err := g.Get(c, i)
		ch <- got{b, err}
	}()
	return ch
}

// TestWaitAtTheEnd: a Get of the block after the last one is asked for at once, taken back with the
// Get, asked for again, and left to announcements where the remote does not keep it.
func TestWaitAtTheEnd(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newSide(t, "b")
		f := open(t, feed.Options{})
		appendBlocks(t, f, 1)
		g := b.clone(f.Key(), true)
		x := source(t, b, "source", f)
		first := get(ctx, g, 0)
		x.asksFor(0, false)
		x.gives(f, 0)
		if r := <-first; r.err != nil {
			t.Fatal(r.err)
		}
		second := get(ctx, g, 1)
		x.proves(f, 0)
		x.asksFor(1, true)
		appendBlocks(t, f, 1)
		x.gives(f, 1)
		if r := <-second; r.err != nil || !bytes.Equal(r.b, content(1)) {
			t.Fatal(r.err)
		}

		c, cancel := context.WithCancel(ctx)
		third := get(c, g, 2)
		x.asksFor(2, true)
		cancel()
		if r := <-third; !errors.Is(r.err, context.Canceled) {
			t.Fatal(r.err)
		}
		x.cancels(2)
		third = get(ctx, g, 2)
		synctest.Wait()
		x.send(wire.AppendNoData(nil, 0, wire.NoData{Index: 2, Length: 1, Reason: wire.ReasonCancelled}))
		x.asksFor(2, true)
		x.send(wire.AppendNoData(nil, 0, wire.NoData{Index: 2, Length: 1, Reason: wire.ReasonNotHere}))
		synctest.Wait()
		appendBlocks(t, f, 1)
		x.send(wire.AppendHave(nil, 0, wire.Have{Start: 2, Length: 1}))
		x.asksFor(2, false)
		x.gives(f, 2)
		if r := <-third; r.err != nil || !bytes.Equal(r.b, content(2)) {
			t.Fatal(r.err)
		}
		x.s.Close()
		<-x.done
	})
}

// TestWaitElsewhere: the block is taken from whoever has it first, and the request that waits is
// taken back.
func TestWaitElsewhere(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newSide(t, "b")
		f := open(t, feed.Options{})
		appendBlocks(t, f, 1)
		g := b.clone(f.Key(), true)
		x := source(t, b, "slow", f)
		first := get(ctx, g, 0)
		x.asksFor(0, false)
		x.gives(f, 0)
		if r := <-first; r.err != nil {
			t.Fatal(r.err)
		}
		x.proves(f, 0)
		y := source(t, b, "fast", f)
		y.proves(f, 0)
		second := get(ctx, g, 1)
		x.asksFor(1, true) // it had the newest block first
		appendBlocks(t, f, 1)
		y.send(wire.AppendHave(nil, 0, wire.Have{Start: 1, Length: 1}))
		y.asksFor(1, false)
		y.gives(f, 1)
		if r := <-second; r.err != nil || !bytes.Equal(r.b, content(1)) {
			t.Fatal(r.err)
		}
		x.cancels(1)
		third := get(ctx, g, 2)
		y.asksFor(2, true)
		x.gives(f, 1) // the Cancel was too late
		appendBlocks(t, f, 1)
		y.gives(f, 2)
		if r := <-third; r.err != nil || !bytes.Equal(r.b, content(2)) {
			t.Fatal(r.err)
		}
		for _, x := range []*raw{x, y} {
			x.s.Close()
			<-x.done
		}
		if len(b.blame) > 0 {
			t.Error((<-b.blame).Reason)
		}
	})
}

// TestWaitingRequestAnsweredWrongly: a block that was waited for is verified as any other.
func TestWaitingRequestAnsweredWrongly(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newSide(t, "b")
		f := open(t, feed.Options{})
		appendBlocks(t, f, 1)
		g := b.clone(f.Key(), true)
		x := source(t, b, "evil", f)
		get(ctx, g, 0)
		x.asksFor(0, false)
		x.gives(f, 0)
		x.proves(f, 0)
		second := get(ctx, g, 1)
		x.asksFor(1, true)
		appendBlocks(t, f, 1)
		p, err := f.Proof(ctx, 1)
		if err != nil {
			t.Fatal(err)
		}
		p.Value[0] ^= 1
		x.send(data(&p))
		if err := wait(t, "end", x.done); !isRemote(err) {
			t.Error("ended with", err)
		}
		synctest.Wait()
		select {
		case r := <-second:
			t.Error("Get returned", r)
		default:
		}
		g.Close()
		<-second
	})
}
