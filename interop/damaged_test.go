package interop

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/store"
)

const damaged = "Damaged directories"

func openDir(dir string) store.Storage { return store.Dir(dir) }

// harm is one damage of a directory of 20 blocks that npm wrote, and what must
// come of it here.
type harm struct {
	name string
	do   func(t *testing.T, dir string)
	// refused: Open fails as damaged, and Repair brings all 20 blocks back.
	// Without it check looks at what opened.
	refused bool
	asked   bool // the key of the feed is asked for
	opts    feed.Options
	err     error // Open fails with it
	check   func(t *testing.T, f *feed.Feed)
	appends bool // after check a block is appended here, and npm finds everything sound
	npm     npmState
}

// npmState is what npm 6.26.0 makes of a damage, for README.md.
type npmState struct {
	err      string
	length   uint64
	writable bool
	newKey   bool
}

var (
	npmForks    = npmState{writable: true}
	npmReplaces = npmState{writable: true, newKey: true}
	npmReads    = npmState{length: 20}
	npmWrites   = npmState{length: 20, writable: true}
)

var harms = []harm{
	{name: "bitfield missing", do: remove("bitfield"), refused: true, npm: npmForks},
	{name: "bitfield shorter than its header", do: cut("bitfield", 20), refused: true, npm: npmForks},
	{name: "bitfield is a header only", do: cut("bitfield", 32), refused: true, npm: npmForks},
	{name: "bitfield is zeros", do: zero("bitfield"), refused: true, npm: npmForks},
	{name: "bitfield page size 0", do: patch("bitfield", 5, 0, 0), refused: true, npm: npmForks},
	{name: "bitfield cut inside the tree bits", do: cut("bitfield", 32+1024+3), refused: true, npm: npmState{length: 16, writable: true}},
	{name: "bitfield cut before the tree bits", do: cut("bitfield", 32+1024), refused: true, npm: npmForks},
	{name: "key missing, bitfield has pages", do: remove("key"), refused: true, npm: npmReplaces},
	{name: "key short, bitfield has pages", do: cut("key", 31), refused: true, npm: npmReplaces},
	{name: "key missing, bitfield has pages, the key is asked for", do: remove("key"), asked: true, refused: true, npm: npmState{}},
	{name: "only key", do: keepOnly("key"), check: empty(false), npm: npmState{}},
	{name: "only key and secret_key", do: keepOnly("key", "secret_key"), check: empty(true), appends: true, npm: npmForks},
	{name: "secret_key missing", do: remove("secret_key"), check: readOnly, npm: npmReads},
	{name: "secret_key short", do: cut("secret_key", 63), check: readOnly, npm: npmReads},
	{name: "secret_key of another feed", do: otherSecret, err: feed.ErrKeyMismatch, npm: npmState{err: "Key and secret do not match"}},
	{name: "another key is asked for", do: func(*testing.T, string) {}, opts: feed.Options{Key: feed.Key{1}}, err: feed.ErrKeyMismatch, npm: npmState{err: "Another hypercore is stored here"}},
	{name: "last signature record missing", do: cut("signatures", 32+64*19), check: unsigned, npm: npmWrites},
	{name: "a root missing in tree", do: patch("tree", 32+40*35, make([]byte, 40)...), err: feed.ErrCorrupt, npm: npmState{err: "No node found"}},
	{name: "data missing", do: remove("data"), check: lost, npm: npmWrites},
	{name: "data short", do: cut("data", 50), check: lost, npm: npmWrites},
	{name: "nothing there, must exist", do: keepOnly(), opts: feed.Options{MustExist: true}, err: feed.ErrNotFound, npm: npmState{err: "No hypercore is stored here"}},
}

// TestDamaged opens damaged directories. What npm does with each is told by
// interop/README.md; here nothing may be lost, and nothing may fork.
func TestDamaged(t *testing.T) {
	d := js(t)
	for _, h := range harms {
		cases(t, damaged, h.name, versions, func(t *testing.T, v string) {
			dir := t.TempDir()
			n := d.open(t, v, dir, npmOpts{})
			n.generate(t, content{seed: 5, min: 1, max: 30}, 20, 20)
			sum := n.digest(t)
			n.close(t)
			h.do(t, dir)
			if h.asked {
				h.opts.Key = mustKey(t, n.Key)
			}
			before := snapshot(t, dir)
			f, err := feed.Open(ctx(t), store.Dir(dir), h.opts)
			switch {
			case h.refused:
				if err == nil {
					f.Close()
					t.Fatalf("opened with %d blocks, writable %v", f.Len(), f.Writable())
				}
				if !errors.Is(err, feed.ErrCorrupt) {
					t.Fatalf("refused with %v", err)
				}
				t.Logf("refused: %v", err)
				unchanged(t, dir, before)
				repaired := openGo(t, dir, feed.Options{Key: h.opts.Key, Repair: true})
				if repaired.Len() != 20 || !repaired.Writable() {
					t.Fatalf("repaired: %d blocks, writable %v", repaired.Len(), repaired.Writable())
				}
				sameDigest(t, "repaired", digestGo(t, repaired), sum)
				appendGo(t, repaired, []byte("more"))
				closeGo(t, repaired)
				n := d.open(t, v, dir, npmOpts{})
				if n.Length != 21 {
					t.Fatalf("npm sees %d blocks after the repair", n.Length)
				}
				n.audit(t)
				n.verify(t)
				n.close(t)
			case h.err != nil:
				if err == nil {
					f.Close()
				}
				if !errors.Is(err, h.err) {
					t.Fatalf("got %v, want %v", err, h.err)
				}
				t.Logf("refused: %v", err)
				unchanged(t, dir, before)
			case err != nil:
				t.Fatal(err)
			default:
				t.Cleanup(func() { f.Close() })
				h.check(t, f)
				if !h.appends {
					return
				}
				appendGo(t, f, []byte("more"))
				closeGo(t, f)
				n := d.open(t, v, dir, npmOpts{})
				if n.Length != f.Len() || !n.Live {
					t.Fatalf("npm sees %+v after the append", n.npmInfo)
				}
				n.audit(t)
				n.verify(t)
			}
		})
	}

	cases(t, damaged, "after overwrite:true by npm", versions, func(t *testing.T, v string) {
		dir := t.TempDir()
		n := d.open(t, v, dir, npmOpts{})
		n.generate(t, small, 5, 5)
		n.close(t)
		n = d.open(t, v, dir, npmOpts{Opts: obj{"overwrite": true}})
		n.generate(t, small, 20, 4)
		sum := n.digest(t)
		n.close(t)
		f, err := feed.Open(ctx(t), store.Dir(dir), feed.Options{})
		if errors.Is(err, feed.ErrCorrupt) {
			// npm 6 leaves a bitfield without a header, which it reads as empty itself.
			t.Logf("refused: %v", err)
			f, err = feed.Open(ctx(t), store.Dir(dir), feed.Options{Repair: true})
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		if f.Len() != 20 {
			t.Fatalf("%d blocks", f.Len())
		}
		sameDigest(t, "blocks", digestGo(t, f), sum)
		auditGo(t, f)
	})
}

// TestNpmDamaged holds what README.md says npm 6.26.0 does with the same
// directories.
func TestNpmDamaged(t *testing.T) {
	d := js(t)
	for _, h := range harms {
		t.Run(h.name, func(t *testing.T) {
			t.Cleanup(d.reset)
			within(t, d, limit())
			dir := t.TempDir()
			n := d.open(t, "6", dir, npmOpts{})
			n.generate(t, content{seed: 5, min: 1, max: 30}, 20, 20)
			n.close(t)
			h.do(t, dir)
			o := npmOpts{}
			switch {
			case h.asked:
				o.Key = n.Key
			case !h.opts.Key.IsZero():
				o.Key = h.opts.Key.String()
			}
			if h.opts.MustExist {
				o.Opts = obj{"createIfMissing": false}
			}
			got, err := d.tryOpen("6", dir, o)
			if h.npm.err != "" || err != nil {
				if err == nil || !strings.Contains(err.Error(), h.npm.err) {
					t.Fatalf("npm says %v, expected %q", err, h.npm.err)
				}
				return
			}
			state := npmState{length: got.Length, writable: got.Writable, newKey: got.Key != n.Key}
			if state != h.npm {
				t.Fatalf("npm makes %+v of it, expected %+v", state, h.npm)
			}
			got.close(t)
		})
	}
}

func remove(names ...string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		for _, name := range names {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func cut(name string, size int64) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		if err := os.Truncate(filepath.Join(dir, name), size); err != nil {
			t.Fatal(err)
		}
	}
}

func zero(name string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		b := readFile(t, dir, name)
		clear(b)
		write(t, dir, name, b)
	}
}

func patch(name string, off int, b ...byte) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		old := readFile(t, dir, name)
		write(t, dir, name, append(append(bytes.Clone(old[:off]), b...), old[min(len(old), off+len(b)):]...))
	}
}

func keepOnly(names ...string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		for name := range snapshot(t, dir) {
			kept := false
			for _, k := range names {
				kept = kept || k == name
			}
			if !kept {
				remove(name)(t, dir)
			}
		}
	}
}

func otherSecret(t *testing.T, dir string) { write(t, dir, "secret_key", fixedSecret(t)) }

func write(t *testing.T, dir, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func snapshot(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, e := range list {
		files[e.Name()] = readFile(t, dir, e.Name())
	}
	return files
}

// unchanged checks that a refused Open changed no file.
func unchanged(t *testing.T, dir string, before map[string][]byte) {
	t.Helper()
	after := snapshot(t, dir)
	for name, b := range before {
		if !bytes.Equal(after[name], b) {
			t.Errorf("the refused open changed %s: %d bytes, were %d", name, len(after[name]), len(b))
		}
	}
	for name, b := range after {
		if _, ok := before[name]; !ok && len(b) > 0 {
			t.Errorf("the refused open made %s", name)
		}
	}
}

func empty(writable bool) func(*testing.T, *feed.Feed) {
	return func(t *testing.T, f *feed.Feed) {
		if f.Len() != 0 || f.Writable() != writable {
			t.Fatalf("%d blocks, writable %v", f.Len(), f.Writable())
		}
	}
}

func readOnly(t *testing.T, f *feed.Feed) {
	if f.Len() != 20 || f.Writable() {
		t.Fatalf("%d blocks, writable %v", f.Len(), f.Writable())
	}
	digestGo(t, f)
	auditGo(t, f)
	if _, err := f.Append(ctx(t), []byte("x")); !errors.Is(err, feed.ErrNotWritable) {
		t.Fatalf("append: %v", err)
	}
}

// unsigned: the last signature is gone, the blocks are not. They can be read, but
// nothing is appended to what nobody has signed.
func unsigned(t *testing.T, f *feed.Feed) {
	if f.Len() != 20 || digestGo(t, f).Blocks != 20 {
		t.Fatalf("%d blocks", f.Len())
	}
	if _, err := f.Append(ctx(t), []byte("x")); !errors.Is(err, feed.ErrCorrupt) || f.Len() != 20 {
		t.Fatalf("append: %v, %d blocks", err, f.Len())
	}
	if r, err := f.Audit(ctx(t), feed.AuditOptions{}); err != nil || r.Invalid != 0 || r.Signature != feed.SignatureMissing {
		t.Fatalf("audit: %+v, %v", r, err)
	}
}

// lost: the tree is whole, the bytes are not: told by reading and by Audit.
func lost(t *testing.T, f *feed.Feed) {
	if f.Len() != 20 {
		t.Fatalf("%d blocks", f.Len())
	}
	if b, err := f.Local(19); err == nil {
		t.Fatalf("read %d bytes that are not there", len(b))
	}
	r, err := f.Audit(ctx(t), feed.AuditOptions{})
	if err != nil || r.Invalid+r.Missing == 0 {
		t.Fatalf("audit: %+v, %v", r, err)
	}
}
