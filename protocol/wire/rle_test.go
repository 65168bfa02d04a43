package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/go-hypercore/hypercore/protocol/wire"
)

// runBytes is a hex string in JSON, or an object with runs of [value, count].
type runBytes []byte

func (r *runBytes) UnmarshalJSON(b []byte) error {
	if b[0] != '{' {
		return (*hexBytes)(r).UnmarshalJSON(b)
	}
	var v struct{ Runs [][2]int }
	err := json.Unmarshal(b, &v)
	for _, run := range v.Runs {
		*r = append(*r, bytes.Repeat([]byte{byte(run[0])}, run[1])...)
	}
	return err
}

func TestRLEVectors(t *testing.T) {
	var v struct {
		Encode []struct {
			Name           string
			Input, Decoded runBytes
			HaveRanges     [][2]int
			Encoded        hexBytes
			DecodedLength  int
		}
		Decode []struct {
			Name             string
			Encoded, Decoded hexBytes
		}
		Invalid []struct{ Encoded hexBytes }
	}
	load(t, "rle.json", &v)
	for _, c := range v.Encode {
		if c.HaveRanges != nil {
			c.Input = make(runBytes, 131072)
			for _, r := range c.HaveRanges {
				for i := r[0]; i < r[1]; i++ {
					c.Input[i/8] |= 0x80 >> (i % 8)
				}
			}
			c.Decoded = c.Input[:c.DecodedLength]
		}
		if got := wire.EncodeRLE([]byte("x"), c.Input); !bytes.Equal(got[1:], c.Encoded) {
			t.Errorf("encode %s: %x, want %x", c.Name, got[1:], c.Encoded)
		}
		checkDecode(t, c.Name, c.Encoded, c.Decoded)
	}
	for _, c := range v.Decode {
		checkDecode(t, c.Name, c.Encoded, c.Decoded)
	}
	for _, c := range v.Invalid {
		if got, err := wire.DecodeRLE([]byte("x"), c.Encoded, 1<<20); !errors.Is(err, wire.ErrRLE) || string(got) != "x" {
			t.Errorf("%x: %x, %v", c.Encoded, got, err)
		}
	}
	if len(v.Encode) < 97 || len(v.Decode) < 8 || len(v.Invalid) < 6 {
		t.Errorf("%d, %d, %d cases", len(v.Encode), len(v.Decode), len(v.Invalid))
	}
}

// checkDecode decodes with a bound that is just enough, and with one that is not.
func checkDecode(t *testing.T, name string, code, want []byte) {
	t.Helper()
	n := 0
	for r := wire.NewRuns(code, 1<<20); r.Next(); {
		n += r.Run().Len
	}
	got, err := wire.DecodeRLE(nil, code, n)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("decode %s: %x, %v, want %x", name, got, err, want)
	}
	if n == 0 {
		return
	}
	if _, err := wire.DecodeRLE(nil, code, n-1); !errors.Is(err, wire.ErrRLE) {
		t.Errorf("decode %s within %d bytes: %v", name, n-1, err)
	}
}

// TestRLEBounds: the length a code claims costs nothing.
func TestRLEBounds(t *testing.T) {
	for _, code := range []string{"fdffffffff7f", "ffffffffffffffffff01", "fcffffffff7f", "feffffffffffffffff01", "ffffffffffffffffff02"} {
		src := unhex(t, code)
		var err error
		if n := testing.AllocsPerRun(10, func() { _, err = wire.DecodeRLE(nil, src, 131072) }); n > 1 {
			t.Errorf("%s: %v allocations", code, n)
		}
		if !errors.Is(err, wire.ErrRLE) {
			t.Errorf("%s: %v", code, err)
		}
	}
}

// TestRLERandom: fields of all densities come back, and the code is never much longer than they.
func TestRLERandom(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		bits := randomBits(rnd, rnd.IntN(600))
		code := wire.EncodeRLE(nil, bits)
		if len(code) > len(bits)+2 {
			t.Fatalf("%d bytes coded in %d", len(bits), len(code))
		}
		got, err := wire.DecodeRLE(nil, code, len(bits))
		if err != nil || len(got)%4 != 0 {
			t.Fatalf("%x: %v", code, err)
		}
		got = append(got, make([]byte, len(bits))...)
		if !bytes.Equal(got[:len(bits)], bits) || len(bytes.Trim(got[len(bits):], "\x00")) > 0 {
			t.Fatalf("%x\ncoded  %x\ngives  %x", bits, code, got)
		}
	}
}

func randomBits(rnd *rand.Rand, n int) []byte {
	var b []byte
	for len(b) < n {
		run := 1 + rnd.IntN(1+rnd.IntN(40))
		switch v := byte(rnd.IntN(256)); rnd.IntN(3) {
		case 0:
			b = append(b, make([]byte, run)...)
		case 1:
			b = append(b, bytes.Repeat([]byte{0xff}, run)...)
		case 2:
			b = append(b, v)
		}
	}
	return b
}
