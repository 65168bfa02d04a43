//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package store

import "golang.org/x/sys/unix"

// lock is flock(LOCK_EX|LOCK_NB), the lock npm hypercore takes.
func lock(fd uintptr) error {
	for {
		switch err := unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB); err {
		case unix.EINTR:
		case unix.EWOULDBLOCK:
			return ErrLocked
		default:
			return err
		}
	}
}
