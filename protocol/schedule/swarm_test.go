package schedule_test

import (
	"container/heap"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/protocol/schedule"
)

// The swarm of this test: one source and n readers, each with the same upload bandwidth and enough
// download, everyone connected to everyone. Answers leave a node one after the other, oldest
// request first.

type event struct {
	at time.Duration
	n  int // order of events at the same time
	do func()
}
type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].n < e[j].n
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any     { o := *e; x := o[len(o)-1]; *e = o[:len(o)-1]; return x }

type simulation struct {
	now  time.Duration
	todo events
	n    int
}

func (s *simulation) after(d time.Duration, do func()) {
	s.n++
	heap.Push(&s.todo, event{s.now + d, s.n, do})
}

type member struct {
	table *schedule.Table // nil at the source
	peers []*schedule.Peer
	have  map[uint64]bool
	queue []*order
	busy  bool // the uplink is
	sent  int
}

// order is one block to be sent.
type order struct {
	to        int
	b         uint64
	cancelled bool
}

func swarm(readers int, blocks uint64, blockTime, latency time.Duration) (last time.Duration, sent []int) {
	s := &simulation{}
	ms := make([]*member, readers+1)
	for i := range ms {
		ms[i] = &member{have: map[uint64]bool{}, peers: make([]*schedule.Peer, readers+1)}
		if i == 0 {
			for b := range blocks {
				ms[i].have[b] = true
			}
			continue
		}
		t := schedule.New(uint64(i) * 0x9e3779b97f4a7c15)
		t.SetDemand(schedule.Demand{Ranges: []schedule.Range{{}}})
		for j := range ms {
			if j != i {
				ms[i].peers[j] = t.AddPeer(schedule.Limits{Cancels: true})
				ms[i].peers[j].SetRTT(2 * latency) // from the opening
				ms[i].peers[j].Identify(uint64(i)+1, uint64(j)+1)
			}
		}
		ms[i].peers[0].Have(0, blocks)
		ms[i].table = t
	}
	const size = 65536
	var act func(i int)
	var cancel func(i int) schedule.Emit
	deliver := func(from, to int, b uint64) {
		m := ms[to]
		for _, q := range m.table.Others(m.peers[from], b) {
			cancel(to)(q, []schedule.Run{{Start: b, End: b + 1}})
		}
		if m.peers[from].Arrived(b, size, s.now) == schedule.Unasked || m.have[b] {
			return
		}
		m.have[b] = true
		if uint64(len(m.have)) == blocks {
			last = s.now
		}
		for k := 1; k <= readers; k++ {
			if k != to {
				s.after(latency, func() { ms[k].peers[to].Have(b, b+1); act(k) })
			}
		}
		act(to)
	}
	var serve func(j int)
	serve = func(j int) {
		m := ms[j]
		for len(m.queue) > 0 && m.queue[0].cancelled {
			m.queue = m.queue[1:]
		}
		if m.busy || len(m.queue) == 0 {
			return
		}
		o := m.queue[0]
		m.queue = m.queue[1:]
		m.busy = true
		m.sent++
		s.after(blockTime, func() {
			m.busy = false
			serve(j)
		})
		s.after(blockTime+latency, func() { deliver(j, o.to, o.b) })
	}
	// message calls do at the peer, one latency later, with each block.
	message := func(i int, do func(j int, b uint64)) schedule.Emit {
		return func(p *schedule.Peer, runs []schedule.Run) {
			j := 0
			for ms[i].peers[j] != p {
				j++
			}
			var bs []uint64
			for _, r := range runs {
				for b := r.Start; b < r.End; b++ {
					bs = append(bs, b)
				}
			}
			s.after(latency, func() {
				for _, b := range bs {
					do(j, b)
				}
				serve(j)
			})
		}
	}
	emit := func(i int) schedule.Emit {
		return message(i, func(j int, b uint64) { ms[j].queue = append(ms[j].queue, &order{to: i, b: b}) })
	}
	cancel = func(i int) schedule.Emit {
		return message(i, func(j int, b uint64) {
			for _, o := range ms[j].queue {
				if o.to == i && o.b == b {
					o.cancelled = true
				}
			}
		})
	}
	act = func(i int) { ms[i].table.Plan(s.now, emit(i)) }
	done := func() bool {
		for _, m := range ms {
			if uint64(len(m.have)) < blocks {
				return false
			}
		}
		return true
	}
	for i := 1; i <= readers; i++ {
		act(i)
		var tick func()
		tick = func() {
			if uint64(len(ms[i].have)) < blocks {
				ms[i].table.Tick(s.now, schedule.Actions{Ask: emit(i), Cancel: cancel(i)})
				act(i)
				s.after(schedule.TickInterval, tick)
			}
		}
		s.after(schedule.TickInterval, tick)
	}
	for len(s.todo) > 0 && !done() {
		e := heap.Pop(&s.todo).(event)
		s.now = e.at
		e.do()
	}
	for _, m := range ms {
		sent = append(sent, m.sent)
	}
	return last, sent
}

// TestSwarm: 64 MiB of 64 KiB blocks to 16 readers at 10 MB/s each. No schedule can be faster than the source sending
// each block once, or all uploads together sending 16 copies. It is one goroutine, so the race detector learns nothing
// from it and makes it last a minute: -short leaves it out.
func TestSwarm(t *testing.T) {
	if testing.Short() {
		t.Skip("a simulation in one goroutine")
	}
	const readers = 16
	const blocks = 1024
	blockTime := 6554 * time.Microsecond
	bound := max(blocks*blockTime, readers*blocks*blockTime/(readers+1))
	for _, latency := range []time.Duration{time.Millisecond, 25 * time.Millisecond, 100 * time.Millisecond} {
		last, sent := swarm(readers, blocks, blockTime, latency)
		total := 0
		for _, n := range sent {
			total += n
		}
		t.Logf("latency %v: last reader after %v = %.2f of the bound; source sent %d of %d", latency, last, last.Seconds()/bound.Seconds(), sent[0], total)
		if last > bound*5/4 {
			t.Errorf("latency %v: %.2f times the bound", latency, last.Seconds()/bound.Seconds())
		}
	}
}
