package storetest

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/go-hypercore/hypercore/store"
)

// ErrInjected is the error of operations that were made to fail, unless the
// Fault names another.
var ErrInjected = errors.New("storetest: injected fault")

// Mode is how an operation fails.
type Mode uint8

// The ways to fail.
const (
	// Unapplied: nothing happened, the caller gets the error.
	Unapplied Mode = iota + 1
	// Applied: it happened, yet the caller gets the error. For a sync: the data
	// became durable.
	Applied
	// Short: the first half of a write happened (of one byte: nothing); other
	// operations fail unapplied.
	Short
)

func (m Mode) String() string {
	switch m {
	case Unapplied:
		return "unapplied"
	case Applied:
		return "applied"
	case Short:
		return "short"
	}
	return fmt.Sprintf("mode %d", uint8(m))
}

// Fault chooses operations to fail. The zero values of Kinds, File and Match
// choose all.
type Fault struct {
	// Nth fails the Nth operation that the other fields choose, counted from 1
	// from the moment of the call; 0 fails all of them from now on.
	Nth int
	// Mode is how; 0 is Unapplied.
	Mode Mode
	// Err is what the caller gets; nil is ErrInjected.
	Err error
	// Kinds limits the fault to operations of these kinds. Read is among them
	// only when named.
	Kinds []Kind
	// File limits the fault to one file.
	File string
	// Match limits the fault further.
	Match func(Op) bool
}

func (f *Fault) chooses(o Op) bool {
	switch {
	case len(f.Kinds) > 0 && !slices.Contains(f.Kinds, o.Kind),
		len(f.Kinds) == 0 && o.Kind == Read,
		f.File != "" && f.File != o.File,
		f.Match != nil && !f.Match(o):
		return false
	}
	return true
}

// Faulty is a Storage that does what the one below does, except where it was
// told to fail. It is safe for concurrent use.
type Faulty struct {
	under store.Storage // constant

	mu     sync.Mutex
	ops    []Op
	n      int // number of the last operation
	faults []*fault
	space  int64 // bytes that may still be written; < 0: any
}

type fault struct {
	Fault
	seen int // operations chosen so far
}

// NewFaulty returns a Faulty over s that does not fail yet.
func NewFaulty(s store.Storage) *Faulty { return &Faulty{under: s, space: -1} }

// Fail adds a fault.
func (y *Faulty) Fail(f Fault) {
	if f.Mode == 0 {
		f.Mode = Unapplied
	}
	if f.Err == nil {
		f.Err = ErrInjected
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	y.faults = append(y.faults, &fault{Fault: f})
}

// LimitSpace lets n more bytes be written; the write that needs more is short
// and fails with ENOSPC, as do all that follow. Punch and Truncate give no space
// back.
func (y *Faulty) LimitSpace(n int64) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.space = n
}

// Heal removes all faults and limits. Files whose Sync has failed keep failing,
// until they are opened anew.
func (y *Faulty) Heal() {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.faults, y.space = nil, -1
}

// Ops returns the operations so far.
func (y *Faulty) Ops() []Op {
	y.mu.Lock()
	defer y.mu.Unlock()
	return slices.Clone(y.ops)
}

// Len returns the number of operations so far, which is the number of the last.
func (y *Faulty) Len() int {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.n
}

// Log returns the operations from number from on, one per line.
func (y *Faulty) Log(from int) string {
	var b strings.Builder
	for _, o := range y.Ops() {
		if o.N >= from {
			fmt.Fprintln(&b, o)
		}
	}
	return b.String()
}

// String names the storage below.
func (y *Faulty) String() string { return y.under.String() }

// Open implements store.Storage.
func (y *Faulty) Open(name string, create bool) (store.File, error) {
	f, err := y.under.Open(name, false)
	if errors.Is(err, fs.ErrNotExist) && create {
		err = y.do(Op{Kind: Create, File: name}, func(int64) (err error) {
			f, err = y.under.Open(name, true)
			return err
		})
		if err != nil && f != nil {
			f.Close() // made, but the caller is told otherwise
		}
	}
	if err != nil {
		return nil, err
	}
	return &faultyFile{File: f, y: y, name: name}, nil
}

// Sync implements store.Storage.
func (y *Faulty) Sync() error {
	return y.do(Op{Kind: SyncStorage}, func(int64) error { return y.under.Sync() })
}

// do numbers an operation, decides how it goes, and does it with as many bytes
// as it is allowed.
func (y *Faulty) do(o Op, apply func(n int64) error) error {
	y.mu.Lock()
	var fail *fault
	for _, f := range y.faults {
		if !f.chooses(o) {
			continue
		}
		f.seen++
		if fail == nil && (f.Nth == 0 || f.Nth == f.seen) {
			fail = f
		}
	}
	n := o.Size
	var err error
	if fail != nil {
		err, o.Mode = fmt.Errorf("%v %s: %w", o.Kind, o.File, fail.Err), fail.Mode
		if o.Kind == Write && o.Mode == Short {
			n /= 2
		}
	}
	if o.Kind == Write && y.space >= 0 && n > y.space {
		n, o.Mode = y.space, Short
		err = fmt.Errorf("write %s: offset %d: %w", o.File, o.Off, syscall.ENOSPC)
	}
	if o.Kind == Write && y.space >= 0 && o.Mode != Unapplied {
		y.space -= n
	}
	at := -1
	if o.Kind != Read || err != nil {
		if o.Kind != Read {
			y.n++
			o.N = y.n
		}
		at = len(y.ops)
		y.ops = append(y.ops, o)
	}
	y.mu.Unlock()

	var done int64
	if err == nil || o.Mode == Applied || o.Mode == Short && o.Kind == Write {
		if e := apply(n); e != nil {
			err = e
		} else {
			done = n
		}
	}
	if at >= 0 {
		y.mu.Lock()
		y.ops[at].Err = err
		if o.Kind == Write {
			y.ops[at].Done = done
		}
		y.mu.Unlock()
	}
	return err
}

// faultyFile is a file whose numbered operations go through Faulty.do.
type faultyFile struct {
	store.File // Close, Size, Lock
	y          *Faulty
	name       string

	mu     sync.Mutex
	failed error // the first failure of Sync
}

func (f *faultyFile) ReadAt(p []byte, off int64) (n int, err error) {
	var rerr error
	err = f.y.do(Op{Kind: Read, File: f.name, Off: off, Size: int64(len(p))}, func(int64) error {
		n, rerr = f.File.ReadAt(p, off)
		return nil
	})
	if err != nil {
		return 0, err
	}
	return n, rerr
}

func (f *faultyFile) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.y.do(Op{Kind: Write, File: f.name, Off: off, Size: int64(len(p))}, func(k int64) (err error) {
		n, err = f.File.WriteAt(p[:k], off)
		return err
	})
	return n, err
}

func (f *faultyFile) Truncate(size int64) error {
	return f.y.do(Op{Kind: Truncate, File: f.name, Size: size}, func(int64) error { return f.File.Truncate(size) })
}

func (f *faultyFile) Punch(off, size int64) error {
	return f.y.do(Op{Kind: Punch, File: f.name, Off: off, Size: size}, func(int64) error { return f.File.Punch(off, size) })
}

func (f *faultyFile) Sync() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed == nil {
		f.failed = f.y.do(Op{Kind: Sync, File: f.name}, func(int64) error { return f.File.Sync() })
	}
	return f.failed
}
