package protocol

import (
	"errors"
	"time"

	"github.com/go-hypercore/hypercore/feed"
)

// A disk forgets, and blocks are not verified when they are read. The one who notices is
// the remote, which hangs up and comes back later, for ever. So what was sent last before a
// remote hung up is read once more, and what is not what was signed is given up here
// (feed.Recheck): the remote is told that it is not here, and gets everything else.
const (
	// recheckRuns are as many as a fast connection can have under way, recheckBytes what
	// is read for them at most.
	recheckRuns  = 128
	recheckBytes = 16 << 20
	// recheckWithin is how soon a remote hangs up over what it was sent.
	recheckWithin = 5 * time.Second
)

// sentRun is neighbouring blocks that were sent. It does not keep a feed that is closed.
type sentRun struct {
	dk              feed.DiscoveryKey
	start, n, bytes uint64
}

// sentRuns are the last ones: a ring.
type sentRuns struct {
	runs [recheckRuns]sentRun
	next int
}

// sent notes that n blocks from start on were. Serving goroutine.
func (s *Stream) sent(dk feed.DiscoveryKey, start, n, bytes uint64) {
	if s.lastSent == nil {
		s.lastSent = &sentRuns{}
	}
	r := s.lastSent
	last := &r.runs[(r.next+recheckRuns-1)%recheckRuns]
	if last.n > 0 && last.dk == dk && last.start+last.n == start && last.bytes+bytes <= runBytes {
		last.n += n
		last.bytes += bytes
		return
	}
	r.runs[r.next] = sentRun{dk, start, n, bytes}
	r.next = (r.next + 1) % recheckRuns
}

// hungUp reports whether the remote has ended the stream, soon after it was sent
// something. The stream has ended.
func (s *Stream) hungUp() bool {
	s.mu.Lock()
	cause := s.cause
	s.mu.Unlock()
	if cause != errEnd && !errors.Is(cause, errConnection) {
		return false
	}
	now := time.Now()
	_, wrote := s.out.state(now)
	return !s.o.Ends && now.Sub(wrote) <= recheckWithin
}

// recheck looks at what was sent last, the newest first, beside whatever is done next; one
// stream at a time.
func (s *Stream) recheck() {
	r := s.lastSent
	if r == nil || !s.hungUp() || !s.e.recheck.TryLock() {
		return
	}
	s.e.runs.Add(1) // Close waits
	go func() {
		defer s.e.runs.Done()
		defer s.e.recheck.Unlock()
		left := uint64(recheckBytes)
		for k := range recheckRuns {
			run := &r.runs[(r.next+2*recheckRuns-1-k)%recheckRuns]
			if run.n == 0 || run.bytes > left || s.e.ctx.Err() != nil {
				return
			}
			left -= run.bytes
			if sw := s.e.swarm(run.dk); sw != nil {
				_, _ = sw.f.Recheck(s.e.ctx, run.start, run.start+run.n) // what it found is in Stats
			}
		}
	}()
}
