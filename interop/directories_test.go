package interop

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"reflect"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/feed/merkle"
)

const dirs = "Directories"

var small = content{seed: 1, min: 0, max: 400}

// TestDirectories moves whole feeds between npm and this, in both directions.
func TestDirectories(t *testing.T) {
	d := js(t)

	cases(t, dirs, "npm writes, this reads and verifies", versions, func(t *testing.T, v string) {
		dir := t.TempDir()
		n := d.open(t, v, dir, npmOpts{})
		n.generate(t, small, 300, 7)
		want := n.refresh(t).npmInfo
		sum := n.digest(t)
		n.close(t)

		f := openGo(t, dir, feed.Options{MustExist: true})
		if f.Key().String() != want.Key || f.Len() != want.Length || f.ByteLen() != want.ByteLength || !f.Writable() {
			t.Fatalf("key %v, %d blocks, %d bytes, writable %v; npm: %+v", f.Key(), f.Len(), f.ByteLen(), f.Writable(), want)
		}
		sameDigest(t, "blocks read here", digestGo(t, f), sum)
		auditGo(t, f)
	})

	cases(t, dirs, "npm writes, this appends, npm audits and appends, this again", versions, func(t *testing.T, v string) {
		dir := t.TempDir()
		n := d.open(t, v, dir, npmOpts{})
		n.generate(t, small, 100, 9)
		n.close(t)
		relay(t, d, v, dir, small)
	})

	cases(t, dirs, "this writes, npm audits, verifies and appends, this again", versions, func(t *testing.T, v string) {
		dir := t.TempDir()
		f := openGo(t, dir, feed.Options{})
		generateGo(t, f, small, 100, 9)
		closeGo(t, f)
		n := d.open(t, v, dir, npmOpts{})
		if n.Length != 100 || !n.Writable {
			t.Fatalf("npm opened it as %+v", n.npmInfo)
		}
		n.audit(t)
		n.verify(t)
		n.close(t)
		relay(t, d, v, dir, small)
	})

	cases(t, dirs, "0-byte blocks", versions, func(t *testing.T, v string) {
		dir := t.TempDir()
		n := d.open(t, v, dir, npmOpts{})
		n.append(t, nil, []byte("a"), nil, nil)
		n.append(t, nil)
		n.close(t)
		f := openGo(t, dir, feed.Options{})
		appendGo(t, f, nil)
		appendGo(t, f, []byte("b"), nil)
		sum := digestGo(t, f)
		auditGo(t, f)
		closeGo(t, f)
		n = d.open(t, v, dir, npmOpts{})
		n.audit(t)
		sameDigest(t, "npm", n.digest(t), sum)
		n.verify(t)
		n.close(t)
	})

	cases(t, dirs, "only 0-byte blocks", versions, func(t *testing.T, v string) {
		dir := t.TempDir()
		f := openGo(t, dir, feed.Options{})
		appendGo(t, f, nil, nil, nil)
		sum := digestGo(t, f)
		closeGo(t, f)
		n := d.open(t, v, dir, npmOpts{})
		n.audit(t)
		sameDigest(t, "npm", n.digest(t), sum)
		n.append(t, nil)
		n.close(t)
		f = openGo(t, dir, feed.Options{})
		if f.Len() != 4 || f.ByteLen() != 0 {
			t.Fatalf("%d blocks, %d bytes", f.Len(), f.ByteLen())
		}
		auditGo(t, f)
	})

	cases(t, dirs, "blocks of 1 MiB and of 4 MiB", versions, func(t *testing.T, v string) {
		dir := t.TempDir()
		n := d.open(t, v, dir, npmOpts{})
		n.generate(t, content{seed: 2, min: 1 << 20, max: 1 << 20}, 4, 2)
		n.close(t)
		f := openGo(t, dir, feed.Options{})
		generateGo(t, f, content{seed: 2, min: 4 << 20, max: 4 << 20}, 2, 1)
		auditGo(t, f)
		sum := digestGo(t, f)
		closeGo(t, f)
		n = d.open(t, v, dir, npmOpts{})
		n.audit(t)
		sameDigest(t, "npm", n.digest(t), sum)
		n.verify(t)
		n.close(t)
	})

	// These take seconds each: with all versions only where time does not matter.
	some := versions
	if !*large {
		some = versions[:1]
	}
	many := content{seed: 3, min: 10, max: 200}
	cases(t, dirs, "100,000 blocks of 10 to 200 bytes, written by npm", some, func(t *testing.T, v string) {
		dir := t.TempDir()
		n := d.open(t, v, dir, npmOpts{})
		n.generate(t, many, 100000, 1000)
		sum := n.digest(t)
		n.close(t)
		f := openGo(t, dir, feed.Options{})
		sameDigest(t, "read here", digestGo(t, f), sum)
		auditGo(t, f)
		appendGo(t, f, many.block(100000))
		closeGo(t, f)
		n = d.open(t, v, dir, npmOpts{})
		n.call(t, "check", obj{"seed": many.seed, "min": many.min, "max": many.max}, nil)
		if n.Length != 100001 {
			t.Fatalf("npm sees %d blocks", n.Length)
		}
		n.verify(t)
		n.close(t)
	})

	cases(t, dirs, "100,000 blocks of 10 to 200 bytes, written here", some, func(t *testing.T, v string) {
		dir := t.TempDir()
		f := openGo(t, dir, feed.Options{})
		generateGo(t, f, many, 100000, 1000)
		closeGo(t, f)
		n, err := d.tryOpen(v, dir, npmOpts{})
		if v == "6.22" {
			manyPages(t, d, n, err, 100000, dirs, "100,000 blocks of 10 to 200 bytes, written here")
		}
		if err != nil {
			t.Fatal(err)
		}
		if n.Length != 100000 {
			t.Fatalf("npm sees %d blocks", n.Length)
		}
		n.audit(t)
		n.call(t, "check", obj{"seed": many.seed, "min": many.min, "max": many.max}, nil)
		n.verify(t)
		n.close(t)
	})
}

// relay lets this and npm append to a directory in turns and checks that both
// agree after each turn. All blocks are of the content.
func relay(t *testing.T, d *driver, v, dir string, c content) {
	t.Helper()
	for turn := range 2 {
		f := openGo(t, dir, feed.Options{})
		generateGo(t, f, c, 41, 6)
		sum := digestGo(t, f)
		length, size := f.Len(), f.ByteLen()
		closeGo(t, f)

		n := d.open(t, v, dir, npmOpts{})
		if n.Length != length || n.ByteLength != size {
			t.Fatalf("turn %d: npm sees %d blocks of %d bytes, written %d of %d", turn, n.Length, n.ByteLength, length, size)
		}
		n.audit(t)
		n.verify(t)
		sameDigest(t, "npm after this", n.digest(t), sum)
		n.generate(t, c, 37, 5)
		n.audit(t)
		n.verify(t)
		sum = n.digest(t)
		n.close(t)

		f = openGo(t, dir, feed.Options{})
		sameDigest(t, "this after npm", digestGo(t, f), sum)
		auditGo(t, f)
		closeGo(t, f)
	}
}

// manyPages shows, if 6.22 does not see all blocks of a directory made here, that it
// reads no bitfield of several pages that a later version of npm wrote either. n
// and err are what opening it gave.
func manyPages(t *testing.T, d *driver, n *npmFeed, err error, length uint64, theme, name string) {
	t.Helper()
	if err == nil && n.Length == length {
		return
	}
	if err == nil {
		n.close(t)
	}
	dir := t.TempDir()
	six := d.open(t, "6", dir, npmOpts{})
	six.generate(t, content{seed: 3, min: 10, max: 200}, 20000, 1000)
	six.close(t)
	theirs, err := d.tryOpen("6.22", dir, npmOpts{})
	if err == nil {
		theirs.close(t)
		if theirs.Length == 20000 {
			t.Fatal("6.22 reads the bitfield of 6.26 but not ours")
		}
	}
	reason(t, theme, name, "6.22", "misreads bitfields of several pages, those of 6.26.0 too")
}

// TestByteEquality compares every file for the same key pair and the same
// appends.
func TestByteEquality(t *testing.T) {
	d := js(t)
	text := func(s string) []byte { return []byte(s) }
	patterns := [][][][]byte{
		{},
		{{text("a")}},
		{{text("a"), text("b"), text("c")}, {text("d")}, {text("e"), nil}},
		{{nil}, {nil, nil}},
		split(small.blocks(0, 33), 1),
		split(small.blocks(0, 300), 7),
		split(content{seed: 4, min: 1, max: 1}.blocks(0, 9000), 250),
		split(content{seed: 4, min: 60000, max: 70000}.blocks(0, 10), 3),
	}
	cases(t, dirs, "byte equality for the same key pair and appends", versions, func(t *testing.T, v string) {
		secret := fixedSecret(t)
		key := hex.EncodeToString(secret[32:])
		for i, batches := range patterns {
			theirs, ours := t.TempDir(), t.TempDir()
			n := d.open(t, v, theirs, npmOpts{Key: key, SecretKey: hex.EncodeToString(secret)})
			f := openGo(t, ours, feed.Options{SecretKey: secret})
			for _, batch := range batches {
				n.append(t, batch...)
				appendGo(t, f, batch...)
			}
			n.close(t)
			closeGo(t, f)
			for _, name := range []string{"data", "tree", "key", "secret_key"} {
				equalFiles(t, fmt.Sprintf("pattern %d", i), name, readFile(t, ours, name), readFile(t, theirs, name))
			}
			ourSigs, theirSigs := readFile(t, ours, "signatures"), readFile(t, theirs, "signatures")
			if v == "9" {
				signatures9(t, theirSigs, ourSigs, secret, readFile(t, ours, "tree"))
			} else {
				equalFiles(t, fmt.Sprintf("pattern %d", i), "signatures", ourSigs, theirSigs)
			}
			ourBits, theirBits := readFile(t, ours, "bitfield"), readFile(t, theirs, "bitfield")
			if v == "6.22" {
				// Pages of another size, so: the same answers from the file of the other side.
				sameBits(t, d, v, ours, theirs)
			} else {
				equalFiles(t, fmt.Sprintf("pattern %d", i), "bitfield", ourBits, theirBits)
			}
		}
		switch v {
		case "6.22":
			record(dirs, "byte equality for the same key pair and appends", v, "pass; bitfield pages of 3328 bytes here, 3584 there: same answers")
		case "9":
			record(dirs, "byte equality for the same key pair and appends", v, "pass; signatures of 9 also sign the length")
		}
	})
}

// split cuts a list into batches of n.
func split(blocks [][]byte, n int) [][][]byte {
	var out [][][]byte
	for len(blocks) > n {
		out = append(out, blocks[:n])
		blocks = blocks[n:]
	}
	return append(out, blocks)
}

func equalFiles(t *testing.T, what, name string, ours, theirs []byte) {
	t.Helper()
	if bytes.Equal(ours, theirs) {
		return
	}
	at := 0
	for at < len(ours) && at < len(theirs) && ours[at] == theirs[at] {
		at++
	}
	t.Fatalf("%s: file %s differs at byte %d: %d bytes here, %d from npm", what, name, at, len(ours), len(theirs))
}

// signatures9 checks that the signatures file of hypercore 9 differs in nothing
// but what is signed: the tree hash and the length.
func signatures9(t *testing.T, theirs, ours []byte, secret ed25519.PrivateKey, tree []byte) {
	t.Helper()
	if len(theirs) != len(ours) || !bytes.Equal(theirs[:32], ours[:32]) {
		t.Fatalf("signatures: %d bytes here, %d from npm", len(ours), len(theirs))
	}
	public := secret.Public().(ed25519.PublicKey)
	for k := 0; 32+64*k < len(theirs); k++ {
		nine, mine := theirs[32+64*k:][:64], ours[32+64*k:][:64]
		if isZero(nine) != isZero(mine) {
			t.Fatalf("signature record %d: blank on one side only", k)
		}
		if isZero(nine) {
			continue
		}
		var roots []merkle.Node
		for _, r := range merkle.Roots(nil, uint64(k)+1) {
			rec := tree[32+40*r:][:40]
			roots = append(roots, merkle.Node{Index: r, Hash: merkle.Hash(rec[:32]), Size: binary.BigEndian.Uint64(rec[32:])})
		}
		hash := merkle.TreeHash(roots)
		signable := merkle.Signable9(hash, uint64(k)+1)
		if !ed25519.Verify(public, signable[:], nine) || !ed25519.Verify(public, hash[:], mine) {
			t.Fatalf("signature record %d does not verify", k)
		}
	}
}

func isZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

// sameBits opens each directory on the other side.
func sameBits(t *testing.T, d *driver, v, ours, theirs string) {
	t.Helper()
	f := openGo(t, copyDir(t, theirs), feed.Options{})
	if f.Len() > 8192 {
		return // see manyPages
	}
	n := d.open(t, v, copyDir(t, ours), npmOpts{})
	if n.Length != f.Len() || n.ByteLength != f.ByteLen() {
		t.Fatalf("npm reads %d blocks here, this %d there", n.Length, f.Len())
	}
	if a, b := n.has(t), hasGo(f); !reflect.DeepEqual(a, b) {
		t.Fatalf("npm has %v, this %v", a, b)
	}
	n.close(t)
}
