package feed_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"os"
	"strconv"
	"testing"
)

// keyFromSeed returns one of many fixed secret keys.
func keyFromSeed(n uint64) ed25519.PrivateKey {
	seed := bytes.Repeat([]byte{7}, ed25519.SeedSize)
	binary.BigEndian.PutUint64(seed, n)
	return ed25519.NewKeyFromSeed(seed)
}

// testRounds is how often a random test runs: n times, less with -short, FEED_ROUNDS
// times as often for a long search.
func testRounds(n int) int {
	if m, err := strconv.Atoi(os.Getenv("FEED_ROUNDS")); err == nil {
		return m * n
	}
	if testing.Short() {
		return max(1, n/5)
	}
	return n
}
