package feed_test

import (
	"bytes"
	"errors"
	"syscall"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/store"
)

// medium is a directory of a read-only file system.
type medium struct{ store.Storage }

func (m medium) Open(string, bool) (store.File, error) { return nil, syscall.EROFS }
func (m medium) Reading() store.Storage                { return m.Storage }

// Where nothing can be written a feed can be read.
func TestReadOnlyMedium(t *testing.T) {
	dir := t.TempDir()
	f := open(t, store.Dir(dir), feed.Options{})
	if _, err := f.Append(t.Context(), []byte("a"), []byte("b")); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	st := medium{store.Dir(dir).(store.Reader).Reading()}
	if _, err := feed.Open(t.Context(), st, feed.Options{}); !errors.Is(err, syscall.EROFS) {
		t.Errorf("opened for writing: %v", err)
	}
	f = open(t, st, feed.Options{ReadOnly: true})
	if b, err := f.Local(1); err != nil || !bytes.Equal(b, []byte("b")) {
		t.Errorf("block 1: %q, %v", b, err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if in, err := feed.Inspect(t.Context(), st, feed.InspectOptions{}); err != nil || in.Count != 0 {
		t.Errorf("inspection: %+v, %v", in, err)
	}
}
