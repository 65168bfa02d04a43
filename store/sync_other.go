//go:build !linux

package store

import (
	"errors"
	"os"
	"runtime"
	"syscall"
)

// datasync makes content and size durable in the strongest way the system has
// (F_FULLFSYNC on macOS, FlushFileBuffers on Windows).
func datasync(f *os.File) error { return f.Sync() }

// punch has no portable form: the caller writes zeros.
func punch(uintptr, int64, int64) error { return errors.ErrUnsupported }

// syncDirHandle syncs a directory. Windows cannot sync one and has no need to:
// NTFS journals the creation of files.
func syncDirHandle(d *os.File) error {
	err := d.Sync()
	if runtime.GOOS == "windows" || errors.Is(err, syscall.EINVAL) {
		return nil
	}
	return err
}
