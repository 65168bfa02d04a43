package store

import "golang.org/x/sys/windows"

// lockOffset is where the locked byte is: Windows forbids others to read what is
// locked, so it is far behind any content.
const lockOffset = 1 << 62

func lock(fd uintptr) error {
	at := windows.Overlapped{OffsetHigh: lockOffset >> 32}
	err := windows.LockFileEx(windows.Handle(fd), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &at)
	if err == windows.ERROR_LOCK_VIOLATION || err == windows.ERROR_IO_PENDING {
		return ErrLocked
	}
	return err
}
