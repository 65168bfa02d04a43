package control_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node/control"
)

const (
	hexA = "0a9718a1ff1c4ca79feb23a1ff1c4ca79feb23a1ff1c4ca79feb23a1ff1c4ca7"
	hexB = "1b9718a1ff1c4ca79feb23a1ff1c4ca79feb23a1ff1c4ca79feb23a1ff1c4ca7"
)

// fakeFeed makes a directory that looks like a feed.
func fakeFeed(t *testing.T, dir, key string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	k, err := control.ParseKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "key"), k[:], 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestResolve(t *testing.T) {
	h := openHome(t)
	cwd, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(cwd)
	fakeFeed(t, h.FeedDir("notes"), hexA)
	fakeFeed(t, h.FeedDir("both"), hexB)
	fakeFeed(t, filepath.Join(cwd, "both"), hexA)
	fakeFeed(t, filepath.Join(cwd, "sub", "here"), hexA)
	fakeFeed(t, h.FeedDir(hexB), hexB)

	for _, c := range []struct{ arg, dir, name string }{
		{"notes", h.FeedDir("notes"), "notes"},
		{hexA, h.FeedDir("notes"), "notes"},
		{strings.ToUpper(hexA), h.FeedDir("notes"), "notes"},
		{"dat://" + hexA, h.FeedDir("notes"), "notes"},
		{"hyper://" + hexA + "/some/path", h.FeedDir("notes"), "notes"},
		{hexB, h.FeedDir(hexB), hexB},
		{" " + hexA + "\n", h.FeedDir("notes"), "notes"},
		{" dat://" + hexA + " ", h.FeedDir("notes"), "notes"},
		{"both", filepath.Join(cwd, "both"), ""},
		{"./both", filepath.Join(cwd, "both"), ""},
		{"sub/here", filepath.Join(cwd, "sub", "here"), ""},
		{filepath.Join(cwd, "both"), filepath.Join(cwd, "both"), ""},
		{strings.Repeat("f", 64), "", ""},
	} {
		r, err := h.Resolve(c.arg)
		if err != nil || r.Dir != c.dir || r.Name != c.name {
			t.Errorf("%s: %+v, %v", c.arg, r, err)
		}
		if (r.Note != "") != (c.arg == "both") {
			t.Errorf("%s: note %q", c.arg, r.Note)
		}
	}

	for _, c := range []struct {
		arg  string
		is   error
		says string
	}{
		{"", control.ErrBadName, "empty"},
		{hexA[1:], control.ErrBadName, "63 hex digits; a public key has 64"},
		{hexA + "0", control.ErrBadName, "65 hex digits"},
		{"hyper://12", control.ErrBadName, "2 hex digits"},
		{"dat://" + hexA[1:] + "x", control.ErrBadName, `character 64 is 'x'`},
		{"é" + hexA[2:], control.ErrBadName, `character 1 is 'é'`},
		{strings.Repeat("long", 17), control.ErrBadName, "68 bytes"},
		{"-x", control.ErrBadName, "begin with -"},
		{"a\nb", control.ErrBadName, "a name is one line"},
		{"a\xffb", control.ErrBadName, "UTF-8"},
		{"a:b", control.ErrBadName, "no slash, backslash or colon"},
		{".x", control.ErrBadName, "begin with ."},
		{"noets", feed.ErrNotFound, "did you mean notes?"},
		{"not", feed.ErrNotFound, "did you mean notes?"},
		{"zebra", feed.ErrNotFound, "neither a directory here nor a name"},
		{"./notes", feed.ErrNotFound, "there is no directory"},
		{".", feed.ErrNotFound, "holds no feed"},
	} {
		if _, err := h.Resolve(c.arg); !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.arg, err)
		}
	}

	if r, err := h.ResolveNew("fresh"); err != nil || r.Dir != h.FeedDir("fresh") {
		t.Errorf("new name: %+v, %v", r, err)
	}
	if r, err := h.ResolveNew("./fresh"); err != nil || r.Dir != filepath.Join(cwd, "fresh") {
		t.Errorf("new directory: %+v, %v", r, err)
	}
}

// TestResolveUnreadable: a directory that may not be looked into is not said to hold no
// feed.
func TestResolveUnreadable(t *testing.T) {
	h := openHome(t)
	fakeFeed(t, h.FeedDir("notes"), hexA)
	for _, dir := range []string{h.FeedDir("notes"), filepath.Dir(h.FeedDir("notes")), h.Dir()} {
		if err := os.Chmod(dir, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := os.ReadDir(dir); err == nil {
			t.Skip("this user may read everything")
		}
		if _, err := h.Resolve("notes"); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), h.FeedDir("notes")) {
			t.Errorf("%s is closed: %v", dir, err)
		}
		names, err := h.Names()
		if whole := dir == h.FeedDir("notes"); whole && (err != nil || len(names) != 1) || !whole && !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s is closed: names %v, %v", dir, names, err)
		}
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
}
