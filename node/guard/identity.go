package guard

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-hypercore/hypercore/feed"
)

// The file identity has two lines: the name of the home as a writer, and which file it
// was made as. (A home is a directory with records: that of the command, or of a node.) A
// home that is restored from a backup, or copied to another machine, has
// both names and announced lengths of another time or place, so nothing in it tells that
// it is behind; but its files are not the ones that were made then. Such a home gets a
// new name, and feeds that the old one has written are to be taken over. A home that is moved
// within its file system keeps its files. (Snapshots of whole disks are not noticed.)

// ErrIdentity says that a home has an identity that cannot be used. None is made in
// its place: what was written from here would be taken for another home's, or the
// other way round.
var ErrIdentity = errors.New("guard: the identity of the home cannot be used")

// birth tells files apart: one that is copied has both otherwise. Zero: not known.
type birth struct {
	inode uint64
	at    int64 // nanoseconds since 1970
}

func (b birth) String() string { return fmt.Sprintf("file %d made at %d", b.inode, b.at) }

// differs reports whether two files, of which that much is known, are two.
func (b birth) differs(o birth) bool {
	return b != birth{} && o != birth{} && b.inode != o.inode && b.at != o.at
}

// Identity is the name of this home as a writer of feeds. It is made once, and again in
// a home that is a copy; a file that is there and says nothing, or cannot be read, is
// ErrIdentity.
func (r Records) Identity() (string, error) {
	path := filepath.Join(r.dir, "identity")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return r.makeIdentity(path)
	} else if err != nil {
		return "", fmt.Errorf("%w: %w", ErrIdentity, err)
	}
	name, line, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	name = strings.TrimSpace(name)
	switch {
	case name == "":
		return "", fmt.Errorf("%w: %s is empty", ErrIdentity, path)
	case len(name) > feed.MaxIdentity:
		return "", fmt.Errorf("%w: %s is not an identity", ErrIdentity, path)
	}
	var was birth
	fmt.Sscanf(line, "file %d made at %d", &was.inode, &was.at) // else it is from before
	now := birthOf(path)
	switch {
	case now.differs(was):
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return name + " (a copy)", nil // nothing can be written here anyway
		}
		return r.makeIdentity(path)
	case was == birth{} && now != birth{}:
		_ = writeIdentity(path, name, os.Rename) // the next time, then
	}
	return name, nil
}

// makeIdentity makes a name. Of two processes that do the first one's stands.
func (r Records) makeIdentity(path string) (string, error) {
	var b [8]byte
	rand.Read(b[:])
	host, _ := os.Hostname() // for people; the rest makes it unique
	name := strings.TrimSpace(host[:min(len(host), 64)] + " " + hex.EncodeToString(b[:]))
	err := os.MkdirAll(r.dir, 0o700)
	if err == nil {
		err = writeIdentity(path, name, os.Link)
	}
	if errors.Is(err, fs.ErrExist) {
		return r.Identity()
	} else if err != nil {
		err = writeIdentity(path, name, os.Rename) // a file system without links
	}
	if err != nil {
		return "", fmt.Errorf("guard: identity of the home: %w", err)
	}
	return name, nil
}

// writeIdentity writes a file that says which one it is, and places it at path.
func writeIdentity(path, name string, place func(tmp, path string) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "identity.*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	text := name + "\n"
	if b := birthOf(f.Name()); b != (birth{}) {
		text += b.String() + "\n"
	}
	if _, err = f.WriteString(text); err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return place(f.Name(), path)
}
