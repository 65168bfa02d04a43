package protocol_test

import (
	"fmt"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/protocol"
)

var dialects = []struct {
	name  string
	d     protocol.Dialect
	plain bool
}{{"native", protocol.Native, false}, {"v6", protocol.V6, false}, {"v6plain", protocol.V6, true}}

func TestWhole(t *testing.T) {
	for _, d := range dialects {
		for _, n := range []int{1, 2, 5, 100, 5000} {
			t.Run(fmt.Sprintf("%s/%d", d.name, n), func(t *testing.T) {
				a, b := newSide(t, "a"), newSide(t, "b")
				f := a.create(n)
				g := b.clone(f.Key(), false)
				connect(a, b, linkOptions{dialect: d.d, plain: d.plain, feedsB: []feed.Key{f.Key()}})
				download(t, g, 0, uint64(n))
				same(t, g, 0, uint64(n))
				if g.Len() != f.Len() || g.ByteLen() != f.ByteLen() {
					t.Fatal(g.Len(), f.Len())
				}
			})
		}
	}
}
