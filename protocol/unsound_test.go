package protocol_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/feed/merkle"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/protocol/wire"
	"github.com/go-hypercore/hypercore/store"
)

// TestUnsoundWriter: a writer signs a tree in which each of two blocks gives the other one another
// size. The reader keeps what came first, asks for nothing more, and blames nobody: the one who sends
// it may have it from the writer.
func TestUnsoundWriter(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		secret := seedKey(44)
		key := feed.Key(secret.Public().(ed25519.PublicKey))
		values := [][]byte{[]byte("AAAAA"), []byte("BBBBBB")}
		l, r := merkle.Leaf(0, values[0]), merkle.Leaf(1, values[1])
		lx, rx := l, r
		lx.Size, rx.Size = l.Size+1<<40, r.Size+1<<40
		root, err := merkle.Join(l, rx)
		if err != nil {
			t.Fatal(err)
		}
		hash := merkle.TreeHash([]merkle.Node{root})
		sig := ed25519.Sign(secret, hash[:])

		b := newSide(t, "b")
		f := b.clone(key, false)
		x := dial(t, b, "x", protocol.StreamOptions{Feeds: []feed.Key{key}})
		x.hello(key)
		x.send(wire.AppendHave(nil, 0, wire.Have{Start: 0, Length: 2}))
		go x.discard()
		synctest.Wait()
		for i, sib := range []merkle.Node{rx, lx} {
			x.send(data(&feed.Proof{Index: uint64(i), Value: values[i], Nodes: []merkle.Node{sib}, Signature: sig}))
			synctest.Wait()
		}
		if got, err := f.Local(0); err != nil || !bytes.Equal(got, values[0]) {
			t.Errorf("block 0: %q, %v", got, err)
		}
		if got, err := f.Local(1); !errors.Is(err, feed.ErrNotLocal) {
			t.Errorf("block 1: %q, %v", got, err)
		}
		if err := f.Stats().Err; !errors.Is(err, feed.ErrUnsound) {
			t.Error("the feed says", err)
		}
		if len(b.blame) > 0 {
			t.Errorf("blamed: %+v", <-b.blame)
		}
		x.bye()
	})
}

// largest notes the largest read of the data file.
type largest struct {
	store.Storage
	read *atomic.Int64
}

func (l largest) Open(name string, create bool) (store.File, error) {
	f, err := l.Storage.Open(name, create)
	if err != nil || name != "data" {
		return f, err
	}
	return largestFile{f, l.read}, nil
}

type largestFile struct {
	store.File
	read *atomic.Int64
}

func (f largestFile) ReadAt(b []byte, off int64) (int, error) {
	for was := f.read.Load(); int64(len(b)) > was && !f.read.CompareAndSwap(was, int64(len(b))); was = f.read.Load() {
	}
	return f.File.ReadAt(b, off)
}

// TestSmallBeforeLarge: a small block is read together with its neighbours; large ones behind it are
// not, however many are asked for.
func TestSmallBeforeLarge(t *testing.T) {
	var read atomic.Int64
	f, err := feed.Open(ctx, largest{store.Memory(), &read}, feed.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const size, n = 1 << 20, 24
	blocks := [][]byte{[]byte("x"), []byte("y")}
	for range n {
		blocks = append(blocks, make([]byte, size))
	}
	if _, err := f.Append(ctx, blocks...); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	bubble.Test(t, func(t *testing.T) {
		b := newSide(t, "b")
		b.add(f)
		x := dialRoom(t, b, "x", protocol.StreamOptions{}, 64<<20)
		x.hello(f.Key())
		var ask []byte
		for i := range uint64(n + 2) {
			ask = wire.AppendRequest(ask, 0, wire.Request{Index: i})
		}
		x.send(ask)
		for i := range uint64(n + 2) {
			var m wire.Data
			if fr := x.next(wire.TypeData); wire.ParseData(fr.Body, &m) != nil || m.Index != i {
				t.Fatalf("block %d came instead of %d", m.Index, i)
			}
		}
		if got := read.Load(); got > size {
			t.Errorf("%d bytes were read at once, of blocks of %d", got, size)
		}
		x.bye()
	})
}
