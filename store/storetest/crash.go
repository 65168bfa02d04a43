package storetest

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/go-hypercore/hypercore/store"
)

// Crash is a Storage in memory that remembers every operation with its data, so
// that afterwards the power can be cut at any of them: Image and States produce
// what a computer could find on its disk.
//
// What is modelled, and no more is promised to the program under test:
//
//   - After File.Sync the file's content and size up to there are durable.
//   - Each write, truncate and punch after the last Sync of its file is lost or
//     not, independently of the others (Subset, Mask), or sector by sector of 512
//     bytes, with the size changed or not (Torn). Where kept operations overlap,
//     the later wins.
//   - A file created after the last Storage.Sync may be missing altogether, synced
//     or not.
//
// Operations are done one at a time, in the order of their numbers. It is safe
// for concurrent use.
type Crash struct {
	mem   *store.MemoryStorage // the content as the program sees it
	start *store.MemoryStorage // what was durable at the beginning; constant

	mu   sync.Mutex
	ops  []Op
	data [][]byte // of writes, by operation
}

// NewCrash returns a Crash that starts with a copy of start, all of it durable;
// nil is an empty one. Starting from an Image tries recovery itself.
func NewCrash(start *store.MemoryStorage) *Crash {
	if start == nil {
		start = store.Memory()
	}
	return &Crash{mem: start.Clone(), start: start.Clone()}
}

// Len returns the number of the last operation. What the program acknowledges
// now must survive a crash at any At >= Len().
func (c *Crash) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.ops)
}

// Ops returns the operations so far.
func (c *Crash) Ops() []Op {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.ops)
}

// Log returns the operations with the numbers from to to, one per line.
func (c *Crash) Log(from, to int) string {
	var b strings.Builder
	for _, o := range c.Ops() {
		if o.N >= from && o.N <= to {
			fmt.Fprintln(&b, o)
		}
	}
	return b.String()
}

// do performs and records one operation. What fails is not recorded.
func (c *Crash) do(o Op, data []byte, apply func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := apply(); err != nil {
		return err
	}
	o.N = len(c.ops) + 1
	c.ops = append(c.ops, o)
	c.data = append(c.data, slices.Clone(data))
	return nil
}

// String returns "crash test".
func (c *Crash) String() string { return "crash test" }

// Open implements store.Storage.
func (c *Crash) Open(name string, create bool) (store.File, error) {
	f, err := c.mem.Open(name, false)
	if errors.Is(err, fs.ErrNotExist) && create {
		err = c.do(Op{Kind: Create, File: name}, nil, func() (err error) {
			f, err = c.mem.Open(name, true)
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	return &crashFile{File: f, c: c, name: name}, nil
}

// Sync implements store.Storage.
func (c *Crash) Sync() error {
	return c.do(Op{Kind: SyncStorage}, nil, func() error { return nil })
}

// crashFile is a file whose operations are recorded.
type crashFile struct {
	store.File
	c    *Crash
	name string
}

func (f *crashFile) WriteAt(p []byte, off int64) (int, error) {
	if len(p) == 0 {
		return f.File.WriteAt(p, off)
	}
	err := f.c.do(Op{Kind: Write, File: f.name, Off: off, Size: int64(len(p)), Done: int64(len(p))}, p, func() error {
		_, err := f.File.WriteAt(p, off)
		return err
	})
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

func (f *crashFile) Truncate(size int64) error {
	return f.c.do(Op{Kind: Truncate, File: f.name, Size: size}, nil, func() error { return f.File.Truncate(size) })
}

func (f *crashFile) Punch(off, size int64) error {
	return f.c.do(Op{Kind: Punch, File: f.name, Off: off, Size: size}, nil, func() error { return f.File.Punch(off, size) })
}

func (f *crashFile) Sync() error {
	return f.c.do(Op{Kind: Sync, File: f.name}, nil, f.File.Sync)
}
