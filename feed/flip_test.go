package feed_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
)

// TestEveryFlip: in a small feed there is no byte of any file that an audit does
// not notice when it changes. What cannot do harm is a note.
func TestEveryFlip(t *testing.T) {
	ctx := context.Background()
	st, _ := made(t, 1, 3, 1, 4)
	step := max(1, 21/testRounds(3))
	for _, name := range st.Names() {
		original := file(t, st, name)
		for i := 0; i < len(original); i += step {
			for _, mask := range []byte{1, 0x80, 0xff} {
				s := st.Clone()
				b := bytes.Clone(original)
				b[i] ^= mask
				put(t, s, name, b)
				f, err := feed.Open(ctx, s, feed.Options{ReadOnly: true})
				if err != nil {
					continue
				}
				r, err := f.Audit(ctx, feed.AuditOptions{})
				if err == nil && r.OK() && len(r.Notes) == 0 {
					t.Errorf("%s, byte %d ^ %#x: nobody notices", name, i, mask)
				}
				f.Close()
			}
		}
		t.Logf("%s: every %d. of %d bytes", name, step, len(original))
	}
}
