package sim

import (
	"time"

	"golang.org/x/sys/unix"
)

// wallClock measures real time from within a bubble of virtual time.
func wallClock() func() time.Duration {
	now := func() time.Duration {
		var ts unix.Timespec
		unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
		return time.Duration(ts.Nano())
	}
	start := now()
	return func() time.Duration { return (now() - start).Round(time.Millisecond) }
}
