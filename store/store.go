package store

import (
	"errors"
	"io"
)

// Storage is a place for named files. It is safe for concurrent use.
type Storage interface {
	// Open opens the named file for reading and writing. With create a missing
	// file is made, empty; without, the error is fs.ErrNotExist (errors.Is).
	Open(name string, create bool) (File, error)

	// Sync makes the creation of files durable. It says nothing of their
	// content, which is File.Sync's.
	Sync() error

	// String names the place for messages: the directory.
	String() string
}

// File is one open file. ReadAt, WriteAt and Punch may be called at the same
// time; where they overlap the order is open. Errors name the file, and the
// offset where there is one; io.EOF is returned as it is.
type File interface {
	io.ReaderAt
	io.WriterAt

	// Close releases the lock and the file. Only the first call does anything;
	// the others return nil. It does not sync.
	io.Closer

	// Size returns the size in bytes.
	Size() (int64, error)

	// Truncate sets the size; bytes added read zero.
	Truncate(size int64) error

	// Sync makes content and size durable. After it has failed once it keeps
	// returning that error: see the package comment.
	Sync() error

	// Punch makes the range read zero and gives its disk space back where the
	// file system can. It never changes the size; the part of the range beyond
	// it is ignored.
	Punch(off, size int64) error

	// Lock takes an exclusive lock on the file, released by Close. It does not
	// wait: if another File holds it, in this process or another, the error is
	// ErrLocked (errors.Is) and names the file. Where a file that is open for
	// reading only cannot be locked so (NFS), its lock keeps away writers only. On
	// systems without such locks the error is errors.ErrUnsupported.
	Lock() error
}

// ErrLocked is returned by File.Lock when another File holds the lock.
var ErrLocked = errors.New("store: locked by another process or opener")

// Func is a Storage made of one function: it is called with each file name and
// decides where the file lives, for example the secret key elsewhere than the
// rest (OpenFile, or another Storage's Open). Its Sync does nothing: files that
// OpenFile creates make their own creation durable with the first File.Sync.
type Func func(name string, create bool) (File, error)

// Open calls f.
func (f Func) Open(name string, create bool) (File, error) { return f(name, create) }

// Sync does nothing.
func (f Func) Sync() error { return nil }

// String returns "storage function".
func (f Func) String() string { return "storage function" }
