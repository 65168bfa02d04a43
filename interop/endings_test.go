package interop

import (
	"fmt"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/protocol"
)

// npmLink is a connection between two npm feeds.
type npmLink struct {
	d                *driver
	accepted, dialed int
}

// npmToNpm connects two feeds of the driver over TCP; b dials and, unless record is
// empty, records the bytes in record + .in and .out.
func npmToNpm(t *testing.T, d *driver, a, b *npmFeed, optsA, optsB obj, record string) npmLink {
	t.Helper()
	var server struct{ Server, Port int }
	d.call(t, "listen", obj{"feeds": []int{a.Feed}, "opts": optsA}, &server)
	l := npmLink{d: d}
	var r struct{ Conn int }
	d.call(t, "dial", obj{"port": server.Port, "feeds": []int{b.Feed}, "opts": optsB, "record": record}, &r)
	l.dialed = r.Conn
	d.call(t, "accept", obj{"server": server.Server}, &r)
	l.accepted = r.Conn
	d.call(t, "closeServer", obj{"server": server.Server}, nil)
	return l
}

// end waits for the end on the side that dialed.
func (l npmLink) end(t *testing.T) npmEnd {
	t.Helper()
	var e npmEnd
	l.d.call(t, "ended", obj{"conn": l.dialed}, &e)
	return e
}

// ending is one combination of options and content of two peers. What must come
// of it is what npm does with itself.
type ending struct {
	name               string
	seederEnds, ends   bool // live: false on the seeder, on the downloader
	sparse, empty      bool // the downloader is sparse; the seeder has no blocks
	cleared            bool // the seeder has cleared some blocks
	reader             bool // the seeder is a complete clone instead of the writer
	noDownload         bool // the downloader replicates with download: false
	halves             bool // each side is a clone that has every other block
	static             bool
	expected           int  // expectedFeeds on both sides, 0 for none
	stays              bool // npm: the stream stays open
	blocks             uint64
	downloaderComplete bool
}

var endings = []ending{
	{name: "both not live", seederEnds: true, ends: true, blocks: 50},
	{name: "both live", stays: true, blocks: 50},
	{name: "live seeder, not live downloader", ends: true, stays: true, blocks: 50},
	{name: "not live seeder, live downloader", seederEnds: true, stays: true, blocks: 50},
	{name: "both not live, empty writer", seederEnds: true, ends: true, empty: true},
	{name: "both not live, sparse downloader", seederEnds: true, ends: true, sparse: true, stays: true},
	{name: "both not live, seeder is a complete clone", seederEnds: true, ends: true, reader: true, blocks: 50},
	{name: "both not live, both complete already", seederEnds: true, ends: true, reader: true, downloaderComplete: true, blocks: 50},
	{name: "both not live, seeder has cleared blocks", seederEnds: true, ends: true, cleared: true, stays: true, blocks: 40},
	{name: "both not live, downloader with download: false", seederEnds: true, ends: true, noDownload: true, stays: true},
	{name: "both not live, two clones with half of the blocks each", seederEnds: true, ends: true, halves: true, blocks: 50},
	{name: "both not live, static feed", seederEnds: true, ends: true, static: true, blocks: 50},
	{name: "both not live, one feed where two are expected", seederEnds: true, ends: true, expected: 2, stays: true, blocks: 50},
}

// TestEndings holds that streams end exactly when npm's do: each combination is
// run between npm and npm, then with this as the seeder and as the downloader.
func TestEndings(t *testing.T) {
	d := js(t)
	for _, e := range endings {
		what := "ends"
		if e.stays {
			what = "stays open"
		}
		for _, npmSeeds := range []bool{true, false} {
			way := map[bool]string{true: "npm seeds", false: "npm downloads"}[npmSeeds]
			cases(t, "Endings, as npm's", fmt.Sprintf("%s: %s, %s", e.name, what, way), wireVersions, func(t *testing.T, v string) {
				if npmSeeds { // once for each version
					checkNpmEnding(t, d, v, e)
				}
				checkEnding(t, d, v, e, npmSeeds)
			})
		}
	}
}

// dirs makes the directory of the seeder and of the downloader, with npm.
func (e ending) dirs(t *testing.T, d *driver, v string) (seeder, downloader, key string) {
	t.Helper()
	w := d.open(t, v, t.TempDir(), npmOpts{Opts: obj{"live": !e.static}})
	seeder, downloader = t.TempDir(), t.TempDir()
	if !e.empty {
		w.generate(t, small, 50, 10)
	}
	if e.static {
		w.call(t, "finalize", nil, &w.npmInfo)
	}
	switch {
	case e.halves:
		cloneNpm(t, d, w, seeder, every(2, 0, 50)).close(t)
		cloneNpm(t, d, w, downloader, every(2, 1, 50)).close(t)
	case e.reader:
		cloneNpm(t, d, w, seeder, nil).close(t)
	default:
		seeder = w.dir
	}
	if e.downloaderComplete {
		cloneNpm(t, d, w, downloader, nil).close(t)
	}
	w.close(t)
	if e.cleared {
		n := d.open(t, v, seeder, npmOpts{})
		n.call(t, "clear", obj{"start": 10, "end": 20}, nil)
		n.close(t)
	}
	return seeder, downloader, w.Key
}

// every returns start, start+step, … up to end.
func every(step, start, end uint64) []uint64 {
	var list []uint64
	for i := start; i < end; i += step {
		list = append(list, i)
	}
	return list
}

func (e ending) npmLive(ends, noDownload bool) obj {
	o := obj{"live": !ends}
	if noDownload {
		o["download"] = false
	}
	if e.expected > 0 {
		o["expectedFeeds"] = e.expected
	}
	return o
}

func checkNpmEnding(t *testing.T, d *driver, v string, e ending) {
	t.Helper()
	from, to, key := e.dirs(t, d, v)
	a := d.open(t, v, from, npmOpts{Key: key})
	b := d.open(t, v, to, npmOpts{Key: key, Opts: obj{"sparse": e.sparse}})
	l := npmToNpm(t, d, a, b, e.npmLive(e.seederEnds, false), e.npmLive(e.ends, e.noDownload), "")
	if !e.stays {
		if end := l.end(t); end.Error != "" {
			t.Fatalf("npm to npm ended with %q", end.Error)
		}
		if n := b.refresh(t); n.Downloaded != e.blocks {
			t.Fatalf("npm to npm: %d blocks", n.Downloaded)
		}
		return
	}
	b.until(t, 0, e.blocks)
	var r struct{ Open bool }
	d.call(t, "isOpen", obj{"conn": l.dialed, "after": quiet.Milliseconds()}, &r)
	if !r.Open {
		t.Fatalf("npm to npm ended: %+v", l.end(t))
	}
	d.call(t, "destroy", obj{"conn": l.dialed}, nil)
}

func checkEnding(t *testing.T, d *driver, v string, e ending, npmSeeds bool) {
	t.Helper()
	from, to, key := e.dirs(t, d, v)
	npmDir, goDir := from, to
	npmOptions, goEnds := e.npmLive(e.seederEnds, false), e.ends
	if !npmSeeds {
		npmDir, goDir = to, from
		npmOptions, goEnds = e.npmLive(e.ends, e.noDownload), e.seederEnds
	}
	n := d.open(t, v, npmDir, npmOpts{Key: key, Opts: obj{"sparse": e.sparse && !npmSeeds}})
	f := openGo(t, goDir, feed.Options{Key: mustKey(t, key), Sparse: e.sparse && npmSeeds})
	eng := engineOf(t, f)
	l := connect(t, d, []*npmFeed{n}, eng, wire{npm: npmOptions, here: protocol.StreamOptions{
		Feeds: keysOf(f), Ends: goEnds, NoDownload: e.noDownload && npmSeeds, ExpectedFeeds: e.expected,
	}})
	if !e.stays {
		l.endsWell(t)
	} else {
		if npmSeeds {
			untilGo(t, f, 0, e.blocks)
		} else {
			n.until(t, 0, e.blocks)
		}
		if !l.open(t) {
			there, here := l.ended(t)
			t.Fatalf("ended with %v here, %+v in npm", here, there)
		}
	}
	got := f.Downloaded(0, 0)
	if !npmSeeds {
		got = n.refresh(t).Downloaded
	}
	if got != e.blocks {
		t.Fatalf("the downloader has %d blocks, want %d", got, e.blocks)
	}
	if e.stays {
		l.drop(t)
	}
}
