package wire_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/go-hypercore/hypercore/protocol/wire"
	"golang.org/x/crypto/salsa20"
)

func TestCipherVectors(t *testing.T) {
	var v struct {
		Cases []struct {
			Key, Nonce   hexBytes
			Keystream300 hexBytes
		}
	}
	load(t, "xsalsa20.json", &v)
	if len(v.Cases) == 0 {
		t.Fatal("no cases")
	}
	for _, c := range v.Cases {
		got := make([]byte, 300)
		wire.NewCipher((*[32]byte)(c.Key), (*[24]byte)(c.Nonce)).XOR(got)
		if !bytes.Equal(got, c.Keystream300) {
			t.Errorf("key %x nonce %x: %x", c.Key, c.Nonce, got)
		}
	}
}

// TestCipherCuts: the stream does not depend on where it is cut.
func TestCipherCuts(t *testing.T) {
	key, nonce := &[32]byte{1}, &[24]byte{2}
	whole := make([]byte, 20000)
	wire.NewCipher(key, nonce).XOR(whole)
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		got := make([]byte, len(whole))
		c := wire.NewCipher(key, nonce)
		for rest := got; len(rest) > 0; {
			n := min(len(rest), rnd.IntN(1+rnd.IntN(1000)))
			c.XOR(rest[:n])
			rest = rest[n:]
		}
		if !bytes.Equal(got, whole) {
			t.Fatal("a cut changes the stream")
		}
	}
}

// TestCipherTwin: the same stream as the package salsa20 gives, for all lengths around the pieces
// that are done at once, and where the low word of the block counter overflows (256 GiB).
func TestCipherTwin(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for n := range 2000 {
		var key [32]byte
		var nonce [24]byte
		for i := range key {
			key[i] = byte(rnd.Uint32())
		}
		for i := range nonce {
			nonce[i] = byte(rnd.Uint32())
		}
		p := make([]byte, n)
		for i := range p {
			p[i] = byte(i)
		}
		want := make([]byte, n)
		salsa20.XORKeyStream(want, p, nonce[:], &key)
		wire.NewCipher(&key, &nonce).XOR(p)
		if !bytes.Equal(p, want) {
			t.Fatalf("%d bytes are another stream", n)
		}
	}
	const around = 30
	for blocks := range uint64(2 * around) {
		key, nonce := &[32]byte{9}, &[24]byte{8}
		whole, pieces := wire.NewCipher(key, nonce), wire.NewCipher(key, nonce)
		whole.Skip(1<<32 - blocks)
		pieces.Skip(1<<32 - blocks)
		got, want := make([]byte, 64*2*around), make([]byte, 64*2*around)
		whole.XOR(got)
		for i := 0; i < len(want); i += 64 {
			pieces.XOR(want[i : i+64])
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("%d blocks before the overflow", blocks)
		}
	}
}
