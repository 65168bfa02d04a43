package schedule_test

import (
	"testing"

	"github.com/go-hypercore/hypercore/protocol/schedule"
)

// TestTakenBack: the answer to a request that was taken back says nothing about the block, nor about
// a later request for it. What nobody took back the peer does not have.
func TestTakenBack(t *testing.T) {
	tb := schedule.New(0)
	p := tb.AddPeer(schedule.Limits{Cancels: true})
	p.Have(0, 4)
	tb.SetDemand(schedule.Demand{Urgent: seq(0, 4)})
	want(t, plan(tb, 0)[p], seq(0, 4))
	p.Drop(0)
	p.Drop(1)
	want(t, plan(tb, ms)[p], []uint64{0, 1})
	p.Drop(1)
	p.Refused(0, 3, schedule.TakenBack, 2*ms) // of 0 and 1, but not of 2
	if !p.Has(0) || !p.Has(1) || p.Has(2) || !p.Has(3) {
		t.Error("has", p.Has(0), p.Has(1), p.Has(2), p.Has(3))
	}
	if !p.Awaits(0) || p.Awaits(1) || p.Awaits(2) || !p.Awaits(3) {
		t.Error("awaits", p.Awaits(0), p.Awaits(1), p.Awaits(2), p.Awaits(3))
	}
	want(t, plan(tb, 3*ms)[p], []uint64{1})
	p.Refused(1, 2, schedule.TakenBack, 4*ms) // the second time
	if !p.Has(1) || !p.Awaits(1) {
		t.Error("a request that was not taken back is refused")
	}
	for _, b := range []uint64{0, 1, 3} {
		if v := p.Arrived(b, 1, 5*ms); v != schedule.Asked {
			t.Error(b, v)
		}
	}
}
