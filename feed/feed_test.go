package feed_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/store"
)

// open opens a feed that the test closes.
func open(t testing.TB, st store.Storage, o feed.Options) *feed.Feed {
	t.Helper()
	f, err := feed.Open(context.Background(), st, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// block is the content of block i in most tests.
func block(i uint64) []byte { return fmt.Appendf(nil, "block %d of the feed", i) }

func appendN(t testing.TB, f *feed.Feed, n int) {
	t.Helper()
	for range n {
		if _, err := f.Append(context.Background(), block(f.Len())); err != nil {
			t.Fatal(err)
		}
	}
}

func check(t testing.TB, f *feed.Feed, want [][]byte) {
	t.Helper()
	if f.Len() != uint64(len(want)) {
		t.Fatalf("length %d, want %d", f.Len(), len(want))
	}
	var bytesTotal uint64
	for i, w := range want {
		bytesTotal += uint64(len(w))
		if w == nil {
			if _, err := f.Local(uint64(i)); !errors.Is(err, feed.ErrNotLocal) {
				t.Fatalf("block %d: %v, want ErrNotLocal", i, err)
			}
			continue
		}
		b, err := f.Local(uint64(i))
		if err != nil {
			t.Fatalf("block %d: %v", i, err)
		}
		if !bytes.Equal(b, w) {
			t.Fatalf("block %d is %q, want %q", i, b, w)
		}
	}
}

func TestAppendReopen(t *testing.T) {
	ctx := context.Background()
	st := store.Memory()
	f := open(t, st, feed.Options{})
	var want [][]byte
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 20 {
		var batch [][]byte
		for range r.IntN(40) {
			b := make([]byte, r.IntN(300))
			if r.IntN(20) == 0 {
				b = make([]byte, 20000)
			}
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			batch = append(batch, b)
		}
		first, err := f.Append(ctx, batch...)
		if err != nil || first != uint64(len(want)) {
			t.Fatalf("Append = %d, %v; want %d", first, err, len(want))
		}
		want = append(want, batch...)
		check(t, f, want)
		if round%5 == 4 {
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			f = open(t, st, feed.Options{MustExist: true})
			check(t, f, want)
		}
	}
}

func TestClone(t *testing.T) {
	ctx := context.Background()
	src := open(t, store.Memory(), feed.Options{})
	var want [][]byte
	for range 5 {
		var batch [][]byte
		for range 50 {
			batch = append(batch, block(uint64(len(want)+len(batch))))
		}
		if _, err := src.Append(ctx, batch...); err != nil {
			t.Fatal(err)
		}
		want = append(want, batch...)
	}
	if err := src.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 3))
		st := store.Memory()
		dst := open(t, st, feed.Options{Key: src.Key()})
		for _, i := range r.Perm(len(want)) {
			var p feed.Proof
			if err := src.Prove(feed.ProofRequest{Index: uint64(i), Digest: dst.Digest(uint64(i))}, nil, &p); err != nil {
				t.Fatal(err)
			}
			var err error
			if p.Value, err = src.ReadBlock(nil, uint64(i)); err != nil {
				t.Fatal(err)
			}
			if n, err := dst.Apply(ctx, []feed.Proof{p}); n != 1 || err != nil {
				t.Fatalf("seed %d: Apply block %d: %d, %v", seed, i, n, err)
			}
			if r.IntN(50) == 0 {
				if err := dst.Close(); err != nil {
					t.Fatal(err)
				}
				dst = open(t, st, feed.Options{})
			}
		}
		check(t, dst, want)
	}
}
