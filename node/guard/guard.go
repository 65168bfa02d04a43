// Package guard keeps what is known, outside of their directories, of the feeds that are
// written here: so that a directory that was restored from a backup, or was copied from
// another machine, is noticed before it forks its feed. What feed keeps in the directory
// itself is restored and copied with it.
//
//	DIR/identity             what feed.Options.Identity is here, see Identity
//	DIR/announced/DISCOVERY  the highest length of a feed written here that others may have
//	                         seen, in decimal
//
// Records are the files, Records.Options are the options that a feed is opened with, and
// a Keeper has the records follow the feeds that are open. A node does all of it for the
// feeds that it opens, in its Config.Dir; one who opens a feed by himself can do the same:
//
//	k := guard.NewKeeper(guard.At(dir))        // one for all feeds
//	o, mine, err := k.Options(s, feed.Options{})
//	f, err := feed.Open(ctx, s, o)
//	if mine {
//		k.Keep(f)                              // before peers are told of it
//	}
//	...
//	k.Close()
//	err = f.Close()
//
// # What is promised
//
// The record of a length follows within a quarter of a second, as fast as the disk allows.
// It never runs ahead of what is durable in the feed's directory, or a power cut would make
// a feed refuse to go on that lacks nothing. So what is not noticed is a backup that was
// made in the last quarter of a second before the process was killed, and is put in place of
// the directory.
package guard

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/store"
)

// Records are the files in one directory. They are safe for concurrent use, also by
// several processes.
type Records struct {
	dir string
}

// At returns the records in dir. Nothing is made until something is stored.
func At(dir string) Records { return Records{dir} }

// unknown is written where it cannot be said who writes: nobody has this identity, so a
// feed that was written from elsewhere is not appended to.
const unknown = "a home without an identity"

// Options adds to the options of a feed who writes here and what was announced from here,
// and tells whether the feed is one that may be written here. Others cost one look for a
// secret key. With the options that come with an error, which is ErrIdentity or one of the
// disk, a feed can be read but not appended to if it was ever written here.
func (r Records) Options(s store.Storage, o feed.Options) (_ feed.Options, mine bool, err error) {
	key, mine := writes(s, o)
	if !mine {
		return o, false, nil
	}
	if o.Identity, err = r.Identity(); err != nil {
		o.Identity = unknown
	}
	return r.known(key, o), true, err
}

// known is o with what was announced of the feed.
func (r Records) known(key feed.Key, o feed.Options) feed.Options {
	if !key.IsZero() {
		o.KnownLength = max(o.KnownLength, r.Announced(key.Discovery()))
	}
	return o
}

// writes tells whether opening a feed makes it writable, and its key, zero if it is new.
func writes(s store.Storage, o feed.Options) (key feed.Key, mine bool) {
	if o.ReadOnly || s == nil {
		return key, false
	}
	if len(o.SecretKey) == 2*len(key) {
		return feed.Key(o.SecretKey[len(key):]), true
	}
	if r, ok := s.(store.Reader); ok {
		s = r.Reading()
	}
	if !o.Overwrite {
		switch k, err := public(s, "secret_key", int64(len(key))); {
		case err == nil:
			return k, true
		case !errors.Is(err, fs.ErrNotExist):
			return o.Key, true // Open says what is wrong with it
		}
	}
	if !o.Key.IsZero() || o.MustExist || o.Static {
		return key, false
	}
	if o.Overwrite {
		return key, true
	}
	_, err := public(s, "key", 0)
	return key, errors.Is(err, fs.ErrNotExist) // else it was made to be downloaded
}

// public reads a public key.
func public(s store.Storage, name string, at int64) (k feed.Key, err error) {
	f, err := s.Open(name, false)
	if err != nil {
		return k, err
	}
	defer f.Close()
	_, err = f.ReadAt(k[:], at)
	return k, err
}

// maxAnnounced bounds what is read of a file of announced.
const maxAnnounced = 32

func (r Records) announcedFile(dk feed.DiscoveryKey) string {
	return filepath.Join(r.dir, "announced", dk.String())
}

// Announced is the highest length of a feed that SetAnnounced was told, 0 if
// there is no readable record.
func (r Records) Announced(dk feed.DiscoveryKey) uint64 {
	f, err := os.Open(r.announcedFile(dk))
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
func (r Records) SetAnnounced(dk feed.DiscoveryKey, length uint64) error {
	path := r.announcedFile(dk)
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = replace(path, strconv.AppendUint(nil, length, 10))
	}
	if err != nil {
		return fmt.Errorf("guard: announced length: %w", err)
	}
	return nil
}

// replace writes a file such that a power cut leaves it as it was or as it is to be.
func replace(path string, b []byte) error {
	tmp := path + ".new"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
