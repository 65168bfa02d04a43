package wire

import (
	"crypto/subtle"
	"encoding/binary"

	//lint:ignore SA1019 hypercore 6 encrypts with it, and package salsa20 has no stream that goes on
	"golang.org/x/crypto/salsa20/salsa"
)

// Cipher is an XSalsa20 key stream that goes on from call to call, wherever the stream is cut. It
// encrypts and decrypts alike, and does not authenticate. Not safe for concurrent use.
type Cipher struct {
	key     [32]byte // HSalsa20 of key and first 16 bytes of the nonce
	counter [16]byte // last 8 bytes of the nonce, then the number of the next 64-byte block
	rest    [64]byte // key stream of the block a call ended in
	used    int      // bytes of rest that are used up, 64 if all
}

// NewCipher begins a key stream at byte 0. In hypercore 6 the key is the public key of the first
// feed of the stream, and each direction has the nonce of its sender.
func NewCipher(key *[32]byte, nonce *[NonceLen]byte) *Cipher {
	c := &Cipher{used: 64}
	var in [16]byte
	copy(in[:], nonce[:16])
	salsa.HSalsa20(&c.key, &in, key, &salsa.Sigma)
	copy(c.counter[:8], nonce[16:])
	return c
}

// XOR encrypts or decrypts p in place.
func (c *Cipher) XOR(p []byte) {
	if c.used < 64 {
		n := subtle.XORBytes(p, p, c.rest[c.used:])
		c.used += n
		p = p[n:]
	}
	if n := len(p) &^ 63; n > 0 {
		xorKeyStream(p[:n], &c.counter, &c.key)
		c.advance(uint64(n) / 64)
		p = p[n:]
	}
	if len(p) > 0 {
		c.rest = [64]byte{}
		salsa.XORKeyStream(c.rest[:], c.rest[:], &c.counter, &c.key)
		c.advance(1)
		c.used = subtle.XORBytes(p, p, c.rest[:])
	}
}

func (c *Cipher) advance(blocks uint64) {
	n := binary.LittleEndian.Uint64(c.counter[8:])
	binary.LittleEndian.PutUint64(c.counter[8:], n+blocks)
}
