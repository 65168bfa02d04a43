//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package store

import "golang.org/x/sys/unix"

var flock = unix.Flock // a test has the one of NFS

// lock is flock(LOCK_EX|LOCK_NB), the lock npm hypercore takes. NFS and CIFS have it for
// files only that are open for writing, and say EBADF of others: who only reads shares
// his lock there with those who only read, which keeps writers away as well.
func lock(fd uintptr) error {
	how := unix.LOCK_EX
	for {
		switch err := flock(int(fd), how|unix.LOCK_NB); {
		case err == unix.EINTR:
		case err == unix.EWOULDBLOCK:
			return ErrLocked
		case err == unix.EBADF && how == unix.LOCK_EX:
			how = unix.LOCK_SH
		default:
			return err
		}
	}
}
