package control

import (
	"fmt"
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
//	HOME/identity            what feed.Options.Identity is here, see Identity
//	HOME/announced/DISCOVERY the highest length of a feed of one's own that others
//	                         may have seen, in decimal

// maxAnnounced bounds what is read of a file of announced.
const maxAnnounced = 32

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
