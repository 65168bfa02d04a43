package dump_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-hypercore/hypercore/protocol/wire"
	"github.com/go-hypercore/hypercore/protocol/wire/dump"
)

var update = flag.Bool("update", false, "rewrite the expected lines")

// transcript is one of testdata/vectors: what programs with npm hypercore 6 wrote.
type transcript struct {
	Encrypted  bool
	Feeds      []struct{ Key string }
	AToB, BToA string
}

func load(t *testing.T, name string) (tr transcript, key *[32]byte) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "..", "testdata", "vectors", "transcript-"+name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &tr); err != nil {
		t.Fatal(err)
	}
	return tr, (*[32]byte)(unhex(t, tr.Feeds[0].Key))
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestTranscripts compares with testdata; -update rewrites it.
func TestTranscripts(t *testing.T) {
	for _, name := range []string{"plain", "encrypted", "live-multi", "static"} {
		tr, key := load(t, name)
		for side, direction := range map[string]string{"a": tr.AToB, "b": tr.BToA} {
			var got bytes.Buffer
			if err := dump.Write(&got, bytes.NewReader(unhex(t, direction)), dump.Options{Key: key}); err != nil {
				t.Errorf("%s %s: %v", name, side, err)
			}
			file := filepath.Join("testdata", name+"-"+side+".txt")
			if *update {
				if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != string(want) {
				t.Errorf("%s is another:\n%s", file, got.String())
			}
		}
	}
}

// TestOffsets: the frames and what is ignored between them cover the recording without a gap.
func TestOffsets(t *testing.T) {
	tr, key := load(t, "live-multi")
	stream := unhex(t, tr.AToB)
	at := uint64(0)
	for e, err := range dump.Entries(bytes.NewReader(stream), dump.Options{Key: key, Whole: true}) {
		if err != nil || e.Offset != at || e.Err != nil {
			t.Fatalf("%v, %v at %d", e, err, at)
		}
		at += e.Length
	}
	if at != uint64(len(stream)) {
		t.Errorf("ends at %d of %d", at, len(stream))
	}
	for range dump.Entries(bytes.NewReader(stream), dump.Options{Key: key}) {
		break // a caller may stop anywhere
	}
}

func TestKeys(t *testing.T) {
	tr, key := load(t, "encrypted")
	stream := unhex(t, tr.AToB)
	for _, c := range []struct {
		key  *[32]byte
		err  error
		rows int
	}{{nil, dump.ErrKeyNeeded, 1}, {&[32]byte{1}, dump.ErrWrongKey, 1}} {
		var out bytes.Buffer
		err := dump.Write(&out, bytes.NewReader(stream), dump.Options{Key: c.key})
		if rows := strings.Count(out.String(), "\n"); !errors.Is(err, c.err) || rows != c.rows {
			t.Errorf("%v, %d rows", err, rows)
		}
	}
	plain, _ := load(t, "plain")
	for _, k := range []*[32]byte{nil, key} {
		if err := dump.Write(io.Discard, bytes.NewReader(unhex(t, plain.AToB)), dump.Options{Key: k}); err != nil {
			t.Errorf("not encrypted: %v", err)
		}
	}
}

// TestNative shows the messages hypercore 6 does not have, and messages with faults.
func TestNative(t *testing.T) {
	key := [32]byte(bytes.Repeat([]byte{0xab}, 32))
	var s []byte
	s = wire.AppendFeed(s, 300, wire.Feed{DiscoveryKey: key, Nonce: make([]byte, 24), Capability: key[:]})
	s = wire.AppendHandshake(s, 300, wire.Handshake{UserData: []byte("hi"), Extensions: []string{"ext"}})
	s = wire.AppendRequest(s, 300, wire.Request{Index: 7, Nodes: 1, Wait: true})
	s = wire.AppendRequestRange(s, 300, wire.RequestRange{Start: 8, Length: 10, Nodes: 5, Bytes: 1000})
	s = wire.AppendDataRange(s, 300, wire.DataRange{Start: 8, Sizes: make([]uint64, 10), Nodes: []wire.Node{{Index: 5, Size: 6}}, Signature: make([]byte, 64)})
	s = wire.AppendNoData(s, 300, wire.NoData{Index: 8, Length: 2, Reason: wire.ReasonLater, Bytes: 7, Hash: true})
	s = wire.AppendCancel(s, 300, wire.Cancel{Index: 8, Length: 3})
	s = wire.AppendExtension(s, 300, 0, []byte("a long payload, not shown"))
	s = wire.AppendExtension(s, 300, 1, nil)
	s = wire.AppendKeepAlive(s)
	bits := bytes.Repeat([]byte{0x55, 0xfe, 0xff}, 4)
	s = wire.AppendHave(s, 300, wire.Have{Start: 16, Length: 96, HasBitfield: true, Bitfield: wire.EncodeRLE(nil, bits), Ack: true})
	s = wire.AppendHave(s, 300, wire.Have{Start: 16, Length: 8, HasBitfield: true, Bitfield: []byte{0x80}})
	s = append(s, 4, 0xc5, 0x25, 0x10, 1) // a Want without start
	s = append(s, 3, 0xcd, 0x25, 7)       // type 13
	s = append(s, 5, 0)                   // cut
	var got bytes.Buffer
	err := dump.Write(&got, bytes.NewReader(s), dump.Options{Native: true})
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	file := filepath.Join("testdata", "native.txt")
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || got.String() != string(want) {
		t.Errorf("%v\n%s", err, got.String())
	}
	var e *wire.Error
	if err := dump.Write(io.Discard, bytes.NewReader(s), dump.Options{}); !errors.As(err, &e) || e.Err != wire.ErrChannel {
		t.Errorf("channel 300 in hypercore 6: %v", err)
	}
}

// FuzzEntries: any recording gives lines that cover it, or an error.
func FuzzEntries(f *testing.F) {
	b, err := os.ReadFile(filepath.Join("..", "..", "..", "testdata", "vectors", "transcript-plain.json"))
	if err != nil {
		f.Fatal(err)
	}
	var tr transcript
	if err := json.Unmarshal(b, &tr); err != nil {
		f.Fatal(err)
	}
	for _, d := range []string{tr.AToB, tr.BToA} {
		s, err := hex.DecodeString(d)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		at := uint64(0)
		for e, err := range dump.Entries(bytes.NewReader(stream), dump.Options{}) {
			if err != nil {
				return
			}
			if e.Offset != at || e.String() == "" {
				t.Fatalf("%v, not at %d", e, at)
			}
			at += e.Length
		}
		if at != uint64(len(stream)) {
			t.Fatalf("ends at %d of %d", at, len(stream))
		}
	})
}
