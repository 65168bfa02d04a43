package feed_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/store"
)

// lotFeed makes a feed of n blocks in a directory and opens it in a lot.
func lotFeed(t testing.TB, lot *feed.Lot, n int) (*feed.Feed, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "feed")
	f := open(t, store.Dir(dir), feed.Options{Lot: lot})
	appendN(t, f, n)
	if err := f.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	return f, dir
}

func park(t testing.TB, f *feed.Feed) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !f.Park(t.Context()); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not park")
		}
	}
}

// openFiles counts the files of this process in dir.
func openFiles(t testing.TB, dir string) (n int) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("counts in /proc")
	}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if to, err := os.Readlink(filepath.Join("/proc/self/fd", fd.Name())); err == nil && filepath.Dir(to) == dir {
			n++
		}
	}
	return n
}

// otherProgram opens a parked feed's directory as another program would.
func otherProgram(t testing.TB, dir string, o feed.Options) *feed.Feed {
	t.Helper()
	o.MustExist = true
	f, err := feed.Open(context.Background(), store.Dir(dir), o)
	if err != nil {
		t.Fatalf("another program: %v", err)
	}
	return f
}

func shut(t testing.TB, f *feed.Feed) {
	t.Helper()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestParkedFeedHasNoFileAndAnswers(t *testing.T) {
	ctx := context.Background()
	f, dir := lotFeed(t, feed.NewLot(feed.LotOptions{}), 20)
	if n := openFiles(t, dir); n != 5 {
		t.Fatalf("%d files open, want 5", n)
	}
	park(t, f)
	if n := openFiles(t, dir); n != 0 {
		t.Fatalf("%d files open in a parked feed", n)
	}
	if f.Len() != 20 || !f.HasRange(0, 20) || f.Has(20) || !f.Writable() || f.Stats().Err != nil || f.Stats().Durable != 20 {
		t.Errorf("a parked feed says %+v", f.Stats())
	}
	if b := f.Bitmap(nil, 0, 24); !bytes.Equal(b, []byte{0xff, 0xff, 0xf0}) {
		t.Errorf("a parked feed's map is %x", b)
	}
	if n, err := f.DownloadedBytes(ctx, 0, 0); err != nil || n != f.ByteLen() {
		t.Errorf("%d bytes, %v", n, err)
	}
	if n := openFiles(t, dir); n != 0 {
		t.Fatalf("%d files open after questions that need none", n)
	}
	for name, use := range map[string]func() error{
		"Get":       func() error { b, err := f.Get(ctx, 7); return errors.Join(err, differs(b, block(7))) },
		"Prove":     func() error { return f.Prove(feed.ProofRequest{Index: 3}, nil, new(feed.Proof)) },
		"ProveRun":  func() error { return f.ProveRun(3, 4, 0, 0, nil, new(feed.Proof)) },
		"BlockSize": func() error { _, err := f.BlockSize(3); return err },
		"Proof":     func() error { _, err := f.Proof(ctx, 3); return err },
		"Signature": func() error { _, err := f.Signature(ctx, 3); return err },
		"Roots":     func() error { _, err := f.Roots(13); return err },
		"Seek":      func() error { _, _, err := f.Seek(ctx, 30); return err },
		"Audit": func() error {
			r, err := f.Audit(ctx, feed.AuditOptions{})
			if err == nil && !r.OK() {
				err = fmt.Errorf("%v", r.Problems)
			}
			return err
		},
		"Clear":  func() error { return f.Clear(ctx, 11, 12) },
		"Append": func() error { _, err := f.Append(ctx, []byte("more")); return err },
		"Sync":   func() error { return f.Sync(ctx) },
	} {
		park(t, f)
		if err := use(); err != nil {
			t.Errorf("%s of a parked feed: %v", name, err)
		}
	}
	park(t, f)
	shut(t, f)
	if _, err := f.Get(ctx, 1); !errors.Is(err, feed.ErrClosed) {
		t.Errorf("Get after the Close of a parked feed: %v", err)
	}
	g := otherProgram(t, dir, feed.Options{})
	defer g.Close()
	if r := g.Repaired(); r != (feed.RepairReport{}) || g.Len() != 21 {
		t.Errorf("after parking and Close: length %d, repaired %+v", g.Len(), r)
	}
}

func differs(a, b []byte) error {
	if bytes.Equal(a, b) {
		return nil
	}
	return fmt.Errorf("%q, want %q", a, b)
}

// The lot bounds the files whatever is done with the feeds.
func TestLotBoundsOpenFiles(t *testing.T) {
	ctx := context.Background()
	const feeds, most = 60, 4
	lot := feed.NewLot(feed.LotOptions{Open: most})
	root := t.TempDir()
	var all []*feed.Feed
	for i := range feeds {
		f := open(t, store.Dir(filepath.Join(root, fmt.Sprint(i))), feed.Options{Lot: lot, Durability: feed.NoSync})
		all = append(all, f)
		appendN(t, f, 3)
		if s := lot.Status(); s.Open > most || s.Open+s.Parked != i+1 {
			t.Fatalf("after %d feeds: %+v", i+1, s)
		}
	}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 200 {
				f := all[(i*7+w*13)%feeds]
				if i%10 == w {
					if _, err := f.Append(ctx, block(uint64(i))); err != nil {
						t.Error(err)
					}
				}
				if b, err := f.Get(ctx, uint64(i%3)); err != nil || !bytes.Equal(b, block(uint64(i%3))) {
					t.Errorf("feed %d: %q, %v", (i*7+w*13)%feeds, b, err)
				}
			}
		})
	}
	wg.Wait()
	if s := lot.Status(); s.Open > most+1 || s.Open+s.Parked != feeds {
		t.Errorf("after use: %+v", s)
	}
	for i, f := range all {
		shut(t, f)
		if s := lot.Status(); s.Open+s.Parked != feeds-i-1 {
			t.Fatalf("after closing %d: %+v", i+1, s)
		}
	}
	for i := range all {
		g := otherProgram(t, filepath.Join(root, fmt.Sprint(i)), feed.Options{})
		if r := audit(t, g); r.Present != g.Len() || g.Len() < 3 {
			t.Errorf("feed %d: %+v", i, r)
		}
		shut(t, g)
	}
}

// The feed that was not used for the longest time parks first.
func TestLotParksLeastRecentlyUsed(t *testing.T) {
	lot := feed.NewLot(feed.LotOptions{Open: 3})
	a, dirA := lotFeed(t, lot, 2)
	b, dirB := lotFeed(t, lot, 2)
	c, dirC := lotFeed(t, lot, 2)
	for _, f := range []*feed.Feed{a, b, c} {
		park(t, f) // nothing is left to commit
	}
	for _, f := range []*feed.Feed{c, b, a} {
		if _, err := f.Local(0); err != nil {
			t.Fatal(err)
		}
	}
	_, dirD := lotFeed(t, lot, 2)
	for dir, want := range map[string]int{dirA: 5, dirB: 5, dirC: 0, dirD: 5} {
		if n := openFiles(t, dir); n != want {
			t.Errorf("%s: %d files open, want %d (%s was used last)", dir, n, want, dirD)
		}
	}
}

// What another program has written while the feed was parked is there with the
// next use, is announced, and is gone on from.
func TestAnotherProgramWritesParkedFeed(t *testing.T) {
	ctx := context.Background()
	f, dir := lotFeed(t, feed.NewLot(feed.LotOptions{Look: -1}), 10)
	x := &announcements{}
	if _, err := f.Attach(x); err != nil {
		t.Fatal(err)
	}
	watch := f.Watch(t.Context())
	park(t, f)
	g := otherProgram(t, dir, feed.Options{})
	for i := uint64(10); i < 13; i++ {
		if _, err := g.Append(ctx, block(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Clear(ctx, 2, 4); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Get(ctx, 1); !errors.Is(err, feed.ErrLocked) {
		t.Fatalf("Get while another program has the lock: %v", err)
	}
	if _, err := f.Append(ctx, block(0)); !errors.Is(err, feed.ErrLocked) {
		t.Fatalf("Append while another program has the lock: %v", err)
	}
	x.take()
	shut(t, g)
	if b, err := f.Get(ctx, 12); err != nil || !bytes.Equal(b, block(12)) {
		t.Fatalf("block 12: %q, %v", b, err)
	}
	if got, want := x.take(), "cleared 2-4, available 0-2, available 4-13"; got != want {
		t.Errorf("announced %q, want %q", got, want)
	}
	if f.Len() != 13 || f.Has(2) || f.Has(3) {
		t.Errorf("length %d, blocks 2 and 3 %v %v", f.Len(), f.Has(2), f.Has(3))
	}
	if first, err := f.Append(ctx, block(13)); err != nil || first != 13 {
		t.Fatalf("Append: %d, %v", first, err)
	}
	if err := f.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	var reloaded []feed.Reloaded
	for len(watch) > 0 {
		if e, ok := (<-watch).(feed.Reloaded); ok {
			reloaded = append(reloaded, e)
		}
	}
	if len(reloaded) != 1 || reloaded[0] != (feed.Reloaded{From: 10, Length: 13}) {
		t.Errorf("events %v", reloaded)
	}
	if r := audit(t, f); r.Length != 14 || r.Present != 12 {
		t.Errorf("audit: %+v", r)
	}
}

// Those who wait for blocks of a parked feed get them from another program too,
// and nobody has to use the feed for it.
func TestParkedFeedIsLookedAt(t *testing.T) {
	ctx := context.Background()
	f, dir := lotFeed(t, feed.NewLot(feed.LotOptions{Look: time.Millisecond}), 4)
	got := make(chan error, 1)
	go func() {
		b, err := f.Get(ctx, 5)
		got <- errors.Join(err, differs(b, block(5)))
	}()
	for len(f.Demand().Blocks) == 0 { // until it waits
		time.Sleep(time.Millisecond)
	}
	park(t, f)
	g := otherProgram(t, dir, feed.Options{})
	appendN(t, g, 2)
	shut(t, g)
	select {
	case err := <-got:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Error("what another program has written is not seen")
	}
}

func TestParkedFeedIsNotForked(t *testing.T) {
	ctx := context.Background()
	ids := func(f feed.Options, id string) feed.Options { f.Identity = id; return f }
	t.Run("restored from a backup", func(t *testing.T) {
		f, dir := lotFeed(t, feed.NewLot(feed.LotOptions{}), 5)
		park(t, f)
		backup := readAll(t, dir)
		appendN(t, f, 3)
		park(t, f)
		writeAll(t, dir, backup)
		if _, err := f.Append(ctx, block(8)); !errors.Is(err, feed.ErrBehind) {
			t.Errorf("Append: %v", err)
		}
		if f.Len() != 5 || f.Has(5) {
			t.Errorf("length %d", f.Len())
		}
	})
	t.Run("appended to by another home", func(t *testing.T) {
		dir := t.TempDir()
		f := open(t, store.Dir(dir), ids(feed.Options{Lot: feed.NewLot(feed.LotOptions{})}, "here"))
		appendN(t, f, 5)
		park(t, f)
		g := otherProgram(t, dir, ids(feed.Options{}, "there"))
		if err := g.TakeOver(ctx, false); err != nil {
			t.Fatal(err)
		}
		appendN(t, g, 1)
		shut(t, g)
		if _, err := f.Append(ctx, block(6)); !errors.Is(err, feed.ErrOtherWriter) {
			t.Errorf("Append: %v", err)
		}
		if b, err := f.Get(ctx, 5); err != nil || !bytes.Equal(b, block(5)) {
			t.Errorf("%q, %v", b, err)
		}
	})
	t.Run("another history", func(t *testing.T) {
		f, dir := lotFeed(t, feed.NewLot(feed.LotOptions{}), 5)
		park(t, f)
		backup := readAll(t, dir)
		appendN(t, f, 3)
		park(t, f)
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		writeAll(t, dir, backup)
		g := otherProgram(t, dir, feed.Options{})
		for range 6 {
			if _, err := g.Append(ctx, []byte("another history")); err != nil {
				t.Fatal(err)
			}
		}
		shut(t, g)
		if _, err := f.Append(ctx, block(8)); !errors.Is(err, feed.ErrFork) {
			t.Fatalf("Append: %v", err)
		}
		if e := f.Fork(); e == nil || e.Verify() != nil || e.Ours.Length != 8 || e.Theirs.Length != 11 {
			t.Errorf("evidence %+v", e)
		}
		shut(t, f)
		h := otherProgram(t, dir, feed.Options{})
		defer h.Close()
		if h.Fork() == nil {
			t.Error("the evidence was not kept")
		}
	})
	t.Run("another feed", func(t *testing.T) {
		lot := feed.NewLot(feed.LotOptions{})
		f, dir := lotFeed(t, lot, 5)
		other, dir2 := lotFeed(t, lot, 7)
		x := &announcements{}
		if _, err := f.Attach(x); err != nil {
			t.Fatal(err)
		}
		park(t, f)
		shut(t, other)
		mine, theirs := readAll(t, dir), readAll(t, dir2)
		writeAll(t, dir, theirs)
		for range 2 {
			if _, err := f.Get(ctx, 1); !errors.Is(err, feed.ErrKeyMismatch) {
				t.Errorf("Get: %v", err)
			}
		}
		if b := f.Bitmap(nil, 0, 8); b[0] != 0 || f.Stats().Err == nil {
			t.Errorf("it still announces %x, %v", b, f.Stats().Err)
		}
		writeAll(t, dir, mine)
		if b, err := f.Get(ctx, 1); err != nil || !bytes.Equal(b, block(1)) {
			t.Errorf("after it was put back: %q, %v", b, err)
		}
		if got, want := x.take(), "cleared 0-5, available 0-5"; got != want {
			t.Errorf("announced %q, want %q", got, want)
		}
		appendN(t, f, 1)
	})
	t.Run("removed", func(t *testing.T) {
		f, dir := lotFeed(t, feed.NewLot(feed.LotOptions{}), 5)
		park(t, f)
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Append(ctx, block(5)); !errors.Is(err, feed.ErrNotFound) {
			t.Errorf("Append: %v", err)
		}
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Error("something was made there")
		}
	})
}

// A reader's copy that grew and shrank while it was parked.
func TestParkedCopy(t *testing.T) {
	ctx := context.Background()
	src := open2(t, 5, 30)
	dir := t.TempDir()
	o := feed.Options{Key: src.Key(), Sparse: true}
	withLot := o
	withLot.Lot = feed.NewLot(feed.LotOptions{Look: -1})
	f := open(t, store.Dir(dir), withLot)
	for i := range uint64(10) {
		transfer(t, src, f, i)
	}
	d := f.Download(feed.Range{End: 15})
	park(t, f)
	g := otherProgram(t, dir, o)
	for i := uint64(10); i < 20; i++ {
		transfer(t, src, g, i)
	}
	if err := g.Clear(ctx, 0, 5); err != nil {
		t.Fatal(err)
	}
	shut(t, g)
	if b, err := f.Local(19); err != nil || !bytes.Equal(b, block(19)) {
		t.Fatalf("%q, %v", b, err)
	}
	if f.Has(4) || !f.HasRange(5, 20) {
		t.Error("what is here is not what the directory has")
	}
	if p := d.Progress(); p.Blocks != 10 {
		t.Errorf("the download has %d blocks", p.Blocks)
	}
	for i := range uint64(5) {
		transfer(t, src, f, i)
	}
	if err := d.Wait(ctx); err != nil {
		t.Error(err)
	}
	audit(t, f)
}

func TestIdleFeedsPark(t *testing.T) {
	ctx := context.Background()
	lot := feed.NewLot(feed.LotOptions{Idle: 20 * time.Millisecond})
	f, dir := lotFeed(t, lot, 3)
	for deadline := time.Now().Add(30 * time.Second); lot.Status().Parked == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("an idle feed does not park")
		}
	}
	if n := openFiles(t, dir); n != 0 {
		t.Errorf("%d files open", n)
	}
	if b, err := f.Get(ctx, 2); err != nil || !bytes.Equal(b, block(2)) {
		t.Errorf("%q, %v", b, err)
	}
}

// TestParkAfterAppend: what the feed still does of a commit is no use by somebody.
func TestParkAfterAppend(t *testing.T) {
	for d := feed.AnnounceDurable; d <= feed.NoSync; d++ {
		f := open(t, store.Dir(t.TempDir()), feed.Options{Lot: feed.NewLot(feed.LotOptions{}), Durability: d})
		for i := range uint64(10) {
			if _, err := f.Append(t.Context(), block(i)); err != nil {
				t.Fatal(err)
			}
			if !f.Park(t.Context()) {
				t.Errorf("%v: it does not park after block %d", d, i)
			}
		}
		shut(t, f)
	}
}

// What cannot be closed without losing something does not park.
func TestWhatDoesNotPark(t *testing.T) {
	ctx := context.Background()
	lot := feed.NewLot(feed.LotOptions{Open: 1})
	f := open(t, store.Memory(), feed.Options{Lot: lot})
	appendN(t, f, 1)
	if f.Park(ctx) {
		t.Error("a feed in memory parks")
	}
	g := open(t, store.Dir(t.TempDir()), feed.Options{})
	appendN(t, g, 1)
	if g.Park(ctx) {
		t.Error("a feed without a lot parks")
	}
	draft := open(t, store.Dir(t.TempDir()), feed.Options{Lot: lot, Static: true})
	appendN(t, draft, 2)
	if draft.Park(ctx) {
		t.Error("a static feed that is not finalized parks")
	}
	// More than the lot has room for, because nothing can make room.
	h, _ := lotFeed(t, lot, 1)
	if s := lot.Status(); s.Open != 2 {
		t.Errorf("%+v", s)
	}
	if err := draft.Finalize(ctx); err != nil {
		t.Fatal(err)
	}
	park(t, draft)
	if _, err := draft.Get(ctx, 1); err != nil {
		t.Error(err)
	}
	shut(t, h)
}

// announcements is a Replicator that writes down what it is told.
type announcements struct {
	mu   sync.Mutex
	said []string
}

func (x *announcements) add(what string, start, end uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.said = append(x.said, fmt.Sprintf("%s %d-%d", what, start, end))
}

func (x *announcements) take() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	var b bytes.Buffer
	for i, s := range x.said {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(s)
	}
	x.said = nil
	return b.String()
}

func (x *announcements) DemandChanged()              {}
func (x *announcements) Available(start, end uint64) { x.add("available", start, end) }
func (x *announcements) Cleared(start, end uint64)   { x.add("cleared", start, end) }
func (x *announcements) KnownLen() uint64            { return 0 }
func (x *announcements) FeedClosed(error)            {}

func readAll(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	ents, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range ents {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = b
	}
	return files
}

func writeAll(t testing.TB, dir string, files map[string][]byte) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
