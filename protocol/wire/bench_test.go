package wire_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/go-hypercore/hypercore/protocol/wire"
)

// repeat is a stream that never ends.
type repeat struct {
	data  []byte
	pos   int
	piece int // bytes per read at most, as a stream multiplexer gives them
}

func (r *repeat) Read(b []byte) (int, error) {
	n := copy(b[:min(len(b), r.piece)], r.data[r.pos:])
	if r.pos += n; r.pos == len(r.data) {
		r.pos = 0
	}
	return n, nil
}

func dataMessage(size, nodes int) wire.Data {
	return wire.Data{Index: 123456, Value: make([]byte, size), HasValue: true, Nodes: make([]wire.Node, nodes)}
}

func BenchmarkAppendData(b *testing.B) {
	for _, c := range []struct {
		name        string
		size, nodes int
	}{{"512", 512, 1}, {"512-nodes20", 512, 20}, {"64KiB", 65536, 1}} {
		b.Run(c.name, func(b *testing.B) {
			m := dataMessage(c.size, c.nodes)
			w := wire.NewWriter(io.Discard)
			b.ReportAllocs()
			b.SetBytes(int64(c.size))
			for b.Loop() {
				if len(w.Buf) > 512<<10 {
					w.Flush()
				}
				w.Reserve(c.size + 2000)
				w.Buf = wire.AppendData(w.Buf, 3, m)
			}
		})
	}
}

func BenchmarkParseData(b *testing.B) {
	for _, c := range []struct {
		name        string
		size, nodes int
	}{{"512", 512, 1}, {"512-nodes20", 512, 20}, {"64KiB", 65536, 1}} {
		b.Run(c.name, func(b *testing.B) {
			body := body(b, wire.AppendData(nil, 3, dataMessage(c.size, c.nodes)))
			var m wire.Data
			b.ReportAllocs()
			for b.Loop() {
				if err := wire.ParseData(body, &m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func body(b *testing.B, frame []byte) []byte {
	f, err := wire.NewReader(bytes.NewReader(frame)).Next()
	if err != nil {
		b.Fatal(err)
	}
	return f.Body
}

func BenchmarkRequest(b *testing.B) {
	m := wire.Request{Index: 1234567, Nodes: 11}
	buf := make([]byte, 0, 64)
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			buf = wire.AppendRequest(buf[:0], 3, m)
		}
	})
	in := body(b, wire.AppendRequest(nil, 3, m))
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := wire.ParseRequest(in, &m); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkHave(b *testing.B) {
	m := wire.Have{Start: 1234567, Length: 1}
	buf := make([]byte, 0, 64)
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			buf = wire.AppendHave(buf[:0], 3, m)
		}
	})
	in := body(b, wire.AppendHave(nil, 3, m))
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := wire.ParseHave(in, &m); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkDataRange(b *testing.B) {
	sizes := make([]uint64, 128)
	for i := range sizes {
		sizes[i] = 512
	}
	m := wire.DataRange{Start: 1234567, Sizes: sizes, Values: make([]byte, 65536), Nodes: make([]wire.Node, 2)}
	buf := make([]byte, 0, 1<<20)
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(65536)
		for b.Loop() {
			buf = wire.AppendDataRange(buf[:0], 3, m)
		}
	})
	in := body(b, wire.AppendDataRange(nil, 3, m))
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := wire.ParseDataRange(in, &m); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkReader reads a stream of Data frames that comes in pieces of 64 KiB and parses them,
// holding each slab until the next one, as an applier in another goroutine does.
func BenchmarkReader(b *testing.B) {
	for _, c := range []struct {
		name string
		size int
	}{{"512", 512}, {"64KiB", 65536}, {"1MiB", 1 << 20}} {
		b.Run(c.name, func(b *testing.B) {
			var stream []byte
			for len(stream) < 4<<20 {
				stream = wire.AppendData(stream, 3, dataMessage(c.size, 1))
			}
			r := wire.NewReader(&repeat{data: stream, piece: 65536})
			var m wire.Data
			var held *wire.Slab
			b.ReportAllocs()
			b.SetBytes(int64(c.size))
			for b.Loop() {
				f, err := r.Next()
				if err != nil {
					b.Fatal(err)
				}
				if err := wire.ParseData(f.Body, &m); err != nil {
					b.Fatal(err)
				}
				if s := r.Slab(); s != held {
					s.Retain()
					if held != nil {
						held.Release()
					}
					held = s
				}
			}
		})
	}
}

func BenchmarkCipher(b *testing.B) {
	for _, c := range []struct {
		name string
		size int
	}{{"100", 100}, {"4KiB", 4096}, {"64KiB", 65536}, {"1MiB+1", 1<<20 + 1}} {
		b.Run(c.name, func(b *testing.B) {
			x := wire.NewCipher(&[32]byte{1}, &[24]byte{2})
			p := make([]byte, c.size)
			b.ReportAllocs()
			b.SetBytes(int64(c.size))
			for b.Loop() {
				x.XOR(p)
			}
		})
	}
}

func BenchmarkRLE(b *testing.B) {
	full := bytes.Repeat([]byte{0xff}, 131072)
	mixed := make([]byte, 131072)
	for i := range mixed {
		switch {
		case i/50%3 == 1:
			mixed[i] = 0xff
		case i/50%3 == 2:
			mixed[i] = byte(i*7) | 1
		}
	}
	noise := make([]byte, 131072)
	wire.NewCipher(&[32]byte{1}, &[24]byte{2}).XOR(noise)
	buf := make([]byte, 0, 200000)
	for _, c := range []struct {
		name string
		bits []byte
	}{{"full", full}, {"mixed", mixed}, {"noise", noise}, {"empty", make([]byte, 131072)}} {
		b.Run("encode-"+c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(c.bits)))
			for b.Loop() {
				buf = wire.EncodeRLE(buf[:0], c.bits)
			}
		})
		code := wire.EncodeRLE(nil, c.bits)
		b.Run("decode-"+c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(c.bits)))
			for b.Loop() {
				var err error
				if buf, err = wire.DecodeRLE(buf[:0], code, 131072); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("runs-"+c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := wire.NewRuns(code, 131072)
				for r.Next() {
				}
				if r.Err() != nil {
					b.Fatal(r.Err())
				}
			}
		})
	}
}
