package wire_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-hypercore/hypercore/protocol/wire"
)

// The vectors were made by npm hypercore 6.26.0 and hypercore-protocol 6.12.0.
const vectors = "../../testdata/vectors"

func load(t testing.TB, name string, v any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(vectors, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// hexBytes is a hex string in JSON; null stays nil.
type hexBytes []byte

func (h *hexBytes) UnmarshalJSON(b []byte) error {
	var s *string
	if err := json.Unmarshal(b, &s); err != nil || s == nil {
		return err
	}
	d, err := hex.DecodeString(*s)
	*h = append(hexBytes{}, d...)
	return err
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// fields is a message as the vectors write it.
type fields map[string]json.RawMessage

func (f fields) has(name string) bool {
	v, ok := f[name]
	return ok && string(v) != "null"
}

func (f fields) get(t testing.TB, name string, v any) bool {
	t.Helper()
	if !f.has(name) {
		return false
	}
	if err := json.Unmarshal(f[name], v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return true
}

func (f fields) uint(t testing.TB, name string, absent uint64) uint64 {
	f.get(t, name, &absent)
	return absent
}

func (f fields) bool(t testing.TB, name string) (v bool) {
	f.get(t, name, &v)
	return v
}

func (f fields) bytes(t testing.TB, name string) []byte {
	var v hexBytes
	f.get(t, name, &v)
	return v
}

// message makes the Go value of a message in the vectors.
func message(t testing.TB, kind string, f fields) any {
	t.Helper()
	switch kind {
	case "Feed":
		m := wire.Feed{Nonce: f.bytes(t, "nonce")}
		copy(m.DiscoveryKey[:], f.bytes(t, "discoveryKey"))
		return m
	case "Handshake":
		m := wire.Handshake{ID: f.bytes(t, "id"), Live: f.bool(t, "live"), UserData: f.bytes(t, "userData"), Ack: f.bool(t, "ack")}
		f.get(t, "extensions", &m.Extensions)
		if len(m.Extensions) == 0 {
			m.Extensions = nil
		}
		return m
	case "Info":
		return wire.Info{Uploading: f.bool(t, "uploading"), Downloading: f.bool(t, "downloading")}
	case "Have":
		return wire.Have{Start: f.uint(t, "start", 0), Length: f.uint(t, "length", 1), Bitfield: f.bytes(t, "bitfield"),
			HasBitfield: f.has("bitfield"), Ack: f.bool(t, "ack")}
	case "Unhave":
		return wire.Unhave{Start: f.uint(t, "start", 0), Length: f.uint(t, "length", 1)}
	case "Want":
		return wire.Want{Start: f.uint(t, "start", 0), Length: f.uint(t, "length", 0)}
	case "Unwant":
		return wire.Unwant{Start: f.uint(t, "start", 0), Length: f.uint(t, "length", 0)}
	case "Request":
		return wire.Request{Index: f.uint(t, "index", 0), Bytes: f.uint(t, "bytes", 0), Hash: f.bool(t, "hash"), Nodes: f.uint(t, "nodes", 0)}
	case "Cancel":
		return wire.Cancel{Index: f.uint(t, "index", 0), Bytes: f.uint(t, "bytes", 0), Hash: f.bool(t, "hash"), Length: 1}
	case "Data":
		m := wire.Data{Index: f.uint(t, "index", 0), Value: f.bytes(t, "value"), HasValue: f.has("value"), Signature: f.bytes(t, "signature")}
		var nodes []struct {
			Index, Size uint64
			Hash        hexBytes
		}
		f.get(t, "nodes", &nodes)
		for _, n := range nodes {
			m.Nodes = append(m.Nodes, wire.Node{Index: n.Index, Size: n.Size, Hash: [32]byte(n.Hash)})
		}
		return m
	case "Extension":
		return extension{f.uint(t, "id", 0), f.bytes(t, "payload")}
	}
	t.Fatalf("unknown kind of message %q", kind)
	return nil
}

type extension struct {
	id      uint64
	payload []byte
}

// parse and encode go through the public functions of each message.
func parse(typ wire.Type, body []byte) (any, error) {
	switch typ {
	case wire.TypeFeed:
		var m wire.Feed
		err := wire.ParseFeed(body, &m)
		return m, err
	case wire.TypeHandshake:
		var m wire.Handshake
		err := wire.ParseHandshake(body, &m)
		return m, err
	case wire.TypeInfo:
		var m wire.Info
		err := wire.ParseInfo(body, &m)
		return m, err
	case wire.TypeHave:
		var m wire.Have
		err := wire.ParseHave(body, &m)
		return m, err
	case wire.TypeUnhave:
		var m wire.Unhave
		err := wire.ParseUnhave(body, &m)
		return m, err
	case wire.TypeWant:
		var m wire.Want
		err := wire.ParseWant(body, &m)
		return m, err
	case wire.TypeUnwant:
		var m wire.Unwant
		err := wire.ParseUnwant(body, &m)
		return m, err
	case wire.TypeRequest:
		var m wire.Request
		err := wire.ParseRequest(body, &m)
		return m, err
	case wire.TypeCancel:
		var m wire.Cancel
		err := wire.ParseCancel(body, &m)
		return m, err
	case wire.TypeData:
		var m wire.Data
		err := wire.ParseData(body, &m)
		return m, err
	case wire.TypeRequestRange:
		var m wire.RequestRange
		err := wire.ParseRequestRange(body, &m)
		return m, err
	case wire.TypeDataRange:
		var m wire.DataRange
		err := wire.ParseDataRange(body, &m)
		return m, err
	case wire.TypeNoData:
		var m wire.NoData
		err := wire.ParseNoData(body, &m)
		return m, err
	case wire.TypeExtension:
		id, payload, err := wire.ParseExtension(body)
		return extension{id, payload}, err
	}
	return nil, fmt.Errorf("no message of %v", typ)
}

func encode(dst []byte, channel uint64, m any) []byte {
	switch m := m.(type) {
	case wire.Feed:
		return wire.AppendFeed(dst, channel, m)
	case wire.Handshake:
		return wire.AppendHandshake(dst, channel, m)
	case wire.Info:
		return wire.AppendInfo(dst, channel, m)
	case wire.Have:
		return wire.AppendHave(dst, channel, m)
	case wire.Unhave:
		return wire.AppendUnhave(dst, channel, m)
	case wire.Want:
		return wire.AppendWant(dst, channel, m)
	case wire.Unwant:
		return wire.AppendUnwant(dst, channel, m)
	case wire.Request:
		return wire.AppendRequest(dst, channel, m)
	case wire.Cancel:
		return wire.AppendCancel(dst, channel, m)
	case wire.Data:
		return wire.AppendData(dst, channel, m)
	case wire.RequestRange:
		return wire.AppendRequestRange(dst, channel, m)
	case wire.DataRange:
		return wire.AppendDataRange(dst, channel, m)
	case wire.NoData:
		return wire.AppendNoData(dst, channel, m)
	case extension:
		return wire.AppendExtension(dst, channel, m.id, m.payload)
	}
	panic(fmt.Sprintf("cannot encode %T", m))
}

// readAll returns the frames of a recorded direction, with bodies of their own.
func readAll(t testing.TB, r *wire.Reader) (frames []wire.Frame, err error) {
	t.Helper()
	for {
		f, err := r.Next()
		if err != nil {
			return frames, err
		}
		f.Body = bytes.Clone(f.Body)
		if f.Body == nil {
			f.Body = []byte{}
		}
		frames = append(frames, f)
	}
}

// typeOf is the number of a message's name.
func typeOf(t testing.TB, name string) wire.Type {
	t.Helper()
	for n := range wire.Type(16) {
		if n.String() == name {
			return n
		}
	}
	t.Fatalf("no type %q", name)
	return 0
}
