package protocol_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/feed/merkle"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/protocol/wire"
)

// TestFloodsAreThrottled: a remote that floods what is cheap to send is read no faster than its
// budget allows, is not dropped and not blamed; one that says much, but what an honest one may, is
// not slowed down.
func TestFloodsAreThrottled(t *testing.T) {
	ragged := make([]byte, 131072)
	for i := range ragged {
		ragged[i] = 0xaa
	}
	code := wire.EncodeRLE([]byte{}, ragged)
	runs := bytes.Repeat([]byte{0xfd, 0x1f, 7}, 128) // 1023 bytes 00, one ff
	for _, c := range []struct {
		name string
		n    int
		make func(b []byte, i uint64) []byte
		// least and most are bounds of the time that all of them take.
		least, most time.Duration
	}{
		{"maps of 128 KiB", 2000, func(b []byte, _ uint64) []byte { return append(b, bitfield(0, code)...) }, 4 * time.Second, 8 * time.Second},
		{"maps with a run in each page", 500, func(b []byte, _ uint64) []byte { return append(b, bitfield(0, runs)...) }, 40 * time.Millisecond, 400 * time.Millisecond},
		{"announcements", 2_000_000, func(b []byte, i uint64) []byte { return wire.AppendHave(b, 0, wire.Have{Start: i % 50, Length: 1}) }, 6 * time.Second, 12 * time.Second},
		{"ranges", 200_000, func(b []byte, i uint64) []byte { return wire.AppendUnhave(b, 0, wire.Unhave{Length: 1 << 40}) }, 10 * time.Second, 60 * time.Second},
		{"openings", 100_000, func(b []byte, i uint64) []byte {
			return wire.AppendFeed(b, 1, wire.Feed{DiscoveryKey: [32]byte{1}, Nonce: make([]byte, 24)})
		}, 800 * time.Millisecond, 2 * time.Second},
		{"what an honest one says in a second", 50_000, func(b []byte, i uint64) []byte {
			if i%2000 == 0 {
				time.Sleep(40 * time.Millisecond)
			}
			return wire.AppendHave(b, 0, wire.Have{Start: i, Length: 1})
		}, time.Second, 1010 * time.Millisecond},
		{"sixteen ragged maps", 16, func(b []byte, _ uint64) []byte { return append(b, bitfield(0, code)...) }, 0, 10 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() && c.n > 100_000 {
				t.Skip("takes half a minute with the race detector, on the way that the others go, too")
			}
			bubble.Test(t, func(t *testing.T) {
				b := newSide(t, "b")
				key := nonce2key([]byte{9})
				b.clone(feed.Key(key), true)
				x := dial(t, b, "x", protocol.StreamOptions{})
				go x.discard()
				x.hello(feed.Key(key))
				synctest.Wait()
				start := time.Now()
				x.repeat(c.n, c.make)
				x.send(make([]byte, 1<<20)) // keep-alives, to push the last of it out of the pipe
				took := time.Since(start)
				if took < c.least || took > c.most {
					t.Errorf("took %v, bounds %v and %v", took, c.least, c.most)
				}
				st := x.s.Stats()
				if st.Ended || len(b.blame) > 0 || (st.Throttled > 0) != (c.name[0] != 'w' && c.name[0] != 's') {
					t.Errorf("%+v, %d blamed", st, len(b.blame))
				}
				x.s.Close()
				<-x.done
				x.conn.Close()
			})
		})
	}
}

// TestFloodsShareCores: many remotes that flood together are held to their part of all cores.
func TestFloodsShareCores(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newSide(t, "b")
		key := nonce2key([]byte{9})
		b.clone(feed.Key(key), true)
		const each, streams = 100, 16 // 0.15 s of one core each
		ragged := make([]byte, 131072)
		for i := range ragged {
			ragged[i] = 0xaa
		}
		m := bitfield(0, wire.EncodeRLE([]byte{}, ragged))
		start := time.Now()
		done := make(chan *raw)
		for range streams {
			go func() {
				x := dial(t, b, "x", protocol.StreamOptions{})
				go x.discard()
				x.hello(feed.Key(key))
				x.repeat(each, func(b []byte, _ uint64) []byte { return append(b, m...) })
				done <- x
			}()
		}
		for range streams {
			x := <-done
			defer x.conn.Close()
			defer func() { x.s.Close(); <-x.done }()
			if x.s.Stats().Ended {
				t.Error("a stream ended")
			}
		}
		// Of each stream some 2 MiB are in the pipe and in memory at the end.
		all := time.Duration((each-20)*streams*len(m)) * 11 * time.Nanosecond
		if took := time.Since(start); took < all*2/time.Duration(protocol.Cores()) {
			t.Errorf("%v of work took %v", all, took)
		}
	})
}

// signedLength is a clone, at b, of a feed of n blocks, a power of two, of which only the first is here.
func signedLength(t *testing.T, b *side, n uint64) *feed.Feed {
	sk := seedKey(91)
	value := []byte("x")
	cur := merkle.Leaf(0, value)
	var nodes []merkle.Node
	for cur.Index < n-1 {
		sib := merkle.Node{Index: merkle.Sibling(cur.Index), Size: 1}
		nodes = append(nodes, sib)
		cur, _ = merkle.Join(cur, sib)
	}
	acc, _ := merkle.NewAccumulator([]merkle.Node{cur})
	h := acc.TreeHash()
	f := b.clone(feed.Key(sk.Public().(ed25519.PublicKey)), true)
	if _, err := f.Apply(ctx, []feed.Proof{{Value: value, Nodes: nodes, Signature: ed25519.Sign(sk, h[:])}}); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestFloodsLeaveOthersAlone: beside many remotes that flood together, one that stays below its
// part of the cores does not wait for what they owe.
func TestFloodsLeaveOthersAlone(t *testing.T) {
	ragged := make([]byte, 131072)
	for i := range ragged {
		ragged[i] = 0xaa
	}
	for _, c := range []struct {
		name string
		msg  []byte
	}{
		{"maps", bitfield(0, wire.EncodeRLE([]byte{}, ragged))},
		{"questions for maps", bytes.Repeat(wire.AppendWant(nil, 0, wire.Want{}), 100)},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				b := newSide(t, "b")
				key := signedLength(t, b, 1<<21).Key()
				quiet := b.clone(feed.Key(nonce2key([]byte{9})), true)
				var evil []*raw
				for range 40 {
					x := dial(t, b, "x", protocol.StreamOptions{})
					go x.discard()
					x.hello(key)
					go x.repeat(200, func(b []byte, _ uint64) []byte { return append(b, c.msg...) })
					evil = append(evil, x)
				}
				time.Sleep(150 * time.Millisecond)
				x := dial(t, b, "honest", protocol.StreamOptions{})
				x.hello(quiet.Key())
				start := time.Now()
				for range 5 {
					for i := range uint64(100) {
						x.send(wire.AppendHave(nil, 0, wire.Have{Start: i, Length: 1}))
					}
					x.send(wire.AppendRequest(nil, 0, wire.Request{Index: 5}))
					x.next(wire.TypeNoData)
					time.Sleep(20 * time.Millisecond)
				}
				if took, st := time.Since(start), x.s.Stats(); took > 105*time.Millisecond || st.Throttled > 0 {
					t.Errorf("an honest remote took %v, throttled %v", took, st.Throttled)
				}
				throttled := time.Duration(0)
				for _, x := range append(evil, x) {
					throttled += x.s.Stats().Throttled
					x.s.Close()
					x.conn.Close()
					<-x.done
				}
				if throttled < 2*time.Second {
					t.Errorf("the others were throttled for %v together", throttled)
				}
			})
		})
	}
}

// TestThrottledIsNotSilent: what a remote has said at once takes longer to read, because it is
// throttled, than it may be silent.
func TestThrottledIsNotSilent(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newSide(t, "b")
		key := feed.Key(nonce2key([]byte{9}))
		b.clone(key, true)
		const timeout = 400 * time.Millisecond
		x := dial(t, b, "x", protocol.StreamOptions{Timeout: timeout})
		go x.discard()
		x.hello(key)
		x.repeat(50_000, func(b []byte, i uint64) []byte { return wire.AppendUnhave(b, 0, wire.Unhave{Length: 1 << 40}) })
		rested := time.Duration(-1)
		for st := x.s.Stats(); st.Throttled != rested; st = x.s.Stats() {
			if st.Ended {
				t.Fatalf("ended after %v: %+v", st.Throttled, st)
			}
			rested = st.Throttled
			time.Sleep(timeout)
		}
		if rested < 4*timeout {
			t.Error("throttled for", rested)
		}
		time.Sleep(2 * timeout)
		if !x.s.Stats().Ended {
			t.Error("it is silent now, and was not noticed")
		}
		if err := <-x.done; !errors.Is(err, protocol.ErrTimeout) {
			t.Error(err)
		}
		x.conn.Close()
	})
}
