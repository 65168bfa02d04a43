package guard_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/node/guard"
	"github.com/go-hypercore/hypercore/store"
)

// open opens a feed that k guards.
func open(t *testing.T, k *guard.Keeper, s store.Storage, o feed.Options) *feed.Feed {
	t.Helper()
	o, mine, err := k.Options(s, o)
	if err != nil {
		t.Fatal(err)
	}
	f, err := feed.Open(t.Context(), s, o)
	if err != nil {
		t.Fatal(err)
	}
	if mine {
		k.Keep(f)
	}
	return f
}

// write appends blocks that are durable, so that they may have been announced.
func write(t *testing.T, f *feed.Feed, blocks int) {
	t.Helper()
	for range blocks {
		if _, err := f.Append(t.Context(), []byte("block")); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func wantRecord(t *testing.T, when string, r guard.Records, f *feed.Feed, want uint64) {
	t.Helper()
	if got, err := r.Announced(f.DiscoveryKey()); got != want || err != nil {
		t.Errorf("%s: the record is %d, want %d", when, got, want)
	}
}

func closeFeed(t *testing.T, f *feed.Feed) {
	t.Helper()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// The record follows the feed while it is open, and when it is closed and opened again. It
// is left alone while the feed is behind it.
func TestKeeper(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		r, s := guard.At(t.TempDir()), store.Memory()
		k := guard.NewKeeper(r)
		defer k.Close()
		wait := func() {
			time.Sleep(time.Second)
			synctest.Wait()
		}

		f := open(t, k, s, feed.Options{})
		write(t, f, 3)
		wait()
		wantRecord(t, "open", r, f, 3)
		before := s.Clone()
		write(t, f, 2)
		closeFeed(t, f)
		wait()
		wantRecord(t, "closed", r, f, 5)

		f = open(t, k, s, feed.Options{})
		write(t, f, 1)
		closeFeed(t, f)
		f = open(t, k, before.Clone(), feed.Options{})
		wantRecord(t, "opened at once", r, f, 6)
		if err := f.Stats().Err; !errors.Is(err, feed.ErrBehind) {
			t.Errorf("restored: %v", err)
		}
		wait()
		wantRecord(t, "behind", r, f, 6)
		closeFeed(t, f)
		wait()
		wantRecord(t, "behind and closed", r, f, 6)

		f = open(t, k, before, feed.Options{})
		if err := f.TakeOver(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		k.Update(f)
		wantRecord(t, "taken over", r, f, 3)
		write(t, f, 1)
		k.Close()
		wantRecord(t, "at the end", r, f, 4)
		k.Close()
		closeFeed(t, f)
	})
}

// A second copy of a feed that is open is not kept in its place: a node refuses it.
func TestKeepTwice(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		r, s := guard.At(t.TempDir()), store.Memory()
		k := guard.NewKeeper(r)
		defer k.Close()
		f := open(t, k, s, feed.Options{})
		defer f.Close()
		write(t, f, 1)
		closeFeed(t, open(t, k, s.Clone(), feed.Options{}))
		time.Sleep(time.Second)
		synctest.Wait()
		write(t, f, 1)
		k.Update(f)
		wantRecord(t, "the first", r, f, 2)
	})
}

// A record that cannot be used is an error, and what can still be read takes no appends.
func TestUnusableRecord(t *testing.T) {
	dir, s := t.TempDir(), store.Memory()
	r := guard.At(dir)
	k := guard.NewKeeper(r)
	f := open(t, k, s, feed.Options{})
	write(t, f, 3)
	k.Close()
	closeFeed(t, f)
	path := filepath.Join(dir, "announced", f.DiscoveryKey().String())
	for what, spoil := range map[string]func() error{
		"empty":     func() error { return os.WriteFile(path, nil, 0o600) },
		"no number": func() error { return os.WriteFile(path, []byte("three"), 0o600) },
		"no file":   func() error { return errors.Join(os.RemoveAll(path), os.Mkdir(path, 0o700)) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		k := guard.NewKeeper(r)
		for by, options := range map[string]func(store.Storage, feed.Options) (feed.Options, bool, error){"Records": r.Options, "Keeper": k.Options} {
			o, _, err := options(s, feed.Options{})
			if !errors.Is(err, guard.ErrRecord) {
				t.Errorf("%s, %s: %v", what, by, err)
			}
			g, err := feed.Open(t.Context(), s, o)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := g.Append(t.Context(), []byte("block")); !errors.Is(err, feed.ErrOtherWriter) {
				t.Errorf("%s, %s: appended: %v", what, by, err)
			}
			if b, err := g.Local(2); err != nil || string(b) != "block" {
				t.Errorf("%s, %s: read %q, %v", what, by, b, err)
			}
			closeFeed(t, g)
		}
		k.Close()
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
}

// What was written without a record is recorded before it is announced again.
func TestKeepRecords(t *testing.T) {
	r, s := guard.At(t.TempDir()), store.Memory()
	f, err := feed.Open(t.Context(), s, feed.Options{})
	if err != nil {
		t.Fatal(err)
	}
	write(t, f, 3)
	closeFeed(t, f)
	k := guard.NewKeeper(r)
	defer k.Close()
	f = open(t, k, s, feed.Options{})
	defer f.Close()
	wantRecord(t, "kept", r, f, 3)
}

// Only of feeds that may be written here anything is said, and whoever has the secret key
// gets what is known of the feed.
func TestOptions(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "records")
	r := guard.At(dir)
	mine, theirs := store.Memory(), store.Memory()
	f, err := feed.Open(t.Context(), mine, feed.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	secret, err := mine.ReadFile("secret_key")
	if err != nil {
		t.Fatal(err)
	}
	clone, err := feed.Open(t.Context(), theirs, feed.Options{Key: f.Key()})
	if err != nil {
		t.Fatal(err)
	}
	defer clone.Close()
	for _, c := range []struct {
		what string
		s    store.Storage
		o    feed.Options
		mine bool
		want uint64
	}{
		{"a clone", theirs, feed.Options{}, false, 0},
		{"a clone by its key", theirs, feed.Options{Key: f.Key()}, false, 0},
		{"a new clone", store.Memory(), feed.Options{Key: f.Key()}, false, 0},
		{"only read", mine, feed.Options{ReadOnly: true}, false, 0},
		{"nothing there", store.Memory(), feed.Options{MustExist: true}, false, 0},
		{"a new static feed", store.Memory(), feed.Options{Static: true}, false, 0},
		{"a new feed", store.Memory(), feed.Options{}, true, 0},
		{"overwritten", mine, feed.Options{Overwrite: true}, true, 0},
		{"one's own", mine, feed.Options{}, true, 7},
		{"one's own by its key", mine, feed.Options{Key: f.Key()}, true, 7},
		{"more is known", mine, feed.Options{KnownLength: 9}, true, 9},
		{"a clone with its secret key", theirs, feed.Options{SecretKey: secret}, true, 7},
	} {
		if c.mine {
			if err := r.SetAnnounced(f.DiscoveryKey(), 7); err != nil {
				t.Fatal(err)
			}
		}
		o, isMine, err := r.Options(c.s, c.o)
		if err != nil || isMine != c.mine || (o.Identity != "") != c.mine || o.KnownLength != c.want {
			t.Errorf("%s: %v, identity %q, length %d, %v", c.what, isMine, o.Identity, o.KnownLength, err)
		}
		if _, err := os.Stat(dir); !c.mine && err == nil {
			t.Errorf("%s: something was stored", c.what)
		}
	}
}
