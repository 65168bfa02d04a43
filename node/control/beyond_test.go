package control_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/node/control"
	"github.com/go-hypercore/hypercore/store"
)

// TestCatBeyondTheEnd: of a feed that is on a network the writer knows that there is no
// more; a copy waits for it.
func TestCatBeyondTheEnd(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		own, err := feed.Open(t.Context(), store.Memory(), feed.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer own.Close()
		if _, err := own.Append(t.Context(), []byte("one")); err != nil {
			t.Fatal(err)
		}
		cp, err := feed.Open(t.Context(), store.Memory(), feed.Options{Key: own.Key()})
		if err != nil {
			t.Fatal(err)
		}
		defer cp.Close()
		for _, c := range []struct {
			name string
			f    *feed.Feed
			o    control.CatOptions
			is   error
		}{
			{"writer, end", own, control.CatOptions{End: 9}, feed.ErrOutOfBounds},
			{"writer, start", own, control.CatOptions{Start: 9}, feed.ErrOutOfBounds},
			{"writer, all", own, control.CatOptions{Start: 1}, nil},
			{"copy, end", cp, control.CatOptions{End: 9}, context.DeadlineExceeded},
			{"copy, start", cp, control.CatOptions{Start: 9}, nil},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			l := control.NewLocal(control.OpenFeed{Feed: c.f, Networked: true}, nil)
			if err := l.Cat(ctx, c.o, func(uint64, []byte) error { return nil }); !errors.Is(err, c.is) {
				t.Errorf("%s: %v, want %v", c.name, err, c.is)
			}
			cancel()
		}
	})
}
