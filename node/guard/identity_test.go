package guard_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-hypercore/hypercore/internal/fileclock"
	"github.com/go-hypercore/hypercore/node/guard"
)

// identityIn returns the identity of the home in dir, twice the same.
func identityIn(t *testing.T, dir string) string {
	t.Helper()
	var ids [2]string
	for i := range ids {
		var err error
		if ids[i], err = guard.At(dir).Identity(); err != nil {
			t.Fatal(err)
		}
	}
	if ids[0] != ids[1] {
		t.Errorf("%s: %q, and then %q", dir, ids[0], ids[1])
	}
	return ids[0]
}

// TestCopiedHome: a home that was copied or restored is another writer, one that was moved is not.
func TestCopiedHome(t *testing.T) {
	tmp := t.TempDir()
	old := filepath.Join(tmp, "old")
	id := identityIn(t, old)
	b, err := os.ReadFile(filepath.Join(old, "identity"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), "\nfile ") {
		t.Skip("here nobody knows when a file was made")
	}
	fileclock.Tick(t, tmp)
	copied := filepath.Join(tmp, "copied")
	if err := os.CopyFS(copied, os.DirFS(old)); err != nil {
		t.Fatal(err)
	}
	if c := identityIn(t, copied); c == id {
		t.Error("a copy has the same identity", c)
	}
	moved := filepath.Join(tmp, "moved")
	if err := os.Rename(old, moved); err != nil {
		t.Fatal(err)
	}
	if m := identityIn(t, moved); m != id {
		t.Errorf("moved: %q, before %q", m, id)
	}

	// One from before says only its name. That is completed.
	before := filepath.Join(tmp, "before")
	if err := os.MkdirAll(before, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(before, "identity"), []byte("a name\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := identityIn(t, before); got != "a name" {
		t.Errorf("from before: %q", got)
	}
	fileclock.Tick(t, tmp)
	again := filepath.Join(tmp, "again")
	if err := os.CopyFS(again, os.DirFS(before)); err != nil {
		t.Fatal(err)
	}
	if got := identityIn(t, again); got == "a name" {
		t.Error("a copy of it has the same identity")
	}
}
