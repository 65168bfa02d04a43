package schedule_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/protocol/schedule"
)

func benchmark(b *testing.B, peers int, linear bool) {
	const length = 10_000_000
	b.ReportAllocs()
	var tb *schedule.Table
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
			tb = schedule.New(12345)
			for range peers {
				tb.AddPeer(schedule.Limits{}).Have(0, length)
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
