//go:build !amd64 || purego

package wire

import "golang.org/x/crypto/salsa20/salsa"

// xorKeyStream XORs key stream to p, whole blocks, with the blocks' numbers from counter on.
func xorKeyStream(p []byte, counter *[16]byte, key *[32]byte) {
	salsa.XORKeyStream(p, p, counter, key)
}
