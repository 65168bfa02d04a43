package bubble

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// TestTimersAtOnce crashes under the race detector where a bubble has more than
// one processor.
func TestTimersAtOnce(t *testing.T) {
	Test(t, func(t *testing.T) {
		for range 8 {
			go func() {
				for range 5000 {
					time.AfterFunc(0, func() {})
					<-time.NewTimer(0).C
				}
			}()
		}
		synctest.Wait()
	})
}

// TestProcessorsComeBack holds that the last bubble of several gives the
// processors back, and none before it.
func TestProcessorsComeBack(t *testing.T) {
	before := runtime.GOMAXPROCS(3)
	defer runtime.GOMAXPROCS(before)
	var p sharedProcessors
	for _, step := range []struct {
		do   func()
		want int
	}{{p.narrow, 1}, {p.narrow, 1}, {p.restore, 1}, {p.narrow, 1}, {p.restore, 1}, {p.restore, 3}} {
		step.do()
		if n := runtime.GOMAXPROCS(0); n != step.want {
			t.Fatalf("%d processors, want %d", n, step.want)
		}
	}
}
