package store_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/go-hypercore/hypercore/store"
)

func open(t *testing.T, s store.Storage, name string, create bool) store.File {
	t.Helper()
	f, err := s.Open(name, create)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func write(t *testing.T, f store.File, data string, off int64) {
	t.Helper()
	if _, err := f.WriteAt([]byte(data), off); err != nil {
		t.Fatal(err)
	}
}

func TestDirCreatesNothingBeforeTheFirstFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b")
	s := store.Dir(path)
	if _, err := s.Open("tree", false); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("Open without create: %v", err)
	}
	if err := s.Sync(); err != nil {
		t.Fatalf("Sync of nothing: %v", err)
	}
	if _, err := os.Stat(filepath.Dir(path)); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("something was created: %v", err)
	}
	if s.String() != path {
		t.Errorf("String = %q", s.String())
	}
}

func TestDirModes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b")
	s := store.Dir(path)
	open(t, s, "tree", true)
	open(t, s, "secret_key", true)
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	for p, want := range map[string]fs.FileMode{
		filepath.Dir(path): 0o700, path: 0o700,
		filepath.Join(path, "tree"): 0o644, filepath.Join(path, "secret_key"): 0o600,
	} {
		fi, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		if got := fi.Mode().Perm(); got&^want != 0 { // the umask may take more away
			t.Errorf("%s: mode %v, want %v", p, got, want)
		}
	}
}

func TestDirRefusesPaths(t *testing.T) {
	s := store.Dir(t.TempDir())
	for _, name := range []string{"", ".", "..", "../x", "a/b", "/etc/passwd"} {
		if _, err := s.Open(name, true); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("Open(%q): %v", name, err)
		}
	}
}

func TestErrorsNameThePlace(t *testing.T) {
	path := t.TempDir()
	s := store.Dir(path)
	f := open(t, s, "data", true)
	if err := f.Lock(); err != nil {
		t.Fatal(err)
	}
	err := open(t, s, "data", true).Lock()
	if !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), filepath.Join(path, "data")) {
		t.Errorf("Lock: %v", err)
	}
	f.Close()
	for op, err := range map[string]error{
		"write":    second(f.WriteAt([]byte("x"), 77)),
		"read":     second(f.ReadAt(make([]byte, 1), 77)),
		"sync":     f.Sync(),
		"punch":    f.Punch(77, 1),
		"truncate": f.Truncate(77),
	} {
		if !errors.Is(err, fs.ErrClosed) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s after Close: %v", op, err)
		}
	}
	if _, err := f.WriteAt(nil, -1); err == nil {
		t.Error("a negative offset was accepted")
	}
}

func second[T any](_ T, err error) error { return err }

func TestPunchGivesSpaceBack(t *testing.T) {
	f := open(t, store.Dir(t.TempDir()), "data", true)
	size := int64(1 << 20)
	write(t, f, strings.Repeat("x", int(size)), 0)
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := f.Punch(4096, 1<<40); err != nil {
		t.Fatal(err)
	}
	if n, err := f.Size(); n != size || err != nil {
		t.Fatalf("size %d, %v", n, err)
	}
	p := make([]byte, 2)
	if _, err := f.ReadAt(p, 4095); err != nil || string(p) != "x\x00" {
		t.Fatalf("%q, %v", p, err)
	}
}

func TestFunc(t *testing.T) {
	dir, mem := t.TempDir(), store.Memory()
	s := store.Func(func(name string, create bool) (store.File, error) {
		if name == "secret_key" {
			return mem.Open(name, create)
		}
		return store.OpenFile(filepath.Join(dir, "deep", "er", name), create)
	})
	if _, err := s.Open("tree", false); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	f := open(t, s, "tree", true)
	write(t, f, "t", 0)
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	write(t, open(t, s, "secret_key", true), "s", 0)
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	if p, err := os.ReadFile(filepath.Join(dir, "deep", "er", "tree")); string(p) != "t" {
		t.Fatalf("%q, %v", p, err)
	}
	if p, err := mem.ReadFile("secret_key"); string(p) != "s" {
		t.Fatalf("%q, %v", p, err)
	}
	if names := mem.Names(); len(names) != 1 {
		t.Fatalf("%v", names)
	}
}

func TestMemoryClone(t *testing.T) {
	m := store.Memory()
	if err := m.WriteFile("a", []byte("one")); err != nil {
		t.Fatal(err)
	}
	f := open(t, m, "a", false)
	if err := f.Lock(); err != nil {
		t.Fatal(err)
	}
	c := m.Clone()
	write(t, f, "two", 0)
	d := m.Clone()
	g := open(t, d, "a", false)
	write(t, g, "T", 0)
	if err := g.Punch(2, 1); err != nil {
		t.Fatal(err)
	}
	for s, want := range map[*store.MemoryStorage]string{c: "one", m: "two", d: "Tw\x00"} {
		if p, _ := s.ReadFile("a"); string(p) != want {
			t.Errorf("%q, want %q", p, want)
		}
	}
	if err := open(t, c, "a", false).Lock(); err != nil {
		t.Errorf("the copy is locked: %v", err)
	}
	m.Remove("a")
	if _, err := m.ReadFile("a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	write(t, f, "goes on", 0)
}

func TestDiskFull(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full")
	}
	f, err := store.OpenFile("/dev/full", false)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("x"), 5); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "offset 5") {
		t.Errorf("%v", err)
	}
}

// A directory that is opened for reading is not written to.
func TestReading(t *testing.T) {
	dir := t.TempDir()
	f, err := store.Dir(dir).Open("data", true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("abc"), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	r := store.Dir(dir).(store.Reader).Reading()
	if _, err := r.Open("tree", true); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("created a file: %v", err)
	}
	if _, err := r.Open("../data", false); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("left the directory: %v", err)
	}
	f, err = r.Open("data", false)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Lock(); err != nil {
		t.Error(err)
	}
	b := make([]byte, 3)
	if _, err := f.ReadAt(b, 0); err != nil || string(b) != "abc" {
		t.Errorf("read %q, %v", b, err)
	}
	if _, err := f.WriteAt([]byte("x"), 0); err == nil {
		t.Error("written")
	}
}

// TestZeroMemoryStorage: the zero value is an empty one.
func TestZeroMemoryStorage(t *testing.T) {
	var m store.MemoryStorage
	if _, err := m.Open("data", false); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if f, err := m.Open("data", true); err != nil {
		t.Error(err)
	} else if _, err := f.WriteAt([]byte("x"), 3); err != nil {
		t.Error(err)
	}
}
