package wire_test

import (
	"io"
	"testing"

	"github.com/go-hypercore/hypercore/protocol/wire"
)

// TestNoAllocations: nothing on the way of a block is allocated per message.
func TestNoAllocations(t *testing.T) {
	data := wire.Data{Index: 1 << 20, Value: make([]byte, 512), HasValue: true, Nodes: make([]wire.Node, 3), Signature: make([]byte, 64)}
	run := wire.DataRange{Start: 1 << 20, Sizes: []uint64{256, 256}, Values: data.Value, Nodes: data.Nodes}
	var stream []byte
	for len(stream) < 1<<20 {
		stream = wire.AppendData(stream, 0, data)
		stream = wire.AppendRequest(stream, 0, wire.Request{Index: 1 << 20})
		stream = wire.AppendHave(stream, 0, wire.Have{Start: 1 << 20, Length: 1})
		stream = wire.AppendDataRange(stream, 0, run)
	}
	r := wire.NewReader(&repeat{data: stream, piece: 65536})
	w := wire.NewWriter(io.Discard)
	w.SetCipher(wire.NewCipher(&[32]byte{}, &[24]byte{}), 0)
	var (
		d   wire.Data
		dr  wire.DataRange
		req wire.Request
		h   wire.Have
	)
	one := func() {
		f, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		switch f.Type {
		case wire.TypeData:
			err = wire.ParseData(f.Body, &d)
			w.Buf = wire.AppendData(w.Buf, 0, d)
		case wire.TypeRequest:
			err = wire.ParseRequest(f.Body, &req)
			w.Buf = wire.AppendRequest(w.Buf, 0, req)
		case wire.TypeHave:
			err = wire.ParseHave(f.Body, &h)
			w.Buf = wire.AppendHave(w.Buf, 0, h)
		case wire.TypeDataRange:
			err = wire.ParseDataRange(f.Body, &dr)
			w.Buf = wire.AppendDataRange(w.Buf, 0, dr)
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(w.Buf) > 200000 {
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		w.Reserve(1000)
	}
	for range 20000 { // the slabs reach their size
		one()
	}
	if n := testing.AllocsPerRun(20000, one); n > 0 {
		t.Errorf("%v allocations for each message", n)
	}
}
