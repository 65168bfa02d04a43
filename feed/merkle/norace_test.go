//go:build !race

package merkle_test

const raceEnabled = false
