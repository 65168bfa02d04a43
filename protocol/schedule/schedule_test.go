package schedule_test

import (
	"fmt"
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

// TestProgressHoldsOne: a peer of which parts of a large answer come is waited for its oldest
// request; what waits behind it goes to others who have it, and stays where nobody has.
func TestProgressHoldsOne(t *testing.T) {
	tb := schedule.New(0)
	p := tb.AddPeer(schedule.Limits{Timeout: time.Second})
	p.Have(0, 300)
	tb.SetDemand(schedule.Demand{Urgent: []uint64{0, 100, 200}})
	plan(tb, 0)
	if p.InFlight() != 3 {
		t.Fatal("in flight:", p.InFlight())
	}
	q := tb.AddPeer(schedule.Limits{Timeout: time.Second})
	q.Have(0, 200)
	q.Pause(true)
	for now := 100 * ms; now <= 3000*ms; now += 100 * ms {
		p.Progress(now)
		tick(tb, now)
	}
	if p.InFlight() != 2 || !p.Awaits(0) || !p.Awaits(200) {
		t.Fatal("waits for 0, 100, 200:", p.Awaits(0), p.Awaits(100), p.Awaits(200))
	}
	q.Pause(false)
	got := plan(tb, 3000*ms)
	want(t, got[q], []uint64{100})
	if len(got[p]) > 0 {
		t.Fatal("it is asked for more:", got[p])
	}
	if v := p.Arrived(0, 10, 3100*ms); v != schedule.Asked || p.Stalled() {
		t.Fatal(v, p.Stalled())
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
