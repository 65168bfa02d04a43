package feed_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/store"
	"github.com/go-hypercore/hypercore/store/storetest"
)

// badSector is st on a disk that does not give back 512 bytes of a file.
func badSector(st store.Storage, file string, off int64) *storetest.Faulty {
	y := storetest.NewFaulty(st)
	y.Fail(storetest.Fault{File: file, Kinds: []storetest.Kind{storetest.Read}, Err: syscall.EIO, Match: func(o storetest.Op) bool {
		return o.Off < off+512 && o.Off+o.Size > off
	}})
	return y
}

var modes = []feed.Options{{}, {ReadOnly: true}, {Repair: true}}

func modeName(o feed.Options) string {
	return fmt.Sprintf("ReadOnly %v, Repair %v", o.ReadOnly, o.Repair)
}

// TestUnreadableBlocks: a bad sector costs the blocks that lie there, and nothing else.
func TestUnreadableBlocks(t *testing.T) {
	ctx := t.Context()
	const n, size = 40, 300
	rec := storetest.NewCrash(nil)
	f := open(t, rec, feed.Options{})
	var blocks [][]byte
	for i := range n {
		blocks = append(blocks, bytes.Repeat([]byte{byte(i + 1)}, size))
	}
	if _, err := f.Append(ctx, blocks...); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	cut := rec.Image(rec.Len(), storetest.Drop, 0)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	closed := rec.Image(rec.Len(), storetest.Drop, 0)
	bad := map[uint64]bool{3: true, 4: true, 5: true} // bytes 1024 to 1535
	for _, o := range modes {
		for name, disk := range map[string]*store.MemoryStorage{"power cut": cut, "closed": closed} {
			t.Run(name+", "+modeName(o), func(t *testing.T) {
				f := open(t, badSector(disk.Clone(), "data", 1024), o)
				defer f.Close()
				marked := name == "closed" && !o.Repair
				for i := range uint64(n) {
					b, err := f.Local(i)
					if !bad[i] && !bytes.Equal(b, blocks[i]) || bad[i] && err == nil || f.Has(i) != (marked || !bad[i]) {
						t.Errorf("block %d, here %v: %.3q, %v", i, f.Has(i), b, err)
					}
				}
				if lost := f.Repaired().Lost; (lost != 3) != marked {
					t.Errorf("%d blocks lost by Open", lost)
				}
				var unread []uint64
				r, err := f.Audit(ctx, feed.AuditOptions{Block: func(i uint64, b []byte, valid bool) {
					if b == nil && !valid {
						unread = append(unread, i)
					}
				}})
				if want := 3; err != nil || marked && (r.Invalid != 3 || len(unread) != want) || !marked && (r.Invalid != 0 || r.Missing != 3) {
					t.Errorf("audit: %+v, without bytes %v, %v", r, unread, err)
				}
				if o.ReadOnly {
					return
				}
				lost, err := f.Recheck(ctx, 0, n)
				if err != nil || marked != (lost == 3) || f.Downloaded(0, n) != n-3 {
					t.Errorf("%d blocks given up, %v; %d are here", lost, err, f.Downloaded(0, n))
				}
			})
		}
	}
}

// TestRecheckClosed: a feed that is closed meanwhile has lost nothing.
func TestRecheckClosed(t *testing.T) {
	st := store.Memory()
	f := open(t, st, feed.Options{})
	appendN(t, f, 20)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	y := storetest.NewFaulty(st)
	g := open(t, y, feed.Options{})
	defer g.Close()
	for _, end := range []error{context.Canceled, context.DeadlineExceeded, feed.ErrClosed} {
		y.Fail(storetest.Fault{Nth: 1, File: "data", Kinds: []storetest.Kind{storetest.Read}, Err: end})
		if lost, err := g.Recheck(t.Context(), 0, 20); lost != 0 || !errors.Is(err, end) {
			t.Errorf("%v: %d lost, %v", end, lost, err)
		}
	}
}

// TestUnreadableEntries: where entries of the journal do not count a bad sector does not
// matter; where they do, nobody goes on as if there had been less.
func TestUnreadableEntries(t *testing.T) {
	ctx := t.Context()
	const n, redoStart = 60, 2 * 4096
	st, second, f := oneByOne(t, n)
	killed, cut := st.Clone(), onlyJournal(t, st, second)
	if _, err := f.Append(ctx, make([]byte, 300<<10)); err != nil { // more than an entry has: a slot
		t.Fatal(err)
	}
	f.Rest()
	stale := st.Clone()
	for _, o := range modes {
		o.Durability = feed.AppendDurable
		t.Run(modeName(o), func(t *testing.T) {
			for _, off := range []int64{redoStart + 512, redoStart + 8192} {
				g := open(t, badSector(stale.Clone(), "journal", off), o)
				if g.Len() != n+1 || g.Stats().Err != nil && !o.ReadOnly {
					t.Errorf("%d blocks, %v", g.Len(), g.Stats().Err)
				}
				g.Close()
			}
			for _, off := range []int64{redoStart, redoStart + 4096} {
				for name, disk := range map[string]*store.MemoryStorage{"killed": killed.Clone(), "power cut": cut.Clone()} {
					g, err := feed.Open(ctx, badSector(disk, "journal", off), o)
					if !o.ReadOnly && !o.Repair {
						if !errors.Is(err, syscall.EIO) {
							t.Fatalf("%s: opened: %v", name, err)
						}
						continue
					}
					if err != nil {
						t.Fatal(err)
					}
					if off > redoStart && g.Len() < 20 || name == "power cut" && g.Len() >= n {
						t.Errorf("%s, from byte %d: %d blocks", name, off, g.Len())
					}
					holds(t, g, g.Len())
					if g.Stats().Err == nil {
						t.Errorf("%s: nothing is wrong", name)
					}
					for range 2 {
						if _, err := g.Append(ctx, []byte("x")); o.Repair && !errors.Is(err, feed.ErrBehind) || err == nil {
							t.Errorf("%s: append: %v", name, err)
						}
						g.Close()
						if o.ReadOnly {
							break
						}
						g = open(t, disk, durable)
					}
					g.Close()
				}
			}
		})
	}
}

// TestUnreadableSlot: with one slot of the journal a feed can be read and repaired, but as
// the other may have said more, a writer has to be brought up to date.
func TestUnreadableSlot(t *testing.T) {
	ctx := t.Context()
	st, _, f := oneByOne(t, 20)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for slot := range int64(2) {
		for _, o := range modes {
			t.Run(fmt.Sprintf("slot %d, %s", slot, modeName(o)), func(t *testing.T) {
				disk := st.Clone()
				g, err := feed.Open(ctx, badSector(disk, "journal", slot*4096), o)
				if !o.ReadOnly && !o.Repair {
					if !errors.Is(err, syscall.EIO) {
						t.Fatalf("opened: %v", err)
					}
					in, err := feed.Inspect(ctx, badSector(disk, "journal", slot*4096), feed.InspectOptions{})
					if err != nil || in.Count == 0 {
						t.Errorf("inspection: %+v, %v", in, err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				holds(t, g, 20)
				if r, err := g.Audit(ctx, feed.AuditOptions{}); err != nil || r.Invalid > 0 || r.Count != 1 {
					t.Errorf("audit: %v, %v", r.Problems, err)
				}
				if err := g.Close(); err != nil || o.ReadOnly {
					return
				}
				g = open(t, disk, durable)
				defer g.Close()
				if _, err := g.Append(ctx, []byte("x")); !errors.Is(err, feed.ErrBehind) {
					t.Errorf("append: %v", err)
				}
			})
		}
	}
}
