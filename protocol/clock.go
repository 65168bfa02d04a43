package protocol

import (
	"time"

	"github.com/go-hypercore/hypercore/protocol/wire"
)

// tick keeps the stream alive and notices when the remote is not. It is one
// goroutine, and runs until the stream ends.
//
// As in hypercore 6, four ticks make the timeout: a keep-alive goes out after
// four without sending, the remote has timed out after six without receiving. While
// it is throttled nothing is received, and what it has said already is read.
func (s *Stream) tick() {
	if s.timeout < 0 {
		<-s.done
		return
	}
	every := max(s.timeout/4, time.Millisecond)
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-s.done:
			return
		case <-t.C:
		}
		s.mem.trim(0)
		s.feedStarved()
		now := time.Now()
		writing, wrote := s.out.state(now)
		if writing > writeStall {
			s.fail(s.blame("write", ErrNotReading))
			return
		}
		s.mu.Lock()
		sent := s.firstOut || s.o.Dialect == Native // V6 has to begin with a Feed
		s.mu.Unlock()
		if sent && writing == 0 && now.Sub(wrote) >= 4*every-every/2 {
			s.out.add(wire.AppendKeepAlive)
		}
		if n, rested := s.r.Received(), s.throttled.Load(); n != s.heard || rested != s.rested {
			s.heard, s.rested, s.heardAt = n, rested, now
			s.progress(s.r.Carried())
		} else if now.Sub(s.heardAt) >= 6*every && s.pending.Load() == 0 {
			s.fail(s.blame("read", ErrTimeout))
			return
		}
	}
}

// progress tells the tables that a large message is coming in: a block may take longer
// than requests are waited for. What carries nothing, as keep-alives, is none.
func (s *Stream) progress(carried uint64) {
	if carried < s.lastMark+progressBytes {
		return
	}
	s.lastMark = carried
	s.mu.Lock()
	cs := make([]*channel, 0, len(s.channels))
	for _, c := range s.channels {
		if c.joined {
			cs = append(cs, c)
		}
	}
	s.mu.Unlock()
	for _, c := range cs {
		c.sw.mu.Lock()
		if c.peer != nil && c.peer.InFlight() > 0 {
			c.peer.Progress(c.sw.now())
		}
		c.sw.mu.Unlock()
	}
}

// progressBytes is how many bytes must have come, as Reader.Carried counts them, for a
// remote to count as busy answering.
const progressBytes = 1024
