//go:build !unix

package protocol_test

import "time"

// cpuTime is not known here: only waiting counts.
func cpuTime() time.Duration { return 0 }
