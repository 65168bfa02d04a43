package interop

import (
	"fmt"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/protocol"
)

// npmLink is a connection between two npm feeds.
type npmLink struct {
	d                *driver
	accepted, dialed int
}

// npmToNpm connects two feeds of the driver over TCP; b dials.
func npmToNpm(t *testing.T, d *driver, a, b *npmFeed, optsA, optsB obj) npmLink {
	t.Helper()
	var server struct{ Server, Port int }
	d.call(t, "listen", obj{"feeds": []int{a.Feed}, "opts": optsA}, &server)
	l := npmLink{d: d}
	var r struct{ Conn int }
	d.call(t, "dial", obj{"port": server.Port, "feeds": []int{b.Feed}, "opts": optsB}, &r)
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
	l.d.call(t, "ended", obj{"conn": l.dialed, "timeout": 15000}, &e)
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
	w := d.open(t, v, t.TempDir(), npmOpts{})
	seeder, downloader = t.TempDir(), t.TempDir()
	if !e.empty {
		w.generate(t, small, 50, 10)
	}
	if e.reader {
		cloneNpm(t, d, w, seeder, nil).close(t)
	} else {
		w.close(t)
		seeder = w.dir
	}
	if e.downloaderComplete {
		cloneNpm(t, d, w, downloader, nil).close(t)
	}
	if e.reader || e.downloaderComplete {
		w.close(t)
	}
	if e.cleared {
		n := d.open(t, v, seeder, npmOpts{})
		n.call(t, "clear", obj{"start": 10, "end": 20}, nil)
		n.close(t)
	}
	return seeder, downloader, w.Key
}

func npmLive(ends, noDownload bool) obj {
	o := obj{"live": !ends}
	if noDownload {
		o["download"] = false
	}
	return o
}

func checkNpmEnding(t *testing.T, d *driver, v string, e ending) {
	t.Helper()
	from, to, key := e.dirs(t, d, v)
	a := d.open(t, v, from, npmOpts{Key: key})
	b := d.open(t, v, to, npmOpts{Key: key, Opts: obj{"sparse": e.sparse}})
	l := npmToNpm(t, d, a, b, npmLive(e.seederEnds, false), npmLive(e.ends, e.noDownload))
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
	npmOptions, goEnds := npmLive(e.seederEnds, false), e.ends
	if !npmSeeds {
		npmDir, goDir = to, from
		npmOptions, goEnds = npmLive(e.ends, e.noDownload), e.seederEnds
	}
	n := d.open(t, v, npmDir, npmOpts{Key: key, Opts: obj{"sparse": e.sparse && !npmSeeds}})
	f := openGo(t, goDir, feed.Options{Key: mustKey(t, key), Sparse: e.sparse && npmSeeds})
	eng := engineOf(t, f)
	l := connect(t, d, []*npmFeed{n}, eng, wire{npm: npmOptions, here: protocol.StreamOptions{
		Feeds: keysOf(f), Ends: goEnds, NoDownload: e.noDownload && npmSeeds,
	}})
	if !e.stays {
		l.endsWell(t)
	} else {
		deadline := time.Now().Add(15 * time.Second)
		for time.Now().Before(deadline) && n.refresh(t).Downloaded+f.Downloaded(0, 0) < e.blocks {
			time.Sleep(5 * time.Millisecond)
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
