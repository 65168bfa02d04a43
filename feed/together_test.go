package feed_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/store"
	"github.com/go-hypercore/hypercore/store/storetest"
)

// TestTogether: of many who append at once and wait for the disk each gets its own
// place, in the order of its calls, while others clear and append large blocks.
func TestTogether(t *testing.T) {
	const callers, each = 32, 40
	ctx := context.Background()
	st := store.Memory()
	f := open(t, st, durable)
	content := func(caller, call, k int) []byte {
		b := binary.BigEndian.AppendUint64(nil, uint64(caller*each+call))
		b = append(b, byte(k))
		if caller == 0 { // too large to join the others
			b = append(b, make([]byte, 20_000)...)
		}
		return b
	}
	var mu sync.Mutex
	at := map[uint64][]byte{}
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			last := -1
			for call := range each {
				blocks := make([][]byte, 1+(caller+call)%3)
				for k := range blocks {
					blocks[k] = content(caller, call, k)
				}
				first, err := f.Append(ctx, blocks...)
				if err != nil || int(first) <= last {
					t.Errorf("caller %d: block %d after %d, %v", caller, first, last, err)
					return
				}
				last = int(first)
				mu.Lock()
				for k, b := range blocks {
					if at[first+uint64(k)] != nil {
						t.Errorf("block %d was given twice", first+uint64(k))
					}
					at[first+uint64(k)] = b
				}
				mu.Unlock()
			}
		})
	}
	appended := make(chan struct{})
	var clears sync.WaitGroup
	clears.Go(func() { // waits for commits while it keeps others from changing the feed
		for {
			select {
			case <-appended:
				return
			default:
			}
			if err := f.Clear(ctx, 0, 1); err != nil {
				t.Error(err)
				return
			}
		}
	})
	wg.Wait()
	close(appended)
	clears.Wait()
	if f.Len() != uint64(len(at)) {
		t.Fatalf("%d blocks, %d were appended", f.Len(), len(at))
	}
	// What was acknowledged is on the disk: a power cut leaves it.
	g := open(t, st.Clone(), feed.Options{})
	audit(t, g)
	for i := uint64(1); i < g.Len(); i++ {
		if b, err := g.Local(i); err != nil || !bytes.Equal(b, at[i]) {
			t.Fatalf("block %d: %v", i, err)
		}
	}
}

// TestTogetherCanceled: who gives up while the disk is busy learns where its blocks
// are all the same, and they are not lost.
func TestTogetherCanceled(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := storetest.NewHeld(store.Memory(), "journal", storetest.Sync)
		f := open(t, h, durable)
		appendN(t, f, 1)
		h.Hold()
		slow := make(chan error, 1)
		go func() {
			_, err := f.Append(context.Background(), []byte("slow"))
			slow <- err
		}()
		<-h.Begun()
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			synctest.Wait() // until the other one waits for the disk
			cancel()
		}()
		at, err := f.Append(ctx, []byte("given up"))
		if !errors.Is(err, context.Canceled) || at != 2 {
			t.Errorf("block %d, %v", at, err)
		}
		if b, err := f.Local(2); err != nil || string(b) != "given up" {
			t.Errorf("block 2 is %q, %v", b, err)
		}
		h.LetGo()
		if err := <-slow; err != nil {
			t.Error(err)
		}
		if err := f.Sync(context.Background()); err != nil || f.Len() != 3 {
			t.Errorf("%d blocks, %v", f.Len(), err)
		}
		f.Close()
	})
}

// TestTogetherRefused: appends that wait for company when writing fails, or when the
// feed is closed, have changed nothing and say so.
func TestTogetherRefused(t *testing.T) {
	for _, name := range []string{"failed", "closed"} {
		t.Run(name, func(t *testing.T) {
			h := storetest.NewHeld(store.Memory(), "journal", storetest.Sync)
			disk := storetest.NewFaulty(h)
			f, err := feed.Open(context.Background(), disk, durable)
			if err != nil {
				t.Fatal(err)
			}
			appendN(t, f, 1)
			h.Hold()
			errs := make(chan error, 9)
			try := func() {
				_, err := f.Append(context.Background(), []byte("x"))
				errs <- err
			}
			go try()
			<-h.Begun()
			want := feed.ErrClosed
			if name == "failed" {
				want = errDisk
				disk.Fail(storetest.Fault{Nth: 1, Kinds: []storetest.Kind{storetest.Sync}, Err: errDisk})
			}
			for range 8 {
				go try()
			}
			closed := make(chan error, 1)
			if name == "closed" {
				go func() { closed <- f.Close() }()
			}
			h.LetGo()
			refused := 0
			for range 9 {
				if err := <-errs; err != nil {
					refused++
					if !errors.Is(err, want) {
						t.Error(err)
					}
				}
			}
			if name == "failed" {
				closed <- nil
				if refused == 0 {
					t.Error("nobody was told of the failed sync")
				}
				f.Close()
			}
			if err := <-closed; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestLoneAppendSyncs: an append with nothing else to do is durable with one sync, of
// the journal, before it is announced; when the feed has been at rest for a while all
// files are.
func TestLoneAppendSyncs(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		ctx := context.Background()
		disk := storetest.NewFaulty(store.Memory())
		f, err := feed.Open(ctx, disk, feed.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		syncs := func(from int) (names []string) {
			for _, op := range disk.Ops()[from:] {
				if op.Kind == storetest.Sync {
					names = append(names, op.File)
				}
			}
			slices.Sort(names)
			return names
		}
		for i := range uint64(5) {
			from := disk.Len()
			if _, err := f.Append(ctx, block(i)); err != nil {
				t.Fatal(err)
			}
			if err := f.Sync(ctx); err != nil {
				t.Fatal(err)
			}
			if got := syncs(from); i > 0 && !slices.Equal(got, []string{"journal"}) {
				t.Errorf("block %d: synced were %v", i, got)
			}
		}
		from := disk.Len()
		time.Sleep(10 * time.Second)
		if got, want := syncs(from), []string{"data", "journal", "signatures", "tree"}; !slices.Equal(got, want) {
			t.Errorf("at rest: synced were %v, want %v", got, want)
		}
		from = disk.Len()
		time.Sleep(time.Hour)
		if got := disk.Ops()[from:]; len(got) > 0 {
			t.Errorf("later: %v", got)
		}
	})
}

// TestLatePages: while many append and wait for the disk, only some commits write the
// bitfield; when they have stopped it holds every block.
func TestLatePages(t *testing.T) {
	const callers, each = 8, 100
	bubble.Test(t, func(t *testing.T) {
		ctx := context.Background()
		st := store.Memory()
		disk := storetest.NewFaulty(st)
		f, err := feed.Open(ctx, disk, durable)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				for i := range uint64(each) {
					if _, err := f.Append(ctx, block(i)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		time.Sleep(10 * time.Second) // of the bubble: until the feed is at rest
		writes := map[string]int{}
		for _, op := range disk.Ops() {
			if op.Kind == storetest.Write {
				writes[op.File]++
			}
		}
		if writes["bitfield"] > writes["journal"]/4 {
			t.Errorf("the bitfield was written %d times in %d commits", writes["bitfield"], writes["journal"])
		}
		b, err := st.ReadFile("bitfield")
		if err != nil {
			t.Fatal(err)
		}
		for i := range callers * each {
			if b[32+i/8]&(0x80>>(i%8)) == 0 {
				t.Fatalf("block %d is not marked in the file", i)
			}
		}
	})
}
