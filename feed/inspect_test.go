package feed_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/store"
)

// vectorDirectory is a case of trees.json as npm writes it.
func vectorDirectory(t *testing.T, k int, v9 bool) *store.MemoryStorage {
	t.Helper()
	var v treeVectors
	vectors(t, "trees.json", &v)
	c := v.Cases[k]
	var data []byte
	i := uint64(0)
	for _, batch := range c.Batches {
		for _, raw := range batch {
			data = append(data, blockOf(t, i, raw)...)
			i++
		}
	}
	st := store.Memory()
	put(t, st, "key", c.Files.Key)
	put(t, st, "secret_key", c.Files.SecretKey)
	put(t, st, "tree", c.Files.Tree)
	put(t, st, "signatures", c.Files.Signatures)
	if v9 {
		put(t, st, "signatures", c.V9)
	}
	put(t, st, "bitfield", c.Files.Bitfield.bytes(t))
	put(t, st, "data", data)
	return st
}

// TestInspectVectors: directories of npm agree with themselves, and the form of
// their signatures is told.
func TestInspectVectors(t *testing.T) {
	var v treeVectors
	vectors(t, "trees.json", &v)
	for k, c := range v.Cases {
		for _, v9 := range []bool{false, true} {
			var nodes, sigs uint64
			r, err := feed.Inspect(context.Background(), vectorDirectory(t, k, v9), feed.InspectOptions{
				Node: func(feed.InspectedNode) { nodes++ }, NodeEnd: 1 << 53,
				Signature: func(feed.InspectedSignature) { sigs++ }, SignatureEnd: 1 << 53,
			})
			if err != nil || r.Count != 0 {
				t.Fatalf("%s: %v, %v", c.Name, err, r)
			}
			s := r.Signatures
			if right, wrong := s.TreeHash, s.Length; s.Present != sigs || v9 && wrong != s.Checked || !v9 && right != s.Checked || s.Checked != sigs {
				t.Errorf("%s, 9: %v: %+v", c.Name, v9, s)
			}
			if l := r.Lengths; l.Bitfield != c.Length || l.Signatures != c.Length || nodes != r.Tree.Present || r.Bitfield.Blocks.Count != c.Length {
				t.Errorf("%s: %+v, %+v", c.Name, l, r.Tree)
			}
		}
	}
}

// TestInspectDamage: any damage is told or passed over, never fatal, and nothing
// is changed by it.
func TestInspectDamage(t *testing.T) {
	ctx := context.Background()
	if _, err := feed.Inspect(ctx, store.Memory(), feed.InspectOptions{}); !errors.Is(err, feed.ErrNotFound) {
		t.Errorf("nothing there: %v", err)
	}
	for _, name := range []string{"key", "secret_key", "tree", "signatures", "bitfield", "data", "journal"} {
		for seed := range uint64(40) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			st := store.Memory()
			f := open(t, st, feed.Options{SecretKey: keyFromSeed(1)})
			for i := range 9 {
				if _, err := f.Append(ctx, bytes.Repeat([]byte{1}, i)); err != nil {
					t.Fatal(err)
				}
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			b := file(t, st, name)
			if rnd.IntN(2) == 0 {
				b = b[:rnd.IntN(len(b))]
			}
			for range rnd.IntN(4) {
				if len(b) > 0 {
					b[rnd.IntN(len(b))] ^= byte(1 << rnd.IntN(8))
				}
			}
			put(t, st, name, b)
			if _, err := feed.Inspect(ctx, st, feed.InspectOptions{MaxRanges: 2}); err != nil {
				t.Fatalf("%s, seed %d: %v", name, seed, err)
			}
			if !bytes.Equal(file(t, st, name), b) {
				t.Fatalf("%s, seed %d: changed", name, seed)
			}
		}
	}
}
