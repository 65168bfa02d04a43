package feed_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/store"
)

// fetcher is a Replicator that gets from src whatever is wanted.
type fetcher struct {
	src, dst *feed.Feed

	mu     sync.Mutex
	asked  []uint64 // blocks, in order
	closed error
	wake   chan struct{}
}

func fetch(t testing.TB, src, dst *feed.Feed) *fetcher {
	t.Helper()
	x := &fetcher{src: src, dst: dst, wake: make(chan struct{}, 1)}
	if _, err := dst.Attach(x); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		x.run(ctx, t)
	}()
	return x
}

func (x *fetcher) DemandChanged() {
	select {
	case x.wake <- struct{}{}:
	default:
	}
}
func (x *fetcher) Available(start, end uint64) {}
func (x *fetcher) Cleared(start, end uint64)   {}
func (x *fetcher) KnownLen() uint64            { return x.src.Len() }
func (x *fetcher) FeedClosed(err error)        { x.closed = err }

func (x *fetcher) run(ctx context.Context, t testing.TB) {
	for {
		for x.step(t) {
		}
		select {
		case <-ctx.Done():
			return
		case <-x.wake:
		}
	}
}

// step gets one thing and reports whether there was one.
func (x *fetcher) step(t testing.TB) bool {
	d := x.dst.Demand()
	for _, off := range d.Seeks {
		var p feed.Proof
		if err := x.src.Prove(feed.ProofRequest{Bytes: off, Hash: true}, nil, &p); err == nil {
			x.apply(t, p)
			return true
		}
	}
	if n := x.src.Len(); d.MinLen > x.dst.Len() && n >= d.MinLen {
		var p feed.Proof
		if err := x.src.Prove(feed.ProofRequest{Index: n - 1, Hash: true}, nil, &p); err == nil {
			x.apply(t, p)
			return true
		}
	}
	for _, i := range d.Blocks {
		if x.get(t, i) {
			return true
		}
	}
	for _, r := range d.Ranges {
		end := r.End
		if end == 0 {
			end = x.src.Len()
		}
		if i := x.dst.NextMissing(r.Start); i < end && x.get(t, i) {
			return true
		}
	}
	return false
}

func (x *fetcher) get(t testing.TB, i uint64) bool {
	var p feed.Proof
	if x.dst.Has(i) || x.src.Prove(feed.ProofRequest{Index: i, Digest: x.dst.Digest(i)}, nil, &p) != nil {
		return false
	}
	var err error
	if p.Value, err = x.src.ReadBlock([]byte{}, i); err != nil {
		return false
	}
	x.mu.Lock()
	x.asked = append(x.asked, i)
	x.mu.Unlock()
	x.apply(t, p)
	return true
}

func (x *fetcher) apply(t testing.TB, p feed.Proof) {
	if _, err := x.dst.Apply(context.Background(), []feed.Proof{p}); err != nil && !errors.Is(err, feed.ErrClosed) {
		t.Errorf("Apply block %d: %v", p.Index, err)
	}
}

func TestGetWaits(t *testing.T) {
	ctx := context.Background()
	src := open2(t, 20, 300)
	dst := open(t, store.Memory(), feed.Options{Key: src.Key(), Sparse: true})
	x := fetch(t, src, dst)
	for _, i := range []uint64{299, 3, 150} {
		if b, err := dst.Get(ctx, i); err != nil || !bytes.Equal(b, block(i)) {
			t.Fatalf("Get(%d) = %q, %v", i, b, err)
		}
	}
	if got, err := dst.GetRange(ctx, 40, 60); err != nil || len(got) != 20 || !bytes.Equal(got[19], block(59)) {
		t.Fatalf("GetRange: %d, %v", len(got), err)
	}
	if n := dst.Downloaded(0, 0); n != 23 {
		t.Errorf("%d blocks were downloaded", n)
	}
	if !slices.Equal(x.asked[:3], []uint64{299, 3, 150}) {
		t.Errorf("asked for %v", x.asked)
	}
	var all uint64
	for _, i := range x.asked {
		all += uint64(len(block(i)))
	}
	if n, err := dst.DownloadedBytes(ctx, 0, 0); err != nil || n != all {
		t.Errorf("%d bytes, %v, want %d", n, err, all)
	}
	if b, err := dst.Head(ctx); err != nil || !bytes.Equal(b, block(299)) {
		t.Errorf("Head: %q, %v", b, err)
	}
	// A block that does not exist yet.
	go func() {
		src.Append(ctx, []byte("later"))
		src.Sync(ctx)
		x.DemandChanged()
	}()
	if b, err := dst.Get(ctx, 300); err != nil || string(b) != "later" {
		t.Errorf("Get(300) = %q, %v", b, err)
	}
	audit(t, dst)
}

func TestDemandOrder(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		f, err := feed.Open(ctx, store.Memory(), feed.Options{Key: feed.Key{1}})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var wg sync.WaitGroup
		get := func(i uint64) {
			wg.Go(func() {
				if _, err := f.Get(ctx, i); !errors.Is(err, context.Canceled) {
					t.Errorf("Get(%d): %v", i, err)
				}
			})
			synctest.Wait()
		}
		get(7)
		get(2)
		get(7)
		get(5)
		wg.Go(func() { f.Seek(ctx, 1000) })
		wg.Go(func() { f.Update(ctx, 12) })
		d1 := f.Download(feed.Range{Start: 100, End: 200, Linear: true})
		synctest.Wait()
		d := f.Demand()
		if !slices.Equal(d.Blocks, []uint64{7, 2, 5}) || !slices.Equal(d.Seeks, []uint64{1000}) || d.MinLen != 12 {
			t.Errorf("Demand: %+v", d)
		}
		if want := []feed.Range{{Start: 100, End: 200, Linear: true}, {}}; !slices.Equal(d.Ranges, want) {
			t.Errorf("Ranges: %+v", d.Ranges)
		}
		d1.Cancel()
		d1.Cancel()
		if err := d1.Wait(ctx); !errors.Is(err, feed.ErrCanceled) {
			t.Errorf("Wait: %v", err)
		}
		cancel()
		wg.Wait()
		if d := f.Demand(); len(d.Blocks)+len(d.Seeks) > 0 || d.MinLen > 0 || len(d.Ranges) != 1 {
			t.Errorf("Demand afterwards: %+v", d)
		}
	})
}

func TestCloseWakesEveryone(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		ctx := context.Background()
		f, err := feed.Open(ctx, store.Memory(), feed.Options{Key: feed.Key{1}})
		if err != nil {
			t.Fatal(err)
		}
		x := &fetcher{src: f, dst: f, wake: make(chan struct{}, 1)}
		if _, err := f.Attach(x); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Attach(x); !errors.Is(err, feed.ErrReplicator) {
			t.Errorf("a second Attach: %v", err)
		}
		waits := map[string]func() error{
			"Get":      func() error { _, err := f.Get(ctx, 1); return err },
			"GetRange": func() error { _, err := f.GetRange(ctx, 1, 9); return err },
			"Update":   func() error { return f.Update(ctx, 4) },
			"Seek":     func() error { _, _, err := f.Seek(ctx, 9); return err },
			"Download": func() error { return f.Download(feed.Range{Start: 1, End: 2}).Wait(ctx) },
			"open":     func() error { return f.Download(feed.Range{}).Wait(ctx) },
			"Blocks": func() error {
				for _, err := range f.Blocks(ctx, feed.ReadOptions{Live: true}) {
					return err
				}
				return nil
			},
			"Head": func() error { _, err := f.Head(ctx); return err },
		}
		var wg sync.WaitGroup
		for name, wait := range waits {
			wg.Go(func() {
				if err := wait(); !errors.Is(err, feed.ErrClosed) {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		events := f.Watch(ctx)
		synctest.Wait()
		wg.Go(func() { f.Close() })
		wg.Go(func() { f.Close() })
		wg.Wait()
		for name, wait := range waits {
			if err := wait(); !errors.Is(err, feed.ErrClosed) {
				t.Errorf("%s after Close: %v", name, err)
			}
		}
		var last feed.Event
		for e := range events {
			last = e
		}
		if _, ok := last.(feed.Closed); !ok {
			t.Errorf("the last event is %#v", last)
		}
		for name, call := range map[string]func() error{
			"Append": func() error { _, err := f.Append(ctx, nil); return err },
			"Apply":  func() error { _, err := f.Apply(ctx, []feed.Proof{{}}); return err },
			"Clear":  func() error { return f.Clear(ctx, 0, 1) },
			"Local":  func() error { _, err := f.Local(0); return err },
			"Sync":   func() error { return f.Sync(ctx) },
			"Prove":  func() error { return f.Prove(feed.ProofRequest{}, nil, new(feed.Proof)) },
			"Audit":  func() error { _, err := f.Audit(ctx, feed.AuditOptions{}); return err },
		} {
			if err := call(); !errors.Is(err, feed.ErrClosed) && !errors.Is(err, feed.ErrNotWritable) {
				t.Errorf("%s after Close: %v", name, err)
			}
		}
	})
}

func TestDownload(t *testing.T) {
	ctx := context.Background()
	src := open2(t, 21, 200)
	dst := open(t, store.Memory(), feed.Options{Key: src.Key(), Sparse: true})
	fetch(t, src, dst)
	d := dst.Download(feed.Range{Start: 50, End: 100})
	if err := d.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	if p := d.Progress(); p != (feed.Progress{Blocks: 50, Total: 50, Done: true}) {
		t.Errorf("%+v", p)
	}
	if !dst.HasRange(50, 100) || dst.Has(49) || dst.Downloaded(0, 0) != 50 {
		t.Error("other blocks than 50 to 99 are here")
	}
	all := dst.Download(feed.Range{})
	if err := all.Wait(ctx); err != nil || !dst.HasRange(0, 200) {
		t.Errorf("everything: %v", err)
	}
	all.Cancel()
	if err := all.Wait(ctx); !errors.Is(err, feed.ErrCanceled) {
		t.Errorf("everything, after Cancel: %v", err)
	}
	if err := dst.Download(feed.Range{Start: 3, End: 1}).Wait(ctx); !errors.Is(err, feed.ErrOutOfBounds) {
		t.Errorf("a range that ends before it starts: %v", err)
	}
	if d := dst.Download(feed.Range{Start: 3, End: 9}); !d.Progress().Done {
		t.Error("what is here is not done")
	}
}

// TestSeekRemote finds bytes in a feed of which nothing is here.
func TestSeekRemote(t *testing.T) {
	ctx := context.Background()
	src := open2(t, 22, 100)
	var ends []uint64
	var total uint64
	for i := range uint64(100) {
		total += uint64(len(block(i)))
		ends = append(ends, total)
	}
	for _, off := range []uint64{1, 5, total / 2, total/2 + 40, total - 1} {
		dst := open(t, store.Memory(), feed.Options{Key: src.Key(), Sparse: true})
		fetch(t, src, dst)
		want, _ := slices.BinarySearch(ends, off+1)
		index, rel, err := dst.Seek(ctx, off)
		if err != nil || index != uint64(want) || rel != off-(ends[want]-uint64(len(block(index)))) {
			t.Errorf("Seek(%d) = %d, %d, %v; want %d", off, index, rel, err, want)
		}
		if n := dst.Downloaded(0, 0); n > 2 {
			t.Errorf("Seek(%d) downloaded %d blocks", off, n)
		}
		dst.Close()
	}
}

// TestReaderRemote reads bytes of a feed that is fetched meanwhile.
func TestReaderRemote(t *testing.T) {
	ctx := context.Background()
	src := open2(t, 23, 700)
	var want []byte
	for i := range uint64(700) {
		want = append(want, block(i)...)
	}
	dst := open(t, store.Memory(), feed.Options{Key: src.Key(), Sparse: true})
	fetch(t, src, dst)
	if err := dst.Update(ctx, 700); err != nil {
		t.Fatal(err)
	}
	r := dst.NewReader(ctx)
	defer r.Close()
	p := make([]byte, 1000)
	if _, err := r.ReadAt(p, 5000); err != nil || !bytes.Equal(p, want[5000:6000]) {
		t.Errorf("ReadAt: %v", err)
	}
	if _, err := r.ReadAt(p, int64(len(want))-10); err != io.EOF {
		t.Errorf("ReadAt at the end: %v", err)
	}
	if n := dst.Downloaded(0, 0); n > 500 {
		t.Errorf("%d blocks were downloaded for 1000 bytes", n)
	}
	if _, err := r.Seek(-100, io.SeekEnd); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); err != nil || !bytes.Equal(b, want[len(want)-100:]) {
		t.Errorf("the last bytes: %q, %v", b, err)
	}
	if _, err := r.Seek(3, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	var buf strings.Builder
	if n, err := r.WriteTo(&buf); err != nil || n != int64(len(want)-3) || buf.String() != string(want[3:]) {
		t.Errorf("WriteTo: %d, %v", n, err)
	}
}

func TestWatch(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	f := open(t, store.Memory(), feed.Options{})
	fast, slow := f.Watch(ctx), f.Watch(context.Background())
	appendN(t, f, 2)
	if err := f.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	if e := <-fast; e != (feed.Appended{Start: 0, End: 1, Bytes: uint64(len(block(0)))}) {
		t.Errorf("%#v", e)
	}
	cancel()
	for e := range fast {
		switch e.(type) {
		case feed.Appended, feed.Synced:
		default:
			t.Errorf("%#v", e)
		}
	}
	appendN(t, f, 1000)
	f.Close()
	var missed, seen uint64
	var last feed.Event
	for e := range slow {
		if m, ok := e.(feed.Missed); ok {
			missed += m.Events
		} else if _, ok := e.(feed.Appended); ok {
			seen++
		}
		last = e
	}
	if missed == 0 || seen+missed < 1002 {
		t.Errorf("%d events seen, %d missed", seen, missed)
	}
	if _, ok := last.(feed.Closed); !ok {
		t.Errorf("the last event is %#v", last)
	}
}

// TestLazyCommit: downloads are committed in groups, a second after the first.
func TestLazyCommit(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		ctx := context.Background()
		src, err := feed.Open(ctx, store.Memory(), feed.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		appendN(t, src, 50)
		if err := src.Sync(ctx); err != nil {
			t.Fatal(err)
		}
		st := store.Memory()
		dst, err := feed.Open(ctx, st, feed.Options{Key: src.Key()})
		if err != nil {
			t.Fatal(err)
		}
		defer dst.Close()
		events := dst.Watch(ctx)
		for i := range uint64(50) {
			transfer(t, src, dst, i)
			time.Sleep(10 * time.Millisecond)
		}
		synctest.Wait()
		if n := len(file(t, st, "bitfield")); n > 32 {
			t.Errorf("committed after half a second: bitfield has %d bytes", n)
		}
		time.Sleep(600 * time.Millisecond)
		synctest.Wait()
		if n := len(file(t, st, "bitfield")); n != 32+3584 {
			t.Errorf("not committed after a second: bitfield has %d bytes", n)
		}
		synced := 0
		for len(events) > 0 {
			if _, ok := (<-events).(feed.Synced); ok {
				synced++
			}
		}
		if synced != 1 {
			t.Errorf("%d commits", synced)
		}
	})
}
