package main

import (
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node/control"
)

// announcedEvery is how often the home's record of an announced length follows
// the feed's.
const announcedEvery = 250 * time.Millisecond

// noIdentity writes where the home has no identity: no home has this one, so a feed
// that was written from one is not appended to.
const noIdentity = "a home without an identity"

// guarded adds to the options of a feed what the home knows of it: who writes
// here, and the length that was announced, so that a restored or copied directory
// does not go on. Its error is that the home cannot say who writes here; with the
// options the feed can still be read.
func guarded(h *control.Home, dir string, o feed.Options) (feed.Options, error) {
	if _, err := os.Stat(filepath.Join(dir, "secret_key")); err != nil || o.ReadOnly {
		return o, nil // not a writer's
	}
	id, err := h.Identity()
	if err != nil {
		id = noIdentity
	}
	o.Identity = id
	k := o.Key
	if b, rerr := os.ReadFile(filepath.Join(dir, "key")); rerr == nil && len(b) == len(k) {
		k = feed.Key(b)
	}
	if !k.IsZero() {
		o.KnownLength = max(o.KnownLength, h.Announced(k.Discovery()))
	}
	return o, err
}

// announcedKeeper keeps the home's records of the announced lengths of the writers'
// feeds that this process has open. It writes nothing about a feed that refuses to
// append: then the record is what the feed is behind of.
type announcedKeeper struct {
	home *control.Home // constant
	done chan struct{} // closed by close
	once sync.Once
	wg   sync.WaitGroup

	mu    sync.Mutex
	feeds []*keptFeed
}

// keptFeed is one of them.
type keptFeed struct {
	f    *feed.Feed
	dk   feed.DiscoveryKey
	last uint64 // as it is in the home
}

func newAnnouncedKeeper(h *control.Home) *announcedKeeper {
	return &announcedKeeper{home: h, done: make(chan struct{})}
}

// add keeps the record of one more feed, if it is one's own.
func (k *announcedKeeper) add(f *feed.Feed) {
	if !f.Writable() || f.Static() {
		return
	}
	dk := f.DiscoveryKey()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.feeds = append(k.feeds, &keptFeed{f, dk, k.home.Announced(dk)}); len(k.feeds) == 1 {
		k.wg.Go(k.run)
	}
}

func (k *announcedKeeper) run() {
	tick := time.NewTicker(announcedEvery)
	defer tick.Stop()
	for {
		select {
		case <-k.done:
			k.look()
			return
		case <-tick.C:
			k.look()
		}
	}
}

func (k *announcedKeeper) look() {
	k.mu.Lock()
	feeds := slices.Clone(k.feeds)
	k.mu.Unlock()
	for _, x := range feeds {
		if s := x.f.Stats(); s.Announced > x.last && s.Err == nil {
			if k.home.SetAnnounced(x.dk, s.Announced) == nil {
				x.last = s.Announced
			}
		}
	}
}

// close writes what is left. It is called before the feeds are closed, and may be
// called twice.
func (k *announcedKeeper) close() {
	k.once.Do(func() { close(k.done) })
	k.wg.Wait()
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
