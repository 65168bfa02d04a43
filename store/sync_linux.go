package store

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// datasync makes content and size durable, but not the times, which would cost a
// write to the journal of the file system each time.
func datasync(f *os.File) error {
	return control(f, "sync", func(fd uintptr) error {
		return retry(func() error { return unix.Fdatasync(int(fd)) })
	})
}

// punch makes a hole. EOPNOTSUPP, ENOSYS: this file system has none.
func punch(fd uintptr, off, size int64) error {
	err := retry(func() error {
		return unix.Fallocate(int(fd), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, size)
	})
	if err == unix.EOPNOTSUPP || err == unix.ENOSYS {
		return errors.ErrUnsupported
	}
	return err
}

func syncDirHandle(d *os.File) error { return d.Sync() }

// retry repeats a system call that a signal has interrupted.
func retry(f func() error) error {
	for {
		if err := f(); err != unix.EINTR {
			return err
		}
	}
}
