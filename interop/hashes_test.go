package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/protocol/wire/dump"
)

// hashRun is what a sparse reader of npm did with one source: it fetched the hash
// of block 50, then block 51, whose hash came along as a sibling, then block 50.
type hashRun struct {
	got50    bool     // block 50 came after its hash
	requests []string // what the reader asked for
	data     []string // what the source answered
}

// TestHashRequests lets npm ask for hashes. Whatever the reader makes of the
// answers, the source must not matter: npm or this.
func TestHashRequests(t *testing.T) {
	d := js(t)
	dir := t.TempDir()
	n := d.open(t, "6", dir, npmOpts{})
	n.generate(t, cleared, 300, 50)
	n.close(t)

	cases(t, overTCP, "hash requests by npm", wireVersions, func(t *testing.T, v string) {
		want := hashesFrom(t, d, v, "6", dir, n.Key)
		if v != "6" {
			same := hashesFrom(t, d, v, v, dir, n.Key)
			if !slices.Equal(same.requests, want.requests) || same.got50 != want.got50 {
				t.Fatalf("npm %s asks\n%s\nof itself and\n%s\nof 6.26.0", v, lines(same.requests), lines(want.requests))
			}
		}
		got := hashesFrom(t, d, v, "", dir, n.Key)
		if !slices.Equal(got.requests, want.requests) || !slices.Equal(got.data, want.data) {
			t.Fatalf("npm asks and gets from this\n%s\n%s\nand from npm\n%s\n%s", lines(got.requests), lines(got.data), lines(want.requests), lines(want.data))
		}
		if got.got50 != want.got50 {
			t.Fatalf("block 50 after its hash: from npm %v, from this %v", want.got50, got.got50)
		}
		if !want.got50 {
			if v != "6.22" {
				t.Fatal("npm does not get a block after its hash")
			}
			reason(t, overTCP, "hash requests by npm", v, "hashes come; but with the hash it strikes the block off what the peer has and asks for it only on a new connection, with npm as the peer as well")
		}
	})

	cases(t, overTCP, "hashes of a range by npm", wireVersions, func(t *testing.T, v string) {
		f := openGo(t, copyDir(t, dir), feed.Options{})
		reader := d.open(t, v, t.TempDir(), npmOpts{Key: n.Key, Opts: obj{"sparse": true}})
		connect(t, d, []*npmFeed{reader}, engineOf(t, f), wire{here: protocol.StreamOptions{Feeds: keysOf(f)}})
		// Every leaf, however the download ends: 6.22.0 may not call back when all came.
		reader.start("download", obj{"start": 40, "end": 60, "hash": true})
		for i := 40; i < 60; i++ {
			reader.call(t, "untilNode", obj{"index": 2 * i}, nil)
		}
		if r := reader.refresh(t); r.Length != 300 || r.Downloaded != 0 {
			t.Fatalf("npm has %d of %d blocks", r.Downloaded, r.Length)
		}
		reader.call(t, "get", obj{"index": 70}, nil)
		reader.audit(t)
	})
}

func lines(list []string) string { return strings.Join(list, "\n") }

// hashesFrom plays the steps of hashRun against a source: a version of npm, or
// this for "".
func hashesFrom(t *testing.T, d *driver, v, source, dir, key string) hashRun {
	t.Helper()
	record := filepath.Join(t.TempDir(), "stream")
	reader := d.open(t, v, t.TempDir(), npmOpts{Key: key, Opts: obj{"sparse": true}})
	var conn int
	var engine *protocol.Engine
	var again func()
	if source == "" {
		f := openGo(t, copyDir(t, dir), feed.Options{})
		engine = engineOf(t, f)
		w := wire{npmDials: true, record: record, here: protocol.StreamOptions{Feeds: keysOf(f)}}
		conn = connect(t, d, []*npmFeed{reader}, engine, w).conn
		w.record = ""
		again = func() { connect(t, d, []*npmFeed{reader}, engine, w) }
	} else {
		s := d.open(t, source, copyDir(t, dir), npmOpts{})
		live := obj{"live": true}
		conn = npmToNpm(t, d, s, reader, live, live, record).dialed
		again = func() { npmToNpm(t, d, s, reader, live, live, "") }
	}
	var r hashRun
	check := func(i uint64, raw json.RawMessage, err error) {
		t.Helper()
		var got struct{ Value []byte }
		if err != nil {
			t.Fatalf("block %d: %v", i, err)
		}
		if decode(t, raw, &got); !bytes.Equal(got.Value, cleared.block(i)) {
			t.Fatalf("block %d differs", i)
		}
	}
	get := func(i uint64) {
		t.Helper()
		raw, err := reader.start("get", obj{"index": i})()
		check(i, raw, err)
	}
	reader.start("download", obj{"start": 50, "end": 51, "hash": true})
	reader.call(t, "untilNode", obj{"index": 100}, nil)
	if n := reader.refresh(t); n.Length != 300 || n.Downloaded != 0 {
		t.Fatalf("after the hash npm has %d of %d blocks", n.Downloaded, n.Length)
	}
	get(51) // its hash came along
	// npm decides at once whether it asks the peer for a block, so when block 52 is
	// here, block 50 was asked for or never will be.
	block50 := reader.start("get", obj{"index": 50})
	get(52)
	var asked struct{ Asked bool }
	reader.call(t, "asked", obj{"index": 50}, &asked)
	if r.got50 = asked.Asked; r.got50 {
		raw, err := block50()
		check(50, raw, err)
	}
	d.call(t, "destroy", obj{"conn": conn}, nil)
	d.call(t, "ended", obj{"conn": conn}, nil)
	again() // on a new connection it comes in any case
	if !r.got50 {
		raw, err := block50()
		check(50, raw, err)
	}
	reader.audit(t)
	r.requests = messagesIn(t, record+".out", key, "Request")
	r.data = messagesIn(t, record+".in", key, "Data")
	return r
}

// messagesIn returns the messages of a kind in a recording.
func messagesIn(t *testing.T, file, key, message string) []string {
	t.Helper()
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	k := [32]byte(mustKey(t, key))
	var list []string
	for e, err := range dump.Entries(in, dump.Options{Key: &k, Whole: true}) {
		if err != nil {
			t.Fatalf("%s: %v", filepath.Base(file), err)
		}
		if e.Message == message {
			list = append(list, fmt.Sprint(message, e.Fields))
		}
	}
	return list
}
