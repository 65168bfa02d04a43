package feed

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// parallel calls fn for 0 to n-1, in any order, and returns when all calls have.
// It uses all cores if there are grain calls for each.
func parallel(n, grain int, fn func(i int)) {
	workers := min(runtime.GOMAXPROCS(0), n/max(grain, 1))
	if workers < 2 {
		for i := range n {
			fn(i)
		}
		return
	}
	step := max(1, n/(4*workers))
	var next atomic.Int64
	work := func() {
		for {
			end := int(next.Add(int64(step)))
			if end-step >= n {
				return
			}
			for i := end - step; i < min(end, n); i++ {
				fn(i)
			}
		}
	}
	var wg sync.WaitGroup
	for range workers - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
}
