package feed_test

import (
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
