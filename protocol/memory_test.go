package protocol_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/protocol/wire"
)

// budget is the Memory of one or more streams.
type budget struct {
	limit int // 0: none
	// fair: who keeps more than 2 MiB may use half of it only.
	fair bool

	mu              sync.Mutex
	used, peak      int
	total           int // the largest total of one stream
	refused, asking int
}

var errBudget = errors.New("the budget is spent")

func (b *budget) Reserve(n, total int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asking++
	if n <= 0 || total < n {
		panic(fmt.Sprint("reserve ", n, " of ", total))
	}
	limit := b.limit
	if b.fair && total > 2<<20 {
		limit /= 2
	}
	if b.limit > 0 && b.used+n > limit {
		b.refused++
		return errBudget
	}
	b.used += n
	b.peak, b.total = max(b.peak, b.used), max(b.total, total)
	return nil
}

func (b *budget) Release(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used -= n; n <= 0 || b.used < 0 {
		panic(fmt.Sprint("release ", n, ", left ", b.used))
	}
}

func (b *budget) state() (used, peak, refused int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used, b.peak, b.refused
}

// TestMemoryReturns: after a transfer of large and small blocks, hashes, maps and extension messages
// both ways, an idle stream counts what it reads into, and at its end everything was given back.
func TestMemoryReturns(t *testing.T) {
	for _, d := range []protocol.Dialect{protocol.Native, protocol.V6} {
		t.Run(short(d), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				a, b := newSide(t, "a"), newSide(t, "b")
				f := a.create(500)
				for range 3 {
					if _, err := f.Append(ctx, make([]byte, 8_000_000)); err != nil {
						t.Fatal(err)
					}
				}
				h := b.create(400)
				g, k := b.clone(f.Key(), false), a.clone(h.Key(), false)
				xa, err := a.e.RegisterExtension(f.DiscoveryKey(), "x", nil)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := b.e.RegisterExtension(f.DiscoveryKey(), "x", nil); err != nil {
					t.Fatal(err)
				}
				ma, mb := &budget{}, &budget{}
				l := connect(a, b, linkOptions{
					dialect: d, feedsA: []feed.Key{f.Key(), h.Key()}, feedsB: []feed.Key{f.Key(), h.Key()},
					mutA: func(o *protocol.StreamOptions) { o.Memory = ma },
					mutB: func(o *protocol.StreamOptions) { o.Memory = mb },
				})
				download(t, g, 0, 503)
				download(t, k, 0, 400)
				xa.Broadcast(make([]byte, 1<<20))
				if _, peak, _ := mb.state(); peak < 8_000_000 {
					t.Error("8 MB were received and only", peak, "bytes reserved")
				}
				time.Sleep(time.Minute)
				for i, s := range []*protocol.Stream{l.A, l.B} {
					used, held := s.Memory()
					if used < 0 || used > 5<<18 || held > 2<<20 {
						t.Errorf("idle stream %d: %d bytes used, %d reserved", i, used, held)
					}
				}
				l.close()
				<-l.errA
				<-l.errB
				for i, m := range []*budget{ma, mb} {
					if used, peak, _ := m.state(); used != 0 || peak > protocol.MaxStreamMemory || m.asking > 2000 {
						t.Errorf("stream %d: %d bytes not given back, %d at most, asked %d times", i, used, peak, m.asking)
					}
				}
			})
		})
	}
}

// TestMemoryBudget: many remotes that all reach for the ceiling, each in its own way, stay within
// the budget they share, and an honest stream under the same budget goes on.
func TestMemoryBudget(t *testing.T) {
	const limit = 48 << 20
	bubble.Test(t, func(t *testing.T) {
		a, b := newSide(t, "a"), newSide(t, "b")
		f := open(t, feed.Options{SecretKey: honestKey})
		appendBlocks(t, f, honestBlocks)
		a.add(f)
		own := b.create(ownBlocks)
		if _, err := own.Append(ctx, make([]byte, 8_000_000), make([]byte, 8_000_000)); err != nil {
			t.Fatal(err)
		}
		if err := own.Sync(ctx); err != nil {
			t.Fatal(err)
		}
		g := b.clone(f.Key(), false)
		m := &budget{limit: limit, fair: true}
		ragged := make([]byte, 131072)
		for i := range ragged {
			ragged[i] = 0xaa
		}
		code := wire.EncodeRLE([]byte{}, ragged)
		var xs []*raw
		for i := range 24 {
			x := dial(t, b, fmt.Sprint("evil", i), protocol.StreamOptions{Dialect: protocol.V6, Plain: true, Memory: m})
			xs = append(xs, x)
			w := &world{d: protocol.V6, x: x}
			w.open(0, g.Key())
			w.open(1, own.Key())
			x.send(wire.AppendHandshake(nil, 0, wire.Handshake{Live: true}))
			go func() {
				switch i % 4 {
				case 0: // frames of 8 MiB, one after the other
					for range 10 {
						x.send(large().block)
					}
				case 1: // most of one, and no more
					x.send(large().junk[:6<<20])
				case 2: // blocks of 8 MB that are not read
					x.send(wire.AppendRequest(nil, 1, wire.Request{Index: ownBlocks}))
					x.send(wire.AppendRequest(nil, 1, wire.Request{Index: ownBlocks + 1}))
					x.repeat(50_000, func(b []byte, i uint64) []byte { return wire.AppendRequest(b, 1, wire.Request{Index: i % ownBlocks}) })
				case 3: // maps of all regions there may be
					x.send(wire.AppendHave(nil, 0, wire.Have{Start: 1 << 25, Length: 1}))
					for range 100 {
						x.send(bitfield(0, code))
					}
				}
				x.live()
			}()
			if i%4 == 3 {
				go x.discard()
			}
		}
		time.Sleep(2 * time.Second)
		l := connect(a, b, linkOptions{dialect: protocol.V6, plain: true, feedsB: []feed.Key{f.Key()}, mutB: func(o *protocol.StreamOptions) { o.Memory = m }})
		if err := tryDownload(g, 0, honestBlocks); err != nil {
			t.Error(err)
		}
		same(t, g, 0, honestBlocks)
		if st := l.B.Stats(); st.Ended {
			t.Error("the honest stream ended")
		}
		for _, x := range xs {
			x.s.Close()
			if err := <-x.done; errors.Is(err, protocol.ErrMemory) && isRemote(err) {
				t.Error("blamed for our lack of memory:", err)
			}
			x.conn.Close()
		}
		l.close()
		<-l.errA
		<-l.errB
		used, peak, refused := m.state()
		if peak > limit || refused == 0 || used != 0 {
			t.Errorf("peak %d of %d, %d refused, %d left", peak, limit, refused, used)
		}
		time.Sleep(time.Minute)
	})
}

// TestMemoryRefused: what cannot be read for want of memory ends the stream after a while, with an
// error that says so and blames nobody; what can be done with less goes on.
func TestMemoryRefused(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, b := newSide(t, "a"), newSide(t, "b")
		f := a.create(3) // small blocks
		g := b.clone(f.Key(), false)
		m := &budget{limit: 1}
		l := connect(a, b, linkOptions{feedsA: []feed.Key{f.Key()}, feedsB: []feed.Key{f.Key()}, mutA: func(o *protocol.StreamOptions) { o.Memory = m }})
		download(t, g, 0, 3)
		start := time.Now()
		if _, err := f.Append(ctx, make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		err := wait(t, "the end", l.errA) // it has no memory to send it
		if !errors.Is(err, protocol.ErrMemory) || !errors.Is(err, errBudget) || isRemote(err) {
			t.Error("ended with", err)
		}
		if d := time.Since(start); d < 5*time.Second || d > 30*time.Second {
			t.Error("after", d)
		}
		if err := wait(t, "the end", l.errB); isRemote(err) {
			t.Error(err)
		}
		x := dial(t, b, "large", protocol.StreamOptions{Memory: m})
		x.hello(g.Key())
		x.send(large().junk)
		if err := wait(t, "the end", x.done); !errors.Is(err, protocol.ErrMemory) || isRemote(err) {
			t.Error("ended with", err)
		}
		if len(b.blame)+len(a.blame) > 0 {
			t.Error("somebody was blamed:", (<-b.blame).Reason)
		}
		x.conn.Close()
	})
}
