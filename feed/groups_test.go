package feed_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/store"
)

// TestGetLong: in a feed that is longer than its cached tree every block is found
// again and again, whether the blocks around it have its size or not, before and
// after some were cleared and while more are appended.
func TestGetLong(t *testing.T) {
	for name, size := range map[string]func(i uint64) int{
		"mixed": func(i uint64) int {
			if i/1000%3 == 1 {
				return 8 + int(i*i%23) // a stretch of mixed sizes
			}
			return 8 + int(i/5000)
		},
		"even":          func(uint64) int { return 11 },
		"even at first": func(i uint64) int { return 9 + int(min(1, i/30_001)) },
		"even in part":  func(i uint64) int { return 9 + int(i/32768) },
	} {
		t.Run(name, func(t *testing.T) { getLong(t, size) })
	}
}

func getLong(t *testing.T, size func(i uint64) int) {
	const n = 80_000
	ctx := context.Background()
	f := open(t, store.Memory(), feed.Options{Durability: feed.NoSync})
	grow := func(to uint64) {
		t.Helper()
		for f.Len() < to {
			var batch [][]byte
			for i := f.Len(); i < to && len(batch) < 4096; i++ {
				batch = append(batch, binary.BigEndian.AppendUint64(make([]byte, size(i)-8), i))
			}
			if _, err := f.Append(ctx, batch...); err != nil {
				t.Fatal(err)
			}
		}
	}
	grow(n)
	src := rand.New(rand.NewPCG(1, 2))
	check := func(i uint64) {
		t.Helper()
		want := binary.BigEndian.AppendUint64(make([]byte, size(i)-8), i)
		if got, err := f.Local(i); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("block %d is %x, %v; want %x", i, got, err, want)
		}
		if got, err := f.BlockSize(i); err != nil || got != uint64(size(i)) {
			t.Fatalf("block %d has %d bytes, %v; want %d", i, got, err, size(i))
		}
	}
	for range 20_000 {
		check(src.Uint64N(n))
	}
	if err := f.Clear(ctx, 10_000, 10_100); err != nil {
		t.Fatal(err)
	}
	grow(n + 100)
	for range 20_000 {
		if i := src.Uint64N(n + 100); i < 10_000 || i >= 10_100 {
			check(i)
		} else if f.Has(i) {
			t.Fatalf("block %d was cleared", i)
		}
	}
	check(9_999)
	check(10_100)
	// Runs that begin in one group and end in another.
	for i := uint64(20_000); i < 30_000; i += 777 {
		buf, sizes, err := f.ReadBlocks(nil, i, 300, nil)
		if err != nil {
			t.Fatal(err)
		}
		for k, s := range sizes {
			if at := i + uint64(k); s != uint64(size(at)) || binary.BigEndian.Uint64(buf[s-8:]) != at {
				t.Fatalf("block %d of the run from %d", at, i)
			}
			buf = buf[s:]
		}
	}
}

// TestGetLongDamaged: a damaged size in the tree does not put the blocks behind it
// out of place.
func TestGetLongDamaged(t *testing.T) {
	const n, bad = 70_000, 30_001
	ctx := context.Background()
	st := store.Memory()
	f := open(t, st, feed.Options{Durability: feed.NoSync})
	block := func(i uint64) []byte { return binary.BigEndian.AppendUint64(nil, i) }
	for f.Len() < n {
		var batch [][]byte
		for i := f.Len(); i < n && len(batch) < 4096; i++ {
			batch = append(batch, block(i))
		}
		if _, err := f.Append(ctx, batch...); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	tree, err := st.Open("tree", false)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []byte{9, 0xff} {
		if _, err := tree.WriteAt([]byte{size}, 32+2*bad*40+39); err != nil {
			t.Fatal(err)
		}
		f = open(t, st, feed.Options{MustExist: true})
		for i := uint64(bad - 2000); i < bad+2000; i += 7 {
			if i/64 == bad/64 {
				continue
			}
			if got, err := f.Local(i); err != nil || !bytes.Equal(got, block(i)) {
				t.Fatalf("block %d is %x, %v", i, got, err)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	tree.Close()
}
