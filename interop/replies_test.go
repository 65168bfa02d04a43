package interop

import (
	"fmt"
	"testing"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/protocol"
)

const bareReplies = "replies to bare requests are npm's, byte for byte"

// bareRequests lets a bare hypercore-protocol peer ask npm and this the same,
// and compares the replies.
func bareRequests(t *testing.T, d *driver, v string) {
	dir := t.TempDir()
	n := d.open(t, v, dir, npmOpts{})
	n.generate(t, small, 33, 5)
	key := n.Key
	requests := []obj{
		{"index": 0, "bytes": 0, "hash": false, "nodes": 0},
		{"index": 32, "bytes": 0, "hash": false, "nodes": 0},
		{"index": 31, "bytes": 0, "hash": true, "nodes": 0},
		{"index": 1, "bytes": 0, "hash": false, "nodes": 2},
		{"index": 4, "bytes": 0, "hash": false, "nodes": 9},
		{"index": 17, "bytes": 0, "hash": true, "nodes": 40},
		{"index": 5, "bytes": 1000, "hash": true, "nodes": 0},
		{"index": 20, "bytes": 0, "hash": false, "nodes": 1},
		{"index": 21, "bytes": 0, "hash": false, "nodes": 65},
		{"index": 3, "bytes": 1 << 40, "hash": true, "nodes": 0},
	}
	type message struct {
		Type    string
		Message map[string]any
	}
	// ask sends requests on one connection, each after the answer to the one before.
	ask := func(port, haves int, requests []obj) (announced, answers []message) {
		var r struct{ Conn int }
		wait := func(kind string, count int) []message {
			var got struct{ Messages []message }
			d.call(t, "messages", obj{"conn": r.Conn, "type": kind, "count": count}, &got)
			return got.Messages
		}
		d.call(t, "dialRaw", obj{"port": port, "key": key, "opts": obj{"live": true}}, &r)
		d.call(t, "send", obj{"conn": r.Conn, "type": "want", "message": obj{"start": 0, "length": 1 << 20}}, nil)
		announced = wait("have", haves)
		for i, m := range requests {
			d.call(t, "send", obj{"conn": r.Conn, "type": "request", "message": m}, nil)
			answers = wait("data", i+1)
		}
		d.call(t, "destroy", obj{"conn": r.Conn}, nil)
		return announced, answers
	}
	// 6.22.0 answers Want with one Have of everything, and remembers nothing of
	// what the requester has said before: each request has a connection of its own.
	old := v == "6.22"
	all := func(port, haves int) []message {
		if !old {
			announced, answers := ask(port, haves, requests)
			return append(announced, answers...)
		}
		var list []message
		for _, r := range requests {
			_, answers := ask(port, haves, []obj{r})
			list = append(list, answers...)
		}
		return list
	}
	var server struct{ Server, Port int }
	d.call(t, "listen", obj{"feeds": []int{n.Feed}, "opts": obj{"live": true}}, &server)
	want := all(server.Port, map[bool]int{true: 1, false: 2}[old])
	d.call(t, "closeServer", obj{"server": server.Server}, nil)
	n.close(t)
	made := copyDir(t, dir) // as npm made it

	// A directory that has just been opened is announced anew when it is known to be
	// durable; that is over before anybody asks.
	f := openGo(t, dir, feed.Options{})
	if err := f.Sync(ctx(t)); err != nil {
		t.Fatal(err)
	}
	e := engineOf(t, f)
	port := listenGo(t, e, protocol.StreamOptions{Dialect: protocol.V6, Feeds: keysOf(f)})
	got := all(port, 2)
	if len(got) != len(want) {
		t.Fatalf("%d messages, npm sends %d", len(got), len(want))
	}
	for i := range want {
		if a, b := fmt.Sprint(got[i]), fmt.Sprint(want[i]); a != b {
			t.Errorf("message %d of %d, requests come last:\nhere %s\nnpm  %s", i, len(want), a, b)
		}
	}
	// What is known to be durable only now is not announced before the have-map.
	for range 10 {
		if old {
			break
		}
		f := openGo(t, copyDir(t, made), feed.Options{})
		announced, _ := ask(listenGo(t, engineOf(t, f), protocol.StreamOptions{Dialect: protocol.V6, Feeds: keysOf(f)}), 2, nil)
		if a, b := fmt.Sprint(announced[:2]), fmt.Sprint(want[:2]); a != b {
			t.Fatalf("of a directory just opened\nhere %s\nnpm  %s", a, b)
		}
	}
	if old && !t.Failed() {
		record(overTCP, bareReplies, v, "pass for Data; it answers Want with one Have of everything, and keeps no account of what the peer has")
	}
}
