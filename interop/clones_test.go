package interop

import (
	"reflect"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/protocol"
)

// cloneNpm downloads a feed from one npm feed into another of the same version,
// over TCP: the given blocks, or all.
func cloneNpm(t *testing.T, d *driver, source *npmFeed, dir string, only []uint64) *npmFeed {
	t.Helper()
	c := d.open(t, source.version, dir, npmOpts{Key: source.Key, Opts: obj{"sparse": only != nil}})
	// Hypercore 9 has another protocol and wants to know who dials.
	var server struct{ Server, Port int }
	d.call(t, "listen", obj{"feeds": []int{source.Feed}, "opts": obj{"live": true, "initiator": false}}, &server)
	var conn struct{ Conn int }
	d.call(t, "dial", obj{"port": server.Port, "feeds": []int{c.Feed}, "opts": obj{"live": true, "initiator": true}}, &conn)
	c.fetch(t, source.refresh(t).Length, only)
	d.call(t, "destroy", obj{"conn": conn.Conn}, nil)
	d.call(t, "closeServer", obj{"server": server.Server}, nil)
	return c
}

// part is count blocks of a content.
type part struct {
	content
	count uint64
}

// shape is a feed that is cloned.
type shape struct {
	name   string
	parts  []part
	only   []uint64 // the blocks that are downloaded, nil for all
	static bool
	long   bool // several bitfield pages, seconds: with 6.26.0 only, unless -large
	slow   bool // only with -large
}

var chosen = []uint64{250, 3, 4, 299, 0, 128, 127, 77}

var shapes = []shape{
	{name: "whole clone", parts: []part{{cleared, 300}}},
	{name: "sparse clone", parts: []part{{cleared, 300}}, only: chosen},
	{name: "clone with 0-byte blocks", parts: []part{{cleared, 5}, {content{}, 3}, {cleared, 20}, {content{}, 5}}},
	{name: "sparse clone of 0-byte blocks and their neighbours", parts: []part{{cleared, 5}, {content{}, 3}, {cleared, 20}, {content{}, 5}}, only: []uint64{4, 5, 7, 8, 30, 32}},
	{name: "clone with blocks of 1 MiB and of 4 MiB", parts: []part{{content{seed: 2, min: 1 << 20, max: 1 << 20}, 4}, {content{seed: 2, min: 4 << 20, max: 4 << 20}, 3}}},
	{name: "clone of a static feed", parts: []part{{small, 33}}, static: true},
	{name: "clone of 20,000 blocks of 10 to 200 bytes", parts: []part{{content{seed: 3, min: 10, max: 200}, 20000}}, long: true},
	{name: "clone of 100,000 blocks of 10 to 200 bytes", parts: []part{{content{seed: 3, min: 10, max: 200}, 100000}}, slow: true},
}

// length is how many blocks the feed has, here how many of them the clone gets.
func (s shape) length() (length, here uint64) {
	for _, p := range s.parts {
		length += p.count
	}
	if s.only != nil {
		return length, uint64(len(s.only))
	}
	return length, length
}

func (s shape) batch() uint64 { return max(20, s.parts[0].count/100) }

// npm writes the feed with npm.
func (s shape) npm(t *testing.T, d *driver, v, dir string) *npmFeed {
	t.Helper()
	n := d.open(t, v, dir, npmOpts{Opts: obj{"live": !s.static}})
	for _, p := range s.parts {
		n.generate(t, p.content, p.count, int(s.batch()))
	}
	if s.static {
		h := n.Feed
		n.call(t, "finalize", nil, &n.npmInfo)
		n.Feed = h
	}
	return n.refresh(t)
}

// here writes the feed with this.
func (s shape) here(t *testing.T) *feed.Feed {
	t.Helper()
	f := openGo(t, t.TempDir(), feed.Options{Static: s.static})
	for _, p := range s.parts {
		generateGo(t, f, p.content, p.count, s.batch())
	}
	if s.static {
		if err := f.Finalize(ctx(t)); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// TestClones downloads over TCP, from the other side, and moves the directory of
// the clone. Hypercore 9, which speaks another protocol, clones from itself, and
// is cloned from its directory.
func TestClones(t *testing.T) {
	d := js(t)
	for _, s := range shapes {
		list := versions
		if s.long && !*large {
			list = versions[:1]
		}
		if s.slow && !*large {
			continue
		}
		cases(t, dirs, s.name+" made by npm", list, func(t *testing.T, v string) { s.madeByNpm(t, d, v) })
		cases(t, dirs, s.name+" made here", list, func(t *testing.T, v string) { s.madeHere(t, d, v) })
	}
}

func (s shape) madeByNpm(t *testing.T, d *driver, v string) {
	length, here := s.length()
	dir := t.TempDir()
	var c *npmFeed
	var sum digest // of the whole source
	if v == "9" {
		source := s.npm(t, d, v, t.TempDir())
		c = cloneNpm(t, d, source, dir, s.only)
		sum = source.digest(t)
	} else {
		f := s.here(t)
		c = d.open(t, v, dir, npmOpts{Key: f.Key().String(), Opts: obj{"sparse": s.only != nil}})
		connect(t, d, []*npmFeed{c}, engineOf(t, f), wire{npmDials: true, here: protocol.StreamOptions{Feeds: keysOf(f)}})
		c.fetch(t, length, s.only)
		sum = digestGo(t, f)
	}
	if s.only != nil {
		sum = c.digest(t)
	}
	has := c.has(t)
	c.close(t)

	f := openGo(t, dir, feed.Options{Sparse: s.only != nil, MustExist: true})
	if f.Writable() || f.Len() != length || f.Downloaded(0, 0) != here {
		t.Fatalf("%d of %d blocks, writable %v; npm has %v", f.Downloaded(0, 0), f.Len(), f.Writable(), has)
	}
	if got := hasGo(f); !reflect.DeepEqual(got, has) {
		t.Fatalf("blocks here %v, npm %v", got, has)
	}
	sameDigest(t, "blocks", digestGo(t, f), sum)
	auditGo(t, f)
	closeGo(t, f)

	// And back: npm reads it after it was open here.
	s.readByNpm(t, d, v, dir, has, sum)
}

func (s shape) madeHere(t *testing.T, d *driver, v string) {
	length, _ := s.length()
	from, dir := t.TempDir(), t.TempDir()
	n := s.npm(t, d, v, from)
	f := openGo(t, dir, feed.Options{Key: mustKey(t, n.Key), Sparse: s.only != nil})
	if v == "9" {
		n.close(t)
		source := openGo(t, from, feed.Options{})
		pipeGo(t, engineOf(t, source), engineOf(t, f), protocol.StreamOptions{Dialect: protocol.V6, Feeds: keysOf(f)}, protocol.StreamOptions{Dialect: protocol.V6, Feeds: keysOf(f)})
	} else {
		connect(t, d, []*npmFeed{n}, engineOf(t, f), wire{npmDials: true, here: protocol.StreamOptions{Feeds: keysOf(f)}})
	}
	for _, i := range s.only {
		if _, err := f.Get(ctx(t), i); err != nil {
			t.Fatalf("block %d: %v", i, err)
		}
	}
	if s.only == nil {
		untilGo(t, f, length, length)
	}
	sum, has := digestGo(t, f), hasGo(f)
	if v != "9" && s.only == nil {
		sameDigest(t, "the clone", sum, n.digest(t))
	}
	auditGo(t, f)
	closeGo(t, f)
	if v == "6.22" && length > 8192 {
		c, err := d.tryOpen(v, copyDir(t, dir), npmOpts{})
		manyPages(t, d, c, err, length, dirs, s.name+" made here")
	}
	s.readByNpm(t, d, v, dir, has, sum)
}

// readByNpm opens a clone with npm.
func (s shape) readByNpm(t *testing.T, d *driver, v, dir string, has [][2]uint64, sum digest) {
	t.Helper()
	length, _ := s.length()
	n := d.open(t, v, dir, npmOpts{Opts: obj{"sparse": s.only != nil}})
	if n.Writable || n.Length != length {
		t.Fatalf("npm opened it as %+v", n.npmInfo)
	}
	if got := n.has(t); !reflect.DeepEqual(got, has) {
		t.Fatalf("npm has %v, this %v", got, has)
	}
	sameDigest(t, "npm", n.digest(t), sum)
	n.audit(t)
	if !s.static {
		n.verify(t)
	}
	n.close(t)
}

// fetch downloads the blocks, or all.
func (f *npmFeed) fetch(t *testing.T, length uint64, only []uint64) {
	t.Helper()
	if only == nil {
		f.until(t, length, length)
	}
	for _, i := range only {
		f.call(t, "get", obj{"index": i}, nil)
	}
}
