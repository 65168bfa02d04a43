package feed

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/go-hypercore/hypercore/store"
)

// Errors of opening.
var (
	// ErrLocked: another process, or another Open of this one, has the feed open.
	ErrLocked = store.ErrLocked
	// ErrNotFound: no feed is stored here and Options.MustExist was set.
	ErrNotFound = errors.New("feed: no feed is stored here")
	// ErrNotFeed: files that have names of a feed's, and are something else.
	ErrNotFeed = errors.New("feed: not a feed")
	// ErrKeyMismatch: another feed is stored here, or the secret key belongs to
	// another feed.
	ErrKeyMismatch = errors.New("feed: key mismatch")
	// ErrBadKey: not a key at all.
	ErrBadKey = errors.New("feed: malformed key")
	// ErrCorrupt: a file of the feed is not what it should be; see CorruptError.
	// Options.Repair rebuilds what can be.
	ErrCorrupt = errors.New("feed: damaged")
)

// Errors of use.
var (
	// ErrClosed: the feed is closed.
	ErrClosed = errors.New("feed: closed")
	// ErrNotLocal: the block, or the node that is needed, is not here.
	ErrNotLocal = errors.New("feed: not here")
	// ErrOutOfBounds: beyond the end of the feed, or a range that ends before it
	// starts.
	ErrOutOfBounds = errors.New("feed: out of bounds")
	// ErrTooLarge: a block that no peer would accept, see MaxBlock, or a feed that
	// would exceed MaxLength.
	ErrTooLarge = errors.New("feed: too large")
	// ErrNotWritable: there is no secret key here, or the feed was opened to be
	// read only.
	ErrNotWritable = errors.New("feed: not writable")
	// ErrStatic: a static feed that is finalized cannot be appended to; a feed
	// that is not static cannot be finalized.
	ErrStatic = errors.New("feed: static")
	// ErrBehind: appending would fork the feed, because more was signed and shown
	// to peers than is here: the directory is a restored backup or a copy. Fetch
	// the rest from peers, then call TakeOver.
	ErrBehind = errors.New("feed: behind what was already announced")
	// ErrOtherWriter: the directory was last written by another node
	// (Options.Identity). If that node no longer writes it, call TakeOver.
	ErrOtherWriter = errors.New("feed: last written by another node")
	// ErrFork: the writer signed two different histories; see ForkError. The feed
	// is frozen.
	ErrFork = errors.New("feed: two histories signed by one key")
	// ErrFrozen: ErrFork was found earlier; nothing is appended or applied.
	ErrFrozen = errors.New("feed: frozen")
	// ErrCanceled: Download.Cancel was called.
	ErrCanceled = errors.New("feed: download canceled")
	// ErrReplicator: Attach was called while a Replicator is attached.
	ErrReplicator = errors.New("feed: already has a replicator")
)

// Errors of what comes from a peer.
var (
	// ErrInvalidProof: the sender's fault; see ProofError.
	ErrInvalidProof = errors.New("feed: invalid proof")
	// ErrUnlinked: the proof may be right, but it cannot be told whether it
	// continues the history that is here. It is nobody's fault. Ask for
	// Demand.Links first.
	ErrUnlinked = errors.New("feed: not linked to the history that is here")
	// ErrUnsound: the sizes in the tree that the writer has signed contradict each
	// other. The feed takes nothing more. It is the writer's fault, not that of who
	// sends it.
	ErrUnsound = errors.New("feed: the writer's tree is unsound")
)

// CorruptError says which file is damaged, and where.
type CorruptError struct {
	Dir    string // the storage
	File   string // data, tree, signatures, bitfield, key, secret_key or journal
	Offset int64  // in bytes
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("feed: %s: file %s is damaged at byte %d: %s", e.Dir, e.File, e.Offset, e.Reason)
}

// Is makes errors.Is(err, ErrCorrupt) true.
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

// ProofError is what a peer did wrong.
type ProofError struct {
	Index  uint64 // block
	Reason string
	Err    error // cause, may be nil
}

func (e *ProofError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("feed: invalid proof for block %d: %s: %v", e.Index, e.Reason, e.Err)
	}
	return fmt.Sprintf("feed: invalid proof for block %d: %s", e.Index, e.Reason)
}

// Is makes errors.Is(err, ErrInvalidProof) true.
func (e *ProofError) Is(target error) bool { return target == ErrInvalidProof }

func (e *ProofError) Unwrap() error { return e.Err }

// fileError adds the file and what was being done to an error of the store.
func (f *Feed) fileError(op, file string, err error) error {
	err = fmt.Errorf("feed: %s: %s %s: %w", f.st, op, file, err)
	switch {
	case op == "sync":
		return &syncError{err}
	case op == "read" && file == dataName:
		return &dataError{err}
	}
	return err
}

// dataError is a failed read of the data file.
type dataError struct{ error }

func (e *dataError) Unwrap() error { return e.error }

// unreadable reports whether an error says that the disk does not give data back: a
// bad sector. The blocks there are as good as damaged ones. A file that was closed
// says nothing of its blocks, and neither does a call that has to end.
func unreadable(err error) bool {
	var d *dataError
	return errors.As(err, &d) && !errors.Is(err, fs.ErrClosed) && !errors.Is(err, ErrClosed) &&
		!errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// syncError is a failed sync. It is not tried again: what could not be written
// may count as written now, so the next one would succeed for nothing.
type syncError struct{ error }

func (e *syncError) Unwrap() error { return e.error }

// writeAt writes b to a file; its error names the file and the offset.
func (f *Feed) writeAt(name string, file store.File, b []byte, off int64) error {
	if _, err := file.WriteAt(b, off); err != nil {
		if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
			err = pe.Err // the place is said already
		}
		return fmt.Errorf("feed: %s: write %s at byte %d: %w", f.st, name, off, err)
	}
	return nil
}

func (f *Feed) corrupt(file string, off int64, format string, args ...any) *CorruptError {
	return &CorruptError{Dir: f.st.String(), File: file, Offset: off, Reason: fmt.Sprintf(format, args...)}
}

// errAbsent is ErrNotLocal for a block. Get has one for each block that it waits for,
// which nobody reads, so it has its text when it is asked for.
type errAbsent uint64

func (e errAbsent) Error() string { return fmt.Sprintf("%v: block %d", ErrNotLocal, uint64(e)) }

// Is makes errors.Is(err, ErrNotLocal) true.
func (e errAbsent) Is(target error) bool { return target == ErrNotLocal }

func isNotLocal(err error) bool { return err != nil && errors.Is(err, ErrNotLocal) }
