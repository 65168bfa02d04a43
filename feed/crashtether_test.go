package feed_test

import (
	"errors"
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
