package node

import (
	"context"
	"sync"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/protocol"
)

// tcpCalls are the calls of DialTCP that run, to tell how it stands with them and to
// end them with their feed.
type tcpCalls struct {
	mu sync.Mutex // guards the calls in m
	m  map[*tcpCall]struct{}
}

// tcpCall is one address that is kept connected.
type tcpCall struct {
	// Constant.
	addr   string
	key    feed.Key
	cancel context.CancelFunc

	stream *protocol.Stream // nil: there is none
	since  time.Time        // of the stream
	fails  int              // in a row
	err    error            // of the last attempt, or the end of the last stream
}

func (t *tcpCalls) begin(addr string, key feed.Key, cancel context.CancelFunc) *tcpCall {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := &tcpCall{addr: addr, key: key, cancel: cancel}
	if t.m == nil {
		t.m = map[*tcpCall]struct{}{}
	}
	t.m[c] = struct{}{}
	return c
}

func (t *tcpCalls) end(c *tcpCall) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.m, c)
}

// begun notes the stream of a call, which lasts until failed or end.
func (t *tcpCalls) begun(c *tcpCall, s *protocol.Stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c.stream, c.since = s, time.Now()
}

func (t *tcpCalls) failed(c *tcpCall, fails int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c.stream, c.fails, c.err = nil, fails, err
}

// closed ends the calls for a feed.
func (t *tcpCalls) closed(key feed.Key) {
	for _, c := range t.of(key) {
		c.cancel()
	}
}

// of returns copies of the calls for a feed.
func (t *tcpCalls) of(key feed.Key) (out []tcpCall) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.m {
		if c.key == key {
			out = append(out, *c)
		}
	}
	return out
}
