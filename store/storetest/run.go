package storetest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/go-hypercore/hypercore/store"
)

// Run checks that a Storage keeps the contract of package store. open returns an
// empty Storage each time; t.TempDir and t.Cleanup are its to use.
func Run(t *testing.T, open func(t *testing.T) store.Storage) {
	t.Run("Open", func(t *testing.T) { testOpen(t, open(t)) })
	t.Run("ReadWrite", func(t *testing.T) { testReadWrite(t, open(t)) })
	t.Run("Size", func(t *testing.T) { testSize(t, open(t)) })
	t.Run("Punch", func(t *testing.T) { testPunch(t, open(t)) })
	t.Run("Lock", func(t *testing.T) { testLock(t, open(t)) })
	t.Run("Close", func(t *testing.T) { testClose(t, open(t)) })
	t.Run("Random", func(t *testing.T) { testRandom(t, open(t)) })
	t.Run("Concurrent", func(t *testing.T) { testConcurrent(t, open(t)) })
}

// must opens a file and closes it after the test.
func must(t *testing.T, s store.Storage, name string, create bool) store.File {
	t.Helper()
	f, err := s.Open(name, create)
	if err != nil {
		t.Fatalf("Open(%q, %v): %v", name, create, err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// want fails the test unless the file holds exactly this.
func want(t *testing.T, f store.File, content string) {
	t.Helper()
	if n, err := f.Size(); n != int64(len(content)) || err != nil {
		t.Fatalf("Size = %d, %v, want %d", n, err, len(content))
	}
	p := make([]byte, len(content))
	if n, err := f.ReadAt(p, 0); n != len(p) || err != nil && err != io.EOF {
		t.Fatalf("ReadAt = %d, %v", n, err)
	}
	if string(p) != content {
		t.Fatalf("content %q, want %q", p, content)
	}
}

func write(t *testing.T, f store.File, p string, off int64) {
	t.Helper()
	if n, err := f.WriteAt([]byte(p), off); n != len(p) || err != nil {
		t.Fatalf("WriteAt = %d, %v", n, err)
	}
}

func testOpen(t *testing.T, s store.Storage) {
	if s.String() == "" {
		t.Error("String is empty")
	}
	if _, err := s.Open("tree", false); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("Open of a missing file: %v", err)
	}
	f := must(t, s, "tree", true)
	want(t, f, "")
	write(t, f, "abc", 0)
	want(t, must(t, s, "tree", true), "abc")
	want(t, must(t, s, "tree", false), "abc")
	if _, err := s.Open("data", false); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open of another missing file: %v", err)
	}
	if err := s.Sync(); err != nil {
		t.Errorf("Sync: %v", err)
	}
	if err := s.Sync(); err != nil {
		t.Errorf("second Sync: %v", err)
	}
}

func testReadWrite(t *testing.T, s store.Storage) {
	f := must(t, s, "data", true)
	p := make([]byte, 4)
	if n, err := f.ReadAt(p, 0); n != 0 || err != io.EOF {
		t.Errorf("ReadAt of an empty file = %d, %v, want io.EOF itself", n, err)
	}
	write(t, f, "hello", 3)
	want(t, f, "\x00\x00\x00hello")
	write(t, f, "", 100)
	want(t, f, "\x00\x00\x00hello")
	if n, err := f.ReadAt(p, 6); n != 2 || err != io.EOF || string(p[:2]) != "lo" {
		t.Errorf("ReadAt over the end = %d, %v, %q", n, err, p)
	}
	if n, err := f.ReadAt(p, 4); n != 4 || err != nil && err != io.EOF || string(p) != "ello" {
		t.Errorf("ReadAt to the end = %d, %v, %q", n, err, p)
	}
	if n, err := f.ReadAt(p, 1000); n != 0 || err != io.EOF {
		t.Errorf("ReadAt behind the end = %d, %v", n, err)
	}
	if _, err := f.ReadAt(p, -1); err == nil || err == io.EOF {
		t.Errorf("ReadAt before the start: %v", err)
	}
	if _, err := f.WriteAt(p, -1); err == nil {
		t.Error("WriteAt before the start passed")
	}
	if err := f.Sync(); err != nil {
		t.Errorf("Sync: %v", err)
	}
	g := must(t, s, "data", false)
	write(t, g, "J", 3)
	want(t, f, "\x00\x00\x00Jello")
}

func testSize(t *testing.T, s store.Storage) {
	f := must(t, s, "data", true)
	write(t, f, "hello", 0)
	for _, c := range []struct {
		size int64
		want string
	}{{3, "hel"}, {6, "hel\x00\x00\x00"}, {6, "hel\x00\x00\x00"}, {0, ""}, {2, "\x00\x00"}} {
		if err := f.Truncate(c.size); err != nil {
			t.Fatal(err)
		}
		want(t, f, c.want)
	}
	// A hole of many megabytes, with something behind it.
	write(t, f, "far", 50<<20)
	if n, err := f.Size(); n != 50<<20+3 || err != nil {
		t.Fatalf("Size = %d, %v", n, err)
	}
	p := make([]byte, 5)
	if _, err := f.ReadAt(p, 50<<20-2); err != nil && err != io.EOF || string(p) != "\x00\x00far" {
		t.Fatalf("%q, %v", p, err)
	}
	if err := f.Truncate(1); err != nil {
		t.Fatal(err)
	}
	want(t, f, "\x00")
}

func testPunch(t *testing.T, s store.Storage) {
	f := must(t, s, "data", true)
	all := bytes.Repeat([]byte("x"), 20000)
	write(t, f, string(all), 0)
	for _, c := range [][2]int64{{10, 5}, {4096, 8192}, {100, 9000}, {19990, 1000}, {20000, 5}, {1 << 40, 1 << 40}, {7, 0}} {
		if err := f.Punch(c[0], c[1]); err != nil {
			t.Fatalf("Punch(%d, %d): %v", c[0], c[1], err)
		}
		if c[0] < int64(len(all)) {
			clear(all[c[0]:min(c[0]+c[1], int64(len(all)))])
		}
		want(t, f, string(all))
	}
	if err := f.Punch(0, 1<<40); err != nil {
		t.Fatal(err)
	}
	want(t, f, string(make([]byte, len(all))))
	if err := f.Punch(-1, 5); err == nil {
		t.Error("Punch before the start passed")
	}
	if err := f.Punch(1, -5); err == nil {
		t.Error("Punch of a negative size passed")
	}
}

func testLock(t *testing.T, s store.Storage) {
	f, g := must(t, s, "bitfield", true), must(t, s, "bitfield", true)
	if err := f.Lock(); errors.Is(err, errors.ErrUnsupported) {
		t.Skip("no locks here")
	} else if err != nil {
		t.Fatal(err)
	}
	if err := g.Lock(); !errors.Is(err, store.ErrLocked) {
		t.Fatalf("second Lock: %v, want ErrLocked", err)
	}
	if err := must(t, s, "tree", true).Lock(); err != nil {
		t.Errorf("Lock of another file: %v", err)
	}
	write(t, g, "locks are about locks, not about writes", 0)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := g.Lock(); err != nil {
		t.Fatalf("Lock after Close of the other: %v", err)
	}
	if err := must(t, s, "bitfield", true).Lock(); !errors.Is(err, store.ErrLocked) {
		t.Fatalf("third Lock: %v, want ErrLocked", err)
	}
}

func testClose(t *testing.T, s store.Storage) {
	f := must(t, s, "data", true)
	write(t, f, "kept", 0)
	for range 2 {
		if err := f.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	_, rerr := f.ReadAt(make([]byte, 1), 0)
	_, werr := f.WriteAt(make([]byte, 1), 0)
	_, serr := f.Size()
	for op, err := range map[string]error{
		"ReadAt": rerr, "WriteAt": werr, "Size": serr,
		"Truncate": f.Truncate(0), "Sync": f.Sync(), "Punch": f.Punch(0, 1), "Lock": f.Lock(),
	} {
		if !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s after Close: %v, want fs.ErrClosed", op, err)
		}
	}
	want(t, must(t, s, "data", false), "kept")
}

func testRandom(t *testing.T, s store.Storage) {
	r := rand.New(rand.NewPCG(1, 1))
	f := must(t, s, "data", true)
	var model []byte
	grow := func(n int) {
		if n > len(model) {
			model = append(model, make([]byte, n-len(model))...)
		}
	}
	for op := range 500 {
		off, n := r.IntN(60000), r.IntN(10000)
		switch r.IntN(5) {
		case 0, 1:
			p := bytes.Repeat([]byte{byte(op + 1)}, n)
			write(t, f, string(p), int64(off))
			if n > 0 {
				grow(off + n)
			}
			copy(model[min(off, len(model)):], p)
		case 2:
			if err := f.Punch(int64(off), int64(n)); err != nil {
				t.Fatal(err)
			}
			if off < len(model) {
				clear(model[off:min(off+n, len(model))])
			}
		case 3:
			if r.IntN(4) > 0 {
				continue
			}
			if err := f.Truncate(int64(off)); err != nil {
				t.Fatal(err)
			}
			grow(off)
			model = model[:off:off]
		case 4:
			p := make([]byte, n)
			k, err := f.ReadAt(p, int64(off))
			exp := model[min(off, len(model)):min(off+n, len(model))]
			if k != len(exp) || !bytes.Equal(p[:k], exp) || k < n && err != io.EOF {
				t.Fatalf("op %d: ReadAt(%d bytes, %d) = %d, %v, want %d", op, n, off, k, err, len(exp))
			}
		}
	}
	want(t, f, string(model))
	want(t, must(t, s, "data", false), string(model))
}

func testConcurrent(t *testing.T, s store.Storage) {
	f := must(t, s, "data", true)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			p, q := bytes.Repeat([]byte{byte(i + 1)}, 1000), make([]byte, 1000)
			for k := range 20 {
				off := int64(k*8000 + i*1000)
				if _, err := f.WriteAt(p, off); err != nil {
					t.Error(err)
				}
				if _, err := f.ReadAt(q, off); err != nil && err != io.EOF || !bytes.Equal(p, q) {
					t.Errorf("read back at %d: %v", off, err)
				}
				if k%5 == 0 {
					if err := f.Sync(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if n, err := f.Size(); n != 160000 || err != nil {
		t.Errorf("Size = %d, %v", n, err)
	}
}
