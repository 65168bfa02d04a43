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
	"io"
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
// secret key. With the options that come with an error, which is ErrIdentity, ErrRecord or one of
// the disk, a feed can be read but not appended to if it was ever written here.
func (r Records) Options(s store.Storage, o feed.Options) (_ feed.Options, mine bool, err error) {
	key, mine := writes(s, o)
	if !mine {
		return o, false, nil
	}
	id, err := r.Identity()
	o, err = r.complete(o, key, id, err)
	return o, true, err
}

// complete is o with who writes here and what was announced of the feed, and the errors
// of both.
func (r Records) complete(o feed.Options, key feed.Key, identity string, err error) (feed.Options, error) {
	if !key.IsZero() {
		known, kerr := r.Announced(key.Discovery())
		o.KnownLength, err = max(o.KnownLength, known), errors.Join(err, kerr)
	}
	if o.Identity = identity; err != nil {
		o.Identity = unknown
	}
	return o, err
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

// ErrRecord says that the record of a feed's announced length is there and cannot be used:
// without it nobody knows whether the feed is behind.
var ErrRecord = errors.New("guard: the record of what was announced of a feed cannot be used")

// Announced is the highest length of a feed that SetAnnounced was told, 0 if it was told
// none. A record that says nothing, or cannot be read, is ErrRecord.
func (r Records) Announced(dk feed.DiscoveryKey) (uint64, error) {
	path := r.announcedFile(dk)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	} else if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxAnnounced))
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 53)
	if err != nil {
		return 0, fmt.Errorf("%w: %s is not a length", ErrRecord, path)
	}
	return n, nil
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
