package feed_test

import (
	"testing"

	"github.com/go-hypercore/hypercore/feed"
)

// FuzzJournal: a slot that is taken is one that could have been written.
func FuzzJournal(f *testing.F) {
	for _, r := range []feed.Record{{}, feed.NewRecord(1, 5, ""), feed.NewRecord(8, 1<<30, "12D3KooWnode", 1, 2, 3, 4, 5, 6, 7, 8)} {
		b := r.Marshal()
		f.Add(b[:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, ok := feed.ParseSlot(b)
		if !ok {
			return
		}
		if again := r.Marshal(); again != [feed.SlotSize]byte(b) {
			t.Errorf("%x\n%x", b, again)
		}
	})
}

// TestJournalTorn: no slot with a changed bit is taken.
func TestJournalTorn(t *testing.T) {
	r := feed.NewRecord(7, 100, "id", 9)
	b := r.Marshal()
	if _, ok := feed.ParseSlot(b[:]); !ok {
		t.Fatal("the slot is refused")
	}
	for i := range b {
		for bit := range 8 {
			c := b
			c[i] ^= 1 << bit
			if _, ok := feed.ParseSlot(c[:]); ok {
				t.Fatalf("byte %d bit %d", i, bit)
			}
		}
	}
}
