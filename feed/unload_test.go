package feed_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/store"
	"github.com/go-hypercore/hypercore/store/storetest"
)

// TestUnload: who appends does not wait for the disk while little is pending, and waits
// before it is much, no longer than his context; nothing is lost.
func TestUnload(t *testing.T) {
	const (
		bound = 8 << 20
		size  = 512
		batch = 128 * size
	)
	ctx := context.Background()
	mem := store.Memory()
	disk := storetest.NewHeld(mem, "data", storetest.Write)
	disk.Hold()
	f := open(t, disk, feed.Options{})
	appendMore := func(ctx context.Context) {
		t.Helper()
		n := f.Len() / 128
		var blocks [][]byte
		for i := range 128 {
			blocks = append(blocks, bytes.Repeat([]byte{byte(n), byte(i)}, size/2))
		}
		if _, err := f.Append(ctx, blocks...); err != nil {
			t.Fatal(err)
		}
	}
	for f.ByteLen() < 2*bound {
		appendMore(ctx) // it would hang
	}
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if appendMore(short); short.Err() == nil {
		t.Errorf("%d bytes were appended while none could be written", f.ByteLen())
	}
	disk.LetGo()
	for f.ByteLen() < 4*bound {
		appendMore(ctx)
	}
	if err := f.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	g := open(t, mem.Clone(), feed.Options{ReadOnly: true})
	if g.ByteLen() != 4*bound {
		t.Fatalf("%d bytes are there after Sync", g.ByteLen())
	}
	for i := range g.Len() {
		b, err := g.Local(i)
		if err != nil || len(b) != size || b[0] != byte(i/128) || b[1] != byte(i%128) {
			t.Fatalf("block %d: %v, %v", i, b[:min(2, len(b))], err)
		}
	}
}

// TestAdjoining: large blocks that lie one behind the other in memory are written as
// one; what lies elsewhere, or in another order, is not mixed up with them.
func TestAdjoining(t *testing.T) {
	ctx := context.Background()
	mem := store.Memory()
	disk := storetest.NewFaulty(mem)
	f := open(t, disk, feed.Options{})
	const size = 40_000
	buf := make([]byte, 32*size)
	for i := range buf {
		buf[i] = byte(i / size * 7)
	}
	var batch [][]byte
	for i := range 32 {
		batch = append(batch, buf[i*size:(i+1)*size])
	}
	if _, err := f.Append(ctx, batch...); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	writes := 0
	for _, op := range disk.Ops() {
		if op.Kind == storetest.Write && op.File == "data" {
			writes++
		}
	}
	if writes > 4 {
		t.Errorf("32 blocks in a row took %d writes", writes)
	}
	odd := [][]byte{
		buf[size : 2*size], buf[:size], buf[size : 2*size], nil, buf[2*size : 3*size], buf[2*size : 4*size],
		bytes.Repeat([]byte{9}, 3*size), buf[4*size : 5*size : 5*size], buf[5*size : 6*size],
	}
	if _, err := f.Append(ctx, odd...); err != nil {
		t.Fatal(err)
	}
	for i, want := range append(batch, odd...) {
		if got, err := f.Local(uint64(i)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("block %d: %d bytes, %v; want %d", i, len(got), err, len(want))
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	g := open(t, mem, feed.Options{})
	if r, err := g.Audit(ctx, feed.AuditOptions{}); err != nil || r.Count > 0 || r.Present != 41 {
		t.Error(r, err)
	}
}

// TestUnloadBesideCommit: what the committer has taken to make an entry of may be signed
// and written by another, because much is pending.
func TestUnloadBesideCommit(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	disk := storetest.NewHeld(store.Dir(dir), "journal", storetest.Write)
	f := open(t, disk, feed.Options{Durability: feed.NoSync})
	appendN(t, f, 1)
	if err := f.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	disk.Hold()
	appendN(t, f, 1)
	<-disk.Begun()
	go func() { // nothing that tells the race detector of an order
		for {
			if fi, err := os.Stat(filepath.Join(dir, "data")); err != nil || fi.Size() > 1<<20 {
				break
			}
			runtime.Gosched()
		}
		disk.LetGo()
	}()
	const batches, batch = 18, 256
	for range batches {
		blocks := make([][]byte, batch)
		for i := range blocks {
			blocks[i] = make([]byte, 4096)
		}
		if _, err := f.Append(ctx, blocks...); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	if report, err := f.Audit(ctx, feed.AuditOptions{}); err != nil || !report.OK() || f.Len() != 2+batches*batch {
		t.Errorf("%d blocks, %v, %v", f.Len(), report.Problems, err)
	}
}
