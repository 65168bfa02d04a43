package interop

import (
	"errors"
	"reflect"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
)

// cleared has no empty blocks: those are as good as here when a bitfield is
// rebuilt.
var cleared = content{seed: 11, min: 1, max: 400}

// TestStates moves directories after a clear, static ones, and ones that are open.
func TestStates(t *testing.T) {
	d := js(t)

	cases(t, dirs, "after clear by npm", versions, func(t *testing.T, v string) {
		dir := t.TempDir()
		n := d.open(t, v, dir, npmOpts{})
		n.generate(t, cleared, 300, 20)
		n.call(t, "clear", obj{"start": 100, "end": 131}, nil)
		n.call(t, "clear", obj{"start": 7, "end": 8}, nil)
		n.call(t, "clear", obj{"start": 290, "end": 300}, nil)
		sum, has := n.digest(t), n.has(t)
		n.close(t)
		f := openGo(t, dir, feed.Options{})
		clearedHere(t, f, has, sum)
		generateGo(t, f, cleared, 20, 3)
		sum, has = digestGo(t, f), hasGo(f)
		closeGo(t, f)
		n = d.open(t, v, dir, npmOpts{})
		if got := n.has(t); !reflect.DeepEqual(got, has) {
			t.Fatalf("npm has %v, this %v", got, has)
		}
		n.audit(t)
		n.verify(t)
		sameDigest(t, "npm", n.digest(t), sum)
		n.close(t)
	})

	cases(t, dirs, "after clear here", versions, func(t *testing.T, v string) {
		dir := t.TempDir()
		f := openGo(t, dir, feed.Options{})
		generateGo(t, f, cleared, 300, 20)
		for _, r := range [][2]uint64{{100, 131}, {7, 8}, {290, 300}} {
			if err := f.Clear(ctx(t), r[0], r[1]); err != nil {
				t.Fatal(err)
			}
		}
		sum, has := digestGo(t, f), hasGo(f)
		closeGo(t, f)
		n := d.open(t, v, dir, npmOpts{})
		if got := n.has(t); n.Length != 300 || !reflect.DeepEqual(got, has) {
			t.Fatalf("npm has %d blocks, %v, this %v", n.Length, got, has)
		}
		n.audit(t)
		sameDigest(t, "npm", n.digest(t), sum)
		n.generate(t, cleared, 20, 3)
		n.audit(t)
		n.verify(t)
		sum, has = n.digest(t), n.has(t)
		n.close(t)
		f = openGo(t, dir, feed.Options{})
		clearedHere(t, f, has, sum)
	})

	cases(t, dirs, "sparse clone, cleared by npm", versions, func(t *testing.T, v string) {
		dir := t.TempDir()
		source := d.open(t, v, t.TempDir(), npmOpts{})
		source.generate(t, cleared, 300, 20)
		c := cloneNpm(t, d, source, dir, chosen)
		// Of a block whose place in data npm does not know it clears the bit, and fails.
		for _, i := range []uint64{3, 128} {
			d.try("clear", c.args(obj{"start": i, "end": i + 1}), nil)
		}
		sum, has := c.digest(t), c.has(t)
		c.close(t)
		f := openGo(t, dir, feed.Options{Sparse: true})
		clearedHere(t, f, has, sum)
	})

	cases(t, dirs, "sparse clone, cleared here", versions, func(t *testing.T, v string) {
		source := openGo(t, t.TempDir(), feed.Options{})
		generateGo(t, source, cleared, 300, 20)
		dir := t.TempDir()
		f := openGo(t, dir, feed.Options{Key: source.Key(), Sparse: true})
		cloneGo(t, source, f, chosen)
		for _, i := range []uint64{3, 128} {
			if err := f.Clear(ctx(t), i, i+1); err != nil {
				t.Fatal(err)
			}
		}
		sum, has := digestGo(t, f), hasGo(f)
		closeGo(t, f)
		n := d.open(t, v, dir, npmOpts{Opts: obj{"sparse": true}})
		if got := n.has(t); n.Length != 300 || !reflect.DeepEqual(got, has) {
			t.Fatalf("npm has %d blocks, %v, this %v", n.Length, got, has)
		}
		n.audit(t)
		sameDigest(t, "npm", n.digest(t), sum)
	})

	cases(t, dirs, "static feed written by npm", versions, func(t *testing.T, v string) {
		dir := t.TempDir()
		n := d.open(t, v, dir, npmOpts{Opts: obj{"live": false}})
		n.generate(t, small, 20, 6)
		var info npmInfo
		n.call(t, "finalize", nil, &info)
		sum := n.digest(t)
		n.close(t)
		f := openGo(t, dir, feed.Options{})
		if f.Writable() || f.Len() != 20 || f.Key().String() != info.Key {
			t.Fatalf("%v: %d blocks, writable %v, want %s", f.Key(), f.Len(), f.Writable(), info.Key)
		}
		sameDigest(t, "blocks", digestGo(t, f), sum)
		if r := auditGo(t, f); r.Signature == feed.SignatureInvalid {
			t.Fatal("the key is not the tree hash")
		}
	})

	cases(t, dirs, "static feed written here", versions, func(t *testing.T, v string) {
		dir := t.TempDir()
		f := openGo(t, dir, feed.Options{Static: true})
		generateGo(t, f, small, 20, 6)
		if err := f.Finalize(ctx(t)); err != nil {
			t.Fatal(err)
		}
		key, sum := f.Key().String(), digestGo(t, f)
		closeGo(t, f)

		theirs := t.TempDir()
		n := d.open(t, v, theirs, npmOpts{Opts: obj{"live": false}})
		n.generate(t, small, 20, 6)
		var info npmInfo
		n.call(t, "finalize", nil, &info)
		n.close(t)
		if info.Key != key {
			t.Fatalf("key %s here, %s from npm", key, info.Key)
		}
		for _, name := range []string{"data", "tree", "signatures", "key"} {
			equalFiles(t, "static", name, readFile(t, dir, name), readFile(t, theirs, name))
		}
		if readFile(t, dir, "secret_key") != nil {
			t.Fatal("a static feed has no secret_key")
		}
		n = d.open(t, v, dir, npmOpts{})
		if n.Writable || n.Length != 20 || n.Live {
			t.Fatalf("npm opened it as %+v", n.npmInfo)
		}
		n.audit(t)
		sameDigest(t, "npm", n.digest(t), sum)
		n.close(t)
	})

	cases(t, dirs, "held open by npm", versions, func(t *testing.T, v string) {
		dir := t.TempDir()
		n := d.open(t, v, dir, npmOpts{})
		n.generate(t, small, 3, 3)
		f, err := feed.Open(ctx(t), openDir(dir), feed.Options{})
		if err == nil {
			f.Close()
			if v == "6.22" {
				n.close(t)
				reason(t, dirs, "held open by npm", v, "takes no lock itself")
			}
			t.Fatal("opened here while npm has it open")
		}
		if !errors.Is(err, feed.ErrLocked) {
			t.Fatal(err)
		}
		n.close(t)
		openGo(t, dir, feed.Options{})
	})

	cases(t, dirs, "held open here", versions, func(t *testing.T, v string) {
		dir := t.TempDir()
		f := openGo(t, dir, feed.Options{})
		generateGo(t, f, small, 3, 3)
		n, err := d.tryOpen(v, dir, npmOpts{})
		if err == nil {
			n.close(t)
			if v == "6.22" {
				reason(t, dirs, "held open here", v, "looks at no lock")
			}
			t.Fatal("npm opened it while it is open here")
		}
		closeGo(t, f)
	})
}

// clearedHere checks that exactly the given blocks can be read.
func clearedHere(t *testing.T, f *feed.Feed, has [][2]uint64, sum digest) {
	t.Helper()
	if got := hasGo(f); !reflect.DeepEqual(got, has) {
		t.Fatalf("blocks here %v, npm %v", got, has)
	}
	sameDigest(t, "blocks", digestGo(t, f), sum)
	for i := range f.Len() {
		if _, err := f.Local(i); !f.Has(i) && !errors.Is(err, feed.ErrNotLocal) {
			t.Fatalf("cleared block %d: %v", i, err)
		}
	}
	r := auditGo(t, f)
	if r.Missing == 0 {
		t.Fatalf("audit found nothing missing: %+v", r)
	}
}
