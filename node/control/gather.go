package control

import (
	"errors"
	"sync"
	"time"
)

// gatherDelay is how long blocks wait for company before they are sent to a
// client: long enough that a burst of small appends makes few writes, too
// short to be noticed by a person who follows a feed.
const gatherDelay = time.Millisecond

var errGatherClosed = errors.New("control: answer has ended")

// gather collects frames and hands them on in large pieces: when there are
// flushAt bytes, or gatherDelay after the first.
type gather struct {
	send func([]byte) error // constant; called with mu held

	mu    sync.Mutex
	buf   []byte
	timer *time.Timer // runs while buf holds something
	err   error       // of send; final
	sent  bool        // send was called
}

func newGather(send func([]byte) error) *gather {
	g := &gather{send: send}
	g.timer = time.AfterFunc(time.Hour, g.flush)
	g.timer.Stop()
	return g
}

// add takes a block.
func (g *gather) add(index uint64, data []byte) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	first := len(g.buf) == 0
	g.buf = appendFrame(g.buf, index, data)
	if len(g.buf) >= flushAt {
		g.flushLocked()
	} else if first {
		g.timer.Reset(gatherDelay)
	}
	return g.err
}

func (g *gather) flush() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.flushLocked()
}

func (g *gather) flushLocked() {
	g.timer.Stop()
	if len(g.buf) == 0 || g.err != nil {
		return
	}
	g.sent = true
	g.err = g.send(g.buf)
	g.buf = g.buf[:0]
}

// close sends the rest; send is not called afterwards.
func (g *gather) close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.flushLocked()
	if g.err != nil {
		return g.err
	}
	g.err = errGatherClosed
	return nil
}
