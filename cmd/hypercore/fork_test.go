package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/feed/merkle"
)

// signedSide is a history of one block.
func signedSide(secret ed25519.PrivateKey, block string) feed.ForkSide {
	leaf := merkle.Leaf(0, []byte(block))
	hash := merkle.TreeHash([]merkle.Node{leaf})
	return feed.ForkSide{Length: 1, Roots: []merkle.Node{leaf}, Signature: ed25519.Sign(secret, hash[:]), Node: leaf}
}

// The evidence is explained from the file alone; what proves nothing is exit code 2.
func TestForkExplain(t *testing.T) {
	secret := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{3}, ed25519.SeedSize))
	key := feed.Key(secret.Public().(ed25519.PublicKey))
	fork := feed.ForkEvidence{Key: key, Ours: signedSide(secret, "one"), Theirs: signedSide(secret, "another")}
	same, forged := fork, fork
	same.Theirs = same.Ours
	forged.Theirs.Signature = make([]byte, ed25519.SignatureSize)
	for _, c := range []struct {
		name string
		file any
		code int
		says string
	}{
		{"fork", &fork, 0, key.String() + "\nsigned two histories"},
		{"one history", &same, 2, "proves nothing"},
		{"not signed", &forged, 2, "second side"},
		{"not evidence", map[string]int{"a": 1}, 2, "proves nothing"},
		{"not JSON", nil, 2, "proves nothing"},
	} {
		file := []byte("what is this")
		if c.file != nil {
			var err error
			if file, err = json.Marshal(c.file); err != nil {
				t.Fatal(err)
			}
		}
		var out, talk bytes.Buffer
		if code := run([]string{"fork", "explain", "-"}, bytes.NewReader(file), &out, &talk); code != c.code {
			t.Errorf("%s: exit code %d, want %d\n%s", c.name, code, c.code, talk.String())
		}
		if s := out.String() + talk.String(); !strings.Contains(s, c.says) {
			t.Errorf("%s: it should say %q:\n%s", c.name, c.says, s)
		}
		out.Reset()
		run([]string{"fork", "explain", "-", "--json"}, bytes.NewReader(file), &out, &talk)
		var j forkJSON
		if err := json.Unmarshal(out.Bytes(), &j); err != nil || j.Proven != (c.code == 0) || j.Proven && *j.Blocks != (feed.Span{Start: 0, End: 1}) {
			t.Errorf("%s: %v: %s", c.name, err, out.String())
		}
	}
}
