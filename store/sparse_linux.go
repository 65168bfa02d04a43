package store

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// NextData implements Sparse. It moves the position of the file, which nobody uses.
func (f *osFile) NextData(off int64) (int64, error) {
	size, err := f.Size()
	if err != nil || off >= size {
		return size, err
	}
	raw, err := f.f.SyscallConn()
	if err != nil {
		return 0, err
	}
	var at int64
	var serr error
	if err := raw.Control(func(fd uintptr) { at, serr = unix.Seek(int(fd), off, unix.SEEK_DATA) }); err != nil {
		return 0, err
	}
	switch {
	case serr == nil:
		return at, nil
	case errors.Is(serr, unix.ENXIO):
		return size, nil
	case errors.Is(serr, unix.EINVAL), errors.Is(serr, unix.EOPNOTSUPP):
		return off, nil
	}
	return 0, fmt.Errorf("offset %d: next data of %s: %w", off, f.f.Name(), serr)
}
