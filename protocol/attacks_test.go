package protocol_test

import (
	"errors"
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/internal/bubble"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/protocol/wire"
)

// TestAttacks runs hostile remotes against a node that downloads a feed from an honest one at the
// same time. Each runs inside synctest, so that a minute of silence costs nothing, and times are
// the virtual time that passed while everything waited plus the processor time of all sides together
// while something worked, which does not depend on what else the machine does. With -v -attacks-table it prints the table of docs/reliability.md.

var attacksTable = flag.Bool("attacks-table", false, "print what TestAttacks measured as a table")

const (
	// attackMemory is what the process may grow by during an attack of one remote: the ceiling that
	// the engine states, as much again in garbage and pooled slabs before the collector comes, and two
	// of the largest frames, which the attacker itself holds: it lives in this process too.
	attackMemory = 2*protocol.MaxStreamMemory + 2*wire.MaxFrame
	// honestBlocks are downloaded meanwhile, about 1.5 MB, and honestTime is how long that may take.
	honestBlocks = 2000
	honestTime   = 20 * time.Second
	// ownBlocks is the length of the feed that the node itself serves.
	ownBlocks = 800
	// heldFor is how long a remote that is not dropped is watched.
	heldFor = 2 * time.Minute
)

// attack is one kind of hostile remote.
type attack struct {
	name    string
	dialect []protocol.Dialect // none: both
	bare    bool               // it opens nothing before run
	deaf    bool               // it reads nothing, or reads in run
	rough   bool               // the node's own feed has holes
	// noUpload: the node sends it nothing.
	noUpload bool
	// ahead is how long the honest remote is not there.
	ahead time.Duration
	run   func(w *world, x *raw)
	// native and v6 say why the stream must end; nil: the remote is held. within is the bound of
	// the time until then.
	native, v6 error
	within     time.Duration
	held       string // why it is right to hold it, and what it costs
	mayHold    bool   // whether it is dropped depends on who was asked
}

// honestKey signs the feed that is downloaded.
var honestKey = seedKey(76)

// attacks are all of them.
var attacks = [][]attack{openAttacks, formatAttacks, askAttacks, sourceAttacks, slowAttacks}

// world is what an attack meets.
type world struct {
	t    *testing.T
	d    protocol.Dialect
	a, b *side      // the honest remote; the node that is attacked
	f    *feed.Feed // a's
	g    *feed.Feed // b's clone of f, the remote's channel 0
	own  *feed.Feed // b's own, the remote's channel 1
	x    *raw
}

// result is what was measured.
type result struct {
	err       error         // why the stream ended, nil if it was held
	dropped   time.Duration // after this time
	grown     uint64        // bytes of heap
	kept      int           // bytes counted for the stream at most
	honest    time.Duration // the download beside it took
	busy      time.Duration // of it something worked, on any side
	honestErr error
}

func TestAttacks(t *testing.T) {
	if testing.Short() {
		t.Skip("measures memory, which -short runs under the race detector would falsify")
	}
	defer debug.SetGCPercent(debug.SetGCPercent(50)) // what is garbage should not count for long
	s := newSampler()
	defer s.stop()
	lines := []string{}
	for _, d := range []protocol.Dialect{protocol.Native, protocol.V6} {
		base := result{honest: time.Hour}
		for range 2 {
			if r := measure(t, s, d, attack{run: func(_ *world, x *raw) { x.live() }}); r.honest < base.honest {
				base = r
			}
		}
		lines = append(lines, row(d, "(none)", "", base, base))
		for _, list := range attacks {
			for _, a := range list {
				if len(a.dialect) > 0 && a.dialect[0] != d {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s", short(d), a.name), func(t *testing.T) {
					r := measure(t, s, d, a)
					a.judge(t, d, r)
					lines = append(lines, row(d, a.name, a.held, r, base))
				})
			}
		}
	}
	if *attacksTable {
		fmt.Println("| dialect | attack | the remote | kept for it | heap grew by | honest download | of it busy | against none |\n|---|---|---|---|---|---|---|---|")
		fmt.Println(strings.Join(lines, "\n"))
	}
}

// judge holds a result against what must be.
func (a *attack) judge(t *testing.T, d protocol.Dialect, r result) {
	t.Helper()
	want := a.native
	if d == protocol.V6 {
		want = a.v6
	}
	switch {
	case r.err == nil && a.mayHold:
	case want == nil && r.err != nil:
		t.Error("dropped:", r.err)
	case want == errUnread && (errors.Is(r.err, protocol.ErrTimeout) || errors.Is(r.err, protocol.ErrNotReading)) && r.dropped <= a.within:
	case want != nil && (!errors.Is(r.err, want) || !isRemote(r.err)):
		t.Errorf("ended with %v, want %v", r.err, want)
	case want != nil && r.dropped > a.within:
		t.Errorf("dropped after %v, the bound is %v", r.dropped, a.within)
	case want == nil && a.held == "":
		t.Error("nothing says why it is held")
	}
	if r.grown > attackMemory {
		t.Errorf("the heap grew by %d KiB, the ceiling is %d KiB", r.grown>>10, attackMemory>>10)
	}
	if r.kept > protocol.MaxStreamMemory {
		t.Errorf("%d KiB counted, the ceiling is %d KiB", r.kept>>10, protocol.MaxStreamMemory>>10)
	}
	if r.honestErr != nil {
		t.Error("honest download:", r.honestErr)
	} else if r.honest > honestTime {
		t.Errorf("honest download took %v", r.honest)
	}
}

// measure runs an attack.
func measure(t *testing.T, s *sampler, d protocol.Dialect, a attack) (r result) {
	t.Helper()
	bubble.Test(t, func(t *testing.T) {
		w := &world{t: t, d: d, a: newSide(t, "a"), b: newSide(t, "b")}
		w.f, w.own = open(t, feed.Options{SecretKey: honestKey}), open(t, feed.Options{})
		w.fill(w.f, honestBlocks)
		w.fill(w.own, ownBlocks)
		w.a.add(w.f)
		w.b.add(w.own)
		w.g = w.b.clone(w.f.Key(), false)
		if a.rough {
			for i := uint64(0); i < ownBlocks; i += 2 {
				w.own.Clear(ctx, i, i+1)
			}
		}
		m := &budget{}
		o := protocol.StreamOptions{Dialect: d, Plain: true, NoUpload: a.noUpload, Memory: m, Kin: together}
		x := dial(t, w.b, "evil", o)
		w.x = x
		x.r.SetChannels(wire.MaxNativeChannels)
		if !a.bare {
			w.open(0, w.g.Key())
			w.open(1, w.own.Key())
			x.send(wire.AppendHandshake(nil, 0, wire.Handshake{Live: true}))
		}
		large()
		synctest.Wait()
		s.begin()
		start := s.now()
		ended := make(chan error, 1)
		go func() {
			err := <-x.done
			r.dropped = s.now() - start
			ended <- err
		}()
		if !a.deaf {
			go x.discard()
		}
		ran := make(chan struct{})
		go func() { a.run(w, x); close(ran) }()
		time.Sleep(a.ahead)
		joined, worked := s.now(), cpuTime()
		l := connect(w.a, w.b, linkOptions{dialect: d, plain: true, feedsB: []feed.Key{w.f.Key()}})
		r.honestErr = tryDownload(w.g, 0, honestBlocks)
		r.honest, r.busy = s.now()-joined, cpuTime()-worked
		held := false
		select {
		case r.err = <-ended:
			if r.err == nil {
				r.err = errors.New("the end")
			}
		case <-time.After(heldFor):
			held = true
			x.s.Close()
			<-ended
		}
		r.grown = s.grown()
		if held {
			r.err = nil
		}
		left, peak, _ := m.state()
		if r.kept = peak + protocol.MinStreamMemory; left != 0 {
			t.Errorf("%d bytes are reserved after the end", left)
		}
		x.conn.Close()
		<-ran
		l.close()
		<-l.errA
		<-l.errB
		time.Sleep(time.Minute) // what the attack left running ends
	})
	return r
}

// contents are the blocks of the feeds, made once.
var contents = sync.OnceValue(func() (list [][]byte) {
	for i := range uint64(honestBlocks) {
		list = append(list, content(i))
	}
	return list
})

// fill appends the first n of them.
func (w *world) fill(f *feed.Feed, n int) {
	if _, err := f.Append(ctx, contents()[:n]...); err != nil {
		w.t.Fatal(err)
	}
	if err := f.Sync(ctx); err != nil {
		w.t.Fatal(err)
	}
}

// open opens a feed as the raw remote's channel n, in either dialect.
func (w *world) open(n uint64, key feed.Key) {
	m := wire.Feed{DiscoveryKey: key.Discovery()}
	if w.d == protocol.Native {
		m.Nonce = make([]byte, wire.NonceLen)
		m.Nonce[0] = byte(n)
		c := protocol.Capability(key, w.x.id, w.x.peer, m.Nonce)
		m.Capability = c[:]
	}
	w.x.send(wire.AppendFeed(nil, n, m))
}

// discard reads whatever comes.
func (x *raw) discard() {
	buf := make([]byte, 64<<10)
	for {
		if _, err := x.conn.Read(buf); err != nil {
			return
		}
	}
}

// repeat sends what fn makes n times, gathered into writes of some KiB; it stops when the stream
// has ended.
func (x *raw) repeat(n int, fn func(b []byte, i uint64) []byte) {
	var b []byte
	for i := range n {
		b = fn(b, uint64(i))
		if len(b) > 16<<10 || i == n-1 {
			if _, err := x.conn.Write(b); err != nil {
				return
			}
			b = b[:0]
		}
	}
}

// frame is a frame with any body.
func frame(channel uint64, typ wire.Type, body ...byte) []byte {
	head := wire.AppendVarint(nil, channel<<4|uint64(typ))
	b := wire.AppendVarint(nil, uint64(len(head)+len(body)))
	return append(append(b, head...), body...)
}

// saying is the attack that consists of some bytes.
func saying(b ...[]byte) func(*world, *raw) {
	return func(_ *world, x *raw) {
		for _, p := range b {
			x.send(p)
		}
	}
}

func short(d protocol.Dialect) string {
	if d == protocol.V6 {
		return "v6"
	}
	return "native"
}

// row is a line of the table.
func row(d protocol.Dialect, name, held string, r, base result) string {
	fate := "held: " + held
	if r.err != nil {
		fate = fmt.Sprintf("dropped after %s: %s", brief(r.dropped), reason(r.err))
	} else if held == "" {
		fate = ""
	}
	done := brief(r.honest)
	if r.honestErr != nil {
		done = "failed"
	}
	return fmt.Sprintf("| %s | %s | %s | %.1f MiB | %.1f MiB | %s | %s | × %.1f |", short(d), name, fate, float64(r.kept)/(1<<20), float64(r.grown)/(1<<20), done, brief(r.busy), float64(r.honest)/float64(base.honest))
}

func brief(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%.1f ms", float64(d)/1e6)
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// reason is what a remote was dropped for, without where.
func reason(err error) string {
	var r *protocol.RemoteError
	if errors.As(err, &r) {
		err = r.Err
	}
	s, _, _ := strings.Cut(err.Error(), "\n")
	return strings.ReplaceAll(s, "|", "/")
}

// sampler watches the heap from outside synctest.
type sampler struct {
	peak  atomic.Uint64 // since begin
	first uint64        // at begin
	start time.Time     // of the bubble's clock
	quit  chan struct{}
}

// sampleEvery is how often it looks.
const sampleEvery = 500 * time.Microsecond

func newSampler() *sampler {
	s := &sampler{quit: make(chan struct{})}
	go func() {
		for {
			select {
			case <-s.quit:
				return
			case <-time.After(sampleEvery):
				if n := heap(); n > s.peak.Load() {
					s.peak.Store(n)
				}
			}
		}
	}()
	return s
}

func (s *sampler) stop() { close(s.quit) }

// heap is the size of all objects, garbage that was not collected yet included.
func heap() uint64 {
	m := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(m)
	return m[0].Value.Uint64()
}

// begin collects garbage and starts a measurement. Inside synctest.
func (s *sampler) begin() {
	runtime.GC()
	s.first = heap()
	s.peak.Store(s.first)
	s.start = time.Now()
}

// grown is by how much the heap was larger than at begin.
func (s *sampler) grown() uint64 { return max(s.peak.Load(), s.first) - s.first }

// now is the time since begin. Inside synctest.
func (s *sampler) now() time.Duration { return time.Since(s.start) + cpuTime() }
