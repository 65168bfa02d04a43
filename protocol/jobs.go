package protocol

import (
	"sync"
	"unsafe"

	"github.com/go-hypercore/hypercore/protocol/wire"
)

// jobKind is what the remote wants.
type jobKind uint8

const (
	jobBlock jobKind = iota // a block
	jobHash                 // the hash of a block
	jobBytes                // the block that holds a byte; hash tells which of both
	jobWant                 // our map of a region
	jobRange                // adjacent blocks
	jobInfo                 // nothing more on the channel
	jobEnd                  // of ours: the stream is done
	jobOver                 // of ours: the channel is closed
)

// job is one request of the remote that waits for its turn.
type job struct {
	c      *channel
	index  uint64
	n      uint64 // jobBytes: the byte; jobWant: blocks of the region; jobRange: blocks
	digest uint64
	last   uint64 // jobRange: digest of the last block
	limit  uint64 // jobRange: bytes to answer with, 0 no limit
	kind   jobKind
	hash   bool
	void   bool // cancelled
}

// jobs are what the remote has asked for, oldest first: a ring.
type jobs struct {
	mem     *ledger // constant
	mu      sync.Mutex
	work    sync.Cond // for the server
	space   sync.Cond // for the reader
	due     []job     // parked requests whose block is there now: one for each channel at most
	buf     []job
	head    int
	n       int
	waits   bool // the reader, for space
	closed  bool
	counted int // bytes of the ring that mem counts
}

// jobSize is what a job takes in the ring.
const jobSize = int(unsafe.Sizeof(job{}))

func (q *jobs) init(mem *ledger) { q.mem, q.work.L, q.space.L = mem, &q.mu, &q.mu }

func (q *jobs) close() {
	q.mu.Lock()
	q.closed = true
	q.uncount()
	q.buf, q.n, q.due = nil, 0, nil
	q.work.Broadcast()
	q.space.Broadcast()
	q.mu.Unlock()
}

func (q *jobs) at(i int) *job { return &q.buf[(q.head+i)&(len(q.buf)-1)] }

// push appends a job. While maxRequests wait the remote is not read; as it is
// not answered for what it does not read either, both sides may stand still if
// both ask for more than that: then the write that does not get through ends the
// stream (see writeStall). Peers that keep to their windows never come here.
func (s *Stream) push(j job) error {
	q := &s.jobs
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed && (q.n >= maxRequests || q.n == len(q.buf) && !q.grow()) {
		q.waits = true
		q.space.Wait()
	}
	if q.closed {
		return nil
	}
	q.n++
	*q.at(q.n - 1) = j
	if q.n == 1 {
		q.work.Signal()
	}
	return nil
}

// grow makes the ring larger; false if there is no memory for that and it has to
// do. mu held.
func (q *jobs) grow() bool {
	n := max(minRequests, 2*len(q.buf))
	if n > minRequests {
		if q.mem.take(n*jobSize-q.counted) != nil {
			return false
		}
		q.counted = n * jobSize
	}
	buf := make([]job, n)
	for i := range q.n {
		buf[i] = *q.at(i)
	}
	q.buf, q.head = buf, 0
	return true
}

// uncount gives back what the ring took. mu held.
func (q *jobs) uncount() {
	q.mem.give(q.counted)
	q.counted = 0
}

// take moves up to max jobs to dst. It waits for the first; none means the end.
// With wait false it does not wait.
func (q *jobs) take(dst []job, max int, wait bool) []job {
	q.mu.Lock()
	defer q.mu.Unlock()
	for wait && q.n == 0 && len(q.due) == 0 && !q.closed {
		q.work.Wait()
	}
	if q.closed {
		return dst
	}
	for i := range q.due {
		q.due[i].c.due.Store(false)
	}
	dst = append(dst, q.due...)
	clear(q.due)
	q.due = q.due[:0]
	for ; q.n > 0 && max > 0; max-- {
		j := q.at(0)
		dst = append(dst, *j)
		run := j.kind == jobRange
		*j = job{}
		q.head = (q.head + 1) & (len(q.buf) - 1)
		q.n--
		if run {
			break // it is much work; what follows can still be cancelled
		}
	}
	if q.n == 0 && len(q.buf) > 1024 {
		q.uncount()
		q.buf, q.head = nil, 0 // an idle stream holds little memory
	}
	if q.waits {
		q.waits = false
		q.space.Broadcast()
	}
	return dst
}

// cancelReach is how many of the newest jobs a Cancel is compared with. It is
// sent for requests made not long ago; one that is missed is answered.
const cancelReach = 4096

// cancel voids a job. It fails when the remote does not read what it is told.
func (q *jobs) cancel(c *channel, m wire.Cancel) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, seen := q.n-1, 0; i >= 0 && seen < cancelReach; i, seen = i-1, seen+1 {
		j := q.at(i)
		if j.c != c || j.void {
			continue
		}
		switch {
		case j.kind == jobBlock && !m.Hash && m.Bytes == 0 && j.index >= m.Index && j.index < m.Index+m.Length,
			j.kind == jobHash && m.Hash && m.Bytes == 0 && j.index == m.Index,
			j.kind == jobBytes && j.n == m.Bytes:
			j.void = true
			if m.Length == 1 {
				return nil
			}
		case j.kind == jobRange && !m.Hash && m.Bytes == 0:
			// What is at one end of it can be cut off.
			lo, hi := max(m.Index, j.index), min(m.Index+m.Length, j.index+j.n)
			switch {
			case lo >= hi:
				continue
			case hi == j.index+j.n:
				j.n, j.last = lo-j.index, 0
			case lo == j.index:
				j.n, j.index, j.digest = j.n-(hi-j.index), hi, 0
			default:
				continue
			}
			if err := c.refuse(lo, hi-lo, wire.ReasonCancelled); err != nil || m.Length == 1 {
				return err
			}
		}
	}
	return nil
}

// onRequest queues a request for one block.
func (c *channel) onRequest(body []byte) error {
	var m wire.Request
	if err := wire.ParseRequest(body, &m); err != nil {
		return c.s.garbled("request", err)
	}
	if !c.sw.uploads(c.s) {
		return c.refuse(m.Index, 1, wire.ReasonRefused)
	}
	if m.Wait && c.s.o.Dialect == Native && !m.Hash && m.Bytes == 0 {
		if done, err := c.park(&m); done {
			return err
		}
	}
	j := job{c: c, index: m.Index, digest: m.Nodes, hash: m.Hash}
	switch {
	case m.Bytes > 0:
		j.kind, j.n = jobBytes, m.Bytes
	case m.Hash:
		j.kind = jobHash
	}
	return c.s.push(j)
}

// onRequestRange queues a request for adjacent blocks.
func (c *channel) onRequestRange(body []byte) error {
	var m wire.RequestRange
	if err := wire.ParseRequestRange(body, &m); err != nil {
		return c.s.garbled("request range", err)
	}
	if !c.sw.uploads(c.s) {
		return c.refuse(m.Start, m.Length, wire.ReasonRefused)
	}
	return c.s.push(job{c: c, kind: jobRange, index: m.Start, n: m.Length, digest: m.Nodes, last: m.Last, limit: m.Bytes})
}

// onCancel takes requests back.
func (c *channel) onCancel(body []byte) error {
	var m wire.Cancel
	if err := wire.ParseCancel(body, &m); err != nil {
		return c.s.garbled("cancel", err)
	}
	if index, ok := c.unparked(&m); ok {
		if err := c.refuse(index, 1, wire.ReasonCancelled); err != nil || m.Length == 1 {
			return err
		}
	}
	return c.s.jobs.cancel(c, m)
}

// refuse tells the remote that blocks will not come. hypercore 6 says nothing,
// so that the asking side times out; an Unhave spares an old peer that. A remote
// that asks on and on without reading the refusals loses the stream.
func (c *channel) refuse(index, n uint64, reason wire.Reason) error {
	if !c.s.out.reply(c.unlessOver(func(b []byte) []byte { return c.appendRefusal(b, index, n, reason) })) {
		return c.s.blame("write", ErrNotReading)
	}
	return nil
}

func (c *channel) appendRefusal(b []byte, index, n uint64, reason wire.Reason) []byte {
	if c.s.o.Dialect == V6 {
		return wire.AppendUnhave(b, c.local, wire.Unhave{Start: index, Length: n})
	}
	return wire.AppendNoData(b, c.local, wire.NoData{Index: index, Length: n, Reason: reason})
}
