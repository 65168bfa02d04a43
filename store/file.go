package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// osFile is a File of the operating system.
type osFile struct {
	f *os.File // constant

	closing sync.Once

	// syncing is held during a sync, so that the failure of one is seen by all
	// that follow.
	syncing sync.Mutex
	failed  error    // the first failure of a sync
	made    []string // directories to be synced with the first sync
}

func newFile(f *os.File) *osFile { return &osFile{f: f} }

func (f *osFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.f.ReadAt(p, off)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("offset %d: %w", off, err)
	}
	return n, err
}

func (f *osFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.f.WriteAt(p, off)
	if err != nil {
		err = fmt.Errorf("offset %d: %w", off, err)
	}
	return n, err
}

func (f *osFile) Size() (int64, error) {
	fi, err := f.f.Stat()
	if err != nil {
		return 0, err
	}
	return fi.Size(), nil
}

func (f *osFile) Truncate(size int64) error { return f.f.Truncate(size) }

func (f *osFile) Sync() error {
	f.syncing.Lock()
	defer f.syncing.Unlock()
	if f.failed != nil {
		return f.failed
	}
	err := datasync(f.f)
	if err == nil && f.made != nil {
		if err = syncDirs(f.made); err == nil {
			f.made = nil
		}
	}
	if err != nil && !errors.Is(err, os.ErrClosed) {
		f.failed = err
	}
	return err
}

func (f *osFile) Punch(off, size int64) error {
	if off < 0 || size < 0 {
		return &os.PathError{Op: "punch", Path: f.f.Name(), Err: os.ErrInvalid}
	}
	end, err := f.Size()
	if err != nil {
		return err
	}
	if size = min(size, end-off); size <= 0 {
		return nil
	}
	err = control(f.f, "punch", func(fd uintptr) error { return punch(fd, off, size) })
	if errors.Is(err, errors.ErrUnsupported) {
		return f.zero(off, size)
	}
	if err != nil {
		return fmt.Errorf("offset %d: %w", off, err)
	}
	return nil
}

// zeros is what a hole is filled with where there are no holes.
var zeros [64 << 10]byte

func (f *osFile) zero(off, size int64) error {
	for size > 0 {
		n, err := f.WriteAt(zeros[:min(size, int64(len(zeros)))], off)
		if err != nil {
			return err
		}
		off, size = off+int64(n), size-int64(n)
	}
	return nil
}

func (f *osFile) Lock() error { return control(f.f, "lock", lock) }

func (f *osFile) Close() error {
	var err error
	f.closing.Do(func() { err = f.f.Close() })
	return err
}

// control calls fn with the descriptor of f, kept open meanwhile, and names
// operation and file in its error.
func control(f *os.File, op string, fn func(fd uintptr) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var ferr error
	if err := conn.Control(func(fd uintptr) { ferr = fn(fd) }); err != nil {
		return &os.PathError{Op: op, Path: f.Name(), Err: os.ErrClosed}
	}
	if ferr != nil {
		return &os.PathError{Op: op, Path: f.Name(), Err: ferr}
	}
	return nil
}
