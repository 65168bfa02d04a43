package control

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/go-hypercore/hypercore/feed"
)

// What a home knows of the feeds that are written from it, beside their
// directories: so that a directory that was restored from a backup, or was copied
// from another machine, is noticed before it forks its feed.
//
//	HOME/identity            one line: what feed.Options.Identity is here
//	HOME/announced/DISCOVERY the highest length of a feed of one's own that others
//	                         may have seen, in decimal

// maxAnnounced bounds what is read of a file of announced.
const maxAnnounced = 32

// ErrIdentity says that a home has an identity that cannot be used. None is made in
// its place: what was written from here would be taken for another home's, or the
// other way round.
var ErrIdentity = errors.New("control: the identity of the home cannot be used")

// Identity is the name of this home as a writer of feeds. It is made once; a file
// that is there and says nothing, or cannot be read, is ErrIdentity.
func (h *Home) Identity() (string, error) {
	path := filepath.Join(h.dir, "identity")
	b, err := os.ReadFile(path)
	if s := strings.TrimSpace(string(b)); err == nil && s != "" && len(s) <= feed.MaxIdentity {
		return s, nil
	} else if err == nil {
		what := "is not an identity"
		if s == "" {
			what = "is empty"
		}
		return "", fmt.Errorf("%w: %s %s", ErrIdentity, path, what)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w: %w", ErrIdentity, err)
	}
	var r [8]byte
	rand.Read(r[:])
	host, _ := os.Hostname() // for people; the rest makes it unique
	s := strings.TrimSpace(host[:min(len(host), 64)] + " " + hex.EncodeToString(r[:]))
	if err := os.MkdirAll(h.dir, 0o700); err != nil {
		return "", fmt.Errorf("control: identity of the home: %w", err)
	}
	tmp := path + "." + hex.EncodeToString(r[:])
	if err := os.WriteFile(tmp, []byte(s+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("control: identity of the home: %w", err)
	}
	defer os.Remove(tmp)
	if err := os.Link(tmp, path); errors.Is(err, fs.ErrExist) {
		return h.Identity() // another process was first
	} else if err != nil {
		if err := os.Rename(tmp, path); err != nil { // a file system without links
			return "", fmt.Errorf("control: identity of the home: %w", err)
		}
	}
	return s, nil
}

func (h *Home) announcedFile(dk feed.DiscoveryKey) string {
	return filepath.Join(h.dir, "announced", dk.String())
}

// Announced is the highest length of a feed that SetAnnounced was told, 0 if
// there is no readable record.
func (h *Home) Announced(dk feed.DiscoveryKey) uint64 {
	f, err := os.Open(h.announcedFile(dk))
	if err != nil {
		return 0
	}
	defer f.Close()
	b := make([]byte, maxAnnounced)
	k, _ := f.Read(b)
	n, err := strconv.ParseUint(strings.TrimSpace(string(b[:k])), 10, 53)
	if err != nil {
		return 0
	}
	return n
}

// SetAnnounced records the highest announced length of a feed. Only the process
// that has the feed open calls it.
func (h *Home) SetAnnounced(dk feed.DiscoveryKey, length uint64) error {
	path := h.announcedFile(dk)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("control: announced length: %w", err)
	}
	tmp := path + ".new"
	err := os.WriteFile(tmp, strconv.AppendUint(nil, length, 10), 0o600)
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return fmt.Errorf("control: announced length: %w", err)
	}
	return nil
}
