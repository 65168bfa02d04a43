package wire_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/go-hypercore/hypercore/protocol/wire"
)

// FuzzParse: a body is read whole or refused as the remote's fault; what was read is written, read
// again and is the same; and writing it once more gives the same bytes.
func FuzzParse(f *testing.F) {
	for _, name := range transcripts {
		var tr transcript
		load(f, name, &tr)
		for _, entry := range tr.Log {
			for _, m := range entry.Messages {
				if len(m.Frame) > 3 {
					f.Add(byte(m.TypeID), []byte(m.Frame[2:]))
				}
			}
		}
	}
	for _, m := range []any{
		wire.Feed{Nonce: make([]byte, wire.NonceLen), Capability: make([]byte, wire.KeyLen)},
		wire.Feed{Nonce: make([]byte, wire.NonceLen), Capability: make([]byte, wire.KeyLen), Answers: make([]byte, wire.NonceLen)},
		wire.Handshake{ID: []byte("id"), UserData: []byte("user"), Extensions: []string{"a", "b"}},
		wire.Cancel{Index: 1, Bytes: 2, Hash: true, Length: 3},
		wire.RequestRange{Start: 5, Length: 6, Nodes: 7, Last: 8, Bytes: 9},
		wire.DataRange{Start: 5, Sizes: []uint64{1, 0, 2}, Values: []byte("abc"), Nodes: make([]wire.Node, 2), Signature: make([]byte, 64)},
		wire.NoData{Index: 3, Length: 2, Reason: wire.ReasonLater, Bytes: 5, Hash: true},
	} {
		frame := encode(nil, 0, m)
		f.Add(frame[1]&15, frame[2:])
	}
	f.Add(byte(wire.TypeCancel), []byte{0x08, 0x30, 0x20, 0x00})
	f.Fuzz(func(t *testing.T, typ byte, body []byte) {
		in := bytes.Clone(body)
		m, err := parse(wire.Type(typ&15), body)
		if !bytes.Equal(in, body) {
			t.Fatal("the body was changed")
		}
		if err != nil {
			var e *wire.Error
			if typ&15 != 13 && typ&15 != 14 && !errors.As(err, &e) {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		frame := encode(nil, 7, m)
		if len(frame) > wire.MaxFrame {
			return
		}
		frames, err := readAll(t, wire.NewReader(bytes.NewReader(frame)))
		if err != io.EOF || len(frames) != 1 || frames[0].Channel != 7 || frames[0].Type != wire.Type(typ&15) {
			t.Fatalf("%+v: written as %x, read as %v, %v", m, frame, frames, err)
		}
		again, err := parse(frames[0].Type, frames[0].Body)
		if err != nil || !reflect.DeepEqual(again, m) {
			t.Fatalf("%x\n is %+v\nand %+v\n%v", body, m, again, err)
		}
		if out := encode(nil, 7, again); !bytes.Equal(out, frame) {
			t.Fatalf("%x\n%x", frame, out)
		}
	})
}

// FuzzReader: the frames, and the error at their end, do not depend on how the stream comes, on
// who holds the slabs, or on when it is decrypted.
func FuzzReader(f *testing.F) {
	for _, name := range transcripts {
		var tr transcript
		load(f, name, &tr)
		f.Add([]byte(tr.AToB), uint64(1))
		f.Add([]byte(tr.BToA), uint64(2))
	}
	f.Add([]byte{0, 0, 1, 5, 3, 2, 8, 1, 0xff, 0xff, 0xff, 3, 9}, uint64(3))
	f.Fuzz(fuzzReader)
}

func fuzzReader(t *testing.T, stream []byte, seed uint64) {
	want, wantErr := readAll(t, wire.NewReader(bytes.NewReader(stream)))
	rnd := rand.New(rand.NewPCG(seed, 0))
	maxPiece := 1 + rnd.IntN(1<<rnd.IntN(12))
	in := bytes.Clone(stream)
	cipherAt := rnd.IntN(len(want) + 1)
	if cipherAt < len(want) {
		wire.NewCipher(&[32]byte{}, &[24]byte{}).XOR(in[frameEnd(in, cipherAt):])
	}
	r := wire.NewReader(&pieces{in, func() int { return 1 + rnd.IntN(maxPiece) }})
	var bodies [][]byte
	var slabs []*wire.Slab
	for i := 0; ; i++ {
		fr, err := r.Next()
		if err != nil {
			if i != len(want) || err.Error() != wantErr.Error() {
				t.Fatalf("%d of %d frames, %v, want %v", i, len(want), err, wantErr)
			}
			break
		}
		if i >= len(want) || fr.Channel != want[i].Channel || fr.Type != want[i].Type || !bytes.Equal(fr.Body, want[i].Body) {
			t.Fatalf("frame %d of %d is %v", i, len(want), fr)
		}
		if i == cipherAt {
			r.SetCipher(wire.NewCipher(&[32]byte{}, &[24]byte{}))
		}
		if rnd.IntN(2) == 0 {
			r.Slab().Retain()
			slabs = append(slabs, r.Slab())
		}
		bodies = append(bodies, fr.Body)
		if len(slabs) < i+1 {
			slabs = append(slabs, nil)
		}
	}
	for i, b := range bodies {
		if slabs[i] != nil {
			if !bytes.Equal(b, want[i].Body) {
				t.Fatalf("frame %d was overwritten", i)
			}
			slabs[i].Release()
		}
	}
	r.Close()
}

// frameEnd is where frame number i ends, counting those that a Reader returns.
func frameEnd(stream []byte, i int) int {
	pos := 0
	for {
		n, k := 0, 0
		for s := 0; ; s += 7 {
			c := stream[pos+k]
			n |= int(c&0x7f) << s
			if k++; c < 0x80 {
				break
			}
		}
		pos += k + n
		if n >= 2 {
			if i--; i < 0 {
				return pos
			}
		}
	}
}

// FuzzRLE: decoding, and walking over the runs, agree, within their bound; and encoding gives the
// same bits.
func FuzzRLE(f *testing.F) {
	for _, s := range []string{"", "07", "0702f0", "04e0ff", "838020", "aa0902aa", "02aa0902aa", "0301", "00", "0480", "80", "fdffffff7f"} {
		f.Add(unhex(f, s), uint16(1000))
	}
	f.Fuzz(func(t *testing.T, code []byte, max uint16) {
		got, err := wire.DecodeRLE([]byte("dst"), code, int(max))
		var walked []byte
		r := wire.NewRuns(code, int(max))
		for r.Next() {
			run := r.Run()
			if run.Len < 1 || run.Literal != nil && len(run.Literal) != run.Len || run.Fill != 0 && run.Fill != 0xff {
				t.Fatalf("%+v", run)
			}
			if run.Literal != nil {
				walked = append(walked, run.Literal...)
			} else {
				walked = append(walked, bytes.Repeat([]byte{run.Fill}, run.Len)...)
			}
			if len(walked) > int(max) {
				t.Fatalf("%d bytes, more than %d", len(walked), max)
			}
		}
		if (err == nil) != (r.Err() == nil) {
			t.Fatalf("%v, %v", err, r.Err())
		}
		if err != nil {
			if string(got) != "dst" || !errors.Is(err, wire.ErrRLE) {
				t.Fatalf("%x, %v", got, err)
			}
			return
		}
		got = got[3:]
		if len(got)%4 != 0 || len(got) >= len(walked)+4 || !bytes.Equal(append(walked, 0, 0, 0)[:len(got)], got) {
			t.Fatalf("%x\n%x", got, walked)
		}
		again := wire.EncodeRLE(nil, got)
		back, err := wire.DecodeRLE(nil, again, len(got))
		if err != nil || !bytes.Equal(bytes.TrimRight(back, "\x00"), bytes.TrimRight(got, "\x00")) {
			t.Fatalf("%x coded as %x is %x, %v", got, again, back, err)
		}
		if slow := slowRLE(got); !bytes.Equal(again, slow) {
			t.Fatalf("%x coded as %x, want %x", got, again, slow)
		}
	})
}

// slowRLE is the encoder as plainly as it can be said: byte by byte.
func slowRLE(b []byte) (out []byte) {
	b = bytes.TrimRight(b, "\x00")
	varint := func(v int) []byte { return wire.AppendVarint(nil, uint64(v)) }
	pos, run, val := 0, 0, byte(0)
	literal := func(end int) {
		if end > pos {
			out = append(append(out, varint(2*(end-pos))...), b[pos:end]...)
		}
	}
	flush := func(i int) {
		if run == 0 {
			return
		}
		head := i - run - pos
		cost := len(varint(4*run + 1))
		if head > 0 {
			cost += len(varint(2*head)) + head
		}
		if cost >= len(varint(2*(i-pos)))+i-pos {
			return
		}
		literal(i - run)
		bit := 0
		if val != 0 {
			bit = 2
		}
		out = append(out, varint(4*run+bit+1)...)
		pos = i
	}
	for i, c := range b {
		switch {
		case c == val:
			run++
		default:
			flush(i)
			run = 0
			if c == 0 || c == 0xff {
				val, run = c, 1
			}
		}
	}
	flush(len(b))
	literal(len(b))
	return out
}
