package feed_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/feed/merkle"
	"github.com/go-hypercore/hypercore/store"
)

// proofOf reads a proof from bytes: whatever they are, it is one.
func proofOf(b []byte) (p feed.Proof) {
	u64 := func() uint64 {
		var x [8]byte
		b = b[copy(x[:], b):]
		return binary.BigEndian.Uint64(x[:])
	}
	take := func(n uint64) []byte {
		n = min(n, uint64(len(b)))
		x := b[:n:n]
		b = b[n:]
		return x
	}
	p.Index = u64()
	if n := u64(); n > 0 {
		p.Value = append([]byte{}, take(n-1)...)
	}
	for n := u64() % 5000; n > 0 && len(b) > 0; n-- {
		p.Sizes = append(p.Sizes, u64())
	}
	if n := u64(); n > 0 {
		p.Signature = append([]byte{}, take(n-1)...)
	}
	for len(b) > 0 {
		p.Nodes = append(p.Nodes, merkle.Node{Index: u64(), Size: u64(), Hash: merkle.Hash(append(take(32), make([]byte, 32)...))})
	}
	return p
}

// bytesOf is the reverse of proofOf.
func bytesOf(p feed.Proof) (b []byte) {
	put := func(x uint64) { b = binary.BigEndian.AppendUint64(b, x) }
	list := func(x []byte) {
		if x == nil {
			put(0)
			return
		}
		put(uint64(len(x)) + 1)
		b = append(b, x...)
	}
	put(p.Index)
	list(p.Value)
	put(uint64(len(p.Sizes)))
	for _, s := range p.Sizes {
		put(s)
	}
	list(p.Signature)
	for _, n := range p.Nodes {
		put(n.Index)
		put(n.Size)
		b = append(b, n.Hash[:]...)
	}
	return b
}

// FuzzApply gives a clone any proof. It is applied and true, or refused; then the
// clone can still get everything.
func FuzzApply(f *testing.F) {
	ctx := context.Background()
	src := open2(f, 70, 21)
	for _, i := range []uint64{0, 7, 16, 20} {
		f.Add(bytesOf(prove(f, src, i, 0)), uint8(0))
		f.Add(bytesOf(prove(f, src, i, 0)), uint8(5))
		f.Add(bytesOf(hashProof(f, src, i)), uint8(3))
	}
	f.Add(bytesOf(proveRun(f, src, 3, 9, 0, 0, nil)), uint8(4))
	f.Fuzz(func(t *testing.T, b []byte, have uint8) {
		dst, err := feed.Open(ctx, store.Memory(), feed.Options{Key: src.Key(), Durability: feed.NoSync})
		if err != nil {
			t.Fatal(err)
		}
		defer dst.Close()
		for i := range uint64(have % 8) {
			transfer(t, src, dst, i*3)
		}
		p := proofOf(b)
		_, err = dst.Apply(ctx, []feed.Proof{p})
		if err != nil && !errors.Is(err, feed.ErrInvalidProof) {
			t.Fatalf("not the sender's fault: %v", err)
		}
		if n := dst.Len(); n != 0 && n != 21 {
			t.Fatalf("length %d", n)
		}
		for i := range uint64(21) {
			if dst.Has(i) {
				if b, err := dst.Local(i); err != nil || !bytes.Equal(b, block(i)) {
					t.Fatalf("block %d: %q, %v", i, b, err)
				}
			}
			transfer(t, src, dst, i)
		}
		audit(t, dst)
	})
}

// FuzzOpen opens directories of which one file is anything.
func FuzzOpen(f *testing.F) {
	ctx := context.Background()
	st, _ := made(f, 71, 3, 1, 7)
	names := []string{"key", "secret_key", "data", "tree", "signatures", "bitfield", "journal", "fork"}
	for i, name := range names {
		f.Add(uint8(i), file(f, st, name))
		f.Add(uint8(i|8), file(f, st, name))
		f.Add(uint8(i), []byte("x"))
	}
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		if len(b) > 1<<16 {
			return
		}
		s := remove(t, st, names[which%8])
		if which&8 > 0 {
			s = remove(t, s, "journal")
		}
		put(t, s, names[which%8], b)
		for _, o := range []feed.Options{{ReadOnly: true}, {}, {Repair: true}} {
			g, err := feed.Open(ctx, s.Clone(), o)
			if err != nil {
				continue
			}
			if g.Len() > 11 && names[which%8] != "journal" {
				t.Fatalf("%d blocks", g.Len())
			}
			if _, err := g.Audit(ctx, feed.AuditOptions{}); err != nil {
				t.Fatalf("audit: %v", err)
			}
			for i := range g.Len() {
				g.Local(i)
			}
			if o.Repair && g.Writable() && g.Stats().Err == nil {
				if _, err := g.Append(ctx, []byte("x")); err != nil {
					t.Fatalf("append: %v", err)
				}
			}
			g.Close()
		}
	})
}

// FuzzForkEvidence reads evidence; what verifies reads back the same.
func FuzzForkEvidence(f *testing.F) {
	ctx := context.Background()
	a, b := history(f, "a", 3, 5), history(f, "b", 3, 9)
	st := store.Memory()
	dst := open(f, st, feed.Options{Key: a.Key()})
	for i := range uint64(5) {
		transfer(f, a, dst, i)
	}
	dst.Apply(ctx, []feed.Proof{prove(f, b, 4, 0)})
	f.Add(file(f, st, "fork"))
	f.Add([]byte(`{"key":"","Ours":{}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var e, again feed.ForkEvidence
		if json.Unmarshal(b, &e) != nil {
			return
		}
		ok := e.Verify() == nil
		out, err := json.Marshal(&e)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(out, &again); err != nil {
			t.Fatal(err)
		}
		if ok != (again.Verify() == nil) {
			t.Error("written and read again it is another")
		}
	})
}
