package storetest_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/go-hypercore/hypercore/store"
	"github.com/go-hypercore/hypercore/store/storetest"
)

func TestConformance(t *testing.T) {
	t.Run("Dir", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) store.Storage { return store.Dir(filepath.Join(t.TempDir(), "feed")) })
	})
	t.Run("Memory", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) store.Storage { return store.Memory() })
	})
	t.Run("Func", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) store.Storage {
			dir := t.TempDir()
			return store.Func(func(name string, create bool) (store.File, error) {
				return store.OpenFile(filepath.Join(dir, "sub", name), create)
			})
		})
	})
	t.Run("Crash", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) store.Storage { return storetest.NewCrash(nil) })
	})
	t.Run("Faulty", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) store.Storage { return storetest.NewFaulty(store.Memory()) })
	})
}

// story does one of everything and stops at the first error.
func story(s store.Storage) error {
	f, err := s.Open("tree", true)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("12345678"), 2); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Punch(4, 2); err != nil {
		return err
	}
	if err := f.Truncate(9); err != nil {
		return err
	}
	return s.Sync()
}

func TestFaultyLog(t *testing.T) {
	y := storetest.NewFaulty(store.Memory())
	if err := story(y); err != nil {
		t.Fatal(err)
	}
	want := "1 create tree\n2 write tree 2+8\n3 sync tree\n4 punch tree 4+2\n5 truncate tree 9\n6 sync storage\n"
	if got := y.Log(0); got != want || y.Len() != 6 {
		t.Errorf("%d operations:\n%s", y.Len(), got)
	}
	if got := y.Log(6); got != "6 sync storage\n" {
		t.Errorf("%s", got)
	}
}

// TestFaultyMatrix fails each operation of the story in each way.
func TestFaultyMatrix(t *testing.T) {
	after := []string{"", "\x00\x0012345678", "\x00\x0012345678", "\x00\x0012\x00\x005678", "\x00\x0012\x00\x00567"}
	for n := 1; n <= 6; n++ {
		for _, mode := range []storetest.Mode{storetest.Unapplied, storetest.Applied, storetest.Short} {
			mem := store.Memory()
			y := storetest.NewFaulty(mem)
			y.Fail(storetest.Fault{Nth: n, Mode: mode, Err: syscall.EIO})
			err := story(y)
			if !errors.Is(err, syscall.EIO) || y.Len() != n {
				t.Fatalf("%d %v: %v\n%s", n, mode, err, y.Log(0))
			}
			last := y.Ops()[n-1].String()
			if !strings.Contains(last, mode.String()) || !strings.Contains(last, "input/output") {
				t.Errorf("log: %s", last)
			}
			got, rerr := mem.ReadFile("tree")
			want := ""
			switch {
			case n == 1 && mode != storetest.Applied:
				if !errors.Is(rerr, fs.ErrNotExist) {
					t.Errorf("create %v: %v", mode, rerr)
				}
				continue
			case n == 2 && mode == storetest.Short:
				want = "\x00\x001234"
			case mode == storetest.Applied:
				want = after[min(n-1, 4)]
			case n > 1:
				want = after[min(n-2, 4)]
			}
			if string(got) != want {
				t.Errorf("%d %v: %q, want %q", n, mode, got, want)
			}
			y.Heal()
			if err := story(y); err != nil {
				t.Errorf("healed: %v", err)
			}
		}
	}
}

func TestFaultyChooses(t *testing.T) {
	y := storetest.NewFaulty(store.Memory())
	a, _ := y.Open("a", true)
	b, _ := y.Open("b", true)
	y.Fail(storetest.Fault{Nth: 2, Kinds: []storetest.Kind{storetest.Write}, File: "b"})
	for i, f := range []store.File{a, b, a, b, b} {
		_, err := f.WriteAt([]byte("x"), int64(i))
		if (err != nil) != (i == 3) || i == 3 && !errors.Is(err, storetest.ErrInjected) {
			t.Errorf("write %d: %v", i, err)
		}
	}
	y.Fail(storetest.Fault{Kinds: []storetest.Kind{storetest.Read}, Match: func(o storetest.Op) bool { return o.Off == 1 }})
	for i := range int64(3) {
		if _, err := b.ReadAt(make([]byte, 1), i); (err != nil) != (i == 1) {
			t.Errorf("read %d: %v", i, err)
		}
	}
	if got := y.Log(0); strings.Count(got, "\n0 read b 1+1") != 1 {
		t.Errorf("log:\n%s", got)
	}
}

func TestFaultySyncStaysFailed(t *testing.T) {
	y := storetest.NewFaulty(store.Memory())
	f, _ := y.Open("data", true)
	y.Fail(storetest.Fault{Nth: 1, Kinds: []storetest.Kind{storetest.Sync}})
	first := f.Sync()
	y.Heal()
	if again := f.Sync(); first == nil || again != first {
		t.Errorf("%v, then %v", first, again)
	}
	g, _ := y.Open("data", false)
	if err := g.Sync(); err != nil {
		t.Errorf("opened anew: %v", err)
	}
}

func TestFaultySpace(t *testing.T) {
	mem := store.Memory()
	y := storetest.NewFaulty(mem)
	f, _ := y.Open("data", true)
	y.LimitSpace(10)
	if _, err := f.WriteAt(make([]byte, 7), 0); err != nil {
		t.Fatal(err)
	}
	n, err := f.WriteAt([]byte("abcdef"), 7)
	if n != 3 || !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "data: offset 7") {
		t.Fatalf("%d, %v", n, err)
	}
	if n, err := f.WriteAt([]byte("x"), 0); n != 0 || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("%d, %v", n, err)
	}
	if p, _ := mem.ReadFile("data"); string(p[7:]) != "abc" {
		t.Fatalf("%q", p)
	}
	y.Heal()
	if _, err := f.WriteAt([]byte("def"), 10); err != nil {
		t.Fatal(err)
	}
}
