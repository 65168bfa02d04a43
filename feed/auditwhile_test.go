package feed_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/store"
)

// TestAuditWhileBlocksArrive: what arrives below a node whose children were not here a moment ago is
// no damage.
func TestAuditWhileBlocksArrive(t *testing.T) {
	ctx := t.Context()
	w := open(t, store.Memory(), feed.Options{})
	defer w.Close()
	var blocks [][]byte
	for i := range 4096 {
		blocks = append(blocks, []byte{byte(i), byte(i >> 8)})
	}
	if _, err := w.Append(ctx, blocks...); err != nil {
		t.Fatal(err)
	}
	for _, late := range []uint64{3100, 3500, 4095} {
		r := open(t, store.Memory(), feed.Options{Key: w.Key(), Sparse: true})
		put := func(i uint64) {
			t.Helper()
			p, err := w.Proof(ctx, i)
			if err == nil {
				err = r.Put(ctx, p)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		put(0)
		given := 0
		rep, err := r.Audit(ctx, feed.AuditOptions{
			Progress: func(next, _ uint64) {
				if next == 3072 {
					put(late)
				}
			},
			Block: func(i uint64, data []byte, valid bool) {
				if !valid || i == late && string(data) != string(blocks[i]) {
					t.Errorf("block %d: %q, valid %v", i, data, valid)
				}
				given++
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if !rep.OK() || rep.Invalid != 0 || len(rep.Problems) > 0 || rep.Present != 2 || given != 2 {
			t.Errorf("with block %d late: %+v, %d given", late, rep, given)
		}
		r.Close()
	}
}

// TestAuditBesideProofs: an audit looks at older lengths while signatures are asked for;
// the race detector tells whether they meet.
func TestAuditBesideProofs(t *testing.T) {
	ctx := t.Context()
	src := history(t, "a", 100, 5)
	f := open(t, store.Memory(), feed.Options{Key: src.Key(), Sparse: true})
	defer f.Close()
	transfer(t, src, f, 0)
	appendN(t, src, 18)
	if err := src.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	transfer(t, src, f, 17)
	if err := f.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	if links := f.Demand().Links; len(links) == 0 {
		t.Fatal("the two lengths are linked")
	}
	var over atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for !over.Load() {
			var p feed.Proof
			if err := f.Prove(feed.ProofRequest{Index: 17}, nil, &p); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 20 {
		if r, err := f.Audit(ctx, feed.AuditOptions{}); err != nil || !r.OK() {
			t.Error(r.Problems, err)
		}
	}
	over.Store(true)
	wg.Wait()
}
