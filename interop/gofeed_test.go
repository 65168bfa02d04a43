package interop

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/feed/bitfield"
	"github.com/go-hypercore/hypercore/store"
)

// digest is what a side says about the blocks it holds: the driver computes the
// same.
type digest struct {
	Blocks, Bytes uint64
	Framed        string // sha256 over index, size and bytes of each block
	SHA256        string // sha256 over the bytes alone
}

// openGo opens a directory here; the test closes it.
func openGo(t testing.TB, dir string, o feed.Options) *feed.Feed {
	t.Helper()
	f, err := feed.Open(ctx(t), store.Dir(dir), o)
	if err != nil {
		t.Fatalf("open %s: %v", filepath.Base(dir), err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func closeGo(t testing.TB, f *feed.Feed) {
	t.Helper()
	if err := f.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

func appendGo(t testing.TB, f *feed.Feed, blocks ...[]byte) {
	t.Helper()
	if _, err := f.Append(ctx(t), blocks...); err != nil {
		t.Fatalf("append: %v", err)
	}
}

// generateGo appends blocks up to end in batches, continuing the content.
func generateGo(t testing.TB, f *feed.Feed, c content, count uint64, batch uint64) {
	t.Helper()
	for end := f.Len() + count; f.Len() < end; {
		appendGo(t, f, c.blocks(f.Len(), min(f.Len()+batch, end))...)
	}
}

func digestGo(t testing.TB, f *feed.Feed) digest {
	t.Helper()
	var d digest
	framed, plain := sha256.New(), sha256.New()
	var buf []byte
	for i := range f.Len() {
		if !f.Has(i) {
			continue
		}
		var err error
		if buf, err = f.ReadBlock(buf[:0], i); err != nil {
			t.Fatalf("block %d: %v", i, err)
		}
		var head [12]byte
		binary.BigEndian.PutUint64(head[:], i)
		binary.BigEndian.PutUint32(head[8:], uint32(len(buf)))
		framed.Write(head[:])
		framed.Write(buf)
		plain.Write(buf)
		d.Blocks++
		d.Bytes += uint64(len(buf))
	}
	d.Framed, d.SHA256 = hex.EncodeToString(framed.Sum(nil)), hex.EncodeToString(plain.Sum(nil))
	return d
}

func hasGo(f *feed.Feed) [][2]uint64 {
	ranges := [][2]uint64{}
	for i := range f.Len() {
		if !f.Has(i) {
			continue
		}
		if n := len(ranges); n > 0 && ranges[n-1][1] == i {
			ranges[n-1][1]++
		} else {
			ranges = append(ranges, [2]uint64{i, i + 1})
		}
	}
	return ranges
}

// auditGo reads everything and checks it: no invalid block, a valid signature.
func auditGo(t testing.TB, f *feed.Feed) feed.AuditReport {
	t.Helper()
	r, err := f.Audit(ctx(t), feed.AuditOptions{})
	if err != nil {
		t.Fatalf("audit: %v", err)
	}
	if r.Invalid != 0 {
		t.Fatalf("audit: %d of %d blocks are invalid: %v", r.Invalid, r.Present, r.Problems)
	}
	if f.Len() > 0 && !f.Static() && r.Signature != feed.SignatureValid {
		t.Fatalf("audit: the signature is %v", r.Signature)
	}
	return r
}

// sameDigest compares what two sides hold.
func sameDigest(t testing.TB, what string, got, want digest) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: %+v, want %+v", what, got, want)
	}
}

func mustKey(t testing.TB, s string) feed.Key {
	t.Helper()
	k, err := feed.ParseKey(s)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// fixedSecret is the key pair of the vectors.
func fixedSecret(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	return unhex(t, "53729c0311846cca9cc0eded07aaf9e6689705b6a0b1bb8c3a2a839b72fda3839718a1ff1c4ca79feac551c0c7212a65e4091278ec886b88be01ee4039682238")
}

// readFile returns a file of a directory, nil if it does not exist.
func readFile(t testing.TB, dir, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return b
}

// copyDir copies the files of a directory, holes and all.
func copyDir(t testing.TB, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

// modelDigest is the digest of blocks in memory; nil ones are not here.
func modelDigest(blocks [][]byte) digest {
	var d digest
	framed, plain := sha256.New(), sha256.New()
	for i, b := range blocks {
		if b == nil {
			continue
		}
		var head [12]byte
		binary.BigEndian.PutUint64(head[:], uint64(i))
		binary.BigEndian.PutUint32(head[8:], uint32(len(b)))
		framed.Write(head[:])
		framed.Write(b)
		plain.Write(b)
		d.Blocks++
		d.Bytes += uint64(len(b))
	}
	d.Framed, d.SHA256 = hex.EncodeToString(framed.Sum(nil)), hex.EncodeToString(plain.Sum(nil))
	return d
}

// cloneGo applies the proofs of one feed to another: the given blocks, or all.
func cloneGo(t *testing.T, source, clone *feed.Feed, only []uint64) {
	t.Helper()
	if err := source.Sync(ctx(t)); err != nil {
		t.Fatal(err)
	}
	if only == nil {
		for i := range source.Len() {
			only = append(only, i)
		}
	}
	var remote bitfield.Bits
	for _, i := range only {
		var p feed.Proof
		req := feed.ProofRequest{Index: i, Digest: clone.Digest(i)}
		if err := source.Prove(req, &remote, &p); err != nil {
			t.Fatalf("prove block %d: %v", i, err)
		}
		value, err := source.ReadBlock(nil, i)
		if err != nil {
			t.Fatal(err)
		}
		if value == nil {
			value = []byte{}
		}
		p.Value = value
		if _, err := clone.Apply(ctx(t), []feed.Proof{p}); err != nil {
			t.Fatalf("apply block %d: %v", i, err)
		}
	}
}
