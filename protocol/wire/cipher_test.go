package wire_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/go-hypercore/hypercore/protocol/wire"
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
