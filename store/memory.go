package store

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"sync"
)

// Memory returns an empty Storage in memory.
func Memory() *MemoryStorage { return &MemoryStorage{files: map[string]*memory{}} }

// MemoryStorage is a Storage in memory. Its files survive the Close of the Files
// that were opened on them; locks work among its own Files. Holes cost nothing.
type MemoryStorage struct {
	mu    sync.Mutex
	files map[string]*memory
}

// Open implements Storage.
func (m *MemoryStorage) Open(name string, create bool) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.files[name]
	if f == nil {
		if !create {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		f = &memory{chunks: map[int64]*chunk{}}
		if m.files == nil {
			m.files = map[string]*memory{}
		}
		m.files[name] = f
	}
	return &memFile{name: name, m: f}, nil
}

// Sync implements Storage; memory is as durable as it gets.
func (m *MemoryStorage) Sync() error { return nil }

// String returns "memory".
func (m *MemoryStorage) String() string { return "memory" }

// Names returns the names of the files there are, sorted.
func (m *MemoryStorage) Names() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := make([]string, 0, len(m.files))
	for n := range m.files {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// ReadFile returns the content of the named file.
func (m *MemoryStorage) ReadFile(name string) ([]byte, error) {
	f, err := m.Open(name, false)
	if err != nil {
		return nil, err
	}
	n, _ := f.Size()
	p := make([]byte, n)
	k, err := f.ReadAt(p, 0)
	if err == io.EOF {
		err = nil
	}
	return p[:k], err
}

// WriteFile makes data the content of the named file, creating it if needed.
func (m *MemoryStorage) WriteFile(name string, data []byte) error {
	f, err := m.Open(name, true)
	if err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	return err
}

// Remove removes the named file; Files open on it go on. A missing file is no
// error.
func (m *MemoryStorage) Remove(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.files, name)
}

// Clone returns a copy of all files, unlocked, as a process that opens them anew
// would find them.
func (m *MemoryStorage) Clone() *MemoryStorage {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := Memory()
	for name, f := range m.files {
		f.mu.Lock()
		for _, p := range f.chunks {
			if p.owner != nil {
				p.owner = nil
			}
		}
		c.files[name] = &memory{chunks: maps.Clone(f.chunks), size: f.size}
		f.mu.Unlock()
	}
	return c
}

// chunkSize is small because most files in memory are: those of test feeds.
const chunkSize = 4096

// chunk is a part of a file. Without owner it belongs to several memories and is
// never changed again; with one, only that one has it, and its lock guards it.
type chunk struct {
	owner *memory
	b     [chunkSize]byte
}

// own returns chunk i for writing: made, or copied, if needed.
func (m *memory) own(i int64) *chunk {
	c := m.chunks[i]
	if c != nil && c.owner == m {
		return c
	}
	n := &chunk{owner: m}
	if c != nil {
		n.b = c.b
	}
	m.chunks[i] = n
	return n
}

// memory is the content of a file. Bytes of chunks beyond size are zero.
type memory struct {
	mu     sync.RWMutex
	chunks map[int64]*chunk // by offset/chunkSize; missing: zeros
	size   int64
	locked *memFile // who holds the lock
}

// memFile is a File open on a memory.
type memFile struct {
	name string // constant
	m    *memory

	closed bool // guarded by m.mu
}

func (f *memFile) err(op string, err error) error {
	return &fs.PathError{Op: op, Path: f.name, Err: err}
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	m := f.m
	m.mu.RLock()
	defer m.mu.RUnlock()
	if f.closed {
		return 0, f.err("read", fs.ErrClosed)
	}
	if off < 0 {
		return 0, f.err("read", fmt.Errorf("offset %d: %w", off, fs.ErrInvalid))
	}
	n := int(min(int64(len(p)), max(m.size-off, 0)))
	for done := 0; done < n; {
		at := off + int64(done)
		k := at % chunkSize
		part := p[done:min(n, done+int(chunkSize-k))]
		if c := m.chunks[at/chunkSize]; c != nil {
			copy(part, c.b[k:])
		} else {
			clear(part)
		}
		done += len(part)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	m := f.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if f.closed {
		return 0, f.err("write", fs.ErrClosed)
	}
	if off < 0 || off+int64(len(p)) < 0 {
		return 0, f.err("write", fmt.Errorf("offset %d: %w", off, fs.ErrInvalid))
	}
	if len(p) == 0 {
		return 0, nil
	}
	for done := 0; done < len(p); {
		at := off + int64(done)
		done += copy(m.own(at / chunkSize).b[at%chunkSize:], p[done:])
	}
	m.size = max(m.size, off+int64(len(p)))
	return len(p), nil
}

func (f *memFile) Size() (int64, error) {
	f.m.mu.RLock()
	defer f.m.mu.RUnlock()
	if f.closed {
		return 0, f.err("stat", fs.ErrClosed)
	}
	return f.m.size, nil
}

func (f *memFile) Truncate(size int64) error {
	m := f.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if f.closed {
		return f.err("truncate", fs.ErrClosed)
	}
	if size < 0 {
		return f.err("truncate", fs.ErrInvalid)
	}
	if size < m.size {
		m.zero(size, m.size)
	}
	m.size = size
	return nil
}

func (f *memFile) Sync() error {
	f.m.mu.RLock()
	defer f.m.mu.RUnlock()
	if f.closed {
		return f.err("sync", fs.ErrClosed)
	}
	return nil
}

func (f *memFile) Punch(off, size int64) error {
	m := f.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if f.closed {
		return f.err("punch", fs.ErrClosed)
	}
	if off < 0 || size < 0 {
		return f.err("punch", fs.ErrInvalid)
	}
	if size = min(size, m.size-off); size > 0 {
		m.zero(off, off+size)
	}
	return nil
}

// zero clears the bytes from off to end-1, which is at most the size, and drops
// the chunks that lie within.
func (m *memory) zero(off, end int64) {
	first, last := off/chunkSize, (end-1)/chunkSize
	if last-first > int64(len(m.chunks)) {
		for i := range m.chunks {
			if i > first && i < last {
				delete(m.chunks, i)
			}
		}
	} else {
		for i := first + 1; i < last; i++ {
			delete(m.chunks, i)
		}
	}
	for _, i := range []int64{first, last} {
		if m.chunks[i] == nil {
			continue
		}
		lo, hi := max(off-i*chunkSize, 0), min(end-i*chunkSize, chunkSize)
		if lo == 0 && (hi == chunkSize || i*chunkSize+hi >= m.size) {
			delete(m.chunks, i)
			continue
		}
		clear(m.own(i).b[lo:hi])
	}
}

func (f *memFile) Lock() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.closed {
		return f.err("lock", fs.ErrClosed)
	}
	if l := f.m.locked; l != nil && l != f {
		return f.err("lock", ErrLocked)
	}
	f.m.locked = f
	return nil
}

func (f *memFile) Close() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.m.locked == f {
		f.m.locked = nil
	}
	f.closed = true
	return nil
}
