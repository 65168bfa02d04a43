package control_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node/control"
	"github.com/go-hypercore/hypercore/store"
	"github.com/go-hypercore/hypercore/store/storetest"
)

// TestAppendToFailingDisk: a write that failed once is made up for, and is no
// error; after a failed sync nobody knows, and that is said.
func TestAppendToFailingDisk(t *testing.T) {
	ctx := context.Background()
	for kind, file := range map[storetest.Kind]string{storetest.Write: "tree", storetest.Sync: "journal"} {
		disk := storetest.NewFaulty(store.Memory())
		f, err := feed.Open(ctx, disk, feed.Options{})
		if err != nil {
			t.Fatal(err)
		}
		l := control.NewLocal(control.OpenFeed{Feed: f}, nil)
		if _, err := l.Append(ctx, strings.NewReader("a\nb\n"), control.Cut{By: control.CutLines}); err != nil {
			t.Fatal(err)
		}
		disk.Fail(storetest.Fault{Nth: 1, Kinds: []storetest.Kind{kind}, File: file})
		a, err := l.Append(ctx, strings.NewReader("c\nd\ne\n"), control.Cut{By: control.CutLines})
		switch {
		case kind == storetest.Write && (err != nil || a.Blocks != 3 || a.Uncertain != 0):
			t.Errorf("after a failed write: %+v, %v", a, err)
		case kind == storetest.Sync && (!errors.Is(err, storetest.ErrInjected) || a.Blocks != 0 || a.Uncertain != 3):
			t.Errorf("after a failed sync: %+v, %v", a, err)
		}
		f.Close()
	}
}
