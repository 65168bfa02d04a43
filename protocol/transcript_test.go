package protocol_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/protocol/protocoltest"
	"github.com/go-hypercore/hypercore/protocol/wire"
)

// transcript is a recorded exchange between two npm hypercore 6.
type transcript struct {
	Encrypted bool
	Feeds     []struct {
		Key, SecretKey, TreeHash string
		Length                   uint64
	}
	A, B struct {
		Live       bool
		ID         string
		Extensions []string
	}
	Result     []struct{ Length, ByteLength, Downloaded uint64 }
	Log        []struct{ From, Wire, Note string }
	AToB, BToA string
}

func loadTranscript(t *testing.T, name string) *transcript {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "testdata", "vectors", "transcript-"+name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var tr transcript
	if err := json.Unmarshal(b, &tr); err != nil {
		t.Fatal(err)
	}
	return &tr
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// frames decrypts and cuts one direction.
func frames(t *testing.T, raw []byte, key *[32]byte) (out []wire.Frame) {
	t.Helper()
	r := wire.NewReader(bytes.NewReader(raw))
	for {
		f, err := r.Next()
		if err != nil {
			return out
		}
		f.Body = bytes.Clone(f.Body)
		out = append(out, f)
		if len(out) == 1 && key != nil {
			var m wire.Feed
			if err := wire.ParseFeed(f.Body, &m); err != nil {
				t.Fatal(err)
			}
			r.SetCipher(wire.NewCipher(key, (*[wire.NonceLen]byte)(m.Nonce)))
		}
	}
}

// TestTranscriptDownload gives the bytes npm's source sent to our engine. It gets the feed from
// them, and says at the begin what npm's downloader said.
func TestTranscriptDownload(t *testing.T) {
	for _, name := range []string{"plain", "encrypted", "static"} {
		t.Run(name, func(t *testing.T) {
			tr := loadTranscript(t, name)
			bubble.Test(t, func(t *testing.T) {
				b := newSide(t, "b")
				b.id = unhex(t, tr.B.ID)
				key := feed.Key(unhex(t, tr.Feeds[0].Key))
				g := b.clone(key, false)
				ca, cb := protocoltest.Pipe(1 << 20)
				s := b.e.NewStream(cb, protocol.StreamOptions{Dialect: protocol.V6, Plain: !tr.Encrypted, Ends: true, LocalID: b.id, Feeds: []feed.Key{key}})
				protocol.SetNonce(s, func() []byte { return bytes.Repeat([]byte{2}, 24) })
				done := make(chan error, 1)
				go func() { done <- s.Run(ctx) }()
				// What comes after the first Have answers requests of npm's: give it after ours
				// have gone out. Two Datas ended with Info: so does ours.
				raw := unhex(t, tr.AToB)
				ca.Write(raw[:headOf(t, raw, tr)])
				time.Sleep(time.Second)
				ca.Write(raw[headOf(t, raw, tr):])
				if err := wait(t, "end", done); err != nil {
					t.Fatal(err)
				}
				if g.Len() != tr.Result[0].Length || g.ByteLen() != tr.Result[0].ByteLength || g.Downloaded(0, 0) != tr.Result[0].Downloaded {
					t.Fatal("got", g.Len(), g.ByteLen(), g.Downloaded(0, 0))
				}
				sent := readAll(ca)
				var k *[32]byte
				if tr.Encrypted {
					k = (*[32]byte)(&key)
				}
				ours, npms := frames(t, sent, k), frames(t, unhex(t, tr.BToA), k)
				for i := range 3 { // Feed, Handshake, Want
					if ours[i].Type != npms[i].Type || ours[i].Channel != npms[i].Channel || !bytes.Equal(ours[i].Body, npms[i].Body) {
						t.Errorf("frame %d: %v %x, npm's %v %x", i, ours[i].Type, ours[i].Body, npms[i].Type, npms[i].Body)
					}
				}
				last, want := ours[len(ours)-1], npms[len(npms)-1]
				if last.Type != wire.TypeInfo || !bytes.Equal(last.Body, want.Body) {
					t.Errorf("ended with %v %x, npm with %v %x", last.Type, last.Body, want.Type, want.Body)
				}
				if n := count(ours, wire.TypeRequest); n != int(tr.Result[0].Length) {
					t.Error("requests:", n)
				}
			})
		})
	}
}

// headOf is the length of the frames before the first Data.
func headOf(t *testing.T, raw []byte, tr *transcript) int {
	t.Helper()
	var k *[32]byte
	if tr.Encrypted {
		k = (*[32]byte)(unhex(t, tr.Feeds[0].Key))
	}
	n := 0
	for _, f := range frames(t, raw, k) {
		if f.Type == wire.TypeData {
			return n
		}
		body := len(f.Body) + 1
		n += body + 1
		if body >= 128 {
			n++
		}
	}
	return n
}

func count(fs []wire.Frame, typ wire.Type) (n int) {
	for _, f := range fs {
		if f.Type == typ {
			n++
		}
	}
	return n
}

func readAll(c *protocoltest.Conn) (out []byte) {
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		out = append(out, buf[:n]...)
		if err != nil {
			return out
		}
	}
}

// TestTranscriptUpload gives the bytes npm's downloader sent to our engine, which has the feed. All
// that is sent in return is npm's, the Datas in another order.
func TestTranscriptUpload(t *testing.T) {
	for _, name := range []string{"plain", "encrypted", "static"} {
		t.Run(name, func(t *testing.T) {
			tr := loadTranscript(t, name)
			bubble.Test(t, func(t *testing.T) {
				a := newSide(t, "a")
				f := sourceOf(t, name)
				a.add(f)
				key := f.Key()
				ca, cb := protocoltest.Pipe(1 << 20)
				s := a.e.NewStream(ca, protocol.StreamOptions{Dialect: protocol.V6, Plain: !tr.Encrypted, Ends: true, LocalID: unhex(t, tr.A.ID), Feeds: []feed.Key{key}})
				protocol.SetNonce(s, func() []byte { return bytes.Repeat([]byte{1}, 24) })
				done := make(chan error, 1)
				go func() { done <- s.Run(ctx) }()
				cb.Write(unhex(t, tr.BToA))
				if err := wait(t, "end", done); err != nil {
					t.Fatal(err)
				}
				var k *[32]byte
				if tr.Encrypted {
					k = (*[32]byte)(&key)
				}
				ours, npms := frames(t, readAll(cb), k), frames(t, unhex(t, tr.AToB), k)
				if len(ours) != len(npms) {
					t.Fatalf("%d frames, npm sent %d", len(ours), len(npms))
				}
				for _, f := range npms {
					found := false
					for _, g := range ours {
						found = found || g.Type == f.Type && g.Channel == f.Channel && bytes.Equal(g.Body, f.Body)
					}
					if !found {
						t.Errorf("npm sent %v %x, we did not", f.Type, f.Body)
					}
				}
			})
		})
	}
}

// sourceOf makes the feed of a transcript.
func sourceOf(t *testing.T, name string) *feed.Feed {
	t.Helper()
	if name == "static" {
		f := open(t, feed.Options{Static: true})
		if _, err := f.Append(ctx, []byte("a"), []byte("b"), []byte("c")); err != nil {
			t.Fatal(err)
		}
		if err := f.Finalize(ctx); err != nil {
			t.Fatal(err)
		}
		return f
	}
	tr := loadTranscript(t, name)
	f := open(t, feed.Options{SecretKey: unhex(t, tr.Feeds[0].SecretKey)})
	for _, batch := range [][][]byte{{[]byte("hello"), []byte("world"), {}}, {[]byte("abc"), []byte("the fifth block")}} {
		if _, err := f.Append(ctx, batch...); err != nil {
			t.Fatal(err)
		}
		if err := f.Sync(ctx); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// TestTranscriptLive replays npm's side of a live stream with two feeds, step by step, while our
// side does what npm's other side did: blocks, a seek, a new length, an extension, an Unhave.
func TestTranscriptLive(t *testing.T) {
	tr := loadTranscript(t, "live-multi")
	bubble.Test(t, func(t *testing.T) {
		b := newSide(t, "b")
		var keys []feed.Key
		var fs []*feed.Feed
		for i, f := range tr.Feeds {
			keys = append(keys, feed.Key(unhex(t, f.Key)))
			fs = append(fs, b.clone(keys[i], i == 0))
		}
		heard := make(chan string, 1)
		for _, name := range tr.B.Extensions {
			if _, err := b.e.RegisterExtension(keys[0].Discovery(), name, func(_ *protocol.Peer, p []byte) { heard <- name + " " + string(p) }); err != nil {
				t.Fatal(err)
			}
		}
		ca, cb := protocoltest.Pipe(1 << 20)
		s := b.e.NewStream(cb, protocol.StreamOptions{Dialect: protocol.V6, LocalID: unhex(t, tr.B.ID), Feeds: keys, Kin: together})
		protocol.SetNonce(s, func() []byte { return bytes.Repeat([]byte{2}, 24) })
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		results := make(chan error, 8)
		started, seek := 0, uint64(0)
		for _, e := range tr.Log {
			synctest.Wait()
			if e.From == "A" {
				ca.Write(unhex(t, e.Wire))
				continue
			}
			var block, offset uint64
			if n, _ := fmt.Sscanf(e.Note, "B: feed0.get(%d)", &block); n == 1 {
				started++
				go func() { _, err := fs[0].Get(ctx, block); results <- err }()
			}
			if n, _ := fmt.Sscanf(e.Note, "B: feed0.seek(%d)", &offset); n == 1 {
				seek = offset
				go fs[0].Seek(ctx, offset)
			}
		}
		// npm believes the sizes in the answer to a seek; we look at the block as well.
		synctest.Wait()
		if d := fs[0].Demand(); len(d.Blocks) != 1 || d.Blocks[0] != seek/10 {
			t.Errorf("after the seek for byte %d: %+v", seek, d)
		}
		for range started {
			if err := wait(t, "results", results); err != nil {
				t.Error(err)
			}
		}
		for i, f := range fs {
			if r := tr.Result[i]; f.Len() != r.Length || f.ByteLen() != r.ByteLength || f.Downloaded(0, 0) != r.Downloaded {
				t.Errorf("feed %d: %d blocks of %d, %d bytes; want %+v", i, f.Downloaded(0, 0), f.Len(), f.ByteLen(), r)
			}
		}
		if x := <-heard; x != "beta ping" {
			t.Error("extension:", x)
		}
		ours := frames(t, drainConn(ca), (*[32]byte)(&keys[0]))
		npms := frames(t, unhex(t, tr.BToA), (*[32]byte)(&keys[0]))
		for i := range 3 {
			if ours[i].Type != npms[i].Type || !bytes.Equal(ours[i].Body, npms[i].Body) {
				t.Errorf("frame %d: %v %x, npm's %v %x", i, ours[i].Type, ours[i].Body, npms[i].Type, npms[i].Body)
			}
		}
		// The requests for single blocks carry npm's digests.
		for _, f := range npms {
			var m wire.Request
			if f.Type != wire.TypeRequest || wire.ParseRequest(f.Body, &m) != nil || m.Hash {
				continue
			}
			found := false
			for _, g := range ours {
				found = found || g.Type == f.Type && g.Channel == f.Channel && bytes.Equal(g.Body, f.Body)
			}
			if !found {
				t.Errorf("npm requested %+v, we did not", m)
			}
		}
		s.Close()
		<-done
	})
}

// drainConn reads what is there.
func drainConn(c *protocoltest.Conn) []byte {
	c.CloseWrite()
	return readAll(c)
}
