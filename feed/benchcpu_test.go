//go:build unix

package feed_test

import (
	"syscall"
	"testing"
)

// cpu reports the processor time of the whole process per unit (n units in each
// of b.N rounds), which a busy machine distorts less than the clock.
func cpu(b *testing.B, n int, unit string) func() {
	start := cpuTime()
	return func() { b.ReportMetric(float64(cpuTime()-start)/float64(b.N*n), "cpu-ns/"+unit) }
}

func cpuTime() int64 {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return r.Utime.Nano() + r.Stime.Nano()
}
