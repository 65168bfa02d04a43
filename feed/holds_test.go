package feed_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/store"
)

// files reads a directory.
func filesOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	ents, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]string{}
	for _, e := range ents {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		m[e.Name()] = string(b)
	}
	return m
}

// TestStrangersAreLeftAlone: a directory may have files that have the names of a feed's and are
// something else. Nothing is written there, and no feed is found there.
func TestStrangersAreLeftAlone(t *testing.T) {
	text := strings.Repeat("not what a feed has here\n", 40)
	for _, names := range [][]string{
		{"journal"}, {"data"}, {"key"}, {"tree"}, {"signatures"}, {"bitfield"}, {"secret_key"}, {"data", "journal"}, {"key", "notes.txt"},
	} {
		for _, size := range []int{5, 31, 33, 100, len(text)} {
			dir := t.TempDir()
			for _, name := range names {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text[:size]), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			before := filesOf(t, dir)
			for what, o := range map[string]feed.Options{
				"create": {}, "clone": {Key: feed.Key(bytes.Repeat([]byte{7}, 32))}, "open": {MustExist: true}, "read": {ReadOnly: true}, "static": {Static: true},
			} {
				f, err := feed.Open(t.Context(), store.Dir(dir), o)
				if !errors.Is(err, feed.ErrNotFeed) {
					t.Errorf("%s with %d bytes in %v: %v", what, size, names, err)
				}
				if err == nil {
					f.Close()
				}
			}
			if after := filesOf(t, dir); !maps.Equal(before, after) {
				t.Errorf("%d bytes in %v: changed to %q", size, names, after)
			}
			if feed.Holds(store.Dir(dir)) {
				t.Errorf("%d bytes in %v: taken for a feed", size, names)
			}
		}
	}
}

// TestKeyAlone: a file of 32 bytes that is called key is not a feed yet, but may become one.
func TestKeyAlone(t *testing.T) {
	dir := t.TempDir()
	key := feed.Key(bytes.Repeat([]byte{7}, 32))
	if err := os.WriteFile(filepath.Join(dir, "key"), key[:], 0o600); err != nil {
		t.Fatal(err)
	}
	for _, o := range []feed.Options{{MustExist: true}, {ReadOnly: true}} {
		if _, err := feed.Open(t.Context(), store.Dir(dir), o); !errors.Is(err, feed.ErrNotFound) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if m := filesOf(t, dir); len(m) != 1 {
		t.Errorf("files were made: %q", m)
	}
	f := open(t, store.Dir(dir), feed.Options{})
	defer f.Close()
	if f.Key() != key || f.Writable() {
		t.Errorf("opened as %v, writable %v", f.Key(), f.Writable())
	}
}

// TestLostKey: of a feed that has lost its key and its bitfield nothing is made anew.
func TestLostKey(t *testing.T) {
	dir := t.TempDir()
	f := open(t, store.Dir(dir), feed.Options{})
	if _, err := f.Append(t.Context(), []byte("a")); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"key", "bitfield", "journal"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	before := filesOf(t, dir)
	for _, o := range []feed.Options{{}, {MustExist: true}} {
		if _, err := feed.Open(t.Context(), store.Dir(dir), o); !errors.Is(err, feed.ErrCorrupt) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if after := filesOf(t, dir); !maps.Equal(before, after) {
		t.Errorf("changed to %q", after)
	}
	if !feed.Holds(store.Dir(dir)) {
		t.Error("not taken for a feed")
	}
}

// TestTreeSizes: a tree file can say anything, also of a data file that is as long.
func TestTreeSizes(t *testing.T) {
	for _, sizes := range [][2]uint64{{1<<63 + 5, 1<<63 - 3}, {1 << 62, 1}, {1, 1 << 40}, {1 << 40, 1}} {
		dir := t.TempDir()
		f := open(t, store.Dir(dir), feed.Options{})
		if _, err := f.Append(t.Context(), []byte("a"), []byte("bb"), []byte("ccc"), []byte("dddd")); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		tree, err := os.OpenFile(filepath.Join(dir, "tree"), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		for i, size := range sizes {
			if _, err := tree.WriteAt(binary.BigEndian.AppendUint64(nil, size), 32+40*2*int64(i)+32); err != nil {
				t.Fatal(err)
			}
		}
		tree.Close()
		if err := os.Truncate(filepath.Join(dir, "data"), 1<<42); err != nil {
			t.Fatal(err)
		}
		if f, err = feed.Open(t.Context(), store.Dir(dir), feed.Options{ReadOnly: true}); err != nil {
			continue
		}
		for i := range uint64(2) {
			if b, err := f.Local(i); len(b) > 4 || err != nil && !errors.Is(err, feed.ErrCorrupt) {
				t.Errorf("sizes %v: block %d has %d bytes, %v", sizes, i, len(b), err)
			}
		}
		f.Close()
	}
}
