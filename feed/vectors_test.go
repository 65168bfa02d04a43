package feed_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/store"
)

// vectors reads a file made by npm hypercore.
func vectors(t testing.TB, name string, v any) {
	t.Helper()
	b, err := os.ReadFile("../testdata/vectors/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}

type hexBytes []byte

func (h *hexBytes) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	p, err := hex.DecodeString(s)
	*h = p
	return err
}

// fileVector is a file, as [offset, hex] of what is not zero.
type fileVector struct {
	Length int
	Sha256 string
	Chunks [][2]any
}

func (v fileVector) bytes(t testing.TB) []byte {
	b := make([]byte, v.Length)
	for _, c := range v.Chunks {
		p, err := hex.DecodeString(c[1].(string))
		if err != nil {
			t.Fatal(err)
		}
		copy(b[int(c[0].(float64)):], p)
	}
	if s := sha256.Sum256(b); hex.EncodeToString(s[:]) != v.Sha256 {
		t.Fatal("the vector's chunks do not make its file")
	}
	return b
}

type treeVectors struct {
	Cases []struct {
		Name           string
		Key, SecretKey hexBytes
		Batches        [][]json.RawMessage
		Length         uint64
		ByteLength     uint64
		TreeHash       hexBytes
		Files          struct {
			Key, Tree, Signatures hexBytes
			SecretKey             hexBytes `json:"secret_key"`
			Bitfield              fileVector
		}
		V9     hexBytes `json:"v9_signatures"`
		Static struct {
			Key, Signatures hexBytes
		}
	}
}

// content is block i of size n in the vectors: the AES-128-CTR keystream of an
// all-zero key from counter u64be(i) | u64be(0) on.
func content(t testing.TB, i uint64, n int) []byte {
	var key, iv [16]byte
	binary.BigEndian.PutUint64(iv[:], i)
	c, err := aes.NewCipher(key[:])
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, n)
	cipher.NewCTR(c, iv[:]).XORKeyStream(b, b)
	return b
}

// blockOf reads block i of the vectors: hex, or the size and hash of its content.
func blockOf(t testing.TB, i uint64, raw json.RawMessage) []byte {
	t.Helper()
	var b hexBytes
	if raw[0] == '"' {
		if err := json.Unmarshal(raw, &b); err != nil {
			t.Fatal(err)
		}
		return b
	}
	var h struct {
		Size   int
		Sha256 string
	}
	if err := json.Unmarshal(raw, &h); err != nil {
		t.Fatal(err)
	}
	b = content(t, i, h.Size)
	if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != h.Sha256 {
		t.Fatalf("the content of block %d is not the vector's", i)
	}
	return b
}

// file returns the content of a stored file, nil if it does not exist.
func file(t testing.TB, st store.Storage, name string) []byte {
	t.Helper()
	f, err := st.Open(name, false)
	if err != nil {
		return nil
	}
	defer f.Close()
	n, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(io.NewSectionReader(f, 0, n))
	if err != nil {
		t.Fatal(err)
	}
	if b == nil {
		b = []byte{}
	}
	return b
}

// put makes a file with this content.
func put(t testing.TB, st store.Storage, name string, b []byte) {
	t.Helper()
	f, err := st.Open(name, true)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(int64(len(b))); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(b, 0); err != nil {
		t.Fatal(err)
	}
}

func same(t *testing.T, name string, got, want []byte) {
	t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Errorf("%s: byte %d is %02x, want %02x", name, i, got[i], want[i])
			return
		}
	}
	t.Errorf("%s: %d bytes, want %d", name, len(got), len(want))
}

// TestFilesOfHypercore6 writes the files that npm hypercore 6 writes, byte for
// byte, opens its files, and goes on where it stopped.
func TestFilesOfHypercore6(t *testing.T) {
	ctx := context.Background()
	var v treeVectors
	vectors(t, "trees.json", &v)
	for _, c := range v.Cases {
		t.Run(c.Name, func(t *testing.T) {
			var batches [][][]byte
			var all [][]byte
			for _, raw := range c.Batches {
				var batch [][]byte
				for _, r := range raw {
					batch = append(batch, blockOf(t, uint64(len(all)), r))
					all = append(all, batch[len(batch)-1])
				}
				batches = append(batches, batch)
			}
			data := bytes.Join(all, nil)
			secret := ed25519.PrivateKey(c.SecretKey)
			st := store.Memory()
			f := open(t, st, feed.Options{SecretKey: secret})
			for i, blocks := range batches {
				if _, err := f.Append(ctx, blocks...); err != nil {
					t.Fatal(err)
				}
				if i == len(c.Batches)/2 { // in two commits
					if err := f.Sync(ctx); err != nil {
						t.Fatal(err)
					}
				}
			}
			if f.Len() != c.Length || f.ByteLen() != c.ByteLength {
				t.Errorf("%d blocks, %d bytes", f.Len(), f.ByteLen())
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			same(t, "key", file(t, st, "key"), c.Files.Key)
			same(t, "secret_key", file(t, st, "secret_key"), c.Files.SecretKey)
			same(t, "tree", file(t, st, "tree"), c.Files.Tree)
			same(t, "signatures", file(t, st, "signatures"), c.Files.Signatures)
			same(t, "data", file(t, st, "data"), data)
			same(t, "bitfield", file(t, st, "bitfield"), c.Files.Bitfield.bytes(t))

			for _, sigs := range [][]byte{c.Files.Signatures, c.V9} {
				js := store.Memory()
				put(t, js, "key", c.Files.Key)
				put(t, js, "secret_key", c.Files.SecretKey)
				put(t, js, "tree", c.Files.Tree)
				put(t, js, "signatures", sigs)
				put(t, js, "bitfield", c.Files.Bitfield.bytes(t))
				if c.ByteLength > 0 {
					put(t, js, "data", data)
				}
				g := open(t, js, feed.Options{})
				check(t, g, all)
				audit(t, g)
				for i := range 3 {
					b := fmt.Appendf(nil, "more %d", i)
					if _, err := g.Append(ctx, b); err != nil {
						t.Fatal(err)
					}
				}
				if err := g.Close(); err != nil {
					t.Fatal(err)
				}
				g = open(t, js, feed.Options{})
				check(t, g, append(all[:len(all):len(all)], []byte("more 0"), []byte("more 1"), []byte("more 2")))
				audit(t, g)
				g.Close()
			}

			static := store.Memory()
			s := open(t, static, feed.Options{Static: true})
			if _, err := s.Append(ctx, all...); err != nil {
				t.Fatal(err)
			}
			if err := s.Finalize(ctx); err != nil {
				t.Fatal(err)
			}
			s.Close()
			same(t, "static key", file(t, static, "key"), c.Static.Key)
			same(t, "static signatures", file(t, static, "signatures"), c.Static.Signatures)
			same(t, "static tree", file(t, static, "tree"), c.Files.Tree)
			s = open(t, static, feed.Options{})
			check(t, s, all)
			audit(t, s)
			if _, err := s.Append(ctx, []byte("x")); err == nil {
				t.Error("a finalized feed was appended to")
			}
		})
	}
}

// audit checks that nothing is wrong with the files.
func audit(t testing.TB, f *feed.Feed) feed.AuditReport {
	t.Helper()
	r, err := f.Audit(context.Background(), feed.AuditOptions{})
	if err != nil {
		t.Fatalf("audit: %v", err)
	}
	if !r.OK() {
		t.Fatalf("audit: %d problems, %d invalid blocks: %v", r.Count, r.Invalid, r.Problems[:min(5, len(r.Problems))])
	}
	return r
}

func TestKeys(t *testing.T) {
	var v struct {
		Pairs []struct {
			PublicKey    feed.Key
			DiscoveryKey feed.DiscoveryKey
		}
		DiscoveryKeys []struct {
			Key          feed.Key
			DiscoveryKey feed.DiscoveryKey
		}
	}
	vectors(t, "keys.json", &v)
	for _, p := range v.Pairs {
		if got := p.PublicKey.Discovery(); got != p.DiscoveryKey {
			t.Errorf("%v: %v, want %v", p.PublicKey, got, p.DiscoveryKey)
		}
	}
	for _, p := range v.DiscoveryKeys {
		if got := p.Key.Discovery(); got != p.DiscoveryKey {
			t.Errorf("%v: %v, want %v", p.Key, got, p.DiscoveryKey)
		}
	}
	hexKey := v.Pairs[0].PublicKey.String()
	for _, s := range []string{hexKey, "dat://" + hexKey, "HYPER://" + hexKey + "/", " " + hexKey + "\n"} {
		if k, err := feed.ParseKey(s); err != nil || k != v.Pairs[0].PublicKey {
			t.Errorf("ParseKey(%q) = %v, %v", s, k, err)
		}
	}
	for _, s := range []string{"", hexKey[1:], hexKey + "0", "x" + hexKey[1:], "http://" + hexKey, hexKey + "//"} {
		if _, err := feed.ParseKey(s); err == nil {
			t.Errorf("ParseKey(%q) succeeded", s)
		}
	}
}

// TestSeekVectors compares Seek with feed.seek.
func TestSeekVectors(t *testing.T) {
	ctx := context.Background()
	var v struct {
		Cases []struct {
			Sizes []int
			Seeks []struct {
				ByteOffset, Index, Rel uint64
				Error                  string
			}
		}
	}
	vectors(t, "seek.json", &v)
	for _, c := range v.Cases {
		f := open(t, store.Memory(), feed.Options{})
		var blocks [][]byte
		for i, n := range c.Sizes {
			blocks = append(blocks, bytes.Repeat([]byte{byte(i + 1)}, n))
		}
		if _, err := f.Append(ctx, blocks...); err != nil {
			t.Fatal(err)
		}
		for _, s := range c.Seeks {
			index, rel, err := f.Seek(ctx, s.ByteOffset)
			if (err != nil) != (s.Error != "") || index != s.Index || rel != s.Rel {
				t.Errorf("%v: Seek(%d) = %d, %d, %v; want %d, %d, %s", c.Sizes, s.ByteOffset, index, rel, err, s.Index, s.Rel, s.Error)
			}
		}
		f.Close()
	}
}

// TestCloneVectors downloads what the vectors' clones downloaded: the same files
// result.
func TestCloneVectors(t *testing.T) {
	ctx := context.Background()
	var v struct {
		Clones []struct {
			Name                    string
			SourceLength, BlockSize int
			Order                   []uint64
			Length, ByteLength      uint64
			StoredSignatures        []uint64
			TreeFileLength          int
			SignaturesFileLength    int
			DataFileLength          int
			BitfieldFile            fileVector
		}
	}
	vectors(t, "bitfield.json", &v)
	for _, c := range v.Clones {
		t.Run(c.Name, func(t *testing.T) {
			src := open(t, store.Memory(), feed.Options{})
			var blocks [][]byte
			for i := range c.SourceLength {
				blocks = append(blocks, bytes.Repeat([]byte{byte(i)}, c.BlockSize))
			}
			if _, err := src.Append(ctx, blocks...); err != nil {
				t.Fatal(err)
			}
			if err := src.Sync(ctx); err != nil {
				t.Fatal(err)
			}
			st := store.Memory()
			dst := open(t, st, feed.Options{Key: src.Key()})
			for _, i := range c.Order {
				transfer(t, src, dst, i)
			}
			if dst.Len() != c.Length || dst.ByteLen() != c.ByteLength {
				t.Errorf("%d blocks, %d bytes", dst.Len(), dst.ByteLen())
			}
			audit(t, dst)
			if err := dst.Close(); err != nil {
				t.Fatal(err)
			}
			same(t, "bitfield", file(t, st, "bitfield"), c.BitfieldFile.bytes(t))
			for name, want := range map[string]int{"tree": c.TreeFileLength, "signatures": c.SignaturesFileLength, "data": c.DataFileLength} {
				if got := len(file(t, st, name)); got != want {
					t.Errorf("%s: %d bytes, want %d", name, got, want)
				}
			}
		})
	}
}

// transfer copies a block with the proof that a peer would ask for.
func transfer(t testing.TB, src, dst *feed.Feed, i uint64) {
	t.Helper()
	p := prove(t, src, i, dst.Digest(i))
	if n, err := dst.Apply(context.Background(), []feed.Proof{p}); n != 1 || err != nil {
		t.Fatalf("Apply block %d: %d, %v", i, n, err)
	}
}

func prove(t testing.TB, src *feed.Feed, i, digest uint64) feed.Proof {
	t.Helper()
	var p feed.Proof
	if err := src.Prove(feed.ProofRequest{Index: i, Digest: digest}, nil, &p); err != nil {
		t.Fatal(err)
	}
	var err error
	if p.Value, err = src.ReadBlock([]byte{}, i); err != nil {
		t.Fatal(err)
	}
	return p
}
