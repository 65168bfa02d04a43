package schedule_test

import (
	"testing"

	"github.com/go-hypercore/hypercore/protocol/schedule"
)

// TestShare: members of a swarm that know of each other ask one source for different blocks.
func TestShare(t *testing.T) {
	const members, blocks = 8, 1024
	asked := map[uint64]bool{}
	for i := range uint64(members) {
		tb := schedule.New(i)
		source := tb.AddPeer(schedule.Limits{Blocks: 16})
		source.Identify(i+1, 1000)
		source.Have(0, blocks)
		for j := range uint64(members) {
			if j != i {
				tb.AddPeer(schedule.Limits{}).Identify(i+1, j+1)
			}
		}
		tb.SetDemand(schedule.Demand{Ranges: []schedule.Range{{}}})
		for n := 0; n < blocks/members/2; {
			bs := plan(tb, 0)[source]
			for _, b := range bs {
				asked[b] = true
				source.Arrived(b, 1<<16, ms)
			}
			n += len(bs)
		}
	}
	// Choosing at random, 512 requests would be for some 400 different blocks.
	if len(asked) < blocks/2*95/100 {
		t.Fatalf("%d different blocks, want nearly %d", len(asked), blocks/2)
	}
}
