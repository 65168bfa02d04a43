package feed_test

import (
	"bytes"
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/store"
)

// countReads counts the reads of one file.
type countReads struct {
	store.Storage
	name  string
	reads *atomic.Int64
}

func (s countReads) Open(name string, create bool) (store.File, error) {
	f, err := s.Storage.Open(name, create)
	if err == nil && name == s.name {
		f = countedFile{f, s.reads}
	}
	return f, err
}

type countedFile struct {
	store.File
	reads *atomic.Int64
}

func (f countedFile) ReadAt(b []byte, off int64) (int, error) {
	f.reads.Add(1)
	return f.File.ReadAt(b, off)
}

// evenBlocks returns what the newest slot of the journal says of the first blocks.
func evenBlocks(t *testing.T, st store.Storage) (blocks, size uint64) {
	t.Helper()
	r, err := feed.Inspect(context.Background(), st, feed.InspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Count > 0 {
		t.Fatal(r.Problems)
	}
	for _, s := range r.Journal {
		if s.Newest {
			return s.Even, s.EvenSize
		}
	}
	t.Fatal("no slot counts")
	return 0, 0
}

// TestEven: of how many blocks from the first on one size is known, after appends and
// after downloads, and that every block is found whatever is known.
func TestEven(t *testing.T) {
	ctx := context.Background()
	const n = 300
	for _, c := range []struct {
		name         string
		size         func(i uint64) int
		blocks, each uint64
	}{
		{"all", func(uint64) int { return 9 }, n, 9},
		{"all empty", func(uint64) int { return 0 }, n, 0},
		{"but the last", func(i uint64) int { return 9 - int(i/(n-1)) }, n - 1, 9},
		{"but the first", func(i uint64) int { return 8 + min(1, int(i)) }, 1, 8},
		{"the first half", func(i uint64) int { return 9 + int(i/150) }, 150, 9},
		{"and empty ones", func(i uint64) int { return 9 - 9*int(i/150) }, 150, 9},
		{"and the first size again", func(i uint64) int { return 9 + int(i/100)%2 }, 100, 9},
	} {
		t.Run(c.name, func(t *testing.T) {
			block := func(i uint64) []byte { return bytes.Repeat([]byte{byte(i)}, c.size(i)) }
			all := func(f *feed.Feed) {
				t.Helper()
				for i := range uint64(n) {
					if got, err := f.Local(i); err != nil || !bytes.Equal(got, block(i)) {
						t.Fatalf("block %d is %x, %v; want %x", i, got, err, block(i))
					}
					if got, err := f.BlockSize(i); err != nil || got != uint64(c.size(i)) {
						t.Fatalf("block %d has %d bytes, %v; want %d", i, got, err, c.size(i))
					}
				}
				audit(t, f)
			}
			known := func(st store.Storage, blocks, size uint64) {
				t.Helper()
				if b, s := evenBlocks(t, st); b != blocks || s != size {
					t.Errorf("%d blocks of %d bytes are known, want %d of %d", b, s, blocks, size)
				}
			}
			mem := store.Memory()
			f := open(t, mem, feed.Options{})
			for f.Len() < n {
				var batch [][]byte
				for i := range 1 + f.Len()%7 {
					if at := f.Len() + i; at < n {
						batch = append(batch, block(at))
					}
				}
				if _, err := f.Append(ctx, batch...); err != nil {
					t.Fatal(err)
				}
				if f.Len()%5 == 0 { // what is known continues after Open
					if err := f.Close(); err != nil {
						t.Fatal(err)
					}
					f = open(t, mem, feed.Options{})
				}
			}
			all(f)
			for _, d := range []struct {
				name  string
				order func(k uint64) uint64
				known uint64
			}{
				{"in turn", func(k uint64) uint64 { return k }, c.blocks},
				{"out of turn", func(k uint64) uint64 { return k ^ 1 }, 1},
			} {
				mem := store.Memory()
				g := open(t, mem, feed.Options{Key: f.Key()})
				for k := range uint64(n) {
					p, err := f.Proof(ctx, d.order(k))
					if err != nil {
						t.Fatal(err)
					}
					if err := g.Put(ctx, p); err != nil {
						t.Fatal(err)
					}
				}
				all(g)
				if err := g.Close(); err != nil {
					t.Fatal(err)
				}
				known(mem, d.known, c.each)
				all(open(t, mem, feed.Options{Key: f.Key()}))
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			known(mem, c.blocks, c.each)
		})
	}
}

// TestEvenReadsNoTree: a Get in a long feed of blocks of one size reads the block and
// nothing else.
func TestEvenReadsNoTree(t *testing.T) {
	ctx := context.Background()
	mem := store.Memory()
	f := open(t, mem, feed.Options{Durability: feed.NoSync})
	const n = 70_000 // more than the cached tree has room for
	for f.Len() < n {
		batch := make([][]byte, 4096)
		for i := range batch {
			batch[i] = []byte{byte(i), byte(i >> 8)}
		}
		if _, err := f.Append(ctx, batch...); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	var reads atomic.Int64
	f = open(t, countReads{mem, "tree", &reads}, feed.Options{})
	before := reads.Load()
	for i := uint64(0); i < n; i += 997 {
		if got, err := f.Local(i); err != nil || got[0] != byte(i) || got[1] != byte(i>>8)&15 {
			t.Fatal(i, got, err)
		}
	}
	if d := reads.Load() - before; d > 0 {
		t.Errorf("%d reads of the tree", d)
	}
}

// TestEvenWrong: Audit finds a journal that says of blocks what the tree does not.
func TestEvenWrong(t *testing.T) {
	ctx := context.Background()
	mem := store.Memory()
	f := open(t, mem, feed.Options{})
	if _, err := f.Append(ctx, []byte("one"), []byte("two"), []byte("three")); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	journal, err := mem.ReadFile("journal")
	if err != nil {
		t.Fatal(err)
	}
	for off := 0; off < len(journal); off += 4096 {
		if r, ok := feed.ParseSlot(journal[off : off+feed.SlotSize]); ok {
			b := r.WithEven(2, 4)
			copy(journal[off:], b[:])
		}
	}
	if err := mem.WriteFile("journal", journal); err != nil {
		t.Fatal(err)
	}
	f = open(t, mem, feed.Options{})
	r, err := f.Audit(ctx, feed.AuditOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Count == 0 || !strings.Contains(r.Problems[0].String(), "the first 2 blocks have 4 bytes") {
		t.Fatal(r.Problems)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	f = open(t, mem, feed.Options{Repair: true})
	audit(t, f)
	check(t, f, [][]byte{[]byte("one"), []byte("two"), []byte("three")})
}

// TestEvenForeign: a journal is not believed on blocks that other software has written
// in place of those it was made for.
func TestEvenForeign(t *testing.T) {
	ctx := context.Background()
	mem := store.Memory()
	f := open(t, mem, feed.Options{})
	if _, err := f.Append(ctx, []byte("one"), []byte("two")); err != nil {
		t.Fatal(err)
	}
	secret := f.SecretKey()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	journal, err := mem.ReadFile("journal")
	if err != nil {
		t.Fatal(err)
	}
	for _, blocks := range [][][]byte{
		{[]byte("a"), []byte("bb"), []byte("ccc")},
		{[]byte("a"), []byte("bb")},
		{[]byte("a")},
	} {
		other := store.Memory()
		f := open(t, other, feed.Options{SecretKey: secret})
		if _, err := f.Append(ctx, blocks...); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if err := other.WriteFile("journal", journal); err != nil {
			t.Fatal(err)
		}
		f, err := feed.Open(ctx, other, feed.Options{})
		if err != nil {
			continue // refused: that is no wrong answer either
		}
		for i, want := range blocks {
			if got, err := f.Local(uint64(i)); err == nil && !bytes.Equal(got, want) {
				t.Errorf("block %d of %d is %q, want %q", i, len(blocks), got, want)
			}
		}
		f.Close()
	}
}
