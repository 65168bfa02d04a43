package feed

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"

	"github.com/go-hypercore/hypercore/feed/bitfield"
	"github.com/go-hypercore/hypercore/store"
)

// wipe empties every file for Options.Overwrite.
func (f *Feed) wipe() error {
	for _, name := range []string{keyName, secretName, journalName, bitfieldName, treeName, signaturesName, dataName, forkName} {
		file, err := openIf(f.st, name)
		if err != nil {
			return f.fileError("open", name, err)
		}
		if file == nil {
			continue
		}
		err = file.Truncate(0)
		if cerr := file.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return f.fileError("empty", name, err)
		}
	}
	return nil
}

// create makes an empty feed. The key, which makes the directory a feed, is
// written last.
func (f *Feed) create(s *found) error {
	var secret ed25519.PrivateKey
	switch {
	case f.opts.Static:
		f.draft = true
	case f.opts.SecretKey != nil:
		secret = f.opts.SecretKey
	case s.secret != nil:
		k, err := checkSecret(s.secret)
		if err != nil {
			return f.corrupt(secretName, 0, "%v", err)
		}
		if !f.opts.Key.IsZero() && k != f.opts.Key {
			return fmt.Errorf("%w: in %s the secret key belongs to %v, Options.Key is %v", ErrKeyMismatch, f.st, k, f.opts.Key)
		}
		secret = s.secret
	case f.opts.Key.IsZero():
		_, k, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return fmt.Errorf("feed: %s: make a key pair: %w", f.st, err)
		}
		secret = k
	}
	f.key = f.opts.Key
	if secret != nil {
		f.key = Key(secret[ed25519.SeedSize:])
		f.secret = bytes.Clone(secret)
	}
	f.image = bitfield.NewFile(bitfield.PageSize)
	if err := f.keepSecret(s); err != nil {
		return err
	}
	if err := f.makeFiles(bitfield.PageSize); err != nil {
		return err
	}
	if !f.draft {
		if err := f.writeSmall(keyName, f.key[:]); err != nil {
			return err
		}
	}
	r := f.recordNow()
	r.seq, r.unsynced = 1, f.opts.Durability == NoSync
	if err := f.writeJournal(&r); err != nil {
		return err
	}
	f.journal = r
	f.touched = touched{true, true, true}
	f.bitsOpen = true
	f.changes++ // the first commit, at the latest that of Close, makes it durable
	return f.guard(&found{})
}

// keepSecret writes the secret key, unless it is stored already or is not to be,
// and makes it durable: a key without it would be a feed that nobody can write.
func (f *Feed) keepSecret(s *found) error {
	stored := bytes.Equal(s.secret, f.secret)
	f.keeps = f.secret != nil && (stored || !f.opts.DiscardSecretKey)
	if f.secret == nil || f.opts.DiscardSecretKey || stored && f.settled.Load() {
		return nil
	}
	keep := f.keepSmall
	if !stored {
		keep = f.writeSmall
	}
	if err := keep(secretName, f.secret); err != nil {
		return err
	}
	return f.syncDirectory()
}

// writeSmall writes a small file and makes it durable. Of a storage function only the
// File that has made a file can tell that it is there to stay.
func (f *Feed) writeSmall(name string, b []byte) error {
	file, err := f.st.Open(name, true)
	if err != nil {
		return f.fileError("create", name, err)
	}
	defer file.Close()
	if err := file.Truncate(0); err != nil {
		return f.fileError("empty", name, err)
	}
	if err := f.writeAt(name, file, b, 0); err != nil || f.opts.Durability == NoSync {
		return err
	}
	if err := file.Sync(); err != nil {
		return f.fileError("sync", name, err)
	}
	return nil
}

// keepSmall makes a small file durable, if it is there. It is written again: what
// an earlier process has written and could not sync is perhaps only in the cache,
// and counts as clean there.
func (f *Feed) keepSmall(name string, b []byte) error {
	file, err := openIf(f.st, name)
	if err != nil {
		return f.fileError("open", name, err)
	}
	if file == nil || f.opts.Durability == NoSync {
		return nil
	}
	defer file.Close()
	have := make([]byte, len(b))
	if _, err := readFull(file, have, 0); err != nil {
		return f.fileError("read", name, err)
	}
	if bytes.Equal(have, b) {
		if err := f.writeAt(name, file, b, 0); err != nil {
			return err
		}
	}
	if err := file.Sync(); err != nil {
		return f.fileError("sync", name, err)
	}
	return nil
}

func (f *Feed) syncDirectory() error {
	if f.opts.Durability == NoSync {
		return nil
	}
	if err := f.st.Sync(); err != nil {
		return f.fileError("sync", "directory", err)
	}
	return nil
}

// makeFiles creates the files that are missing and writes the headers that are
// not what they should be.
func (f *Feed) makeFiles(pageSize int) error {
	err := f.files.each(func(name string, file *store.File) (err error) {
		if *file == nil {
			if *file, err = f.st.Open(name, true); err != nil {
				return f.fileError("create", name, err)
			}
			f.settled.Store(false)
		}
		want := headerOf(name, pageSize)
		if want == nil {
			return nil
		}
		var have [headerSize]byte
		if _, err := readFull(*file, have[:], 0); err != nil {
			return f.fileError("read", name, err)
		}
		if bytes.Equal(have[:], want) {
			return nil
		}
		return f.writeAt(name, *file, want, 0)
	})
	f.tree.file, f.tree.image, f.sigs.file = f.files.tree, f.image, f.files.signatures
	return err
}
