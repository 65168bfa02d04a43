package node

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/internal/bubble"
)

// However many peers a node is told of at once, it begins no more dials in any
// second than a burst and a second's worth; who would wait too long is told no.
func TestDialPace(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		p := newPace()
		start := time.Now()
		var mu sync.Mutex
		var begun []time.Duration
		refused := 0
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				ok := p.wait()
				mu.Lock()
				defer mu.Unlock()
				if ok {
					begun = append(begun, time.Since(start))
				} else {
					refused++
				}
			})
		}
		wg.Wait()
		slices.Sort(begun)
		for i := range begun {
			n := 0
			for _, at := range begun[i:] {
				if at-begun[i] < time.Second {
					n++
				}
			}
			if n > dialBurst+dialRate {
				t.Fatalf("%d dials in the second from %v on", n, begun[i])
			}
		}
		most := dialBurst + int(dialPatience.Seconds()*dialRate)
		if len(begun) < most-1 || len(begun) > most || len(begun)+refused != 1000 {
			t.Errorf("%d dials, %d refused; want %d", len(begun), refused, most)
		}
		if last := begun[len(begun)-1]; last > dialPatience {
			t.Errorf("one waited %v", last)
		}
	})
}

// Close does not wait for dials whose turn has not come.
func TestDialPaceEnds(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		p := newPace()
		for range dialBurst {
			p.wait()
		}
		start := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			for range 50 {
				if !p.wait() {
					return
				}
			}
			t.Error("nobody was told to go")
		})
		time.Sleep(100 * time.Millisecond)
		p.end()
		p.end()
		wg.Wait()
		if d := time.Since(start); d > 200*time.Millisecond {
			t.Errorf("it took %v", d)
		}
	})
}
