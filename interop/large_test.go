package interop

import (
	"slices"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/protocol"
)

// big is one large feed.
type big struct {
	name   string
	blocks uint64
	batch  int
	content
	directories, wire []string // the versions it is run with
}

var bigs = []big{
	{"1 GiB in 64 KiB blocks", 16384, 64, content{seed: 9, min: 64 << 10, max: 64 << 10}, versions, wireVersions},
	{"1,200,000 blocks of 10 to 60 bytes", 1200000, 4000, content{seed: 10, min: 10, max: 60}, versions, []string{"6"}},
}

// sameAs6 fills the cells of those that have files and wire of 6.26.0, and were not
// run with this many blocks.
func (b big) sameAs6(theme, name string, list []string) {
	for _, v := range versions {
		if !slices.Contains(list, v) && v != "9" {
			record(theme, name, v, "not run: files and wire are those of 6.26.0")
		}
	}
	if !slices.Contains(list, "9") {
		record(theme, name, "9", "another wire")
	}
}

// TestLarge moves feeds of real size: directories both ways, and over TCP both
// ways. It takes minutes and gigabytes: go test ./interop -run Large -large.
func TestLarge(t *testing.T) {
	d := js(t)
	if !*large {
		t.Skip("large feeds are run with -large or INTEROP_LARGE=1")
	}
	const theme = "Large feeds"
	for _, b := range bigs {
		check := obj{"seed": b.seed, "min": b.min, "max": b.max}

		cases(t, theme, b.name+", directory written by npm", b.directories, func(t *testing.T, v string) {
			dir := t.TempDir()
			n := d.open(t, v, dir, npmOpts{})
			n.generate(t, b.content, b.blocks, b.batch)
			n.close(t)
			f := openGo(t, dir, feed.Options{})
			b.here(t, f, b.blocks)
			appendGo(t, f, b.block(b.blocks))
			closeGo(t, f)
			n = d.open(t, v, dir, npmOpts{})
			if n.Length != b.blocks+1 {
				t.Fatalf("npm sees %d blocks", n.Length)
			}
			n.call(t, "check", check, nil)
			n.verify(t)
			n.close(t)
		})

		cases(t, theme, b.name+", directory written here", b.directories, func(t *testing.T, v string) {
			dir := t.TempDir()
			f := openGo(t, dir, feed.Options{})
			generateGo(t, f, b.content, b.blocks, uint64(b.batch))
			closeGo(t, f)
			n, err := d.tryOpen(v, dir, npmOpts{})
			if v == "6.22" {
				manyPages(t, d, n, err, b.blocks, theme, b.name+", directory written here")
			}
			if err != nil {
				t.Fatal(err)
			}
			if n.Length != b.blocks {
				t.Fatalf("npm sees %d blocks", n.Length)
			}
			n.audit(t)
			n.call(t, "check", check, nil)
			n.verify(t)
			n.append(t, b.block(b.blocks))
			n.close(t)
			f = openGo(t, dir, feed.Options{})
			b.here(t, f, b.blocks+1)
		})

		b.sameAs6(theme, b.name+", directory written by npm", b.directories)
		b.sameAs6(theme, b.name+", directory written here", b.directories)

		for _, npmSeeds := range []bool{true, false} {
			way := map[bool]string{true: "npm seeds", false: "npm downloads"}[npmSeeds]
			cases(t, theme, b.name+", over TCP, "+way, b.wire, func(t *testing.T, v string) {
				var p pair
				dir := t.TempDir() // of the clone
				if npmSeeds {
					n := d.open(t, v, t.TempDir(), npmOpts{})
					n.generate(t, b.content, b.blocks, b.batch)
					p = pair{n.refresh(t), openGo(t, dir, feed.Options{Key: mustKey(t, n.Key)})}
				} else {
					f := openGo(t, t.TempDir(), feed.Options{})
					generateGo(t, f, b.content, b.blocks, uint64(b.batch))
					p = pair{d.open(t, v, dir, npmOpts{Key: f.Key().String()}), f}
				}
				e := engineOf(t, p.go_)
				began := time.Now()
				connect(t, d, []*npmFeed{p.npm}, e, wire{npmDials: true, here: protocol.StreamOptions{Feeds: keysOf(p.go_)}})
				if npmSeeds {
					untilGo(t, p.go_, b.blocks, b.blocks)
				} else {
					p.npm.until(t, b.blocks, b.blocks)
				}
				t.Logf("%d blocks in %v", b.blocks, time.Since(began).Round(time.Millisecond))
				// The directory of the clone goes to the other side.
				if npmSeeds {
					b.here(t, p.go_, b.blocks)
					p.npm.close(t)
					closeGo(t, p.go_)
					clone, err := d.tryOpen(v, dir, npmOpts{})
					if v == "6.22" {
						if err != nil || clone.Length != b.blocks {
							record(theme, b.name+", over TCP, "+way, v, "pass; the clone's directory it misreads, as those of 6.26.0")
							return
						}
					}
					if err != nil {
						t.Fatal(err)
					}
					if clone.Length != b.blocks {
						t.Fatalf("npm sees %d blocks in the clone", clone.Length)
					}
					clone.call(t, "check", check, nil)
					clone.verify(t)
					clone.close(t)
					return
				}
				p.npm.call(t, "check", check, nil)
				p.npm.verify(t)
				p.npm.close(t)
				b.here(t, openGo(t, dir, feed.Options{}), b.blocks)
			})
			b.sameAs6(theme, b.name+", over TCP, "+way, b.wire)
		}
	}
}

// here checks every block against the content, and the signature.
func (b big) here(t *testing.T, f *feed.Feed, length uint64) {
	t.Helper()
	if f.Len() != length || f.Downloaded(0, 0) != length {
		t.Fatalf("%d of %d blocks, want %d", f.Downloaded(0, 0), f.Len(), length)
	}
	var want, got []byte
	for i := range length {
		want = b.stream(i, append(want[:0], make([]byte, b.size(i))...))
		var err error
		if got, err = f.ReadBlock(got[:0], i); err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Fatalf("block %d differs", i)
		}
	}
	auditGo(t, f)
}
