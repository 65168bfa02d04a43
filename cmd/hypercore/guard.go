package main

import (
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node/control"
	"github.com/go-hypercore/hypercore/store"
)

// guarded adds to the options of a feed what the home knows of it: who writes
// here, and the length that was announced, so that a restored or copied directory
// does not go on. Its error is that the home cannot say who writes here; with the
// options the feed can still be read.
func guarded(h *control.Home, dir string, o feed.Options) (feed.Options, error) {
	o, _, err := h.Guard().Options(store.Dir(dir), o)
	return o, err
}

// notWritable says why nothing can be appended to the feed in dir.
func notWritable(dir, arg string, err error) error {
	if why, do := cutKey(dir); why != "" {
		return hint(reword(err, "%s cannot be appended to: %s", arg, why), "%s", do)
	}
	if hasSecretKey(dir) { // a node serves it from read-only media
		return hint(reword(err, "%s cannot be appended to here: %s", arg, unwritable), moveAway)
	}
	return reword(err, "%s cannot be appended to here: %v", arg, feed.ErrNotWritable)
}

const (
	unwritable = "its directory cannot be written"
	moveAway   = "to append, copy the directory to a disk that can be written"
)

// cutKey says what is wrong with the secret key in dir, and what can be done; nothing if
// it is whole or there is none.
func cutKey(dir string) (why, do string) {
	name := filepath.Join(dir, "secret_key")
	fi, err := os.Stat(name)
	if dir == "" || err != nil || fi.Size() >= ed25519.PrivateKeySize {
		return "", ""
	}
	return fmt.Sprintf("its file secret_key has %s instead of %d", plural(uint64(fi.Size()), "byte"), ed25519.PrivateKeySize),
		fmt.Sprintf("restore %s from a backup: without it nobody can append to this feed", name)
}

// hasSecretKey tells whether the feed in dir is one of this user's own.
func hasSecretKey(dir string) bool {
	fi, err := os.Stat(filepath.Join(dir, "secret_key"))
	return err == nil && fi.Size() >= ed25519.PrivateKeySize
}

// keyIn reads the public key of the feed in dir.
func keyIn(dir string) (k feed.Key, err error) {
	b, err := os.ReadFile(filepath.Join(dir, "key"))
	if err != nil {
		return k, err
	}
	if len(b) < len(k) {
		return k, fmt.Errorf("%s has %d bytes instead of %d", filepath.Join(dir, "key"), len(b), len(k))
	}
	copy(k[:], b)
	return k, nil
}
