package schedule_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/protocol/schedule"
)

// TestRandom runs random operations and checks after each step that what is asked for is wanted,
// announced, not here and not in flight already, and that in the end everything was fetched.
func TestRandom(t *testing.T) {
	for seed := range uint64(30) {
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
			if name := r.Uint64N(4); name > 0 {
				s.p.Identify(1, 1+name)
			}
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
