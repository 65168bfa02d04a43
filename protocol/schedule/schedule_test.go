package schedule_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/protocol/schedule"
)

const ms = time.Millisecond

// asks collects what Plan and Tick emit.
type asks map[*schedule.Peer][]uint64

func (a asks) emit(p *schedule.Peer, runs []schedule.Run) {
	for _, r := range runs {
		for b := r.Start; b < r.End; b++ {
			a[p] = append(a[p], b)
		}
	}
}

func plan(t *schedule.Table, now time.Duration) asks {
	a := asks{}
	t.Plan(now, a.emit)
	return a
}

func tick(t *schedule.Table, now time.Duration) asks {
	a := asks{}
	t.Tick(now, schedule.Actions{Ask: a.emit})
	return a
}

func seq(start, end uint64) []uint64 {
	var s []uint64
	for ; start < end; start++ {
		s = append(s, start)
	}
	return s
}

func want(t *testing.T, got, want []uint64) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("asked for %v, want %v", got, want)
	}
}

func TestOrder(t *testing.T) {
	tb := schedule.New(0)
	p := tb.AddPeer(schedule.Limits{})
	p.Have(0, 100)
	tb.Here(0, 3)
	tb.SetDemand(schedule.Demand{
		Urgent: []uint64{50, 2, 200, 7},
		Ranges: []schedule.Range{{Start: 0, End: 9, Linear: true}, {Start: 90, End: 0}},
	})
	// Urgent first (2 is here, 200 is not announced), then the linear range, then the open one.
	got := plan(tb, 0)[p]
	want(t, got[:7], []uint64{50, 7, 3, 4, 5, 6, 8})
	for _, b := range got[7:] {
		if b < 90 || b > 99 {
			t.Fatal("asked for", b)
		}
	}
	if p.InFlight() != 16 {
		t.Fatal("in flight:", p.InFlight())
	}
	// Nothing is asked twice, and nothing while the window is full.
	if a := plan(tb, ms); len(a) != 0 {
		t.Fatal("asked again:", a)
	}
}

func TestNothingUnannounced(t *testing.T) {
	tb := schedule.New(0)
	p := tb.AddPeer(schedule.Limits{})
	tb.SetDemand(schedule.Demand{Urgent: seq(0, 10), Ranges: []schedule.Range{{}}})
	if a := plan(tb, 0); len(a) != 0 {
		t.Fatal("asked for what was not announced:", a)
	}
	p.Have(4, 6)
	want(t, plan(tb, 0)[p], []uint64{4, 5})
	p.Have(8192*3+1, 8192*3+3)
	want(t, plan(tb, 0)[p], []uint64{8192*3 + 1, 8192*3 + 2})
}

func TestRarestFirst(t *testing.T) {
	tb := schedule.New(0)
	source := tb.AddPeer(schedule.Limits{Blocks: 4})
	source.Have(0, 64)
	for i := range 3 {
		o := tb.AddPeer(schedule.Limits{})
		o.Pause(true)
		o.Have(0, uint64(60-8*i)) // 60-63 nobody else, 52-59 one, 44-51 two, below three
	}
	tb.SetDemand(schedule.Demand{Ranges: []schedule.Range{{}}})
	var got []uint64
	for len(got) < 64 {
		a := plan(tb, 0)[source]
		for _, b := range a {
			source.Arrived(b, 100, ms)
		}
		got = append(got, a...)
	}
	for i, level := range [][]uint64{seq(60, 64), seq(52, 60), seq(44, 52), seq(0, 44)} {
		part := got[:len(level)]
		got = got[len(level):]
		slices.Sort(part)
		if !slices.Equal(part, level) {
			t.Fatalf("level %d: %v, want %v", i, part, level)
		}
	}
}

func TestSeedsDiffer(t *testing.T) {
	starts := map[uint64]bool{}
	for seed := range uint64(16) {
		tb := schedule.New(seed * 0x9e3779b97f4a7c15)
		p := tb.AddPeer(schedule.Limits{})
		p.Have(0, 100_000)
		tb.SetDemand(schedule.Demand{Ranges: []schedule.Range{{}}})
		starts[plan(tb, 0)[p][0]] = true
	}
	if len(starts) < 14 {
		t.Fatal("16 tables begin at only", len(starts), "places")
	}
}

func TestUrgentGoesToFastest(t *testing.T) {
	tb := schedule.New(0)
	slow, fast := tb.AddPeer(schedule.Limits{}), tb.AddPeer(schedule.Limits{})
	for _, p := range []*schedule.Peer{slow, fast} {
		p.Have(0, 1000)
	}
	slow.SetRTT(200 * ms)
	fast.SetRTT(20 * ms)
	tb.SetDemand(schedule.Demand{Urgent: []uint64{5, 6}})
	a := plan(tb, 0)
	want(t, a[fast], []uint64{5, 6})
	want(t, a[slow], nil)
}

func TestLateUrgentAskedTwice(t *testing.T) {
	tb := schedule.New(0)
	a, b := tb.AddPeer(schedule.Limits{}), tb.AddPeer(schedule.Limits{})
	a.SetRTT(10 * ms)
	b.SetRTT(20 * ms)
	a.Have(0, 10)
	b.Have(0, 10)
	tb.SetDemand(schedule.Demand{Urgent: []uint64{3}})
	want(t, plan(tb, 0)[a], []uint64{3})
	if got := tick(tb, 50*ms); len(got) != 0 {
		t.Fatal("too early:", got)
	}
	want(t, tick(tb, 70*ms)[b], []uint64{3})
	if got := tick(tb, 200*ms); len(got) != 0 {
		t.Fatal("third copy:", got)
	}
	if o := tb.Others(b, 3); len(o) != 1 || o[0] != a {
		t.Fatal("others:", o)
	}
	if v := b.Arrived(3, 100, 210*ms); v != schedule.Asked {
		t.Fatal(v)
	}
	if a.InFlight() != 0 || b.InFlight() != 0 {
		t.Fatal("still in flight:", a.InFlight(), b.InFlight())
	}
	if v := a.Arrived(3, 100, 220*ms); v != schedule.Late {
		t.Fatal("the slow copy:", v)
	}
	if v := a.Arrived(3, 100, 220*ms); v != schedule.Unasked {
		t.Fatal("the same again:", v)
	}
}

func TestEndGame(t *testing.T) {
	tb := schedule.New(0)
	slow, fast := tb.AddPeer(schedule.Limits{}), tb.AddPeer(schedule.Limits{})
	slow.SetRTT(time.Second)
	fast.SetRTT(10 * ms)
	slow.Have(0, 20)
	fast.Have(0, 20)
	tb.SetDemand(schedule.Demand{Ranges: []schedule.Range{{}}})
	a := plan(tb, 0)
	for _, b := range a[fast] {
		fast.Arrived(b, 1000, 15*ms)
	}
	plan(tb, 15*ms)
	if len(a[slow])+len(a[fast]) != 20 {
		t.Fatal(a)
	}
	if got := tick(tb, 50*ms)[fast]; len(got) > 0 {
		t.Fatal("not late yet:", got)
	}
	got := tick(tb, 5*time.Second)[fast]
	if len(got) == 0 {
		t.Fatal("idle peer got nothing of", a[slow])
	}
	for _, b := range got {
		if !slices.Contains(a[slow], b) {
			t.Fatal("block", b, "was not in flight")
		}
	}
}

// TestMove: a peer that has become free takes over what would take long elsewhere.
func TestMove(t *testing.T) {
	tb := schedule.New(0)
	slow := tb.AddPeer(schedule.Limits{Cancels: true})
	slow.SetRTT(time.Second)
	slow.Have(0, 16)
	tb.SetDemand(schedule.Demand{Ranges: []schedule.Range{{}}})
	if n := len(plan(tb, 0)[slow]); n != 16 {
		t.Fatal(n)
	}
	fast := tb.AddPeer(schedule.Limits{})
	fast.SetRTT(10 * ms)
	fast.Have(4, 9)
	asked, cancelled := asks{}, asks{}
	tb.Tick(50*ms, schedule.Actions{Ask: asked.emit, Cancel: cancelled.emit})
	slices.Sort(asked[fast])
	slices.Sort(cancelled[slow])
	want(t, asked[fast], seq(4, 9))
	want(t, cancelled[slow], seq(4, 9))
	if slow.InFlight() != 11 || fast.InFlight() != 5 || tb.InFlight() != 16 {
		t.Fatal(slow.InFlight(), fast.InFlight())
	}
	if v := slow.Arrived(4, 10, 60*ms); v != schedule.Late {
		t.Fatal("the answer crossed the cancel:", v)
	}
	if fast.InFlight() != 4 {
		t.Fatal("still waits for a block that came")
	}
}

func TestPeerGoneOthersTakeOver(t *testing.T) {
	tb := schedule.New(0)
	a, b := tb.AddPeer(schedule.Limits{}), tb.AddPeer(schedule.Limits{Blocks: 1 << 20})
	a.Have(0, 16)
	tb.SetDemand(schedule.Demand{Ranges: []schedule.Range{{Linear: true}}})
	want(t, plan(tb, 0)[a], seq(0, 16))
	a.Arrived(0, 1, ms)
	b.Have(0, 16)
	if got := plan(tb, ms); len(got[b]) != 0 {
		t.Fatal("asked twice:", got)
	}
	tb.RemovePeer(a)
	want(t, plan(tb, 2*ms)[b], seq(1, 16))
}

func TestUnhaveReleaseGone(t *testing.T) {
	tb := schedule.New(0)
	p := tb.AddPeer(schedule.Limits{})
	p.Have(0, 4)
	tb.SetDemand(schedule.Demand{Ranges: []schedule.Range{{Linear: true}}})
	want(t, plan(tb, 0)[p], seq(0, 4))
	if n := p.Unhave(1, 3); n != 2 || p.InFlight() != 2 {
		t.Fatal(n, p.InFlight())
	}
	if a := plan(tb, 0); len(a) != 0 {
		t.Fatal("asked for what the peer no longer has:", a)
	}
	p.Have(1, 2)
	want(t, plan(tb, 0)[p], []uint64{1})
	p.Arrived(0, 1, ms)
	tb.Release(0, 1) // could not be stored
	want(t, plan(tb, ms)[p], []uint64{0})
	for _, b := range []uint64{0, 1, 3} {
		if v := p.Arrived(b, 1, 2*ms); v != schedule.Asked {
			t.Fatal(b, v)
		}
	}
	tb.Gone(0, 1<<40) // cleared here
	p.Have(2, 3)
	want(t, plan(tb, 3*ms)[p], seq(0, 4))
	tb.Gone(0, 4) // clearing what is in flight does not ask for it twice
	if a := plan(tb, 3*ms); len(a) != 0 {
		t.Fatal(a)
	}
}

func TestNoAnswerOvertaken(t *testing.T) {
	tb := schedule.New(0)
	p, q := tb.AddPeer(schedule.Limits{Timeout: time.Second}), tb.AddPeer(schedule.Limits{Timeout: time.Second})
	p.Have(0, 4)
	tb.SetDemand(schedule.Demand{Ranges: []schedule.Range{{Linear: true}}})
	want(t, plan(tb, 0)[p], seq(0, 4))
	for _, b := range []uint64{0, 2, 3} {
		p.Arrived(b, 10, 10*ms)
	}
	p.Have(4, 5)
	plan(tb, 20*ms)
	p.Arrived(4, 10, 900*ms) // asked later, answered: 1 will not come
	q.Have(1, 2)
	q.Pause(true) // or the end game would ask it at once
	tick(tb, 990*ms)
	if got := plan(tb, 990*ms); len(got) != 0 {
		t.Fatal("too early", got)
	}
	tick(tb, 1010*ms)
	q.Pause(false)
	want(t, plan(tb, 1010*ms)[q], []uint64{1})
	if p.Stalled() || p.Has(1) {
		t.Fatal("stalled", p.Stalled(), "has", p.Has(1))
	}
	if v := p.Arrived(1, 10, 1100*ms); v != schedule.Late {
		t.Fatal(v)
	}
	if q.InFlight() != 0 {
		t.Fatal("waits for what is here")
	}
}

func TestSilentPeerIsProbed(t *testing.T) {
	tb := schedule.New(0)
	p := tb.AddPeer(schedule.Limits{Timeout: time.Second})
	p.Have(0, 100)
	tb.SetDemand(schedule.Demand{Ranges: []schedule.Range{{Linear: true}}})
	plan(tb, 0)
	p.Progress(500 * ms) // a part of a large block
	var silent []*schedule.Peer
	note := func(p *schedule.Peer) { silent = append(silent, p) }
	tb.Tick(1400*ms, schedule.Actions{Ask: asks{}.emit, Silent: note})
	if len(silent) != 0 {
		t.Fatal("not silent, a block is coming in")
	}
	tb.Tick(1501*ms, schedule.Actions{Ask: asks{}.emit, Silent: note})
	if len(silent) != 1 || !p.Stalled() || p.InFlight() != 0 {
		t.Fatal(silent, p.Stalled(), p.InFlight())
	}
	want(t, plan(tb, 1501*ms)[p], []uint64{0})
	tb.Tick(2600*ms, schedule.Actions{Ask: asks{}.emit, Silent: note})
	if len(silent) != 2 || p.Stalls() != 2 {
		t.Fatal(silent, p.Stalls())
	}
	want(t, plan(tb, 2600*ms)[p], []uint64{0})
	if v := p.Arrived(0, 10, 2700*ms); v != schedule.Asked {
		t.Fatal(v)
	}
	if p.Stalled() || len(plan(tb, 2700*ms)[p]) < 10 {
		t.Fatal("did not recover")
	}
}

// TestWindow lets a peer answer over a path with a round trip and a bandwidth and checks that the
// window finds it: the path is full, the queue in front of it short.
func TestWindow(t *testing.T) {
	for _, c := range []struct {
		rtt   time.Duration
		bytes float64 // per second
		block int
	}{
		{200 * time.Microsecond, 500e6, 65536}, {100 * ms, 125e6, 65536}, {20 * ms, 1e6, 1000}, {50 * ms, 20e3, 65536}, {200 * ms, 2e6, 512},
	} {
		t.Run(fmt.Sprintf("%v-%.0fkBs-%d", c.rtt, c.bytes/1e3, c.block), func(t *testing.T) {
			tb := schedule.New(0)
			p := tb.AddPeer(schedule.Limits{})
			p.Have(0, 1<<20)
			tb.SetDemand(schedule.Demand{Ranges: []schedule.Range{{Linear: true}}})
			type reply struct {
				b  uint64
				at time.Duration
			}
			var queue []reply
			var now, free time.Duration
			per := time.Duration(float64(c.block+64) / c.bytes * 1e9)
			ask := func(_ *schedule.Peer, runs []schedule.Run) {
				for _, r := range runs {
					for b := r.Start; b < r.End; b++ {
						free = max(free, now+c.rtt) + per
						queue = append(queue, reply{b, free})
					}
				}
			}
			tb.Plan(0, ask)
			limit := max(10*time.Second, 200*per)
			got, late, since := 0, 0, limit/2
			for len(queue) > 0 && now < limit {
				r := queue[0]
				queue = queue[1:]
				now = r.at
				p.Arrived(r.b, c.block, now)
				if now > since {
					got++
				}
				if len(queue) == 0 {
					late++
				}
				tb.Plan(now, ask)
			}
			share := float64(got) * per.Seconds() / (limit - since).Seconds()
			delay := time.Duration(p.InFlight()) * per
			t.Logf("share of the path %.2f, window %d blocks, queue %v", share, p.Window(), delay)
			if share < 0.95 {
				t.Error("the path is not full")
			}
			if delay > max(4*(c.rtt+25*ms), 3*per) {
				t.Error("the queue is too long")
			}
		})
	}
}

// TestRandom runs random operations and checks after each step that what is asked for is wanted,
// announced, not here and not in flight already, and that in the end everything was fetched.
func TestRandom(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		tb := schedule.New(r.Uint64())
		length := 1 + r.Uint64N(20_000)
		here := map[uint64]bool{}
		type state struct {
			p      *schedule.Peer
			has    map[uint64]bool
			flying map[uint64]bool
		}
		var peers []*state
		now := time.Duration(0)
		start := r.Uint64N(length)
		end := start + r.Uint64N(length-start+1)
		demand := schedule.Demand{Ranges: []schedule.Range{{Start: start, End: end, Linear: r.IntN(2) == 0}}}
		if end == start {
			demand.Ranges[0].End = 0
			end = length
		}
		for range r.IntN(4) {
			demand.Urgent = append(demand.Urgent, r.Uint64N(length))
		}
		tb.SetDemand(demand)
		wanted := func(b uint64) bool { return b >= start && b < end || slices.Contains(demand.Urgent, b) }
		copies := func(b uint64) (n int) {
			for _, s := range peers {
				if s.flying[b] {
					n++
				}
			}
			return n
		}
		check := func(two bool) schedule.Emit {
			return func(p *schedule.Peer, runs []schedule.Run) {
				i := slices.IndexFunc(peers, func(s *state) bool { return s.p == p })
				s := peers[i]
				for _, run := range runs {
					for b := run.Start; b < run.End; b++ {
						switch n := copies(b); {
						case !wanted(b), !s.has[b], here[b], s.flying[b], n > 1, n == 1 && !two:
							t.Fatalf("seed %d: block %d: wanted %v has %v here %v flying %v copies %d", seed, b, wanted(b), s.has[b], here[b], s.flying[b], n)
						}
						s.flying[b] = true
					}
				}
			}
		}
		uncheck := func(p *schedule.Peer, runs []schedule.Run) {
			i := slices.IndexFunc(peers, func(s *state) bool { return s.p == p })
			for _, run := range runs {
				for b := run.Start; b < run.End; b++ {
					if !peers[i].flying[b] {
						t.Fatalf("seed %d: block %d cancelled, was not in flight", seed, b)
					}
					delete(peers[i].flying, b)
				}
			}
		}
		add := func() {
			s := &state{p: tb.AddPeer(schedule.Limits{Timeout: 100 * time.Second, Cancels: r.IntN(2) == 0}), has: map[uint64]bool{}, flying: map[uint64]bool{}}
			peers = append(peers, s)
			bits := make([]byte, (length+7)/8)
			for i := range bits {
				switch r.IntN(4) {
				case 0:
				case 1:
					bits[i] = byte(r.Uint32())
				default:
					bits[i] = 0xff
				}
			}
			s.p.HaveBits(0, bits)
			for b := range uint64(len(bits) * 8) {
				if bits[b/8]>>(7-b%8)&1 == 1 {
					s.has[b] = true
				}
			}
		}
		arrive := func(s *state, b uint64) {
			for _, q := range peers { // the copies elsewhere are no longer waited for
				delete(q.flying, b)
			}
			if v := s.p.Arrived(b, r.IntN(2000), now); v != schedule.Asked {
				t.Fatalf("seed %d: block %d: verdict %v", seed, b, v)
			}
			here[b] = true
		}
		add()
		for range 300 {
			now += time.Duration(r.IntN(20)) * ms
			s := peers[r.IntN(len(peers))]
			switch r.IntN(12) {
			case 0:
				if len(peers) < 5 {
					add()
				}
			case 1:
				if len(peers) > 1 {
					tb.RemovePeer(s.p)
					peers = slices.DeleteFunc(peers, func(q *state) bool { return q == s })
				}
			case 2:
				a := r.Uint64N(length)
				b := a + r.Uint64N(min(200, length-a+1))
				s.p.Unhave(a, b)
				for ; a < b; a++ {
					delete(s.has, a)
					delete(s.flying, a)
				}
			case 3:
				a := r.Uint64N(length)
				b := a + r.Uint64N(length-a+1)
				s.p.Have(a, b)
				for ; a < b; a++ {
					s.has[a] = true
				}
			case 4:
				a := r.Uint64N(length)
				b := min(length, a+r.Uint64N(100))
				tb.Gone(a, b)
				for ; a < b; a++ {
					delete(here, a)
				}
			case 5:
				tb.Tick(now, schedule.Actions{Ask: check(true), Cancel: uncheck})
			case 6:
				for b := range s.flying {
					s.p.Drop(b)
					delete(s.flying, b)
					break
				}
			default:
				var flying []uint64
				for b := range s.flying {
					flying = append(flying, b)
				}
				slices.Sort(flying) // the order of a map would make the run differ
				n := 0
				for _, b := range flying {
					if r.IntN(4) > 0 {
						arrive(s, b)
						if n++; n > 100 {
							break
						}
					}
				}
			}
			tb.Plan(now, check(false))
			total := 0
			for _, s := range peers {
				if s.p.InFlight() != len(s.flying) {
					t.Fatalf("seed %d: in flight %d, want %d", seed, s.p.InFlight(), len(s.flying))
				}
				total += len(s.flying)
			}
			if tb.InFlight() != total {
				t.Fatal("total")
			}
		}
		// A peer with everything finishes it.
		last := &state{p: tb.AddPeer(schedule.Limits{}), has: map[uint64]bool{}, flying: map[uint64]bool{}}
		last.p.Have(0, length)
		for b := range length {
			last.has[b] = true
		}
		for _, s := range peers {
			tb.RemovePeer(s.p)
		}
		peers = []*state{last}
		for idle := 0; idle < 2; {
			now += 10 * ms
			tb.Plan(now, check(false))
			if len(last.flying) == 0 {
				idle++
			}
			for b := range last.flying {
				arrive(last, b)
			}
		}
		for b := range length {
			if wanted(b) && !here[b] {
				t.Fatalf("seed %d: block %d never fetched", seed, b)
			}
		}
	}
}

func benchmark(b *testing.B, peers int, linear bool) {
	const length = 10_000_000
	b.ReportAllocs()
	var tb *schedule.Table
	var ps []*schedule.Peer
	n, now := 0, time.Duration(0)
	emit := func(p *schedule.Peer, runs []schedule.Run) {
		for _, r := range runs {
			for i := r.Start; i < r.End; i++ {
				if p.Arrived(i, 512, now) != schedule.Asked {
					b.Fatal("not asked")
				}
				n++
			}
		}
	}
	for n < b.N {
		if tb == nil || n%length == 0 {
			tb, ps = schedule.New(12345), nil
			for range peers {
				p := tb.AddPeer(schedule.Limits{})
				p.Have(0, length)
				ps = append(ps, p)
			}
			tb.SetDemand(schedule.Demand{Ranges: []schedule.Range{{Linear: linear}}})
		}
		before := n
		now += ms
		tb.Plan(now, emit)
		if n == before {
			b.Fatal("nothing asked at", n)
		}
	}
}

// BenchmarkBlock is the cost per block of planning, asking and arriving.
func BenchmarkBlock(b *testing.B) {
	for _, peers := range []int{1, 4, 16} {
		for _, linear := range []bool{true, false} {
			b.Run(fmt.Sprintf("peers=%d/linear=%v", peers, linear), func(b *testing.B) { benchmark(b, peers, linear) })
		}
	}
}
