package feed_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/store"
	"github.com/go-hypercore/hypercore/store/storetest"
)

var durable = feed.Options{Durability: feed.AppendDurable}

// oneByOne returns a feed of n blocks, each of which was appended durably, and its
// files as the second append found them.
func oneByOne(t testing.TB, n int) (st, second *store.MemoryStorage, f *feed.Feed) {
	t.Helper()
	st = store.Memory()
	f = open(t, st, durable)
	appendN(t, f, 1)
	second = st.Clone()
	for i := 1; i < n; i++ {
		if _, err := f.Append(context.Background(), block(uint64(i))); err != nil {
			t.Fatal(err)
		}
	}
	return st, second, f
}

// onlyJournal returns the files that were synced after the first append: all of them
// as they were then, but for the journal.
func onlyJournal(t testing.TB, st, second *store.MemoryStorage) *store.MemoryStorage {
	out := second.Clone()
	put(t, out, "journal", file(t, st, "journal"))
	return out
}

func holds(t testing.TB, f *feed.Feed, n uint64) {
	t.Helper()
	if f.Len() != n {
		t.Fatalf("%d blocks, want %d", f.Len(), n)
	}
	for i := range n {
		if b, err := f.Local(i); err != nil || !bytes.Equal(b, block(i)) {
			t.Fatalf("block %d is %q, %v", i, b, err)
		}
	}
}

// TestEntrySyncs: a durable append syncs the journal once and nothing else.
func TestEntrySyncs(t *testing.T) {
	disk := storetest.NewFaulty(store.Memory())
	f := open(t, disk, durable)
	appendN(t, f, 1)
	for i := range uint64(20) {
		from := disk.Len()
		if _, err := f.Append(context.Background(), block(1+i)); err != nil {
			t.Fatal(err)
		}
		syncs := 0
		for _, op := range disk.Ops()[from:] {
			if op.Kind == storetest.Sync {
				if syncs++; op.File != "journal" {
					t.Errorf("append %d: %v", 1+i, op)
				}
			}
		}
		if syncs != 1 {
			t.Errorf("append %d: %d syncs\n%s", 1+i, syncs, disk.Log(from))
		}
	}
}

// TestEntriesSurvive: what only the journal holds is there after a power cut, to
// whoever may write and to whoever may only read, and stays.
func TestEntriesSurvive(t *testing.T) {
	const n = 30
	st, second, f := oneByOne(t, n)
	signed, err := f.Signature(context.Background(), n-1)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		st   *store.MemoryStorage
	}{{"power cut", onlyJournal(t, st, second)}, {"killed", st.Clone()}} {
		t.Run(c.name, func(t *testing.T) {
			insp, err := feed.Inspect(context.Background(), c.st, feed.InspectOptions{})
			if err != nil {
				t.Fatal(err)
			}
			var newest feed.InspectedSlot
			for _, s := range insp.Journal {
				if s.Newest {
					newest = s
				}
			}
			if newest.Length != 1 || newest.Entries != n-1 || newest.EntriesTo != n {
				t.Errorf("the journal has %+v", newest)
			}

			before := fmt.Sprint(c.st.Clone().Names())
			r := open(t, c.st, feed.Options{ReadOnly: true})
			holds(t, r, n)
			if shown := r.NextUnshown(0); shown != n {
				t.Errorf("only read: %d blocks of %d are served", shown, n)
			}
			served := open(t, store.Memory(), feed.Options{Key: r.Key()})
			transfer(t, r, served, n-1)
			served.Close()
			report, err := r.Audit(context.Background(), feed.AuditOptions{})
			if err != nil || report.Invalid > 0 || c.name == "killed" && !report.OK() {
				t.Errorf("audit of what is only read: %v, %v", report.Problems, err)
			}
			r.Close()
			if after := fmt.Sprint(c.st.Names()); after != before {
				t.Errorf("files %s became %s", before, after)
			}

			for range 2 { // the second time nothing is left to recover
				g := open(t, c.st, feed.Options{})
				holds(t, g, n)
				if err := g.Sync(context.Background()); err != nil {
					t.Fatal(err)
				}
				if report, err := g.Audit(context.Background(), feed.AuditOptions{}); err != nil || !report.OK() {
					t.Errorf("audit: %v, %v", report.Problems, err)
				}
				if s, err := g.Signature(context.Background(), n-1); err != nil || s != signed {
					t.Errorf("another signature: %v", err)
				}
				g.Close()
			}
		})
	}
}

// TestEntryUnsigned: an entry is synced while its signature is made. Whoever has the
// secret key makes the same one again; without it the one in the file counts, and if
// there is none the blocks are not here, but the writer may not forget them.
func TestEntryUnsigned(t *testing.T) {
	const n = 8
	ctx := context.Background()
	st, second, f := oneByOne(t, n)
	signed, err := f.Signature(ctx, n-1)
	if err != nil {
		t.Fatal(err)
	}
	secret := file(t, st, "secret_key")

	killed := st.Clone()
	killed.Remove("secret_key")
	r := open(t, killed, feed.Options{})
	holds(t, r, n)
	if s, err := r.Signature(ctx, n-1); err != nil || s != signed {
		t.Errorf("killed, without the secret key: another signature, %v", err)
	}

	cut := onlyJournal(t, st, second)
	cut.Remove("secret_key")
	r = open(t, cut, feed.Options{ReadOnly: true})
	holds(t, r, 1)
	r.Close()
	for range 2 { // the second time the entries follow no slot any more
		r = open(t, cut, feed.Options{})
		holds(t, r, 1)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	put(t, cut, "secret_key", secret)
	w := open(t, cut, durable)
	if _, err := w.Append(ctx, []byte("another block 1")); !errors.Is(err, feed.ErrBehind) {
		t.Errorf("the writer whose blocks were lost appends: %v", err)
	}
}

// TestEntrySigned: where the secret key is not stored an entry holds the signature.
func TestEntrySigned(t *testing.T) {
	const n = 8
	ctx := context.Background()
	st := store.Memory()
	f := open(t, st, feed.Options{Durability: feed.AppendDurable, DiscardSecretKey: true})
	appendN(t, f, 1)
	second := st.Clone()
	for i := 1; i < n; i++ {
		if _, err := f.Append(ctx, block(uint64(i))); err != nil {
			t.Fatal(err)
		}
	}
	signed, err := f.Signature(ctx, n-1)
	if err != nil {
		t.Fatal(err)
	}
	r := open(t, onlyJournal(t, st, second), feed.Options{})
	holds(t, r, n)
	if r.Writable() {
		t.Error("it has a secret key")
	}
	if s, err := r.Signature(ctx, n-1); err != nil || s != signed {
		t.Errorf("another signature: %v", err)
	}
}

// TestEntryBefore: entries as they were before they had a tree hash count as well.
func TestEntryBefore(t *testing.T) {
	const n = 8
	ctx := context.Background()
	st, second, f := oneByOne(t, n)
	cut := onlyJournal(t, st, second)
	journal := file(t, cut, "journal")
	old := bytes.Clone(journal[:8192])
	for i, at := uint64(1), 8192; i < n; i++ {
		e := journal[at : at+136+4+len(block(i))]
		at += len(e)
		sig, err := f.Signature(ctx, i)
		if err != nil {
			t.Fatal(err)
		}
		b := append([]byte("hcentry1"), e[8:40]...)
		b = append(append(b, sig.Bytes[:]...), e[136:]...)
		binary.BigEndian.PutUint32(b[20:], uint32(len(b)))
		binary.BigEndian.PutUint32(b[24:], 0)
		binary.BigEndian.PutUint32(b[24:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
		old = append(old, b...)
	}
	put(t, cut, "journal", old)
	keyless := cut.Clone()
	keyless.Remove("secret_key")
	holds(t, open(t, keyless, feed.Options{ReadOnly: true}), n)
	g := open(t, cut, feed.Options{})
	holds(t, g, n)
	if report, err := g.Audit(ctx, feed.AuditOptions{}); err != nil || !report.OK() {
		t.Errorf("audit: %v, %v", report.Problems, err)
	}
}

// TestEntryTorn: an entry with a changed byte does not count, nor what follows it.
func TestEntryTorn(t *testing.T) {
	st, second, _ := oneByOne(t, 6)
	cut := onlyJournal(t, st, second)
	journal := file(t, cut, "journal")
	const first = 8192
	ends := []int{first} // where entries begin, of which each has one block
	for i := range uint64(5) {
		ends = append(ends, ends[i]+136+4+len(block(1+i)))
	}
	if len(journal) != ends[5] {
		t.Fatalf("the journal has %d bytes, want %d", len(journal), ends[5])
	}
	for at := first; at < len(journal); at += 7 {
		j := bytes.Clone(journal)
		j[at] ^= 0x10
		put(t, cut, "journal", j)
		want := uint64(1)
		for at >= ends[want] {
			want++
		}
		c := cut.Clone()
		f, err := feed.Open(context.Background(), c, feed.Options{})
		if err != nil {
			t.Fatalf("byte %d: %v", at, err)
		}
		holds(t, f, want)
		f.Close()
	}
}

// TestEntriesOld: entries that follow an older slot do not count, and the room they
// took is given back when the feed is closed.
func TestEntriesOld(t *testing.T) {
	st, _, f := oneByOne(t, 10)
	entries := file(t, st, "journal")[8192:]
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	closed := file(t, st, "journal")
	if len(closed) > 8192 {
		t.Errorf("the journal of a closed feed has %d bytes", len(closed))
	}
	put(t, st, "journal", append(append(closed, make([]byte, 8192-len(closed))...), entries...))
	g := open(t, st, durable)
	holds(t, g, 10)
	if r := g.Repaired(); r.Recovered != 0 {
		t.Errorf("recovered %d blocks from entries that do not count", r.Recovered)
	}
}

// TestEntriesFull: when there is no more room, and for a large append, a slot is
// written; nothing is lost on the way.
func TestEntriesFull(t *testing.T) {
	st := store.Memory()
	f := open(t, st, durable)
	for i := range 75 {
		blocks := make([][]byte, 10) // together more than one room full
		if i == 17 {
			blocks = make([][]byte, 40) // more than an entry
		}
		for k := range blocks {
			blocks[k] = bytes.Repeat([]byte{byte(i)}, 8_000)
		}
		if _, err := f.Append(context.Background(), blocks...); err != nil {
			t.Fatal(err)
		}
		g := open(t, st.Clone(), feed.Options{ReadOnly: true})
		if g.Len() != f.Len() {
			t.Fatalf("%d blocks after %d appends, want %d", g.Len(), i+1, f.Len())
		}
		for k := f.Len() - uint64(len(blocks)); k < f.Len(); k++ {
			if b, err := g.Local(k); err != nil || !bytes.Equal(b, blocks[0]) {
				t.Fatalf("block %d: %v", k, err)
			}
		}
		g.Close()
	}
	if have := len(file(t, st, "journal")); have > 8192+4<<20 {
		t.Errorf("the journal has %d bytes", have)
	}
}

// TestFullRoomSyncsBits: the slot that comes because the room for entries is full takes
// the sync of the bitfield along, so that there is no other one soon after.
func TestFullRoomSyncsBits(t *testing.T) {
	ctx := context.Background()
	disk := storetest.NewFaulty(store.Memory())
	f := open(t, disk, durable)
	batch := make([][]byte, 16)
	for i := range batch {
		batch[i] = make([]byte, 480)
	}
	appended := 0
	for range 1030 { // not yet 2 * 8192 blocks after the first of them
		if _, err := f.Append(ctx, batch...); err != nil {
			t.Fatal(err)
		}
		appended += len(batch)
	}
	syncs := map[string]int{}
	for _, op := range disk.Ops() {
		if op.Kind == storetest.Sync {
			syncs[op.File]++
		}
	}
	// One slot begins the feed, one comes when the room is full.
	if syncs["bitfield"] != 1 || syncs["data"] != 2 {
		t.Errorf("%d blocks: the bitfield was synced %d times, the data %d times; want 1 and 2", appended, syncs["bitfield"], syncs["data"])
	}
}
