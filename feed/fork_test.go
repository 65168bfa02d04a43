package feed_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/feed/merkle"
	"github.com/go-hypercore/hypercore/store"
	"github.com/go-hypercore/hypercore/store/storetest"
)

// history returns a synced feed of one writer with n blocks, of which the first
// same are those of every history.
func history(t testing.TB, name string, same, n int) *feed.Feed {
	t.Helper()
	ctx := context.Background()
	f := open(t, store.Memory(), feed.Options{SecretKey: keyFromSeed(9)})
	for i := range n {
		b := block(uint64(i))
		if i >= same {
			b = fmt.Appendf(nil, "%s %d", name, i)
		}
		if _, err := f.Append(ctx, b); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	return f
}

// hashProof is the full proof of a block without the block.
func hashProof(t testing.TB, f *feed.Feed, i uint64) feed.Proof {
	t.Helper()
	var p feed.Proof
	if err := f.Prove(feed.ProofRequest{Index: i, Hash: true}, nil, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// checkForked checks everything that a fork must lead to.
func checkForked(t *testing.T, st *store.MemoryStorage, f *feed.Feed, err error) {
	t.Helper()
	ctx := context.Background()
	if !errors.Is(err, feed.ErrFork) || errors.Is(err, feed.ErrInvalidProof) {
		t.Fatalf("error %v, want ErrFork", err)
	}
	var fork *feed.ForkError
	if !errors.As(err, &fork) {
		t.Fatal("not a ForkError")
	}
	if err := fork.Evidence.Verify(); err != nil {
		t.Fatal(err)
	}
	var kept feed.ForkEvidence
	if err := json.Unmarshal(file(t, st, "fork"), &kept); err != nil {
		t.Fatal(err)
	}
	if err := kept.Verify(); err != nil {
		t.Errorf("the file fork: %v", err)
	}
	for range 2 {
		if _, err := f.Apply(ctx, []feed.Proof{{Value: []byte("x")}}); !errors.Is(err, feed.ErrFrozen) {
			t.Errorf("Apply: %v", err)
		}
		if err := f.Clear(ctx, 0, 1); !errors.Is(err, feed.ErrFrozen) {
			t.Errorf("Clear: %v", err)
		}
		if f.Fork() == nil || !errors.Is(f.Stats().Err, feed.ErrFork) {
			t.Error("nothing tells of the fork")
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		f = open(t, st, feed.Options{})
	}
	// What was there can be read.
	if f.Has(0) {
		if b, err := f.Local(0); err != nil || string(b) != string(block(0)) {
			t.Errorf("block 0: %q, %v", b, err)
		}
	}
}

// TestFork meets a second history in every way.
func TestFork(t *testing.T) {
	ctx := context.Background()
	all := func(t *testing.T, src *feed.Feed, st *store.MemoryStorage) *feed.Feed {
		f := open(t, st, feed.Options{Key: src.Key()})
		for i := range src.Len() {
			transfer(t, src, f, i)
		}
		return f
	}
	t.Run("same length", func(t *testing.T) {
		a, b := history(t, "a", 3, 5), history(t, "b", 3, 5)
		st := store.Memory()
		f := all(t, a, st)
		_, err := f.Apply(ctx, []feed.Proof{prove(t, b, 4, 0)})
		checkForked(t, st, f, err)
	})
	t.Run("longer, a held node differs", func(t *testing.T) {
		for i := uint64(0); i < 20; i++ {
			a, b := history(t, "a", 3, 5), history(t, "b", 3, 20)
			st := store.Memory()
			f := all(t, a, st)
			p := prove(t, b, i, 0)
			_, err := f.Apply(ctx, []feed.Proof{p})
			switch {
			case errors.Is(err, feed.ErrFork):
				checkForked(t, st, f, err)
			case err != nil:
				t.Fatalf("block %d: %v", i, err)
			case i < 3:
				// What both have proves nothing, as long as the new roots are not looked at.
			default:
				// A longer history without a look at the old one: the links ask for it.
				d := f.Demand()
				if f.Len() != 20 || len(d.Links) != 1 {
					t.Fatalf("block %d: length %d, links %v", i, f.Len(), d.Links)
				}
				_, err := f.Apply(ctx, []feed.Proof{hashProof(t, b, d.Links[0])})
				checkForked(t, st, f, err)
			}
		}
	})
	t.Run("shorter", func(t *testing.T) {
		a, b := history(t, "a", 3, 20), history(t, "b", 3, 5)
		st := store.Memory()
		f := all(t, a, st)
		_, err := f.Apply(ctx, []feed.Proof{prove(t, b, 4, 0)})
		checkForked(t, st, f, err)
	})
	t.Run("the writer itself", func(t *testing.T) {
		b := history(t, "b", 3, 9)
		st := store.Memory()
		a := open(t, st, feed.Options{SecretKey: keyFromSeed(9)})
		for i := range 5 {
			x := block(uint64(i))
			if i >= 3 {
				x = []byte("a")
			}
			if _, err := a.Append(ctx, x); err != nil {
				t.Fatal(err)
			}
		}
		_, err := a.Apply(ctx, []feed.Proof{hashProof(t, b, 4)})
		if _, aerr := a.Append(ctx, []byte("x")); !errors.Is(aerr, feed.ErrFrozen) {
			t.Errorf("Append: %v", aerr)
		}
		checkForked(t, st, a, err)
	})
	t.Run("told by digests", func(t *testing.T) {
		// A peer with another history leaves out what the digest claims: what it
		// sends does not add up, and is not believed. Asked again it shows all.
		a, b := history(t, "a", 3, 5), history(t, "b", 3, 20)
		st := store.Memory()
		f := all(t, a, st)
		if _, err := f.Apply(ctx, []feed.Proof{prove(t, b, 5, f.Digest(5))}); !errors.Is(err, feed.ErrInvalidProof) {
			t.Fatalf("error %v", err)
		}
		_, err := f.Apply(ctx, []feed.Proof{prove(t, b, 5, 0)})
		checkForked(t, st, f, err)
	})
	t.Run("damage is not a fork", func(t *testing.T) {
		a := history(t, "a", 20, 20)
		st := store.Memory()
		f := all(t, a, st)
		f.Close()
		tree := file(t, st, "tree")
		tree[32+40*4] ^= 1 // leaf of block 2
		put(t, st, "tree", tree)
		f = open(t, st, feed.Options{})
		if _, err := f.Apply(ctx, []feed.Proof{prove(t, a, 2, 0)}); err != nil || f.Fork() != nil {
			t.Errorf("error %v", err)
		}
		audit(t, f) // the proof has mended it
	})
}

// TestLinks: a length that does not show the old roots is linked later, across
// restarts, and then everything can be proven from the longest length.
func TestLinks(t *testing.T) {
	ctx := context.Background()
	src := history(t, "a", 100, 5)
	st := store.Memory()
	f := open(t, st, feed.Options{Key: src.Key(), Sparse: true})
	transfer(t, src, f, 0)
	grow := func(n uint64) {
		for src.Len() < n {
			if _, err := src.Append(ctx, block(src.Len())); err != nil {
				t.Fatal(err)
			}
		}
		if err := src.Sync(ctx); err != nil {
			t.Fatal(err)
		}
	}
	grow(20)
	transfer(t, src, f, 17)
	grow(40)
	transfer(t, src, f, 38)
	if d := f.Demand(); f.Len() != 40 || len(d.Links) != 2 {
		t.Fatalf("length %d, links %v", f.Len(), d.Links)
	}
	f.Close()
	f = open(t, st, feed.Options{Sparse: true})
	links := f.Demand().Links
	if len(links) != 2 {
		t.Fatalf("links %v after a restart", links)
	}
	// Blocks of both sides can be fetched meanwhile.
	for _, i := range []uint64{1, 18, 30} {
		transfer(t, src, f, i)
	}
	for range 4 {
		d := f.Demand()
		if len(d.Links) == 0 {
			break
		}
		if _, err := f.Apply(ctx, []feed.Proof{hashProof(t, src, d.Links[0])}); err != nil {
			t.Fatal(err)
		}
	}
	if d := f.Demand(); len(d.Links) != 0 {
		t.Errorf("links %v are left", d.Links)
	}
	if err := f.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	for _, i := range []uint64{0, 1, 17, 18, 30, 38} {
		if b, err := f.Local(i); err != nil || string(b) != string(block(i)) {
			t.Errorf("block %d: %q, %v", i, b, err)
		}
		// And served to others.
		g := open(t, store.Memory(), feed.Options{Key: src.Key()})
		if _, err := g.Apply(ctx, []feed.Proof{prove(t, f, i, 0)}); err != nil || g.Len() != 40 {
			t.Errorf("block %d from the clone: %v, length %d", i, err, g.Len())
		}
		g.Close()
	}
	audit(t, f)
}

// TestHostileProofs: what a peer can send that is wrong is the peer's fault,
// changes nothing and breaks nothing.
func TestHostileProofs(t *testing.T) {
	ctx := context.Background()
	src := history(t, "a", 20, 20)
	good := prove(t, src, 7, 0)
	clone := func(change func(p *feed.Proof)) feed.Proof {
		p := good
		p.Value = append([]byte(nil), good.Value...)
		p.Nodes = append([]merkle.Node(nil), good.Nodes...)
		p.Signature = append([]byte(nil), good.Signature...)
		change(&p)
		return p
	}
	bad := map[string]feed.Proof{
		"value":            clone(func(p *feed.Proof) { p.Value[0] ^= 1 }),
		"value cut":        clone(func(p *feed.Proof) { p.Value = p.Value[1:] }),
		"empty":            clone(func(p *feed.Proof) { p.Value = []byte{} }),
		"nothing":          {Index: 7},
		"index":            clone(func(p *feed.Proof) { p.Index = 8 }),
		"huge index":       clone(func(p *feed.Proof) { p.Index = 1 << 60 }),
		"large index":      clone(func(p *feed.Proof) { p.Index = 1<<52 - 1 }),
		"no nodes":         clone(func(p *feed.Proof) { p.Nodes = nil }),
		"no signature":     clone(func(p *feed.Proof) { p.Signature = nil }),
		"short signature":  clone(func(p *feed.Proof) { p.Signature = p.Signature[:63] }),
		"signature":        clone(func(p *feed.Proof) { p.Signature[5] ^= 1 }),
		"node hash":        clone(func(p *feed.Proof) { p.Nodes[1].Hash[3] ^= 1 }),
		"node size":        clone(func(p *feed.Proof) { p.Nodes[1].Size++ }),
		"huge size":        clone(func(p *feed.Proof) { p.Nodes[1].Size = 1<<64 - 1 }),
		"node index":       clone(func(p *feed.Proof) { p.Nodes[1].Index += 2 }),
		"huge node":        clone(func(p *feed.Proof) { p.Nodes[len(p.Nodes)-1].Index = 1<<64 - 1 }),
		"order":            clone(func(p *feed.Proof) { p.Nodes[0], p.Nodes[1] = p.Nodes[1], p.Nodes[0] }),
		"one node more":    clone(func(p *feed.Proof) { p.Nodes = append(p.Nodes, merkle.Node{Index: 40}) }),
		"a root too few":   clone(func(p *feed.Proof) { p.Nodes = p.Nodes[:len(p.Nodes)-1] }),
		"thousands":        clone(func(p *feed.Proof) { p.Nodes = make([]merkle.Node, 5000) }),
		"another feed's":   prove(t, open2(t, 12, 20), 7, 0),
		"sizes moved":      clone(func(p *feed.Proof) { p.Nodes[0].Size++; p.Nodes[1].Size-- }),
		"value of another": clone(func(p *feed.Proof) { p.Value = block(8) }),
	}
	for name, p := range bad {
		t.Run(name, func(t *testing.T) {
			for _, have := range []uint64{0, 5} {
				f := open(t, store.Memory(), feed.Options{Key: src.Key()})
				for i := range have {
					transfer(t, src, f, i)
				}
				n, err := f.Apply(ctx, []feed.Proof{p, prove(t, src, 2, 0)})
				if have == 5 && err == nil {
					continue // what is held already has decided
				}
				if n != 0 || !errors.Is(err, feed.ErrInvalidProof) {
					t.Fatalf("with %d blocks: %d, %v", have, n, err)
				}
				var pe *feed.ProofError
				if !errors.As(err, &pe) || pe.Index != p.Index {
					t.Errorf("ProofError %+v", pe)
				}
				if f.Has(7) || f.Stats().Err != nil {
					t.Error("it had an effect")
				}
				if _, err := f.Apply(ctx, []feed.Proof{good}); err != nil {
					t.Errorf("the right proof afterwards: %v", err)
				}
				audit(t, f)
				f.Close()
			}
		})
	}
}

// open2 returns a feed of another writer.
func open2(t testing.TB, seed uint64, n int) *feed.Feed {
	f := open(t, store.Memory(), feed.Options{SecretKey: keyFromSeed(seed)})
	appendN(t, f, n)
	if err := f.Sync(context.Background()); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestSizesOfHashReplies: a peer can move bytes between a leaf and its sibling in
// a reply without value. That must not place any data.
func TestSizesOfHashReplies(t *testing.T) {
	ctx := context.Background()
	src := history(t, "a", 20, 20)
	for _, i := range []uint64{6, 7} {
		f := open(t, store.Memory(), feed.Options{Key: src.Key(), Sparse: true})
		transfer(t, src, f, 0)
		p := hashProof(t, src, i)
		p.Nodes[0].Size += 3
		p.Nodes[1].Size -= 3
		if _, err := f.Apply(ctx, []feed.Proof{p}); err != nil {
			t.Fatalf("block %d: %v", i, err)
		}
		for _, j := range []uint64{7, 8, 5, 6} {
			transfer(t, src, f, j)
		}
		for _, j := range []uint64{0, 5, 6, 7, 8} {
			if b, err := f.Local(j); err != nil || string(b) != string(block(j)) {
				t.Errorf("block %d: %q, %v", j, b, err)
			}
		}
		audit(t, f)
		f.Close()
	}
}

// TestForkFullDisk: evidence for which there is no room is written when there is some,
// and what was left of it at worst still freezes the feed, which can be read.
func TestForkFullDisk(t *testing.T) {
	ctx := t.Context()
	a, b := history(t, "a", 3, 5), history(t, "b", 3, 5)
	start := store.Memory()
	f := open(t, start, feed.Options{Key: a.Key()})
	for i := range a.Len() {
		transfer(t, a, f, i)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	forked := func(t *testing.T) (*store.MemoryStorage, *storetest.Faulty, *feed.Feed) {
		t.Helper()
		st := start.Clone()
		y := storetest.NewFaulty(st)
		y.Fail(storetest.Fault{File: "fork", Kinds: []storetest.Kind{storetest.Write}, Mode: storetest.Short, Err: syscall.ENOSPC})
		f := open(t, y, feed.Options{})
		if _, err := f.Apply(ctx, []feed.Proof{prove(t, b, 4, 0)}); !errors.Is(err, feed.ErrFork) {
			t.Fatal(err)
		}
		return st, y, f
	}
	for name, again := range map[string]func(f *feed.Feed) error{
		"Sync":  func(f *feed.Feed) error { return f.Sync(ctx) },
		"Close": (*feed.Feed).Close,
	} {
		t.Run(name, func(t *testing.T) {
			st, y, f := forked(t)
			defer f.Close()
			if n := len(file(t, st, "fork")); n != 0 {
				t.Errorf("%d bytes of the evidence were left", n)
			}
			if name == "Sync" {
				if err := f.Sync(ctx); !errors.Is(err, syscall.ENOSPC) {
					t.Errorf("without room: %v", err)
				}
			}
			y.Heal()
			if err := again(f); err != nil {
				t.Fatal(err)
			}
			var kept feed.ForkEvidence
			if err := json.Unmarshal(file(t, st, "fork"), &kept); err != nil || kept.Verify() != nil {
				t.Errorf("the file fork: %v, %v", err, kept.Verify())
			}
		})
	}
	st, y, f := forked(t)
	y.Heal()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	whole := file(t, st, "fork")
	flipped := append([]byte(nil), whole...)
	flipped[strings.Index(string(whole), "hash")+10] ^= 1
	for name, left := range map[string][]byte{"half": whole[:len(whole)/2], "flipped": flipped, "zeros": make([]byte, 4096)} {
		for _, o := range modes {
			t.Run(name+", "+modeName(o), func(t *testing.T) {
				st := start.Clone()
				put(t, st, "fork", left)
				f := open(t, st, o)
				defer f.Close()
				if b, err := f.Local(4); err != nil || string(b) != "a 4" {
					t.Errorf("block 4: %q, %v", b, err)
				}
				if f.Fork() != nil || (name == "zeros") != (f.Stats().Err == nil) {
					t.Errorf("evidence %v, %v", f.Fork(), f.Stats().Err)
				}
				if name != "zeros" && !errors.Is(f.Stats().Err, feed.ErrFrozen) {
					t.Error(f.Stats().Err)
				}
				if _, err := f.Apply(ctx, []feed.Proof{prove(t, a, 4, 0)}); name != "zeros" && !o.ReadOnly && !errors.Is(err, feed.ErrFrozen) {
					t.Errorf("Apply: %v", err)
				}
			})
		}
	}
}
