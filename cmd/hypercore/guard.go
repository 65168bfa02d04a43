package main

import (
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node/control"
)

// announcedEvery is how often the home's record of an announced length follows
// the feed's.
const announcedEvery = 250 * time.Millisecond

// guarded adds to the options of a feed what the home knows of it: who writes
// here, and the length that was announced, so that a restored or copied directory
// does not go on.
func guarded(h *control.Home, dir string, o feed.Options) feed.Options {
	if _, err := os.Stat(filepath.Join(dir, "secret_key")); err != nil || o.ReadOnly {
		return o // not a writer's
	}
	if id, err := h.Identity(); err == nil {
		o.Identity = id
	}
	k := o.Key
	if b, err := os.ReadFile(filepath.Join(dir, "key")); err == nil && len(b) == len(k) {
		k = feed.Key(b)
	}
	if !k.IsZero() {
		o.KnownLength = max(o.KnownLength, h.Announced(k.Discovery()))
	}
	return o
}

// keepAnnounced keeps the home's record of the announced length of a writer's feed
// until stop is called. It writes nothing while the feed refuses to append: then
// the record is what the feed is behind of.
func keepAnnounced(h *control.Home, f *feed.Feed) (stop func()) {
	if !f.Writable() || f.Static() {
		return func() {}
	}
	dk := f.DiscoveryKey()
	last := h.Announced(dk)
	look := func() {
		if s := f.Stats(); s.Announced > last && s.Err == nil {
			if h.SetAnnounced(dk, s.Announced) == nil {
				last = s.Announced
			}
		}
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(announcedEvery)
		defer tick.Stop()
		for {
			select {
			case <-done:
				look()
				return
			case <-tick.C:
				look()
			}
		}
	})
	var once sync.Once
	return func() {
		once.Do(func() { close(done) })
		wg.Wait()
	}
}

// notWritable says why nothing can be appended to the feed in dir.
func notWritable(dir, arg string, err error) error {
	if fi, serr := os.Stat(filepath.Join(dir, "secret_key")); dir != "" && serr == nil && fi.Size() < ed25519.PrivateKeySize {
		return hint(reword(err, "%s cannot be appended to: its file secret_key has %s instead of %d", arg, plural(uint64(fi.Size()), "byte"), ed25519.PrivateKeySize),
			"restore %s from a backup: without it nobody can append to this feed", filepath.Join(dir, "secret_key"))
	}
	return reword(err, "%s cannot be appended to here: %v", arg, feed.ErrNotWritable)
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
