package feed_test

import (
	"errors"
	"hash/fnv"
	"io"
	"io/fs"
	"sync"

	"github.com/go-hypercore/hypercore/store"
)

// errKilled is what a process gets that should not run any more.
var errKilled = errors.New("this process was killed")

// tether is the storage of one process: once it is cut, nothing that the process
// still does reaches the disk, and its locks are gone. What it has written stays,
// unsynced: the computer goes on.
type tether struct {
	store.Storage

	mu    sync.RWMutex
	cut   bool
	files []store.File
}

func (t *tether) Open(name string, create bool) (store.File, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cut {
		return nil, errKilled
	}
	f, err := t.Storage.Open(name, create)
	if err != nil {
		return nil, err
	}
	t.files = append(t.files, f)
	return &tetherFile{f, t}, nil
}

func (t *tether) Sync() error { return t.do(t.Storage.Sync) }

func (t *tether) do(fn func() error) error {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.cut {
		return errKilled
	}
	return fn()
}

func (t *tether) kill() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cut = true
	for _, f := range t.files {
		f.Close()
	}
	t.files = nil
}

// Stamp implements store.Stamper: the content tells.
func (t *tether) Stamp(name string) (s store.Stamp, err error) {
	err = t.do(func() error {
		s, err = stampOf(t.Storage, name)
		return err
	})
	return s, err
}

// stampOf makes a stamp of the content of a file.
func stampOf(st store.Storage, name string) (s store.Stamp, err error) {
	f, err := st.Open(name, false)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	defer f.Close()
	if s.Size, err = f.Size(); err != nil {
		return s, err
	}
	b := make([]byte, s.Size)
	if _, err := f.ReadAt(b, 0); err != nil && err != io.EOF {
		return s, err
	}
	h := fnv.New64a()
	h.Write(b)
	s.Inode = h.Sum64() | 1
	return s, nil
}

type tetherFile struct {
	store.File
	t *tether
}

func (f *tetherFile) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.t.do(func() error {
		n, err = f.File.WriteAt(p, off)
		return err
	})
	return n, err
}

func (f *tetherFile) Truncate(size int64) error {
	return f.t.do(func() error { return f.File.Truncate(size) })
}

func (f *tetherFile) Punch(off, size int64) error {
	return f.t.do(func() error { return f.File.Punch(off, size) })
}

func (f *tetherFile) Sync() error { return f.t.do(f.File.Sync) }
