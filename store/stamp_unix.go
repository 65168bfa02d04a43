//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package store

import (
	"errors"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Stamp implements Stamper.
func (d *dir) Stamp(name string) (Stamp, error) {
	var st unix.Stat_t
	path := filepath.Join(d.path, name)
	for {
		err := unix.Stat(path, &st)
		switch {
		case err == nil:
			return Stamp{Size: st.Size, Written: st.Mtim.Nano(), Changed: st.Ctim.Nano(), Inode: uint64(st.Ino)}, nil
		case errors.Is(err, fs.ErrNotExist):
			return Stamp{}, nil
		case err != unix.EINTR:
			return Stamp{}, &fs.PathError{Op: "stat", Path: path, Err: err}
		}
	}
}
