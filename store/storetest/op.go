package storetest

import (
	"fmt"
	"strings"
)

// Kind is what an operation does.
type Kind uint8

// The numbered operations.
const (
	Create      Kind = iota + 1 // Open with create made the file
	Write                       // File.WriteAt
	Truncate                    // File.Truncate
	Punch                       // File.Punch
	Sync                        // File.Sync
	SyncStorage                 // Storage.Sync
	Read                        // File.ReadAt; not numbered
)

var kindNames = [...]string{"", "create", "write", "truncate", "punch", "sync", "sync storage", "read"}

func (k Kind) String() string {
	if int(k) < len(kindNames) && k > 0 {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Op is one operation of the log.
type Op struct {
	N    int    // number, from 1; 0 for a Read that failed
	Kind Kind   //
	File string // name; empty for SyncStorage
	Off  int64  // Write, Punch, Read
	Size int64  // Write, Punch, Read: bytes; Truncate: the new size
	Done int64  // Write: bytes that reached the storage
	Err  error  // what the caller got
	Mode Mode   // how it was made to fail, if it was
}

// String returns the operation as one line, such as
//
//	12 write tree 72+40
//	13 sync tree: input/output error (applied)
func (o Op) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %v", o.N, o.Kind)
	if o.File != "" {
		fmt.Fprintf(&b, " %s", o.File)
	}
	switch o.Kind {
	case Write, Punch, Read:
		fmt.Fprintf(&b, " %d+%d", o.Off, o.Size)
	case Truncate:
		fmt.Fprintf(&b, " %d", o.Size)
	}
	if o.Err != nil {
		fmt.Fprintf(&b, ": %v", o.Err)
	}
	if o.Mode != 0 {
		fmt.Fprintf(&b, " (%v)", o.Mode)
	}
	return b.String()
}
