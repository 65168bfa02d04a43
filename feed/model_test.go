package feed_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/store"
)

// parkable is a storage in memory on which a feed can park.
type parkable struct{ *store.MemoryStorage }

func (p parkable) Stamp(name string) (store.Stamp, error) { return stampOf(p.MemoryStorage, name) }

// TestModel does random things to a feed, a clone of it and a clone of the clone,
// and compares them with a plain slice.
func TestModel(t *testing.T) {
	for seed := range uint64(testRounds(25)) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { model(t, seed) })
	}
}

func model(t *testing.T, seed uint64) {
	ctx := context.Background()
	r := rand.New(rand.NewPCG(seed, 41))
	type side struct {
		st   parkable
		f    *feed.Feed
		want [][]byte // nil: not here
		o    feed.Options
	}
	var sides [3]*side
	lot := feed.NewLot(feed.LotOptions{Open: 1})
	for i := range sides {
		o := feed.Options{Sparse: true, VerifyReads: r.IntN(2) == 0, Durability: feed.Durability(r.IntN(3))}
		if i == 0 {
			o.SecretKey = keyFromSeed(seed)
		} else {
			o.Key = sides[0].f.Key()
		}
		if r.IntN(2) == 0 { // where there is room for one feed
			o.Lot = lot
		}
		st := parkable{store.Memory()}
		sides[i] = &side{st: st, f: open(t, st, o), o: o}
	}
	var all [][]byte
	w := sides[0]
	for range 120 {
		s := sides[r.IntN(3)]
		switch r.IntN(10) {
		case 0, 1, 2:
			var batch [][]byte
			for range 1 + r.IntN(1+r.IntN(70)) {
				n := r.IntN(60)
				if r.IntN(30) == 0 {
					n = 40000
				}
				b := make([]byte, n)
				for k := range b {
					b[k] = byte(r.Uint32())
				}
				batch = append(batch, b)
			}
			first, err := w.f.Append(ctx, batch...)
			if err != nil || first != uint64(len(all)) {
				t.Fatalf("Append: %d, %v", first, err)
			}
			all = append(all, batch...)
			w.want = append(w.want, batch...)
		case 3, 4, 5, 6: // download from another side
			from := sides[r.IntN(3)]
			if from == s || from.f.Len() == 0 {
				continue
			}
			if err := from.f.Sync(ctx); err != nil {
				t.Fatal(err)
			}
			i := r.Uint64N(from.f.Len())
			if from.want[i] == nil || s == w && i >= w.f.Len() {
				continue
			}
			transfer(t, from.f, s.f, i)
			for uint64(len(s.want)) < s.f.Len() {
				s.want = append(s.want, nil)
			}
			s.want[i] = all[i]
		case 7:
			n := uint64(len(s.want))
			if n == 0 {
				continue
			}
			start := r.Uint64N(n)
			end := min(n, start+r.Uint64N(30))
			if err := s.f.Clear(ctx, start, end); err != nil {
				t.Fatal(err)
			}
			for i := start; i < end; i++ {
				s.want[i] = nil
			}
		case 8:
			if err := s.f.Close(); err != nil {
				t.Fatal(err)
			}
			if s.f = open(t, s.st, s.o); s.f.Repaired() != (feed.RepairReport{}) {
				t.Fatalf("repaired after a clean Close: %+v", s.f.Repaired())
			}
		case 9:
			check(t, s.f, s.want)
			n := uint64(len(s.want))
			if n == 0 {
				continue
			}
			off := r.Uint64N(s.f.ByteLen() + 1)
			if s == w {
				compareSeek(t, w.f, all, off)
			}
		}
	}
	for _, s := range sides {
		check(t, s.f, s.want)
		if s.o.Durability != feed.NoSync {
			if err := s.f.Sync(ctx); err != nil {
				t.Fatal(err)
			}
		}
		r := audit(t, s.f)
		var here uint64
		for _, b := range s.want {
			if b != nil {
				here++
			}
		}
		if r.Present != here || r.Length != uint64(len(s.want)) {
			t.Errorf("audit: %d of %d blocks, want %d of %d", r.Present, r.Length, here, len(s.want))
		}
	}
}

func compareSeek(t *testing.T, f *feed.Feed, all [][]byte, off uint64) {
	t.Helper()
	index, rel, err := f.Seek(context.Background(), off)
	left := off
	for i, b := range all {
		if off == 0 || left < uint64(len(b)) {
			if err != nil || index != uint64(i) || rel != left {
				t.Fatalf("Seek(%d) = %d, %d, %v; want %d, %d", off, index, rel, err, i, left)
			}
			return
		}
		left -= uint64(len(b))
	}
	if !errors.Is(err, feed.ErrOutOfBounds) {
		t.Fatalf("Seek(%d) beyond the end: %v", off, err)
	}
}

// TestClearKeepsNeighbours: no byte of another block changes, whatever the
// alignment.
func TestClearKeepsNeighbours(t *testing.T) {
	ctx := context.Background()
	for _, st := range []store.Storage{store.Memory(), store.Dir(t.TempDir())} {
		f := open(t, st, feed.Options{})
		var want [][]byte
		for i, n := range []int{1, 4095, 4096, 4097, 0, 3, 10000, 8192, 1, 5000} {
			want = append(want, bytes.Repeat([]byte{byte(i + 1)}, n))
		}
		if _, err := f.Append(ctx, want...); err != nil {
			t.Fatal(err)
		}
		size := f.ByteLen()
		for _, c := range [][2]uint64{{3, 4}, {6, 8}, {1, 2}, {0, 1}, {4, 5}, {9, 10}, {20, 30}} {
			if err := f.Clear(ctx, c[0], c[1]); err != nil {
				t.Fatal(err)
			}
			for i := c[0]; i < min(c[1], uint64(len(want))); i++ {
				want[i] = nil
			}
			check(t, f, want)
			audit(t, f)
		}
		if data := file(t, st, "data"); uint64(len(data)) != size || data[1+4095+4096] != 0 {
			t.Errorf("data has %d bytes, the cleared ones start with %d", len(data), data[1+4095+4096])
		}
		if err := f.Clear(ctx, 5, 3); !errors.Is(err, feed.ErrOutOfBounds) {
			t.Errorf("Clear(5, 3): %v", err)
		}
		f.Close()
	}
}

// TestConcurrent uses one feed from many goroutines.
func TestConcurrent(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	src := open(t, store.Memory(), feed.Options{})
	dst := open(t, store.Memory(), feed.Options{Key: src.Key()})
	fetch(t, src, dst)
	const n = 400
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range n / 4 {
				if _, err := src.Append(ctx, bytes.Repeat([]byte("x"), 100)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 2 {
		wg.Go(func() {
			for b, err := range dst.Blocks(ctx, feed.ReadOptions{Live: true, End: n}) {
				if err != nil || len(b.Data) != 100 {
					t.Errorf("block %d: %d, %v", b.Index, len(b.Data), err)
					return
				}
			}
		})
	}
	wg.Go(func() {
		for i := range uint64(50) {
			if err := dst.Clear(ctx, i*3, i*3+1); err != nil {
				t.Error(err)
			}
			dst.Stats()
			src.Bitmap(nil, 0, 1024)
			src.Demand()
		}
	})
	wg.Go(func() {
		for i := range uint64(n) {
			if err := src.Update(ctx, i+1); err != nil {
				t.Error(err)
			}
			src.Sync(ctx)
			fetchWake(dst)
		}
	})
	wg.Wait()
	cancel()
	audit(t, src)
	audit(t, dst)
}

// fetchWake makes the fetcher of a feed look again.
func fetchWake(f *feed.Feed) { f.Download(feed.Range{Start: 0, End: feed.MaxLength}).Cancel() }

// TestIdentity: a directory goes on only where it was written last, or after
// TakeOver.
func TestIdentity(t *testing.T) {
	ctx := context.Background()
	st := store.Memory()
	f := open(t, st, feed.Options{Identity: "node one"})
	appendN(t, f, 3)
	f.Close()
	f = open(t, st, feed.Options{}) // nothing to compare
	appendN(t, f, 1)
	f.Close()
	f = open(t, st, feed.Options{Identity: "node two"})
	if _, err := f.Append(ctx, []byte("x")); !errors.Is(err, feed.ErrOtherWriter) {
		t.Fatalf("Append: %v", err)
	}
	if !errors.Is(f.Stats().Err, feed.ErrOtherWriter) {
		t.Errorf("Stats.Err: %v", f.Stats().Err)
	}
	if b, err := f.Local(2); err != nil || !bytes.Equal(b, block(2)) {
		t.Errorf("reading: %v", err)
	}
	if err := f.TakeOver(ctx, false); err != nil {
		t.Fatal(err)
	}
	appendN(t, f, 1)
	f.Close()
	f = open(t, st, feed.Options{Identity: "node one"})
	if _, err := f.Append(ctx, []byte("x")); !errors.Is(err, feed.ErrOtherWriter) {
		t.Errorf("Append: %v", err)
	}
	if _, err := feed.Open(ctx, store.Memory(), feed.Options{Identity: string(make([]byte, 200))}); err == nil {
		t.Error("an identity of 200 bytes was accepted")
	}
}

// TestBehind: a restored backup does not append, and goes on after it has got the
// rest.
func TestBehind(t *testing.T) {
	ctx := context.Background()
	st := store.Memory()
	f := open(t, st, feed.Options{SecretKey: keyFromSeed(50)})
	appendN(t, f, 10)
	f.Close()
	backup := st.Clone()
	f = open(t, st, feed.Options{})
	appendN(t, f, 10)
	if err := f.Sync(ctx); err != nil {
		t.Fatal(err)
	}

	refusing := func(t *testing.T, g *feed.Feed) {
		t.Helper()
		if _, err := g.Append(ctx, []byte("fork")); !errors.Is(err, feed.ErrBehind) {
			t.Fatalf("Append: %v", err)
		}
		if err := g.TakeOver(ctx, false); !errors.Is(err, feed.ErrBehind) {
			t.Fatalf("TakeOver: %v", err)
		}
		if b, err := g.Local(9); err != nil || !bytes.Equal(b, block(9)) {
			t.Errorf("reading: %v", err)
		}
		for i := range uint64(20) {
			if !g.Has(i) {
				transfer(t, f, g, i)
			}
		}
		if _, err := g.Append(ctx, []byte("fork")); !errors.Is(err, feed.ErrBehind) {
			t.Fatalf("Append before TakeOver: %v", err)
		}
		if err := g.TakeOver(ctx, false); err != nil {
			t.Fatalf("TakeOver with everything: %v", err)
		}
		if n, err := g.Append(ctx, []byte("goes on")); err != nil || n != 20 {
			t.Fatalf("Append: %d, %v", n, err)
		}
		audit(t, g)
		g.Close()
	}
	t.Run("known elsewhere", func(t *testing.T) {
		refusing(t, open(t, backup.Clone(), feed.Options{KnownLength: 20}))
	})
	t.Run("known to a peer", func(t *testing.T) {
		g := open(t, backup.Clone(), feed.Options{})
		if _, err := g.Apply(ctx, []feed.Proof{hashProof(t, f, 10)}); err != nil {
			t.Fatal(err)
		}
		if g.Len() != 20 {
			t.Fatalf("length %d", g.Len())
		}
		if _, err := g.Append(ctx, []byte("fork")); !errors.Is(err, feed.ErrBehind) {
			t.Fatalf("Append: %v", err)
		}
	})
	t.Run("journal newer than the rest", func(t *testing.T) {
		s := backup.Clone()
		put(t, s, "journal", file(t, st, "journal"))
		refusing(t, open(t, s, feed.Options{}))
	})
	t.Run("by force", func(t *testing.T) {
		s := backup.Clone()
		put(t, s, "journal", file(t, st, "journal"))
		put(t, s, "signatures", file(t, st, "signatures")) // beyond what is given up
		g := open(t, s, feed.Options{})
		if err := g.TakeOver(ctx, true); err != nil {
			t.Fatal(err)
		}
		if n, err := g.Append(ctx, []byte("fork")); err != nil || n != 10 {
			t.Fatalf("Append: %d, %v", n, err)
		}
		g.Close()
		g = open(t, s, feed.Options{})
		if g.Len() != 11 {
			t.Errorf("length %d", g.Len())
		}
		audit(t, g)
	})
}

func TestStatic(t *testing.T) {
	ctx := context.Background()
	st := store.Memory()
	f := open(t, st, feed.Options{Static: true})
	appendN(t, f, 5)
	if !f.Key().IsZero() || !f.Writable() || !f.Static() {
		t.Errorf("key %v, writable %v", f.Key(), f.Writable())
	}
	f.Close()
	refused(t, st.Clone(), feed.Options{}, feed.ErrStatic)
	f = open(t, st, feed.Options{Static: true})
	appendN(t, f, 4)
	if err := f.Finalize(ctx); err != nil {
		t.Fatal(err)
	}
	if err := f.Finalize(ctx); !errors.Is(err, feed.ErrStatic) {
		t.Errorf("Finalize again: %v", err)
	}
	if _, err := f.Append(ctx, []byte("x")); !errors.Is(err, feed.ErrStatic) {
		t.Errorf("Append: %v", err)
	}
	if _, err := f.Get(ctx, 9); !errors.Is(err, feed.ErrOutOfBounds) {
		t.Errorf("Get beyond the end: %v", err)
	}
	clone := open(t, store.Memory(), feed.Options{Key: f.Key()})
	for _, i := range []uint64{8, 0, 3, 1, 2, 7, 6, 5, 4} {
		transfer(t, f, clone, i)
	}
	if !clone.Static() || clone.Len() != 9 {
		t.Errorf("the clone: static %v, %d blocks", clone.Static(), clone.Len())
	}
	audit(t, clone)
	g := history(t, "g", 0, 3)
	if err := g.Finalize(ctx); !errors.Is(err, feed.ErrStatic) {
		t.Errorf("Finalize of a feed with a key: %v", err)
	}
	if _, err := clone.Apply(ctx, []feed.Proof{prove(t, g, 1, 0)}); err == nil {
		t.Error("a block of another feed was taken")
	}
}

// TestStaticKey: nobody becomes the writer of a draft by naming the key of a feed.
func TestStaticKey(t *testing.T) {
	key := feed.Key(keyFromSeed(64)[32:])
	st := store.Memory()
	refused(t, st, feed.Options{Static: true, Key: key}, feed.ErrStatic)
	refused(t, st, feed.Options{Static: true, SecretKey: keyFromSeed(63)}, feed.ErrStatic)
	if f := open(t, st, feed.Options{Key: key}); f.Writable() || f.Key() != key {
		t.Errorf("a clone: writable %v, key %v", f.Writable(), f.Key())
	} else {
		f.Close()
	}
	if f := open(t, st, feed.Options{Static: true, Key: key}); f.Writable() || f.Key() != key {
		t.Errorf("a clone opened again: writable %v, key %v", f.Writable(), f.Key())
	}
	st, _ = made(t, 63, 5, 5)
	refused(t, st, feed.Options{Static: true, Key: key, Overwrite: true}, feed.ErrStatic)
	if n := open(t, st, feed.Options{}).Len(); n != 10 {
		t.Errorf("%d blocks after an Overwrite that was refused", n)
	}
}

func TestLock(t *testing.T) {
	ctx := context.Background()
	for _, st := range []store.Storage{store.Memory(), store.Dir(t.TempDir())} {
		f := open(t, st, feed.Options{})
		for _, o := range []feed.Options{{}, {ReadOnly: true}, {Overwrite: true}} {
			if _, err := feed.Open(ctx, st, o); !errors.Is(err, feed.ErrLocked) || !bytes.Contains([]byte(err.Error()), []byte(st.String())) {
				t.Errorf("%+v: %v", o, err)
			}
		}
		f.Close()
		open(t, st, feed.Options{}).Close()
	}
}

func TestOverwrite(t *testing.T) {
	st, _ := made(t, 61, 5, 5)
	old := feed.Key(file(t, st, "key"))
	f := open(t, st, feed.Options{Overwrite: true})
	if f.Len() != 0 || f.Key() == old || !f.Writable() {
		t.Errorf("%d blocks, key %v", f.Len(), f.Key())
	}
	appendN(t, f, 3)
	f.Close()
	f = open(t, st, feed.Options{})
	if f.Len() != 3 {
		t.Errorf("%d blocks", f.Len())
	}
	audit(t, f)
}

func TestSecretElsewhere(t *testing.T) {
	ctx := context.Background()
	st, vault := store.Memory(), store.Memory()
	split := store.Func(func(name string, create bool) (store.File, error) {
		if name == "secret_key" {
			return vault.Open(name, create)
		}
		return st.Open(name, create)
	})
	f := open(t, split, feed.Options{})
	appendN(t, f, 2)
	f.Close()
	if file(t, st, "secret_key") != nil || len(file(t, vault, "secret_key")) != 64 {
		t.Error("the secret key is not where it should be")
	}
	f = open(t, st, feed.Options{})
	if _, err := f.Append(ctx, nil); !errors.Is(err, feed.ErrNotWritable) {
		t.Errorf("Append without it: %v", err)
	}
	f.Close()

	st = store.Memory()
	f = open(t, st, feed.Options{SecretKey: keyFromSeed(62), DiscardSecretKey: true})
	appendN(t, f, 2)
	f.Close()
	if file(t, st, "secret_key") != nil {
		t.Error("the secret key was stored")
	}
	f = open(t, st, feed.Options{SecretKey: keyFromSeed(62), DiscardSecretKey: true})
	appendN(t, f, 2)
}

// maker is the File that has made a file; only its Sync makes that durable (store.Func).
type maker struct {
	store.File
	synced func()
}

func (m maker) Sync() error {
	m.synced()
	return m.File.Sync()
}

// TestSyncedByMaker: in a storage function no file is left that a power cut may take
// because the File that has made it was closed without a sync.
func TestSyncedByMaker(t *testing.T) {
	for _, static := range []bool{false, true} {
		st := store.Memory()
		var mu sync.Mutex
		made := map[string]bool{} // whether it was synced
		f := open(t, store.Func(func(name string, create bool) (store.File, error) {
			old, err := st.Open(name, false)
			if err == nil || !create {
				return old, err
			}
			mu.Lock()
			defer mu.Unlock()
			made[name] = false
			f, err := st.Open(name, true)
			return maker{f, func() {
				mu.Lock()
				defer mu.Unlock()
				made[name] = true
			}}, err
		}), feed.Options{Durability: feed.AppendDurable, Static: static})
		appendN(t, f, 3)
		if static {
			if err := f.Finalize(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		want := 7
		if static {
			want = 6 // no secret key
		}
		if len(made) != want {
			t.Errorf("made %v", made)
		}
		for name, synced := range made {
			if !synced {
				t.Errorf("static %v: who has made %s has not synced it", static, name)
			}
		}
	}
}

func TestLimits(t *testing.T) {
	ctx := context.Background()
	f := open(t, store.Memory(), feed.Options{})
	if _, err := f.Append(ctx, make([]byte, feed.MaxBlock+1)); !errors.Is(err, feed.ErrTooLarge) {
		t.Errorf("a block too large: %v", err)
	}
	if n, err := f.Append(ctx, make([]byte, feed.MaxBlock)); err != nil || n != 0 {
		t.Errorf("the largest block: %d, %v", n, err)
	}
	if n, err := f.Append(ctx); err != nil || n != 1 {
		t.Errorf("no blocks: %d, %v", n, err)
	}
	if b, err := f.Get(ctx, 0); err != nil || len(b) != feed.MaxBlock {
		t.Errorf("Get: %d, %v", len(b), err)
	}
	if _, err := f.GetRange(ctx, 3, 1); !errors.Is(err, feed.ErrOutOfBounds) {
		t.Errorf("GetRange: %v", err)
	}
	if _, err := f.Get(ctx, 1<<62); !errors.Is(err, feed.ErrOutOfBounds) {
		t.Errorf("Get: %v", err)
	}
	if f.Has(1<<63) || f.Digest(1<<62) != 0 || f.NextMissing(0) != 1 {
		t.Error("far away blocks")
	}
	if _, err := f.Roots(5); !errors.Is(err, feed.ErrOutOfBounds) {
		t.Errorf("Roots: %v", err)
	}
	s, err := f.Signature(ctx, 0)
	if err != nil || s.Index != 0 {
		t.Fatalf("Signature: %+v, %v", s, err)
	}
	if err := f.Verify(0, s.Bytes[:]); err != nil {
		t.Error(err)
	}
	if _, err := f.Signature(ctx, 1<<64-1); !errors.Is(err, feed.ErrNotLocal) {
		t.Errorf("Signature: %v", err)
	}
	if err := f.Verify(1<<64-1, s.Bytes[:]); !errors.Is(err, feed.ErrOutOfBounds) {
		t.Errorf("Verify: %v", err)
	}
	s.Bytes[0] ^= 1
	if err := f.Verify(0, s.Bytes[:]); !errors.Is(err, feed.ErrInvalidProof) {
		t.Errorf("Verify: %v", err)
	}
}
