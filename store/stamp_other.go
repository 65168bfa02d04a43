//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Stamp implements Stamper.
func (d *dir) Stamp(name string) (Stamp, error) {
	fi, err := os.Stat(filepath.Join(d.path, name))
	if errors.Is(err, fs.ErrNotExist) {
		return Stamp{}, nil
	}
	if err != nil {
		return Stamp{}, err
	}
	return Stamp{Size: fi.Size(), Written: fi.ModTime().UnixNano()}, nil
}
