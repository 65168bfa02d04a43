package control_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node/control"
	"github.com/go-hypercore/hypercore/node/guard"
	"github.com/go-hypercore/hypercore/store"
)

// noListener never has a connection.
type noListener struct{ closed chan struct{} }

func (l noListener) Accept() (net.Conn, error) { <-l.closed; return nil, net.ErrClosed }
func (l noListener) Close() error              { close(l.closed); return nil }
func (l noListener) Addr() net.Addr            { return &net.UnixAddr{} }

// keeper is a backend with rules.
type keeper struct {
	backend
	rules *[]control.PeerRule
}

func (k keeper) NodePeers() []control.NodePeer              { return nil }
func (k keeper) SetPeerRules(list []control.PeerRule) error { *k.rules = list; return nil }

// FuzzServer asks anything of a node: it answers, with JSON where it says so, and what was appended
// stays.
func FuzzServer(f *testing.F) {
	ctx := context.Background()
	g, err := feed.Open(ctx, store.Memory(), feed.Options{Durability: feed.NoSync})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { g.Close() })
	if _, err := g.Append(ctx, []byte("a"), []byte("bb"), []byte("ccc")); err != nil {
		f.Fatal(err)
	}
	k := "/v1/feeds/" + g.Key().String()
	for _, target := range []string{
		"/v1/node", "/v1/feeds", "/v1/feeds?dir=/x", k, k + "/peers", k + "/append?cut=lines&size=9", k + "/append?cut=chunk&size=1", k + "/append",
		k + "/blocks/1", k + "/blocks/18446744073709551615", k + "/blocks?start=1&end=9", k + "/blocks?tail=2&live=true", k + "/verify", "/v1/feeds/x",
		"/v1/peers", "/v1/peers/rules",
	} {
		f.Add(false, target, []byte("one\ntwo\n"))
		f.Add(true, target, []byte(`[{"peer":"10.0.0.0/8","action":"block","reason":"why","since":"2026-01-02T03:04:05Z"}]`))
	}
	f.Fuzz(func(t *testing.T, post bool, target string, body []byte) {
		method := "GET"
		if post {
			method = "POST"
			if strings.HasPrefix(target, "/v1/peers") {
				method = "PUT"
			}
		}
		ctx, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, method, "http://node", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if r.URL, err = r.URL.Parse(target); err != nil || r.URL.Path == "" || r.URL.Path[0] != '/' {
			return
		}
		if g.Len() > 1000 { // a long one makes it slow
			return
		}
		s := control.NewServer(noListener{make(chan struct{})}, keeper{backend{control.OpenFeed{Feed: g}}, new([]control.PeerRule)})
		defer s.Close()
		before := g.Len()
		w := httptest.NewRecorder()
		control.Handler(s).ServeHTTP(w, r)
		if w.Code != 200 && w.Code < 300 || w.Code > 599 {
			t.Fatalf("%s %s: %d", method, target, w.Code)
		}
		if w.Header().Get("Content-Type") == "application/json" && !json.Valid(w.Body.Bytes()) {
			t.Fatalf("%s %s: %q", method, target, w.Body)
		}
		if g.Len() < before || !post && g.Len() != before {
			t.Fatalf("%s %s: %d blocks, now %d", method, target, before, g.Len())
		}
	})
}

// FuzzFrames reads blocks as a node streams them: what was read is written the same, and lengths that
// are only said cost no memory.
func FuzzFrames(f *testing.F) {
	f.Add(control.AppendFrame(control.AppendFrame(nil, 3, []byte("abc")), 1<<60, nil))
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 3, 'x'})
	f.Add(bytes.Repeat([]byte{0xff}, 30))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bufio.NewReader(bytes.NewReader(b))
		var buf, out []byte
		var canonical bool
		for {
			index, data, err := control.ReadFrame(r, buf)
			if err != nil {
				canonical = err == io.EOF
				break
			}
			if cap(data) > 2*len(b)+1<<17 {
				t.Fatalf("%d bytes for a block of an input of %d", cap(data), len(b))
			}
			buf = data
			out = control.AppendFrame(out, index, data)
		}
		if canonical && len(out) > len(b) {
			t.Fatalf("%x is written as %x", b, out)
		}
	})
}

// FuzzHome puts anything into the files of a home.
func FuzzHome(f *testing.F) {
	f.Add([]byte("host 0011"), []byte("17"), []byte(`[{"peer":"x","action":"allow"}]`), "dat://00")
	f.Add([]byte{0}, []byte("18446744073709551616"), []byte{}, "hyper://"+string(bytes.Repeat([]byte("a"), 64))+"/x")
	dir := f.TempDir() // each worker has its own
	f.Fuzz(func(t *testing.T, identity, announced, role []byte, arg string) {
		h, err := control.OpenHome(dir)
		if err != nil {
			t.Fatal(err)
		}
		dk := feed.DiscoveryKey{1}
		for path, b := range map[string][]byte{"identity": identity, "announced/" + dk.String(): announced, "nodes/0/role": role, "peers.json": role} {
			path = filepath.Join(dir, path)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, b, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		if id, err := h.Guard().Identity(); err == nil && (id == "" || len(id) > feed.MaxIdentity) {
			t.Fatalf("identity %q", id)
		}
		if n, err := h.Guard().Announced(dk); n >= 1<<53 || err != nil && (n != 0 || !errors.Is(err, guard.ErrRecord)) {
			t.Fatal(n, err)
		}
		if err := h.Guard().SetAnnounced(dk, 5); err != nil {
			t.Fatal(err)
		}
		if n, err := h.Guard().Announced(dk); n != 5 || err != nil {
			t.Fatal(n, err)
		}
		if s, err := h.Claim("node"); err == nil {
			s.Close()
		} else {
			t.Fatal(err)
		}
		h.Slots()
		if list, err := h.PeerRules(); err == nil {
			again, err := h.ChangePeerRules(t.Context(), func(l []control.PeerRule) []control.PeerRule { return l })
			if err != nil || len(again) != len(list) {
				t.Fatalf("%q: %v", role, err)
			}
		}
		if k, err := control.ParseKey(arg); err == nil {
			if again, err := control.ParseKey(k.String()); err != nil || again != k || !control.LooksLikeKey(arg) {
				t.Fatalf("%q: %v", arg, err)
			}
		}
	})
}
