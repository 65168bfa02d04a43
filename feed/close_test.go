package feed_test

import (
	"bytes"
	"errors"
	"sync"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/store"
)

// TestReadWhileClosing: who reads when the feed is closed gets the block or
// ErrClosed.
func TestReadWhileClosing(t *testing.T) {
	st := store.Dir(t.TempDir())
	const blocks = 64
	for range 20 {
		f := open(t, st, feed.Options{})
		if f.Len() == 0 {
			appendN(t, f, blocks)
		}
		var wg sync.WaitGroup
		var once sync.Once
		reading := make(chan struct{})
		for k := range 4 {
			wg.Go(func() {
				for i := uint64(k); ; i = (i + 7) % blocks {
					b, err := f.Local(i)
					once.Do(func() { close(reading) })
					if errors.Is(err, feed.ErrClosed) {
						return
					}
					if err != nil || !bytes.Equal(b, block(i)) {
						t.Errorf("block %d: %q, %v", i, b, err)
						return
					}
				}
			})
		}
		<-reading
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
	}
}
