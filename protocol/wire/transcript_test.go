package wire_test

import (
	"bytes"
	"io"
	"reflect"
	"testing"
	"testing/iotest"

	"github.com/go-hypercore/hypercore/protocol/wire"
)

// transcript is what two programs with npm hypercore 6 wrote to each other.
type transcript struct {
	Encrypted  bool
	Feeds      []struct{ Key hexBytes }
	AToB, BToA hexBytes
	Log        []struct {
		From     string
		Wire     hexBytes
		Messages []struct {
			Frame   hexBytes
			Channel uint64
			TypeID  wire.Type
			Type    string
			Message fields
		}
	}
}

var transcripts = []string{"transcript-plain.json", "transcript-encrypted.json", "transcript-live-multi.json", "transcript-static.json"}

// open returns a reader that has read the first Feed and decrypts the rest, if the transcript is
// encrypted.
func (tr *transcript) open(t testing.TB, src io.Reader) (*wire.Reader, wire.Frame) {
	t.Helper()
	r := wire.NewReader(src)
	f, err := r.Next()
	if err != nil || f.Type != wire.TypeFeed {
		t.Fatalf("first frame: %v, %v", f.Type, err)
	}
	f.Body = bytes.Clone(f.Body)
	if tr.Encrypted {
		r.SetCipher(tr.cipher(t, f.Body))
	}
	return r, f
}

// cipher is the key stream after a first Feed.
func (tr *transcript) cipher(t testing.TB, feed []byte) *wire.Cipher {
	var m wire.Feed
	if err := wire.ParseFeed(feed, &m); err != nil || m.Nonce == nil {
		t.Fatalf("%+v, %v", m, err)
	}
	return wire.NewCipher((*[32]byte)(tr.Feeds[0].Key), (*[24]byte)(m.Nonce))
}

// TestTranscripts: both directions, decrypted in pieces of any size, are the messages npm
// hypercore says it wrote, and writing these messages gives the same bytes.
func TestTranscripts(t *testing.T) {
	for _, name := range transcripts {
		var tr transcript
		load(t, name, &tr)
		for side, direction := range map[string]hexBytes{"A": tr.AToB, "B": tr.BToA} {
			for _, src := range []io.Reader{bytes.NewReader(direction), iotest.OneByteReader(bytes.NewReader(direction)), iotest.DataErrReader(bytes.NewReader(direction))} {
				tr.check(t, name+" from "+side, side, direction, src)
			}
		}
	}
}

func (tr *transcript) check(t *testing.T, name, side string, direction []byte, src io.Reader) {
	r, first := tr.open(t, src)
	frames, err := readAll(t, r)
	if err != io.EOF {
		t.Fatalf("%s: %v", name, err)
	}
	frames = append([]wire.Frame{first}, frames...)
	var out bytes.Buffer
	w := wire.NewWriter(&out)
	for _, entry := range tr.Log {
		if entry.From != side {
			continue
		}
		for _, m := range entry.Messages {
			if m.Type == "KeepAlive" {
				w.Buf = wire.AppendKeepAlive(w.Buf)
				continue
			}
			if len(frames) == 0 {
				t.Fatalf("%s: %s is missing", name, m.Type)
			}
			f := frames[0]
			frames = frames[1:]
			if f.Channel != m.Channel || f.Type != m.TypeID {
				t.Fatalf("%s: %v on channel %d, want %s on %d", name, f.Type, f.Channel, m.Type, m.Channel)
			}
			got, err := parse(f.Type, f.Body)
			if want := message(t, m.Type, m.Message); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %s\n got %+v, %v\nwant %+v", name, m.Type, got, err, want)
			}
			n := len(w.Buf)
			w.Buf = encode(w.Buf, f.Channel, got)
			if !bytes.Equal(w.Buf[n:], m.Frame) {
				t.Errorf("%s: %s wrote %x\nwant %x", name, m.Type, w.Buf[n:], m.Frame)
			}
			if tr.Encrypted && w.Written() == 0 && n == 0 {
				w.SetCipher(tr.cipher(t, f.Body), len(w.Buf))
			}
		}
		if len(w.Buf) > 100 {
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Flush(); err != nil || len(frames) > 0 {
		t.Errorf("%s: %d frames more than messages, %v", name, len(frames), err)
	}
	if !bytes.Equal(out.Bytes(), direction) || w.Written() != uint64(len(direction)) || r.Received() != w.Written() {
		t.Errorf("%s: written again it is another stream (%d of %d bytes, %d read)", name, w.Written(), len(direction), r.Received())
	}
}
