package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ballast fills the page cache before each run (row.fill, --full-cache), as it is on a
// machine that has been up for a while. In a virtual machine memory that is free
// may have been given back to the host, and whoever writes the first file after
// that pays for every page of it: five times what the write costs, at one run and
// not at the next.
type ballast struct {
	f    *os.File
	size int64
	at   int64 // what was read last; what follows was read longest ago
}

// cacheRest is how much memory stays free.
const cacheRest = 256 * mib

func newBallast(dir string) (*ballast, error) {
	size := memory("MemTotal")
	if size == 0 {
		return nil, errors.New("the page cache cannot be filled: this system does not tell its memory")
	}
	f, err := os.Create(filepath.Join(dir, "ballast"))
	if err != nil {
		return nil, err
	}
	if err := f.Truncate(size); err != nil { // a hole: it takes no room on the disk
		f.Close()
		return nil, err
	}
	return &ballast{f: f, size: size}, nil
}

// fill reads the ballast until little memory is free, or until reading more of it
// leaves as much free: a control group has a share of the memory, and its cache no more
// than that.
func (b *ballast) fill(ctx context.Context) error {
	const piece, vain = 32 * mib, 1024 * mib
	buf := make([]byte, 1*mib)
	least, since := b.size, int64(0)
	for n := int64(0); n < 2*b.size && n-since < vain && ctx.Err() == nil; n += piece {
		free := memory("MemFree")
		if free < cacheRest {
			break
		}
		if free < least-piece {
			least, since = free, n
		}
		if _, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{io.NewSectionReader(b.f, b.at, piece)}, buf); err != nil {
			return err
		}
		if b.at += piece; b.at >= b.size {
			b.at = 0
		}
	}
	return ctx.Err()
}

// drop empties the page cache of the ballast, so that rows that need no full one have
// room for what they read. nil: there is none.
func (b *ballast) drop() {
	if b != nil {
		forget(b.f)
	}
}

// memory is a line of /proc/meminfo in bytes, 0 where there is none.
func memory(name string) int64 {
	v, _, _ := strings.Cut(firstField("/proc/meminfo", name), " ")
	n, _ := strconv.ParseInt(v, 10, 64)
	return n * kib
}

// keepCached puts a data set, as it is and in the files of a system, back into the page
// cache, out of which filling that may have driven them.
func (e *env) keepCached(rw *row, dir string, d dataset) error {
	if !e.fills(rw) {
		return nil
	}
	paths := []string{d.File}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			paths = append(paths, path)
		}
		return err
	})
	return errors.Join(err, warm(paths...))
}

// warm reads files, so that they are in the page cache: for rows that are about what
// reading costs, not about the disk.
func warm(paths ...string) error {
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, f)
		f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}
