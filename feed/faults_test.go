package feed_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/store"
	"github.com/go-hypercore/hypercore/store/storetest"
)

var errDisk = errors.New("the disk says no")

// script is a life of a feed, up to the first error. It returns the blocks that
// were acknowledged as durable, and all that were appended.
func script(st store.Storage) (durable, appended [][]byte, err error) {
	ctx := context.Background()
	f, err := feed.Open(ctx, st, feed.Options{SecretKey: keyFromSeed(5)})
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err == nil {
			durable = appended
		}
	}()
	for i := range 6 {
		batch := [][]byte{block(uint64(len(appended))), bytes.Repeat([]byte{byte(i)}, 17000*(i%2))}
		if _, err := f.Append(ctx, batch...); err != nil {
			return durable, appended, err
		}
		appended = append(appended, batch...)
		if i%2 == 1 {
			if err := f.Sync(ctx); err != nil {
				return durable, appended, err
			}
			durable = appended
		}
	}
	return durable, appended, nil
}

// TestFaults lets each operation of the storage fail once, not applied, applied,
// or half applied. Nothing acknowledged is lost, and the feed goes on.
func TestFaults(t *testing.T) {
	ctx := context.Background()
	probe := storetest.NewFaulty(store.Memory())
	if _, _, err := script(probe); err != nil {
		t.Fatal(err)
	}
	total := probe.Len()
	for nth := 1; nth <= total; nth++ {
		for _, mode := range []storetest.Mode{storetest.Unapplied, storetest.Applied, storetest.Short} {
			mem := store.Memory()
			faulty := storetest.NewFaulty(mem)
			faulty.Fail(storetest.Fault{Nth: nth, Mode: mode, Err: errDisk})
			durable, appended, err := script(faulty)
			where := fmt.Sprintf("operation %d of %d (%v), error %v\n%s", nth, total, mode, err, faulty.Log(max(1, nth-3)))
			if err != nil && !errors.Is(err, errDisk) && !errors.Is(err, feed.ErrClosed) {
				t.Fatalf("another error: %s", where)
			}
			f, err := feed.Open(ctx, mem, feed.Options{SecretKey: keyFromSeed(5)})
			if err != nil {
				t.Fatalf("open: %v: %s", err, where)
			}
			if f.Len() < uint64(len(durable)) || f.Len() > uint64(len(appended)+2) {
				t.Fatalf("%d blocks, %d durable: %s", f.Len(), len(durable), where)
			}
			for i, want := range durable {
				if b, err := f.Local(uint64(i)); err != nil || !bytes.Equal(b, want) {
					t.Fatalf("block %d: %v: %s", i, err, where)
				}
			}
			if r, err := f.Audit(ctx, feed.AuditOptions{}); err != nil || !r.OK() {
				t.Fatalf("audit: %v, %v: %s", r.Problems, err, where)
			}
			n := f.Len()
			if _, err := f.Append(ctx, []byte("goes on")); err != nil {
				t.Fatalf("append: %v: %s", err, where)
			}
			if err := f.Close(); err != nil {
				t.Fatalf("close: %v: %s", err, where)
			}
			f = open(t, mem, feed.Options{})
			if b, err := f.Local(n); err != nil || string(b) != "goes on" {
				t.Fatalf("the next block: %v: %s", err, where)
			}
			f.Close()
		}
	}
}

// TestDiskFull: appends fail with the file and the place, what is durable stays,
// and when there is room again the feed goes on without being reopened.
func TestDiskFull(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		ctx := context.Background()
		mem := store.Memory()
		faulty := storetest.NewFaulty(mem)
		f, err := feed.Open(ctx, faulty, feed.Options{})
		if err != nil {
			t.Fatal(err)
		}
		events := f.Watch(ctx)
		appendN(t, f, 10)
		if err := f.Sync(ctx); err != nil {
			t.Fatal(err)
		}
		faulty.LimitSpace(100)
		if _, err = f.Append(ctx, make([]byte, 1000)); err == nil {
			err = f.Sync(ctx)
		}
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), " at byte ") {
			t.Fatalf("error %v", err)
		}
		if err := f.Stats().Err; !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("Stats.Err is %v", err)
		}
		if _, err := f.Append(ctx, []byte("x")); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("Append: %v", err)
		}
		if _, err := f.Append(ctx, make([]byte, 20000)); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("Append of a large block: %v", err)
		}
		if b, err := f.Local(10); err != nil || len(b) != 1000 {
			t.Errorf("the block in memory: %d, %v", len(b), err)
		}
		for i := range uint64(10) {
			if b, err := f.Local(i); err != nil || !bytes.Equal(b, block(i)) {
				t.Errorf("block %d: %v", i, err)
			}
		}
		faulty.Heal()
		time.Sleep(2 * time.Second)
		n, err := f.Append(ctx, []byte("room again"))
		if err != nil {
			t.Fatalf("Append: %v", err)
		}
		if err := f.Sync(ctx); err != nil || f.Stats().Err != nil {
			t.Fatalf("Sync: %v, %v", err, f.Stats().Err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		failed, resumed := 0, 0
		for e := range events {
			switch e := e.(type) {
			case feed.Failed:
				failed++
				if e.Final || resumed > 0 {
					t.Errorf("%+v, after Resumed %d times", e, resumed)
				}
			case feed.Resumed:
				resumed++
			}
		}
		if failed == 0 || resumed != 1 {
			t.Errorf("%d events Failed, %d Resumed", failed, resumed)
		}
		f, err = feed.Open(ctx, mem, feed.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if b, err := f.Local(n); err != nil || string(b) != "room again" || n != 11 {
			t.Errorf("block %d: %q, %v", n, b, err)
		}
		audit(t, f)
	})
}

// TestSyncFails: after a failed sync nothing is acknowledged any more, whatever
// later syncs say.
func TestSyncFails(t *testing.T) {
	ctx := context.Background()
	for _, name := range []string{"data", "tree", "signatures", "journal"} {
		mem := store.Memory()
		faulty := storetest.NewFaulty(mem)
		f, err := feed.Open(ctx, faulty, feed.Options{})
		if err != nil {
			t.Fatal(err)
		}
		appendN(t, f, 3)
		if err := f.Sync(ctx); err != nil {
			t.Fatal(err)
		}
		fails := make(chan feed.Failed, 8)
		events := f.Watch(ctx)
		go func() {
			for e := range events {
				if e, ok := e.(feed.Failed); ok {
					fails <- e
				}
			}
		}()
		faulty.Fail(storetest.Fault{Nth: 1, Kinds: []storetest.Kind{storetest.Sync}, File: name, Err: errDisk})
		if _, err := f.Append(ctx, make([]byte, 1<<20)); err != nil { // too much for an entry in the journal
			t.Fatal(err)
		}
		for range 3 {
			if err := f.Sync(ctx); !errors.Is(err, errDisk) {
				t.Errorf("%s: Sync: %v", name, err)
			}
		}
		if _, err := f.Append(ctx, []byte("x")); !errors.Is(err, errDisk) {
			t.Errorf("%s: Append: %v", name, err)
		}
		select {
		case e := <-fails:
			if !e.Final || !errors.Is(e.Err, errDisk) {
				t.Errorf("%s: %+v", name, e)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%s: no event Failed", name)
		}
		if err := f.Close(); !errors.Is(err, errDisk) {
			t.Errorf("%s: Close: %v", name, err)
		}
		g := open(t, mem, feed.Options{})
		audit(t, g)
		if n := g.Len(); n < 3 {
			t.Errorf("%s: %d blocks", name, n)
		}
		if _, err := g.Append(ctx, []byte("x")); err != nil {
			t.Error(err)
		}
		g.Close()
	}
}

// TestFailureStays: a commit that began before a write failed makes its blocks durable, but does
// not say that the disk is well again; a Sync after it does.
func TestFailureStays(t *testing.T) {
	ctx := context.Background()
	h := storetest.NewHeld(store.Memory(), "journal", storetest.Sync)
	disk := storetest.NewFaulty(h)
	f := open(t, disk, feed.Options{})
	appendN(t, f, 1)
	if err := f.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	h.Hold()
	// Too much for an entry in the journal, beside whose sync the data are written.
	if _, err := f.Append(ctx, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	<-h.Begun()
	disk.Fail(storetest.Fault{Nth: 1, File: "data", Kinds: []storetest.Kind{storetest.Write}, Err: errDisk})
	if _, err := f.Append(ctx, make([]byte, 1<<20)); !errors.Is(err, errDisk) {
		t.Fatal("the write failed, Append says", err)
	}
	news := f.Watch(ctx)
	h.LetGo()
	for e := range news {
		if s, ok := e.(feed.Synced); ok && s.Length == 2 {
			break
		}
	}
	if err := f.Stats().Err; !errors.Is(err, errDisk) {
		t.Error("the commit has landed, Stats.Err is", err)
	}
	if err := f.Sync(ctx); err != nil || f.Stats().Err != nil {
		t.Error("the disk is well, but", err, f.Stats().Err)
	}
	if _, err := f.Append(ctx, make([]byte, 1<<20)); err != nil || f.Len() != 3 {
		t.Error(f.Len(), err)
	}
}
