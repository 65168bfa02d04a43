package feed_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/store"
)

// made returns a closed feed of n blocks, appended as batches of the sizes.
func made(t testing.TB, seed uint64, batches ...int) (*store.MemoryStorage, [][]byte) {
	t.Helper()
	ctx := context.Background()
	st := store.Memory()
	f := open(t, st, feed.Options{SecretKey: keyFromSeed(seed)})
	var all [][]byte
	for _, n := range batches {
		var batch [][]byte
		for range n {
			batch = append(batch, block(uint64(len(all)+len(batch))))
		}
		if _, err := f.Append(ctx, batch...); err != nil {
			t.Fatal(err)
		}
		all = append(all, batch...)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return st, all
}

// ones returns n ones.
func ones(n int) []int {
	l := make([]int, n)
	for i := range l {
		l[i] = 1
	}
	return l
}

// remove makes a storage that lacks a file.
func remove(t testing.TB, st *store.MemoryStorage, names ...string) *store.MemoryStorage {
	t.Helper()
	out := store.Memory()
next:
	for _, name := range []string{"key", "secret_key", "data", "tree", "signatures", "bitfield", "journal", "fork"} {
		for _, n := range names {
			if n == name {
				continue next
			}
		}
		if b := file(t, st, name); b != nil {
			put(t, out, name, b)
		}
	}
	return out
}

// snapshot is the content of every file.
func snapshot(t testing.TB, st store.Storage) map[string]string {
	m := map[string]string{}
	for _, name := range []string{"key", "secret_key", "data", "tree", "signatures", "bitfield", "journal", "fork"} {
		if b := file(t, st, name); b != nil {
			m[name] = string(b)
		}
	}
	return m
}

// refused opens a directory that must be refused, without anything being
// changed.
func refused(t *testing.T, st *store.MemoryStorage, o feed.Options, want error) {
	t.Helper()
	before := snapshot(t, st)
	f, err := feed.Open(context.Background(), st, o)
	if err == nil {
		f.Close()
		t.Fatalf("opened with %d blocks, writable %v", f.Len(), f.Writable())
	}
	if !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
	for name, b := range snapshot(t, st) {
		if old, ok := before[name]; ok && old != b {
			t.Errorf("%s was changed", name)
		} else if !ok && b != "" {
			t.Errorf("%s was made", name)
		}
	}
}

// TestDamagedDirectories goes through what hypercore 6 does wrong with
// directories that it made itself (no journal) or that were made here.
func TestDamagedDirectories(t *testing.T) {
	st, all := made(t, 1, 20)
	single, allSingle := made(t, 1, ones(20)...)
	_, _ = single, allSingle
	js := remove(t, st, "journal")
	bits := file(t, st, "bitfield")
	zero := make([]byte, len(bits))
	noSize := bytes.Clone(bits)
	noSize[5], noSize[6] = 0, 0
	blank := append(bytes.Clone(bits[:32]), make([]byte, len(bits)-32)...)

	for name, b := range map[string][]byte{
		"missing": nil, "cut header": bits[:20], "header only": bits[:32], "zero": zero, "no page size": noSize, "blank": blank,
		"cut in the tree bits": bits[:32+1024+3], "cut before the tree bits": bits[:32+700], "cut in the index": bits[:32+3100],
	} {
		t.Run("bitfield "+name, func(t *testing.T) {
			damage := func(from *store.MemoryStorage) *store.MemoryStorage {
				s := remove(t, from, "bitfield")
				if b != nil {
					put(t, s, "bitfield", b)
				}
				return s
			}
			if name != "cut in the index" {
				refused(t, damage(js), feed.Options{}, feed.ErrCorrupt)
				refused(t, remove(t, damage(js), "secret_key"), feed.Options{}, feed.ErrCorrupt)
			} else { // all that counts is there; hypercore 6.22 leaves such pages
				f := open(t, damage(js), feed.Options{})
				check(t, f, all)
				audit(t, f)
				f.Close()
			}

			// With the journal it is made anew.
			s := damage(st)
			f := open(t, s, feed.Options{})
			check(t, f, all)
			if !f.Writable() {
				t.Error("not writable")
			}
			f.Close()
			same(t, "bitfield", file(t, s, "bitfield"), bits)

			// And without, if that is asked for.
			s = damage(js)
			f = open(t, s, feed.Options{Repair: true})
			check(t, f, all)
			if !f.Repaired().Bitfield {
				t.Error("Repaired says nothing of it")
			}
			audit(t, f)
			f.Close()
			same(t, "bitfield", file(t, s, "bitfield"), bits)
		})
	}

	t.Run("bitfield cut at a signed length", func(t *testing.T) {
		s := remove(t, single, "bitfield", "journal")
		put(t, s, "bitfield", bits[:32+1024+3])
		refused(t, s, feed.Options{}, feed.ErrCorrupt)
	})
	t.Run("bitfield cut at the end of a page", func(t *testing.T) {
		long, content := made(t, 4, 16384) // its only root is on the first page
		for _, journal := range []bool{true, false} {
			s := remove(t, long, "bitfield")
			put(t, s, "bitfield", file(t, long, "bitfield")[:32+3584])
			if !journal {
				refused(t, remove(t, s, "journal"), feed.Options{}, feed.ErrCorrupt)
				continue
			}
			f := open(t, s, feed.Options{})
			check(t, f, content)
			f.Close()
			same(t, "bitfield", file(t, s, "bitfield"), file(t, long, "bitfield"))
		}
	})
	t.Run("cleared blocks stay cleared when the bitfield is made anew", func(t *testing.T) {
		// Hypercore leaves the bytes of cleared blocks, and 6.22 a short last page.
		s := remove(t, st, "bitfield")
		b := append(bytes.Clone(bits), make([]byte, 700)...)
		b[32] &^= 0x70 // blocks 1 to 3
		put(t, s, "bitfield", b)
		f := open(t, s, feed.Options{})
		if f.Has(1) || f.Has(3) || !f.Has(0) || !f.Has(4) || f.Len() != 20 {
			t.Errorf("%d blocks, %d here", f.Len(), f.Downloaded(0, 0))
		}
	})
	t.Run("bitfield behind, as a crash of hypercore leaves it", func(t *testing.T) {
		// The bitfield of 15 blocks beside the other files of 20.
		short, _ := made(t, 1, ones(15)...)
		s := remove(t, single, "bitfield", "journal")
		put(t, s, "bitfield", file(t, short, "bitfield"))
		f := open(t, s, feed.Options{})
		check(t, f, allSingle)
		if got := f.Repaired().Recovered; got != 5 {
			t.Errorf("%d blocks recovered", got)
		}
		audit(t, f)
	})
	for _, n := range []int{0, 31} {
		t.Run(fmt.Sprintf("key of %d bytes", n), func(t *testing.T) {
			for _, from := range []*store.MemoryStorage{st, js} {
				s := remove(t, from, "key")
				put(t, s, "key", file(t, st, "key")[:n])
				refused(t, s, feed.Options{}, feed.ErrCorrupt)
				refused(t, s, feed.Options{Key: feed.Key(file(t, st, "key"))}, feed.ErrCorrupt)
				refused(t, s, feed.Options{Static: true}, feed.ErrCorrupt)
				f := open(t, s, feed.Options{Repair: true})
				check(t, f, all)
				f.Close()
				same(t, "key", file(t, s, "key"), file(t, st, "key"))
			}
		})
	}
	t.Run("only key", func(t *testing.T) {
		s := store.Memory()
		put(t, s, "key", file(t, st, "key"))
		f := open(t, s, feed.Options{})
		if f.Len() != 0 || f.Writable() {
			t.Errorf("%d blocks, writable %v", f.Len(), f.Writable())
		}
	})
	t.Run("key and secret key", func(t *testing.T) {
		s := store.Memory()
		put(t, s, "key", file(t, st, "key"))
		put(t, s, "secret_key", file(t, st, "secret_key"))
		f := open(t, s, feed.Options{})
		if f.Len() != 0 || !f.Writable() {
			t.Errorf("%d blocks, writable %v", f.Len(), f.Writable())
		}
	})
	for _, n := range []int{0, 63} {
		t.Run(fmt.Sprintf("secret key of %d bytes", n), func(t *testing.T) {
			s := remove(t, st, "secret_key")
			put(t, s, "secret_key", file(t, st, "secret_key")[:n])
			f := open(t, s, feed.Options{})
			check(t, f, all)
			if _, err := f.Append(context.Background(), []byte("x")); !errors.Is(err, feed.ErrNotWritable) {
				t.Errorf("Append: %v", err)
			}
		})
	}
	t.Run("secret key of another feed", func(t *testing.T) {
		s := remove(t, st, "secret_key")
		put(t, s, "secret_key", keyFromSeed(2))
		refused(t, s, feed.Options{}, feed.ErrKeyMismatch)
	})
	t.Run("secret key with wrong halves", func(t *testing.T) {
		for _, i := range []int{0, 31, 32, 63} {
			s := remove(t, st, "secret_key")
			b := file(t, st, "secret_key")
			b[i] ^= 1
			put(t, s, "secret_key", b)
			refused(t, s, feed.Options{}, feed.ErrCorrupt)
		}
	})
	t.Run("another key", func(t *testing.T) {
		refused(t, st, feed.Options{Key: feed.Key{1}}, feed.ErrKeyMismatch)
		refused(t, st, feed.Options{SecretKey: keyFromSeed(2)}, feed.ErrKeyMismatch)
	})
	t.Run("malformed keys", func(t *testing.T) {
		refused(t, store.Memory(), feed.Options{SecretKey: keyFromSeed(1)[:63]}, feed.ErrBadKey)
		bad := bytes.Clone(keyFromSeed(1))
		bad[3]++
		refused(t, store.Memory(), feed.Options{SecretKey: bad}, feed.ErrBadKey)
	})
	t.Run("nothing", func(t *testing.T) {
		refused(t, store.Memory(), feed.Options{MustExist: true}, feed.ErrNotFound)
		refused(t, store.Memory(), feed.Options{ReadOnly: true}, feed.ErrNotFound)
	})
	t.Run("a root missing", func(t *testing.T) {
		s := remove(t, js, "tree")
		b := file(t, st, "tree")
		clear(b[32+40*35 : 32+40*36])
		put(t, s, "tree", b)
		refused(t, s, feed.Options{}, feed.ErrCorrupt)

		s = remove(t, s, "journal")
		put(t, s, "journal", file(t, st, "journal"))
		f := open(t, s, feed.Options{}) // computed again from below
		check(t, f, all)
		f.Close()
		same(t, "tree", file(t, s, "tree"), file(t, st, "tree"))
	})
	t.Run("signature missing", func(t *testing.T) {
		b := file(t, st, "signatures")
		clear(b[len(b)-64:])
		for _, cut := range [][]byte{b, b[:len(b)-64], b[:32]} {
			s := remove(t, js, "signatures")
			put(t, s, "signatures", cut)
			f := open(t, s, feed.Options{})
			check(t, f, all)
			if _, err := f.Append(context.Background(), []byte("x")); !errors.Is(err, feed.ErrCorrupt) {
				t.Errorf("Append: %v", err)
			}
			if p, err := f.Proof(context.Background(), 0); err != nil || p.Signature != nil {
				t.Errorf("Proof: %v, %v", p.Signature, err)
			}
			f.Close()

			s = remove(t, st, "signatures") // with the journal: made again
			put(t, s, "signatures", cut)
			f = open(t, s, feed.Options{})
			check(t, f, all)
			f.Close()
			same(t, "signatures", file(t, s, "signatures"), file(t, st, "signatures"))
		}
	})
	t.Run("data short", func(t *testing.T) {
		b := file(t, st, "data")
		for _, n := range []int{0, 1, len(b) - 1} {
			s := remove(t, st, "data")
			put(t, s, "data", b[:n])
			f := open(t, s, feed.Options{})
			if _, err := f.Append(context.Background(), []byte("x")); !errors.Is(err, feed.ErrCorrupt) {
				t.Errorf("Append: %v", err)
			}
			if _, err := f.Local(19); !errors.Is(err, feed.ErrCorrupt) {
				t.Errorf("Local: %v", err)
			}
			f.Close()
			f = open(t, remove(t, s, "secret_key"), feed.Options{})
			if f.Has(19) || f.Stats().Err != nil {
				t.Errorf("a reader's feed has block 19: %v, %v", f.Has(19), f.Stats().Err)
			}
		}
		f := open(t, remove(t, st, "data"), feed.Options{Repair: true})
		if got := f.Repaired().Lost; got != 20 {
			t.Errorf("%d blocks lost", got)
		}
		if _, err := f.Append(context.Background(), []byte("x")); err != nil {
			t.Error(err)
		}
	})
}

// TestFlippedBytes flips bytes of every file: the feed is refused, or an audit
// finds it, or it does not matter; nothing that is right is lost.
func TestFlippedBytes(t *testing.T) {
	ctx := context.Background()
	st, all := made(t, 3, 3, 1, 1, 7, 1)
	key := feed.Key(file(t, st, "key"))
	for _, from := range []*store.MemoryStorage{st, remove(t, st, "journal")} {
		for _, name := range []string{"key", "secret_key", "data", "tree", "signatures", "bitfield", "journal"} {
			original := file(t, from, name)
			for i := 0; i < len(original); i += 1 + len(original)/testRounds(150) {
				s := remove(t, from, name)
				b := bytes.Clone(original)
				b[i] ^= 0x10
				put(t, s, name, b)
				where := fmt.Sprintf("%s byte %d", name, i)

				f, err := feed.Open(ctx, s.Clone(), feed.Options{})
				if err == nil {
					if n := f.Len(); n != uint64(len(all)) && f.Writable() && f.Stats().Err == nil {
						t.Errorf("%s: a writable feed of %d blocks", where, n)
					}
					f.Close()
				} else if !errors.Is(err, feed.ErrCorrupt) && !errors.Is(err, feed.ErrKeyMismatch) && !errors.Is(err, feed.ErrBadKey) {
					t.Errorf("%s: %v", where, err)
				}
				if name == "key" || name == "secret_key" {
					continue
				}
				f, err = feed.Open(ctx, s.Clone(), feed.Options{ReadOnly: true})
				if err != nil {
					continue
				}
				r, err := f.Audit(ctx, feed.AuditOptions{})
				if err != nil {
					t.Errorf("%s: audit: %v", where, err)
				}
				if r.OK() && len(r.Notes) == 0 && r.Unmarked == 0 && r.Missing == 0 && f.Stats().Err == nil && (from == st || name != "bitfield") {
					t.Errorf("%s: the audit finds nothing", where)
				}
				f.Close()

				if name == "tree" || name == "bitfield" {
					f, err := feed.Open(ctx, s, feed.Options{Repair: true, Key: key})
					if err != nil {
						t.Errorf("%s: repair: %v", where, err)
						continue
					}
					if f.Len() != uint64(len(all)) {
						t.Errorf("%s: %d blocks after the repair", where, f.Len())
						continue
					}
					check(t, f, all)
					if r, err := f.Audit(ctx, feed.AuditOptions{}); err != nil || !r.OK() {
						t.Errorf("%s: after the repair: %v, %v", where, r.Problems, err)
					}
					f.Close()
				}
			}
		}
	}
}

// A writer without its tree is refused, also for repair: the sizes of its blocks are
// nowhere else, and the data would be taken for what no append has finished.
func TestTreeGone(t *testing.T) {
	st, _ := made(t, 31, 40, 60)
	tree := file(t, st, "tree")
	for name, left := range map[string][]byte{"header": tree[:32], "nothing": {}} {
		t.Run(name, func(t *testing.T) {
			st := remove(t, st)
			put(t, st, "tree", left)
			refused(t, st, feed.Options{}, feed.ErrCorrupt)
			refused(t, st, feed.Options{Repair: true}, feed.ErrCorrupt)
		})
	}
	st = remove(t, st, "tree")
	refused(t, st, feed.Options{}, feed.ErrCorrupt)
	refused(t, st, feed.Options{Repair: true}, feed.ErrCorrupt)
}

// An old tree makes the feed shorter than what was announced. However often it is
// opened, the rest stays, so that with the right tree all is there again.
func TestOldTreeLosesNothing(t *testing.T) {
	st, blocks := made(t, 32, 40, 60)
	tree := file(t, st, "tree")
	put(t, st, "tree", tree[:32+40*(2*40-1)])
	for range 3 {
		f := open(t, st, feed.Options{})
		if n := f.Len(); n != 40 {
			t.Fatalf("%d blocks with the tree of 40", n)
		}
		if _, err := f.Append(t.Context(), []byte("x")); !errors.Is(err, feed.ErrBehind) {
			t.Fatalf("append: %v", err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	put(t, st, "tree", tree)
	f := open(t, st, feed.Options{})
	defer f.Close()
	for i, want := range blocks {
		if b, err := f.Local(uint64(i)); err != nil || !bytes.Equal(b, want) {
			t.Fatalf("block %d of %d: %q, %v", i, f.Len(), b, err)
		}
	}
	if _, err := f.Append(t.Context(), []byte("x")); err != nil {
		t.Fatal(err)
	}
}

// TestLeafGone: of a block that is marked as here and whose leaf is not, all calls say that
// the feed is damaged, and wait for nobody. It can be given up, and had again.
func TestLeafGone(t *testing.T) {
	ctx := context.Background()
	st := store.Memory()
	f := open(t, st, feed.Options{SecretKey: keyFromSeed(1)})
	for i := range 10 { // each of another size, or its neighbours would tell
		if _, err := f.Append(ctx, bytes.Repeat([]byte{byte(i)}, i+1)); err != nil {
			t.Fatal(err)
		}
	}
	proof, err := f.Proof(ctx, 5)
	if err != nil {
		t.Fatal(err)
	}
	shut(t, f)
	const leaf = 2 * 5
	bits := file(t, st, "bitfield")
	bits[32+1024+leaf/8] &^= 0x80 >> (leaf % 8)
	put(t, st, "bitfield", bits)
	f = open(t, st, feed.Options{})
	for name, call := range map[string]func() error{
		"Local":    func() error { _, err := f.Local(5); return err },
		"Get":      func() error { _, err := f.Get(ctx, 5); return err },
		"GetRange": func() error { _, err := f.GetRange(ctx, 4, 8); return err },
		"ReadRun":  func() error { _, _, err := f.ReadRun(nil, 4, 8, 100, nil); return err },
		"Blocks": func() error {
			for _, err := range f.Blocks(ctx, feed.ReadOptions{}) {
				if err != nil {
					return err
				}
			}
			return nil
		},
	} {
		done := make(chan error, 1)
		go func() { done <- call() }()
		select {
		case err := <-done:
			if !errors.Is(err, feed.ErrCorrupt) || errors.Is(err, feed.ErrNotLocal) {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(10 * time.Second):
			f.Close()
			t.Fatalf("%s does not return", name)
		}
	}
	if lost, err := f.Recheck(ctx, 0, 10); lost != 1 || err != nil || f.Has(5) {
		t.Errorf("Recheck: %d, %v", lost, err)
	}
	if err := f.Put(ctx, proof); err != nil {
		t.Error(err)
	}
	if b, err := f.Get(ctx, 5); err != nil || len(b) != 6 {
		t.Errorf("afterwards: %q, %v", b, err)
	}
}
