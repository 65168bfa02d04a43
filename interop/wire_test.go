package interop

import (
	"bytes"
	"encoding/base64"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/protocol"
)

const overTCP = "Wire over TCP"

// ways are the four combinations of who has the blocks and who dials.
var ways = []struct {
	name               string
	npmSeeds, npmDials bool
}{
	{"npm seeds and listens", true, false},
	{"npm seeds and dials", true, true},
	{"npm downloads and dials", false, true},
	{"npm downloads and listens", false, false},
}

// pair is a feed on both sides, one of them the writer.
type pair struct {
	npm *npmFeed
	go_ *feed.Feed
}

// newPair makes a writer with count blocks on one side and an empty reader on
// the other.
func newPair(t *testing.T, d *driver, v string, npmSeeds, sparse bool, c content, count uint64) pair {
	t.Helper()
	if npmSeeds {
		n := d.open(t, v, t.TempDir(), npmOpts{})
		n.generate(t, c, count, 50)
		return pair{n, openGo(t, t.TempDir(), feed.Options{Key: mustKey(t, n.Key), Sparse: sparse})}
	}
	f := openGo(t, t.TempDir(), feed.Options{})
	generateGo(t, f, c, count, 50)
	return pair{d.open(t, v, t.TempDir(), npmOpts{Key: f.Key().String(), Opts: obj{"sparse": sparse}}), f}
}

// same checks that the reader has all the writer has, and that it is sound.
func (p pair) same(t *testing.T, npmSeeds bool, length uint64) {
	t.Helper()
	if npmSeeds {
		untilGo(t, p.go_, length, length)
		auditGo(t, p.go_)
	} else {
		p.npm.until(t, length, length)
		p.npm.audit(t)
		p.npm.verify(t)
	}
	sameDigest(t, "here and npm", digestGo(t, p.go_), p.npm.digest(t))
}

// reader returns how many blocks the reader has.
func (p pair) reader(t *testing.T, npmSeeds bool) uint64 {
	t.Helper()
	if npmSeeds {
		return p.go_.Downloaded(0, 0)
	}
	return p.npm.refresh(t).Downloaded
}

// append adds blocks at the writer.
func (p pair) append(t *testing.T, npmSeeds bool, c content, count uint64) {
	t.Helper()
	if npmSeeds {
		p.npm.generate(t, c, count, 3)
	} else {
		generateGo(t, p.go_, c, count, 3)
	}
}

func TestWire(t *testing.T) {
	d := js(t)
	for _, way := range ways {
		cases(t, overTCP, "whole download, "+way.name, wireVersions, func(t *testing.T, v string) {
			p := newPair(t, d, v, way.npmSeeds, false, small, 500)
			e := engineOf(t, p.go_)
			connect(t, d, []*npmFeed{p.npm}, e, wire{npmDials: way.npmDials, here: protocol.StreamOptions{Feeds: keysOf(p.go_)}})
			p.same(t, way.npmSeeds, 500)
		})

		cases(t, overTCP, "live appends, "+way.name, wireVersions, func(t *testing.T, v string) {
			p := newPair(t, d, v, way.npmSeeds, false, small, 10)
			e := engineOf(t, p.go_)
			connect(t, d, []*npmFeed{p.npm}, e, wire{npmDials: way.npmDials, here: protocol.StreamOptions{Feeds: keysOf(p.go_)}})
			p.same(t, way.npmSeeds, 10)
			for i := range uint64(20) {
				p.append(t, way.npmSeeds, small, 1+i%5)
			}
			p.same(t, way.npmSeeds, 10+60)
		})

		cases(t, overTCP, "not live: ends by itself, "+way.name, wireVersions, func(t *testing.T, v string) {
			p := newPair(t, d, v, way.npmSeeds, false, small, 200)
			e := engineOf(t, p.go_)
			l := connect(t, d, []*npmFeed{p.npm}, e, wire{
				npmDials: way.npmDials,
				npm:      obj{"live": false},
				here:     protocol.StreamOptions{Feeds: keysOf(p.go_), Ends: true},
			})
			l.endsWell(t)
			p.same(t, way.npmSeeds, 200)
		})

		cases(t, overTCP, "not encrypted, "+way.name, wireVersions, func(t *testing.T, v string) {
			p := newPair(t, d, v, way.npmSeeds, false, small, 200)
			e := engineOf(t, p.go_)
			l := connect(t, d, []*npmFeed{p.npm}, e, wire{
				npmDials: way.npmDials,
				npm:      obj{"live": false, "encrypt": false},
				here:     protocol.StreamOptions{Feeds: keysOf(p.go_), Ends: true, Plain: true},
			})
			l.endsWell(t)
			p.same(t, way.npmSeeds, 200)
		})

		cases(t, overTCP, "sparse download of chosen blocks, "+way.name, wireVersions, func(t *testing.T, v string) {
			p := newPair(t, d, v, way.npmSeeds, true, small, 300)
			e := engineOf(t, p.go_)
			connect(t, d, []*npmFeed{p.npm}, e, wire{npmDials: way.npmDials, here: protocol.StreamOptions{Feeds: keysOf(p.go_)}})
			for _, i := range chosen {
				var got []byte
				if way.npmSeeds {
					var err error
					if got, err = p.go_.Get(ctx(t), i); err != nil {
						t.Fatalf("block %d: %v", i, err)
					}
				} else {
					var r struct{ Value []byte }
					p.npm.call(t, "get", obj{"index": i}, &r)
					got = r.Value
				}
				if !bytes.Equal(got, small.block(i)) {
					t.Fatalf("block %d differs", i)
				}
			}
			if got := p.reader(t, way.npmSeeds); got != uint64(len(chosen)) {
				t.Fatalf("%d blocks here, %d were asked for", got, len(chosen))
			}
		})

		cases(t, overTCP, "reconnect in the middle, "+way.name, wireVersions, func(t *testing.T, v string) {
			c := content{seed: 6, min: 20000, max: 60000}
			p := newPair(t, d, v, way.npmSeeds, false, c, 400)
			e := engineOf(t, p.go_)
			w := wire{npmDials: way.npmDials, here: protocol.StreamOptions{Feeds: keysOf(p.go_)}}
			middle := 0 // cuts that left something to fetch
			for _, cut := range []uint64{5, 60, 150} {
				l := connect(t, d, []*npmFeed{p.npm}, e, w)
				if way.npmSeeds {
					untilGo(t, p.go_, 400, cut)
				} else {
					p.npm.until(t, 400, cut)
				}
				l.drop(t)
				if have := p.reader(t, way.npmSeeds); have < 400 {
					middle++
				}
			}
			if middle == 0 {
				t.Fatal("no cut was in the middle")
			}
			connect(t, d, []*npmFeed{p.npm}, e, w)
			p.same(t, way.npmSeeds, 400)
		})
	}

	for _, npmSeeds := range []bool{true, false} {
		way := map[bool]string{true: "npm seeds", false: "npm downloads"}[npmSeeds]

		cases(t, overTCP, "three feeds on one stream, not live, "+way, wireVersions, func(t *testing.T, v string) {
			var pairs []pair
			var ns []*npmFeed
			var fs []*feed.Feed
			for i := range uint64(3) {
				p := newPair(t, d, v, npmSeeds, false, small, 30+20*i)
				pairs, ns, fs = append(pairs, p), append(ns, p.npm), append(fs, p.go_)
			}
			e := engineOf(t, fs...)
			l := connect(t, d, ns, e, wire{
				npmDials: true,
				npm:      obj{"live": false},
				here:     protocol.StreamOptions{Feeds: keysOf(fs...), Ends: true, ExpectedFeeds: 3},
			})
			l.endsWell(t)
			for i, p := range pairs {
				p.same(t, npmSeeds, 30+20*uint64(i))
			}
		})

		cases(t, overTCP, "three feeds on one stream, live, other order, "+way, wireVersions, func(t *testing.T, v string) {
			var pairs []pair
			var ns []*npmFeed
			var fs []*feed.Feed
			for i := range uint64(3) {
				p := newPair(t, d, v, npmSeeds, false, small, 30+20*i)
				pairs, ns, fs = append(pairs, p), append(ns, p.npm), append(fs, p.go_)
			}
			// The first must be the same on both sides, the others need not be.
			e := engineOf(t, fs...)
			connect(t, d, ns, e, wire{here: protocol.StreamOptions{Feeds: keysOf(fs[0], fs[2], fs[1])}})
			for i, p := range pairs {
				p.same(t, npmSeeds, 30+20*uint64(i))
				p.append(t, npmSeeds, small, 7)
				p.same(t, npmSeeds, 37+20*uint64(i))
			}
		})

		cases(t, overTCP, "static feed, "+way, wireVersions, func(t *testing.T, v string) {
			var p pair
			if npmSeeds {
				n := d.open(t, v, t.TempDir(), npmOpts{Opts: obj{"live": false}})
				n.generate(t, small, 33, 10)
				var info npmInfo
				n.call(t, "finalize", nil, &info)
				p = pair{n, openGo(t, t.TempDir(), feed.Options{Key: mustKey(t, info.Key)})}
			} else {
				f := openGo(t, t.TempDir(), feed.Options{Static: true})
				generateGo(t, f, small, 33, 10)
				if err := f.Finalize(ctx(t)); err != nil {
					t.Fatal(err)
				}
				p = pair{d.open(t, v, t.TempDir(), npmOpts{Key: f.Key().String()}), f}
			}
			e := engineOf(t, p.go_)
			l := connect(t, d, []*npmFeed{p.npm}, e, wire{npm: obj{"live": false}, here: protocol.StreamOptions{Feeds: keysOf(p.go_), Ends: true}})
			l.endsWell(t)
			sameDigest(t, "here and npm", digestGo(t, p.go_), p.npm.digest(t))
			if p.go_.Len() != 33 {
				t.Fatalf("%d blocks", p.go_.Len())
			}
			p.npm.audit(t)
		})

		cases(t, overTCP, "seek by bytes on a sparse reader, "+way, wireVersions, func(t *testing.T, v string) {
			p := newPair(t, d, v, npmSeeds, true, small, 300)
			e := engineOf(t, p.go_)
			connect(t, d, []*npmFeed{p.npm}, e, wire{here: protocol.StreamOptions{Feeds: keysOf(p.go_)}})
			total := uint64(0)
			starts := make([]uint64, 300)
			for i := range starts {
				starts[i] = total
				total += small.size(uint64(i))
			}
			// The first block tells the length: nothing can be sought in an unknown one.
			if npmSeeds {
				if _, err := p.go_.Get(ctx(t), 0); err != nil {
					t.Fatal(err)
				}
			} else {
				p.npm.call(t, "get", obj{"index": 0}, nil)
			}
			for _, offset := range []uint64{1, total / 3, total / 2, starts[200], starts[201] - 1, total - 1} {
				var index, rel uint64
				if npmSeeds {
					var err error
					if index, rel, err = p.go_.Seek(ctx(t), offset); err != nil {
						t.Fatalf("seek %d: %v", offset, err)
					}
				} else {
					var r struct{ Index, Offset uint64 }
					p.npm.call(t, "seek", obj{"bytes": offset}, &r)
					index, rel = r.Index, r.Offset
				}
				if starts[index]+rel != offset || rel >= small.size(index) {
					t.Fatalf("seek %d: block %d + %d, which begins at %d and has %d bytes", offset, index, rel, starts[index], small.size(index))
				}
			}
		})

		cases(t, overTCP, "4 MiB and 0-byte blocks, "+way, wireVersions, func(t *testing.T, v string) {
			p := newPair(t, d, v, npmSeeds, false, content{seed: 7, min: 4 << 20, max: 4 << 20}, 3)
			p.append(t, npmSeeds, content{}, 3)
			e := engineOf(t, p.go_)
			connect(t, d, []*npmFeed{p.npm}, e, wire{npmDials: true, here: protocol.StreamOptions{Feeds: keysOf(p.go_)}})
			p.same(t, npmSeeds, 6)
		})

		cases(t, overTCP, "10,000 blocks, "+way, wireVersions, func(t *testing.T, v string) {
			p := newPair(t, d, v, npmSeeds, false, content{seed: 8, min: 10, max: 200}, 10000)
			e := engineOf(t, p.go_)
			connect(t, d, []*npmFeed{p.npm}, e, wire{npmDials: true, here: protocol.StreamOptions{Feeds: keysOf(p.go_)}})
			p.same(t, npmSeeds, 10000)
		})

		cases(t, overTCP, "cleared blocks are not asked for, "+way, wireVersions, func(t *testing.T, v string) {
			p := newPair(t, d, v, npmSeeds, false, small, 100)
			if npmSeeds {
				p.npm.call(t, "clear", obj{"start": 10, "end": 30}, nil)
			} else if err := p.go_.Clear(ctx(t), 10, 30); err != nil {
				t.Fatal(err)
			}
			e := engineOf(t, p.go_)
			l := connect(t, d, []*npmFeed{p.npm}, e, wire{here: protocol.StreamOptions{Feeds: keysOf(p.go_)}})
			if npmSeeds {
				untilGo(t, p.go_, 100, 80)
			} else {
				p.npm.until(t, 100, 80)
			}
			if !l.open(t) {
				t.Fatal("the stream did not survive")
			}
			sameDigest(t, "here and npm", digestGo(t, p.go_), p.npm.digest(t))
		})
	}

	cases(t, overTCP, bareReplies, wireVersions, func(t *testing.T, v string) {
		bareRequests(t, d, v)
	})

	cases(t, overTCP, "extension messages both ways", wireVersions, func(t *testing.T, v string) {
		p := newPair(t, d, v, true, false, small, 3)
		e := engineOf(t, p.go_)
		got := make(chan []byte, 10)
		ext, err := e.RegisterExtension(p.go_.DiscoveryKey(), "beta", func(_ *protocol.Peer, payload []byte) { got <- bytes.Clone(payload) })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ext.Close() })
		l := connect(t, d, []*npmFeed{p.npm}, e, wire{
			npm:  obj{"live": true, "extensions": []string{"alpha", "beta"}},
			here: protocol.StreamOptions{Feeds: keysOf(p.go_)},
		})
		p.same(t, true, 3)
		ext.Broadcast([]byte("ping"))
		var m struct{ Name, Payload string }
		d.call(t, "nextExtension", obj{"conn": l.conn}, &m)
		if m.Name != "beta" || m.Payload != base64.StdEncoding.EncodeToString([]byte("ping")) {
			t.Fatalf("npm got %+v", m)
		}
		d.call(t, "sendExtension", obj{"conn": l.conn, "feed": p.npm.Feed, "name": "alpha", "payload": "bm8="}, nil)
		d.call(t, "sendExtension", obj{"conn": l.conn, "feed": p.npm.Feed, "name": "beta", "payload": "cG9uZw=="}, nil)
		select {
		case b := <-got:
			if string(b) != "pong" {
				t.Fatalf("got %q", b)
			}
		case <-time.After(patience):
			t.Fatal("no extension message")
		}
	})

	cases(t, overTCP, "user data in the handshake, both ways", wireVersions, func(t *testing.T, v string) {
		p := newPair(t, d, v, true, false, small, 3)
		e := engineOf(t, p.go_)
		l := connect(t, d, []*npmFeed{p.npm}, e, wire{
			npm:  obj{"live": true, "userData": "6e706d"},
			here: protocol.StreamOptions{Feeds: keysOf(p.go_), UserData: []byte("here")},
		})
		p.same(t, true, 3)
		var hello struct {
			UserData string
			Live     bool
		}
		d.call(t, "handshake", obj{"conn": l.conn}, &hello)
		if hello.UserData != "68657265" || !hello.Live {
			t.Fatalf("npm got %+v", hello)
		}
		if got := l.stream.RemoteUserData(); string(got) != "npm" {
			t.Fatalf("got %q", got)
		}
	})

	cases(t, overTCP, "two readers complete each other", wireVersions, func(t *testing.T, v string) {
		source := openGo(t, t.TempDir(), feed.Options{})
		generateGo(t, source, small, 100, 50)
		here := openGo(t, t.TempDir(), feed.Options{Key: source.Key()})
		var first, second []uint64
		for i := range uint64(100) {
			if i%2 == 0 {
				first = append(first, i)
			} else {
				second = append(second, i)
			}
		}
		cloneGo(t, source, here, first)
		dir := t.TempDir()
		other := openGo(t, dir, feed.Options{Key: source.Key()})
		cloneGo(t, source, other, second)
		closeGo(t, other)
		n := d.open(t, v, dir, npmOpts{})
		e := engineOf(t, here)
		connect(t, d, []*npmFeed{n}, e, wire{here: protocol.StreamOptions{Feeds: keysOf(here)}})
		untilGo(t, here, 100, 100)
		n.until(t, 100, 100)
		n.audit(t)
		sameDigest(t, "here and npm", digestGo(t, here), n.digest(t))
	})

	cases(t, overTCP, "another first feed is refused", wireVersions, func(t *testing.T, v string) {
		n := d.open(t, v, t.TempDir(), npmOpts{})
		f := openGo(t, t.TempDir(), feed.Options{})
		appendGo(t, f, []byte("secret"))
		e := engineOf(t, f)
		l := connect(t, d, []*npmFeed{n}, e, wire{here: protocol.StreamOptions{Feeds: keysOf(f)}})
		if there, here := l.ended(t); here == nil && there.Error == "" {
			t.Fatal("ended without an error on either side")
		}
	})

	cases(t, overTCP, "answers for a feed only npm names", wireVersions, func(t *testing.T, v string) {
		p := newPair(t, d, v, false, false, small, 50)
		e := engineOf(t, p.go_)
		l := connect(t, d, []*npmFeed{p.npm}, e, wire{npmDials: true, npm: obj{"live": false}, here: protocol.StreamOptions{Ends: true}})
		l.endsWell(t)
		p.same(t, false, 50)
	})
}
