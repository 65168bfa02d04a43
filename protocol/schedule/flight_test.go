package schedule_test

import (
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
