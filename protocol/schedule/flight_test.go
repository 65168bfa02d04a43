package schedule_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/protocol/schedule"
)

// TestQueuesShrink: what was asked first and is never answered does not keep the memory of all that
// is asked after it, nor a walk over that.
func TestQueuesShrink(t *testing.T) {
	for _, c := range []struct {
		name   string
		end    func(p *schedule.Peer, b uint64, now time.Duration)
		cycles uint64
		most   int // flights
	}{
		{"answered", func(p *schedule.Peer, b uint64, now time.Duration) { p.Arrived(b, 1, now) }, 5000, 64},
		{"refused", func(p *schedule.Peer, b uint64, now time.Duration) { p.Refused(b, b+1, schedule.NotHere, now) }, 5000, 64},
		{"announced no longer, refused", func(p *schedule.Peer, b uint64, now time.Duration) {
			p.Unhave(b, b+1)
			p.Refused(b, b+1, schedule.NotHere, now)
		}, 5000, 64},
		{"announced no longer", func(p *schedule.Peer, b uint64, now time.Duration) { p.Unhave(b, b+1) }, 2 * schedule.MaxLostFlights, 2 * schedule.MaxLostFlights},
	} {
		tb := schedule.New(0)
		p := tb.AddPeer(schedule.Limits{})
		p.Have(0, 2)
		tb.SetDemand(schedule.Demand{Urgent: []uint64{0, 1}})
		want(t, plan(tb, 0)[p], []uint64{0, 1})
		p.Unhave(1, 2) // both are never answered
		for i := range c.cycles {
			b, now := 64+64*(i%1000), time.Duration(i+1)*time.Microsecond
			tb.Gone(b, b+1)
			p.Have(b, b+1)
			tb.SetDemand(schedule.Demand{Urgent: []uint64{b}})
			want(t, plan(tb, now)[p], []uint64{b})
			c.end(p, b, now)
		}
		if flights, lost := schedule.Room(p); flights > 64 || lost > c.most {
			t.Errorf("%s: room for %d flights, and %d given to others", c.name, flights, lost)
		}
	}
}

// TestRingIndex: what is found by the index is what a walk over all flights finds, whatever was
// asked, answered and dropped before.
func TestRingIndex(t *testing.T) {
	for _, words := range []uint64{3, 40, 4000} {
		for seed := range uint64(20) {
			var r schedule.Ring
			rnd := rand.New(rand.NewPCG(seed, words))
			for step := range 2000 {
				word := rnd.Uint64N(words)
				b := word*64 + rnd.Uint64N(64)
				end := b + 1 + rnd.Uint64N(1+rnd.Uint64N(64*words))
				switch k := rnd.IntN(20); {
				case k < 8:
					r.Push(word, rnd.Uint64()&rnd.Uint64()|1)
				case k < 12:
					if got, want := r.Find(word, 1<<(63-b%64)) != 0, r.Walk(b, b+1) > 0; got != want {
						t.Fatalf("%d words, seed %d, step %d: found %v, there is %v", words, seed, step, got, want)
					}
				case k < 16:
					want := r.Walk(b, end)
					if got := r.Take(b, end); got != want || r.Walk(b, end) != 0 {
						t.Fatalf("%d words, seed %d, step %d: %d flights of %d-%d, there are %d", words, seed, step, got, b, end, want)
					}
				case k < 19:
					r.Drop()
				case rnd.IntN(20) == 0:
					r.Take(0, 64*words)
				}
			}
		}
	}
}
