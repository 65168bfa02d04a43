//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package store

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// TestLockNFS: where only a file that is open for writing can be locked exclusively, readers
// keep writers away, and writers keep readers away.
func TestLockNFS(t *testing.T) {
	flock = func(fd, how int) error {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		if err != nil {
			return err
		}
		if how&unix.LOCK_EX != 0 && flags&unix.O_ACCMODE == unix.O_RDONLY {
			return unix.EBADF
		}
		return unix.Flock(fd, how)
	}
	defer func() { flock = unix.Flock }()
	st := Dir(t.TempDir())
	opened := func(s Storage) File {
		t.Helper()
		f, err := s.Open("bitfield", s == st)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	locks := func(f File, want error) {
		t.Helper()
		if err := f.Lock(); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	w, r, r2 := opened(st), opened(st.(Reader).Reading()), opened(st.(Reader).Reading())
	locks(r, nil)
	locks(r2, nil)
	locks(w, ErrLocked)
	r.Close()
	r2.Close()
	locks(w, nil)
	locks(opened(st.(Reader).Reading()), ErrLocked)
}
