package feed_test

import (
	"context"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/store"
)

// demands is a Replicator that counts how often the demand has changed.
type demands struct{ changed int }

func (d *demands) DemandChanged()         { d.changed++ }
func (d *demands) Available(_, _ uint64)  {}
func (d *demands) Cleared(_, _ uint64)    {}
func (d *demands) KnownLen() uint64       { return 0 }
func (d *demands) FeedClosed(cause error) {}

// TestLinkClosesWhileTheWriterAppends: the full proof that closes a link comes
// from a peer that has more by then. It closes the link, it does not open
// another one, and the replicator, which asks for nothing else meanwhile, is
// told.
func TestLinkClosesWhileTheWriterAppends(t *testing.T) {
	ctx := context.Background()
	src := history(t, "a", 100, 5)
	f := open(t, store.Memory(), feed.Options{Key: src.Key(), Sparse: true})
	grow := func(n uint64) {
		for src.Len() < n {
			if _, err := src.Append(ctx, block(src.Len())); err != nil {
				t.Fatal(err)
			}
		}
		if err := src.Sync(ctx); err != nil {
			t.Fatal(err)
		}
	}
	transfer(t, src, f, 0)
	grow(23)
	transfer(t, src, f, 17)
	links := f.Demand().Links
	if f.Len() != 23 || len(links) != 1 {
		t.Fatalf("length %d, links %v", f.Len(), links)
	}
	var repl demands
	if _, err := f.Attach(&repl); err != nil {
		t.Fatal(err)
	}
	before := repl.changed
	grow(57)
	if _, err := f.Apply(ctx, []feed.Proof{hashProof(t, src, links[0])}); err != nil {
		t.Fatal(err)
	}
	if d := f.Demand(); len(d.Links) > 0 {
		t.Errorf("links %v are left at length %d", d.Links, f.Len())
	}
	if repl.changed == before {
		t.Error("the replicator was not told")
	}
	transfer(t, src, f, 23)
	if d := f.Demand(); f.Len() != 57 || len(d.Links) > 0 {
		t.Errorf("after the next block: length %d, links %v", f.Len(), d.Links)
	}
	audit(t, f)
}
