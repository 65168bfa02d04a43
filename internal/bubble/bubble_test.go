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

// TestProcessorsComeBack holds that parallel bubbles leave the number of
// processors as it was.
func TestProcessorsComeBack(t *testing.T) {
	before := runtime.GOMAXPROCS(3)
	defer runtime.GOMAXPROCS(before)
	t.Run("bubbles", func(t *testing.T) {
		for range 4 {
			t.Run("one", func(t *testing.T) {
				t.Parallel()
				Test(t, func(t *testing.T) {
					time.Sleep(time.Second)
					if n := runtime.GOMAXPROCS(0); race && n != 1 {
						t.Errorf("%d processors in a bubble, want 1", n)
					}
				})
			})
		}
	})
	if n := runtime.GOMAXPROCS(0); n != 3 {
		t.Errorf("%d processors after the bubbles, want 3", n)
	}
}
