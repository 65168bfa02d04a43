package feed

import (
	"errors"
	"io"
	"io/fs"

	"github.com/go-hypercore/hypercore/feed/bitfield"
	"github.com/go-hypercore/hypercore/store"
)

// Names of the files.
const (
	dataName       = "data"
	treeName       = "tree"
	signaturesName = "signatures"
	bitfieldName   = "bitfield"
	keyName        = "key"
	secretName     = "secret_key"
	journalName    = "journal"
	forkName       = "fork"
)

const (
	headerSize = 32
	keySize    = 32
	secretSize = 64
	sigSize    = 64
)

var (
	treeHeader = [headerSize]byte{5, 2, 0x57, 2, 0, 0, nodeSize, 7, 'B', 'L', 'A', 'K', 'E', '2', 'b'}
	sigHeader  = [headerSize]byte{5, 2, 0x57, 1, 0, 0, sigSize, 7, 'E', 'd', '2', '5', '5', '1', '9'}
)

// files are the open files of a feed. A nil one does not exist (yet). Those who
// read do so without a lock, so closing leaves them in place: what is read from
// a file afterwards is an error.
type files struct {
	data, tree, signatures, bitfield, journal store.File

	closed bool // guarded by Feed.commitMu
}

// each calls fn for each of the files.
func (h *files) each(fn func(name string, f *store.File) error) error {
	for _, x := range []struct {
		name string
		f    *store.File
	}{
		{bitfieldName, &h.bitfield}, {journalName, &h.journal}, {treeName, &h.tree},
		{signaturesName, &h.signatures}, {dataName, &h.data},
	} {
		if err := fn(x.name, x.f); err != nil {
			return err
		}
	}
	return nil
}

// close closes what is open and returns the first error. The bitfield, which
// carries the lock, comes last.
func (h *files) close() error {
	h.closed = true
	var first error
	for _, f := range []store.File{h.data, h.tree, h.signatures, h.journal, h.bitfield} {
		if f == nil {
			continue
		}
		if err := f.Close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// openIf opens a file if it exists, else it returns nil.
func openIf(st store.Storage, name string) (store.File, error) {
	f, err := st.Open(name, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return f, err
}

// size returns the size of a file, 0 if it does not exist.
func size(f store.File) (int64, error) {
	if f == nil {
		return 0, nil
	}
	return f.Size()
}

// readSmall reads up to n bytes of a file that need not exist.
func readSmall(st store.Storage, name string, n int) ([]byte, error) {
	f, err := openIf(st, name)
	if f == nil || err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, n)
	m, err := readFull(f, b, 0)
	return b[:m], err
}

// readFull is ReadAt without io.EOF: it returns how much there was.
func readFull(f store.File, b []byte, off int64) (int, error) {
	if f == nil {
		return 0, nil
	}
	n, err := f.ReadAt(b, off)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// headerOf returns the header a file must have, nil if it has none.
func headerOf(name string, pageSize int) []byte {
	switch name {
	case treeName:
		return treeHeader[:]
	case signaturesName:
		return sigHeader[:]
	case bitfieldName:
		h := bitfield.Header(pageSize)
		return h[:]
	}
	return nil
}
