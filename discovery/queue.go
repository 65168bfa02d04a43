package discovery

import (
	"container/heap"
	"time"
)

// lookQueue is a heap of the topics waiting for their next look.
type lookQueue []*topic

func (q lookQueue) Len() int           { return len(q) }
func (q lookQueue) Less(i, j int) bool { return q[i].look.next.Before(q[j].look.next) }
func (q lookQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].look.index, q[j].look.index = i, j
}
func (q *lookQueue) Push(x any) {
	e := x.(*topic)
	e.look.index = len(*q)
	*q = append(*q, e)
}
func (q *lookQueue) Pop() any {
	old := *q
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	e.look.index = -1
	return e
}

// put adds e for the time at, or moves it there if that is earlier.
func (q *lookQueue) put(e *topic, at time.Time) {
	if e.look.index < 0 {
		e.look.next = at
		heap.Push(q, e)
	} else if at.Before(e.look.next) {
		e.look.next = at
		heap.Fix(q, e.look.index)
	}
}

func (q *lookQueue) remove(e *topic) {
	if e.look.index >= 0 {
		heap.Remove(q, e.look.index)
	}
}
