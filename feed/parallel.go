package feed

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// parallel calls fn for the spans of 0 to n-1, in any order, and returns when all
// calls have. Spans begin at multiples of unit. It uses all cores if there are
// grain numbers, and a unit, for each.
func parallel(n, grain, unit int, fn func(start, end int)) {
	workers := min(runtime.GOMAXPROCS(0), n/max(grain, unit))
	if workers < 2 {
		fn(0, n)
		return
	}
	step := max(1, n/(4*workers))
	step = (step + unit - 1) / unit * unit
	var next atomic.Int64
	work := func() {
		for {
			end := int(next.Add(int64(step)))
			if end-step >= n {
				return
			}
			fn(end-step, min(end, n))
		}
	}
	var wg sync.WaitGroup
	for range workers - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
}
