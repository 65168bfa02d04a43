package interop

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
)

// content is a family of blocks that both sides can compute: see js/content.mjs.
// Sizes lie between min and max.
type content struct {
	seed     uint64
	min, max uint64
}

func (c content) stream(index uint64, p []byte) []byte {
	var key, iv [16]byte
	binary.BigEndian.PutUint64(key[:], c.seed)
	binary.BigEndian.PutUint64(iv[:], index)
	b, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // 16 bytes are a key
	}
	clear(p)
	cipher.NewCTR(b, iv[:]).XORKeyStream(p, p)
	return p
}

func (c content) size(index uint64) uint64 {
	if c.max <= c.min {
		return c.min
	}
	return c.min + binary.BigEndian.Uint64(c.stream(index, make([]byte, 8)))%(c.max-c.min+1)
}

func (c content) block(index uint64) []byte { return c.stream(index, make([]byte, c.size(index))) }

// blocks returns blocks start to end-1.
func (c content) blocks(start, end uint64) [][]byte {
	list := make([][]byte, 0, end-start)
	for i := start; i < end; i++ {
		list = append(list, c.block(i))
	}
	return list
}
