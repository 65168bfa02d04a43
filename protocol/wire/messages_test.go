package wire_test

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/go-hypercore/hypercore/protocol/wire"
)

// TestFrameVectors: every frame of npm hypercore 6 reads as its message, and the message writes as
// the same bytes. Four frames leave out a field that we always write; they are only read.
func TestFrameVectors(t *testing.T) {
	var v struct {
		Frames []struct {
			Type    string
			Channel uint64
			Message fields
			Frame   hexBytes
		}
	}
	load(t, "messages.json", &v)
	readOnly := 0
	for _, c := range v.Frames {
		frames, err := readAll(t, wire.NewReader(bytes.NewReader(c.Frame)))
		if err != io.EOF || len(frames) != 1 {
			t.Fatalf("%x: %d frames, %v", c.Frame, len(frames), err)
		}
		f := frames[0]
		if f.Channel != c.Channel || f.Type.String() != c.Type {
			t.Errorf("%x: channel %d, %v", c.Frame, f.Channel, f.Type)
		}
		want := message(t, c.Type, c.Message)
		got, err := parse(f.Type, f.Body)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s %x:\n got %+v, %v\nwant %+v", c.Type, c.Frame, got, err, want)
		}
		out := encode([]byte("before"), c.Channel, want)
		if partial(c.Type, c.Message) {
			readOnly++
		} else if !bytes.Equal(out[6:], c.Frame) || string(out[:6]) != "before" {
			t.Errorf("%s: wrote %x\nwant %x", c.Type, out, c.Frame)
		}
	}
	if len(v.Frames) < 31 || readOnly != 3 {
		t.Errorf("%d frames, %d of them only read", len(v.Frames), readOnly)
	}
}

// partial tells whether a frame lacks fields that hypercore 6 itself writes.
func partial(kind string, f fields) bool {
	switch kind {
	case "Info":
		return len(f) < 2
	case "Unhave":
		return !f.has("length")
	case "Request":
		return len(f) < 4
	}
	return false
}

// TestDecodeVectors: what the decoder of hypercore 6 tolerates we tolerate, except that fields must
// end inside the message and integers be exact.
func TestDecodeVectors(t *testing.T) {
	var v struct {
		Decode []struct {
			Type, Note, Error string
			Body              hexBytes
			Message           fields
		}
	}
	load(t, "messages.json", &v)
	for _, c := range v.Decode {
		got, err := parse(typeOf(t, c.Type), c.Body)
		stricter := bytes.Equal(c.Body, unhex(t, "0805180a0102")) || // ends inside field 3
			bytes.Equal(c.Body, unhex(t, "0807122005")) || // ends inside the value
			bytes.Equal(c.Body, unhex(t, "08ffffffffffffffffff01")) // more than 2^53-1
		if c.Error != "" || stricter {
			var e *wire.Error
			if !errors.As(err, &e) || e.Type.String() != c.Type {
				t.Errorf("%s %x (%s): %v", c.Type, c.Body, c.Note, err)
			}
			continue
		}
		if want := message(t, c.Type, c.Message); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s %x (%s):\n got %+v, %v\nwant %+v", c.Type, c.Body, c.Note, got, err, want)
		}
	}
	// Wire types are not compared with the schema: field 3 of a Have is bytes also with type 0.
	got, err := parse(wire.TypeHave, unhex(t, "080818020102"))
	if want := (wire.Have{Start: 8, Length: 1, Bitfield: []byte{1, 2}, HasBitfield: true}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	if len(v.Decode) < 14 {
		t.Errorf("only %d cases", len(v.Decode))
	}
}

func TestRefused(t *testing.T) {
	hash := strings.Repeat("04", 32)
	sig := strings.Repeat("06", 64)
	node := func(index, hash, size string) string {
		n := index + hash + size
		return "1a" + string("0123456789abcdef"[len(n)/2>>4]) + string("0123456789abcdef"[len(n)/2&15]) + n
	}
	good := node("0804", "1220"+hash, "1801")
	cases := []struct {
		typ   wire.Type
		body  string
		field string
		err   error
	}{
		{wire.TypeFeed, "", "discoveryKey", wire.ErrMissing},
		{wire.TypeFeed, "0a1f" + hash[2:], "discoveryKey", wire.ErrLength},
		{wire.TypeFeed, "0a20" + hash + "1217" + hash[:46], "nonce", wire.ErrLength},
		{wire.TypeFeed, "0a20" + hash + "1200", "nonce", wire.ErrLength},
		{wire.TypeFeed, "0a20" + hash + "1a1f" + hash[2:], "capability", wire.ErrLength},
		{wire.TypeFeed, "0a20" + hash[2:], "discoveryKey", wire.ErrTruncated},
		{wire.TypeHandshake, "0a41" + sig + "00", "id", wire.ErrTooMany},
		{wire.TypeHandshake, strings.Repeat("220161", wire.MaxExtensions+1), "extensions", wire.ErrTooMany},
		{wire.TypeHandshake, "228102" + strings.Repeat("61", wire.MaxExtensionName+1), "extensions", wire.ErrTooMany},
		{wire.TypeHandshake, "1a818004" + strings.Repeat("61", wire.MaxUserData+1), "userData", wire.ErrTooMany},
		{wire.TypeHandshake, "1080", "live", wire.ErrBool},
		{wire.TypeHandshake, "10", "live", wire.ErrTruncated},
		{wire.TypeHave, "", "start", wire.ErrMissing},
		{wire.TypeHave, "0801" + "10ffffffffffffff07", "length", wire.ErrRange},
		{wire.TypeHave, "0801" + "10ffffffffffffff0f", "length", wire.ErrInteger},
		{wire.TypeHave, "08ffffffffffffff07" + "1001", "length", wire.ErrRange},
		{wire.TypeHave, "08ffffffffffffff0f", "start", wire.ErrInteger},
		{wire.TypeHave, "08" + strings.Repeat("ff", 200), "start", wire.ErrInteger},
		{wire.TypeHave, "08ffffffffffffffffff02", "start", wire.ErrInteger},
		{wire.TypeHave, "08808080808080808080808000", "start", wire.ErrInteger},
		{wire.TypeHave, "08", "start", wire.ErrTruncated},
		{wire.TypeHave, "0880", "start", wire.ErrTruncated},
		{wire.TypeHave, "0805" + "1a0107", "bitfield", wire.ErrRange},
		{wire.TypeHave, "0808" + "1a0207", "bitfield", wire.ErrTruncated},
		{wire.TypeHave, "0808" + "2b", "unknown field", wire.ErrWireType},
		{wire.TypeHave, "0808" + "2c", "unknown field", wire.ErrWireType},
		{wire.TypeHave, "0808" + "2e", "unknown field", wire.ErrWireType},
		{wire.TypeHave, "0808" + "2d000000", "unknown field", wire.ErrTruncated},
		{wire.TypeHave, "0808" + "2900000000000000", "unknown field", wire.ErrTruncated},
		{wire.TypeHave, "0808" + "2a0200", "unknown field", wire.ErrTruncated},
		{wire.TypeHave, "0808" + "28" + strings.Repeat("ff", 11), "unknown field", wire.ErrInteger},
		{wire.TypeHave, "0808" + "ffffffffff01" + "00", "tag", wire.ErrInteger},
		{wire.TypeUnhave, "10ffffffffffffff03", "start", wire.ErrMissing},
		{wire.TypeUnhave, "080210feffffffffffff07", "length", wire.ErrRange},
		{wire.TypeWant, "1001", "start", wire.ErrMissing},
		{wire.TypeUnwant, "080210feffffffffffff07", "length", wire.ErrRange},
		{wire.TypeRequest, "1001", "index", wire.ErrMissing},
		{wire.TypeRequest, "0880808080808080" + "08", "index", wire.ErrInteger},
		{wire.TypeRequest, "0800" + "108080808080808010", "bytes", wire.ErrInteger},
		{wire.TypeRequest, "0800" + "208080808080808010", "nodes", wire.ErrInteger},
		{wire.TypeCancel, "1000", "index", wire.ErrMissing},
		{wire.TypeCancel, "0802" + "20feffffffffffff07", "length", wire.ErrRange},
		{wire.TypeData, "120161", "index", wire.ErrMissing},
		{wire.TypeData, "0800" + "2241" + sig + "00", "signature", wire.ErrLength},
		{wire.TypeData, "0800" + "2200", "signature", wire.ErrLength},
		{wire.TypeData, "0800" + node("0804", "121f"+hash[2:], "1801"), "nodes.hash", wire.ErrLength},
		{wire.TypeData, "0800" + node("0804", "1220"+hash, ""), "nodes.size", wire.ErrMissing},
		{wire.TypeData, "0800" + node("", "1220"+hash, "1801"), "nodes.index", wire.ErrMissing},
		{wire.TypeData, "0800" + node("0804", "", "1801"), "nodes.hash", wire.ErrMissing},
		{wire.TypeData, "0800" + node("0804", "1220"+hash, "188080808080808010"), "nodes.size", wire.ErrInteger},
		{wire.TypeData, "0800" + node("088080808080808010", "1220"+hash, "1801"), "nodes.index", wire.ErrInteger},
		{wire.TypeData, "0800" + strings.Repeat(good, wire.MaxNodes+1), "nodes", wire.ErrTooMany},
		{wire.TypeData, "0800" + "1a7f", "nodes", wire.ErrTruncated},
		{wire.TypeRequestRange, "0800", "length", wire.ErrMissing},
		{wire.TypeRequestRange, "1001", "start", wire.ErrMissing},
		{wire.TypeRequestRange, "08001000", "length", wire.ErrRange},
		{wire.TypeRequestRange, "0800108120", "length", wire.ErrTooMany},
		{wire.TypeRequestRange, "08ffffffffffffff071001", "length", wire.ErrRange},
		{wire.TypeDataRange, "2a0100" + "1200", "start", wire.ErrMissing},
		{wire.TypeDataRange, "0800" + "2a0100", "values", wire.ErrMissing},
		{wire.TypeDataRange, "0800" + "1200", "length", wire.ErrRange},
		{wire.TypeDataRange, "0800" + "2a0101" + "1200", "sizes", wire.ErrLength},
		{wire.TypeDataRange, "0800" + "2a0101" + "12026161", "sizes", wire.ErrLength},
		{wire.TypeDataRange, "0800" + "2a0180" + "1200", "sizes", wire.ErrTruncated},
		{wire.TypeDataRange, "0800" + "2a03818040" + "1200", "sizes", wire.ErrTooMany},
		{wire.TypeDataRange, "0800" + "2a8120" + strings.Repeat("00", 4097) + "1200", "sizes", wire.ErrTooMany},
		{wire.TypeDataRange, "08ffffffffffffff07" + "2a0100" + "1200", "length", wire.ErrRange},
		{wire.TypeDataRange, "0800" + "2a0100" + "1200" + strings.Repeat(good, wire.MaxRunNodes+1), "nodes", wire.ErrTooMany},
		{wire.TypeDataRange, "0800" + "2a0100" + "1200" + "2200", "signature", wire.ErrLength},
		{wire.TypeNoData, "1801", "index", wire.ErrMissing},
		{wire.TypeNoData, "08001000", "length", wire.ErrRange},
		{wire.TypeNoData, "0800108120", "length", wire.ErrTooMany},
		{wire.TypeExtension, "", "id", wire.ErrTruncated},
		{wire.TypeExtension, "8080", "id", wire.ErrTruncated},
	}
	for _, c := range cases {
		_, err := parse(c.typ, unhex(t, c.body))
		var e *wire.Error
		if !errors.As(err, &e) || e.Type != c.typ || e.Field != c.field || !errors.Is(err, c.err) {
			t.Errorf("%v %.80s: %v, want %s: %v", c.typ, c.body, err, c.field, c.err)
		}
	}
}

// TestLimits: what is exactly at a bound is accepted.
func TestLimits(t *testing.T) {
	var nodes []wire.Node
	for i := range uint64(wire.MaxRunNodes) {
		nodes = append(nodes, wire.Node{Index: wire.MaxInt - i, Size: wire.MaxInt})
	}
	sizes := make([]uint64, wire.MaxRunBlocks)
	for i := range sizes {
		sizes[i] = wire.MaxRunBytes / wire.MaxRunBlocks
	}
	names := make([]string, wire.MaxExtensions)
	for i := range names {
		names[i] = strings.Repeat("n", wire.MaxExtensionName)
	}
	sig := bytes.Repeat([]byte{6}, wire.SignatureLen)
	for _, m := range []any{
		wire.Feed{Nonce: make([]byte, wire.NonceLen), Capability: make([]byte, wire.KeyLen)},
		wire.Feed{Nonce: make([]byte, wire.NonceLen), Capability: make([]byte, wire.KeyLen), Answers: []byte{}},
		wire.Feed{Nonce: make([]byte, wire.NonceLen), Capability: make([]byte, wire.KeyLen), Answers: make([]byte, wire.NonceLen)},
		wire.Handshake{ID: make([]byte, wire.MaxID), UserData: make([]byte, wire.MaxUserData), Extensions: names},
		wire.Have{Start: wire.MaxBlocks - 1, Length: 1},
		wire.Have{Start: 0, Length: wire.MaxBlocks, Ack: true},
		wire.Have{Start: 8, Length: wire.MaxBlocks - 8, HasBitfield: true, Bitfield: []byte{}, Ack: true},
		wire.Unhave{Start: wire.MaxBlocks, Length: 0},
		wire.Want{Start: 1, Length: wire.MaxBlocks - 1},
		wire.Unwant{Start: 1, Length: wire.MaxBlocks - 1},
		wire.Request{Index: wire.MaxBlocks, Bytes: wire.MaxInt, Hash: true, Nodes: wire.MaxInt},
		wire.Request{Index: 7, Nodes: 3, Wait: true},
		wire.Cancel{Index: 1, Bytes: wire.MaxInt, Hash: true, Length: wire.MaxBlocks - 1},
		wire.Data{Index: wire.MaxBlocks, Value: []byte{1}, HasValue: true, Nodes: nodes[:wire.MaxNodes], Signature: sig},
		wire.RequestRange{Start: wire.MaxBlocks - wire.MaxRunBlocks, Length: wire.MaxRunBlocks, Nodes: wire.MaxInt, Last: wire.MaxInt, Bytes: wire.MaxInt},
		wire.DataRange{Start: wire.MaxBlocks - wire.MaxRunBlocks, Sizes: sizes, Values: make([]byte, wire.MaxRunBytes), Nodes: nodes, Signature: sig},
		wire.NoData{Index: wire.MaxBlocks - wire.MaxRunBlocks, Length: wire.MaxRunBlocks, Reason: wire.ReasonFailed, Bytes: wire.MaxInt, Hash: true},
		extension{wire.MaxInt, []byte("payload")},
	} {
		frame := encode(nil, 255, m)
		frames, err := readAll(t, wire.NewReader(bytes.NewReader(frame)))
		if err != io.EOF || len(frames) != 1 || frames[0].Channel != 255 {
			t.Fatalf("%T: %d frames, %v", m, len(frames), err)
		}
		got, err := parse(frames[0].Type, frames[0].Body)
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%T: %v\n got %.300v\nwant %.300v", m, err, got, m)
		}
	}
}

// TestDataInPlace: a value read straight into the buffer gives the frame AppendData gives, also
// with another package's node type.
func TestDataInPlace(t *testing.T) {
	type treeNode struct {
		Index uint64
		Size  uint64
		Hash  [32]byte
	}
	nodes := []treeNode{{Index: 300, Size: 70000, Hash: [32]byte{4}}, {Index: 2, Size: 1 << 40}}
	sig := bytes.Repeat([]byte{6}, 64)
	for _, n := range []int{-1, 0, 1, 127, 128, 70000} {
		m := wire.DataOf[treeNode]{Index: 1 << 30, HasValue: n >= 0, Nodes: nodes, Signature: sig}
		if n >= 0 {
			m.Value = bytes.Repeat([]byte{7}, n)
		}
		tail := wire.DataTailLen(nodes, sig)
		got := wire.AppendDataHeader(nil, 17, m.Index, n, tail)
		got = append(got, m.Value...)
		got = wire.AppendDataTail(got, nodes, sig)
		want := wire.AppendData(nil, 17, m)
		if !bytes.Equal(got, want) {
			t.Fatalf("value of %d: %x\nwant %x", n, got, want)
		}
		payload := wire.DataPayloadLen(17, m.Index, n, tail)
		prefix := len(wire.AppendVarint(nil, uint64(payload)))
		if len(got) != prefix+payload {
			t.Errorf("value of %d: frame of %d bytes, payload of %d", n, len(got), payload)
		}
		frames, _ := readAll(t, wire.NewReader(bytes.NewReader(got)))
		back := wire.DataOf[treeNode]{Nodes: make([]treeNode, 0, 8)}
		if err := wire.ParseData(frames[0].Body, &back); err != nil || !reflect.DeepEqual(back, m) {
			t.Errorf("value of %d: %+v, %v", n, back, err)
		}
	}
	sizes := []uint64{0, 200, 3}
	values := bytes.Repeat([]byte{8}, 203)
	tail := wire.DataTailLen(nodes, nil)
	got := wire.AppendDataRangeHeader(nil, 3, 500, sizes, tail)
	got = append(got, values...)
	got = wire.AppendDataTail(got, nodes, nil)
	m := wire.DataRangeOf[treeNode]{Start: 500, Sizes: sizes, Values: values, Nodes: nodes}
	if want := wire.AppendDataRange(nil, 3, m); !bytes.Equal(got, want) {
		t.Fatalf("%x\nwant %x", got, want)
	}
	if n := wire.DataRangePayloadLen(3, 500, sizes, tail); n+2 != len(got) {
		t.Errorf("payload of %d in a frame of %d", n, len(got))
	}
	frames, _ := readAll(t, wire.NewReader(bytes.NewReader(got)))
	var back wire.DataRangeOf[treeNode]
	if err := wire.ParseDataRange(frames[0].Body, &back); err != nil || !reflect.DeepEqual(back, m) {
		t.Errorf("%+v, %v", back, err)
	}
}

// TestStale: parsing into a used message leaves nothing of the old one, except room for nodes.
func TestStale(t *testing.T) {
	m := wire.Data{Index: 5, Value: []byte("old"), HasValue: true, Nodes: make([]wire.Node, 3, 10), Signature: make([]byte, 64)}
	if err := wire.ParseData([]byte{8, 7}, &m); err != nil || m.Index != 7 || m.HasValue || m.Value != nil || len(m.Nodes) != 0 || cap(m.Nodes) != 10 || m.Signature != nil {
		t.Errorf("%+v, %v", m, err)
	}
	h := wire.Have{Start: 9, Length: 9, Bitfield: []byte{1}, HasBitfield: true, Ack: true}
	if err := wire.ParseHave([]byte{8, 7}, &h); err != nil || !reflect.DeepEqual(h, wire.Have{Start: 7, Length: 1}) {
		t.Errorf("%+v, %v", h, err)
	}
}
