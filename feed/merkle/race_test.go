//go:build race

package merkle_test

const raceEnabled = true // the race detector allocates
