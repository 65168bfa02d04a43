package leaktest

import "time"

// SetPatience changes how long goroutines may take to end.
func SetPatience(d time.Duration) { patience = d }
