package protocol

import (
	"context"
	"errors"
	"io"

	"github.com/go-hypercore/hypercore/protocol/wire"
)

// read is the one place where messages come in: it decides what is legal in
// which state. It returns why the stream ends, nil for the remote's end.
func (s *Stream) read(ctx context.Context) error {
	for {
		f, err := s.r.Next()
		if err != nil {
			var fault *wire.Error
			switch {
			case errors.As(err, &fault):
				return s.blame("read", err)
			case errors.Is(err, io.EOF):
				s.flush()
				s.drain(ctx)
				return nil
			}
			return s.connError("read", err)
		}
		if err := s.dispatch(ctx, f); err != nil {
			return err
		}
		if s.filling != nil && (s.filling.full() || !s.r.Buffered()) {
			if s.lone() {
				err = s.takeLone(ctx)
			} else if !s.flush() {
				err = ErrClosed
			}
			if err != nil {
				return err
			}
		}
	}
}

// dispatch handles one frame.
func (s *Stream) dispatch(ctx context.Context, f wire.Frame) error {
	if f.Type == wire.TypeFeed {
		if !s.work(workOpen) {
			return ErrClosed
		}
		s.flush()
		return s.onFeed(f.Channel, f.Body)
	}
	if f.Channel >= uint64(len(s.byNumber)) || s.byNumber[f.Channel] == nil {
		return s.blame("read", ErrUnopened)
	}
	if f.Type == wire.TypeHandshake {
		return s.onHandshake(f.Body)
	}
	c := s.byNumber[f.Channel].c.Load()
	if c == nil {
		return nil // it was closed; the remote may not know yet
	}
	if !c.open.Load() {
		again, err := s.onEarly(c, f)
		if again {
			return s.dispatch(ctx, f)
		}
		return err
	}
	switch f.Type {
	case wire.TypeData:
		return s.onData(c, f.Body)
	case wire.TypeDataRange:
		if s.o.Dialect == Native {
			return s.onDataRange(c, f.Body)
		}
		return nil
	}
	if !s.work(c.workOf(f.Type, f.Body)) {
		return ErrClosed
	}
	return s.small(c, f)
}

// small handles the messages that may come from the reader or, kept, later.
func (s *Stream) small(c *channel, f wire.Frame) error {
	switch f.Type {
	case wire.TypeInfo:
		return c.onInfo(f.Body)
	case wire.TypeHave:
		return c.onHave(f.Body)
	case wire.TypeUnhave:
		return c.onUnhave(f.Body)
	case wire.TypeWant:
		return c.onWant(f.Body)
	case wire.TypeUnwant:
		return c.onUnwant(f.Body)
	case wire.TypeRequest:
		return c.onRequest(f.Body)
	case wire.TypeCancel:
		return c.onCancel(f.Body)
	case wire.TypeRequestRange:
		if s.o.Dialect == Native {
			return c.onRequestRange(f.Body)
		}
	case wire.TypeNoData:
		if s.o.Dialect == Native {
			return c.onNoData(f.Body)
		}
	case wire.TypeExtension:
		return c.onExtension(f.Body)
	}
	return nil // types without a meaning are passed over
}

// onEarly handles a message for a channel that is not open: to be dispatched again
// when another goroutine has opened the channel; kept if the feed is not open here
// (V6); dropped if it was closed here. A native remote sends nothing before it was
// answered, but that it takes its offer back.
func (s *Stream) onEarly(c *channel, f wire.Frame) (again bool, err error) {
	s.mu.Lock()
	if entering := c.entering; entering != nil {
		s.mu.Unlock()
		<-entering
		return true, nil
	}
	if s.o.Dialect == Native && !c.joined && !c.gone && f.Type == wire.TypeInfo {
		s.mu.Unlock()
		return false, c.onTakenBack(f.Body)
	}
	defer s.mu.Unlock()
	switch {
	case c.gone:
		return false, nil
	case c.joined:
		return c.open.Load(), nil
	case s.o.Dialect == Native:
		return false, nil
	case len(c.early) == maxEarly || len(f.Body) > earlyBytes:
		return false, s.blame("read", ErrUnopened)
	}
	if err := s.mem.take(len(f.Body)); err != nil {
		return false, s.short("read", err)
	}
	f.Body = append([]byte(nil), f.Body...)
	c.early = append(c.early, f)
	return false, nil
}

// dropEarly forgets what was kept. mu held.
func (c *channel) dropEarly() {
	for _, f := range c.early {
		c.s.mem.give(len(f.Body))
	}
	c.early = nil
}

// wake handles what was kept for a channel that is open now, and then lets in what
// has come since. The remote's requests may have to wait until it reads our answers
// (see push), and not with who has added the feed: they have a goroutine.
func (s *Stream) wake(c *channel) {
	s.mu.Lock()
	early := c.early
	c.early = nil
	if len(early) == 0 || s.ended {
		s.mu.Unlock()
		s.entered(c)
		return
	}
	s.waking.Go(func() { // under mu: Run waits for it after ended is set
		defer s.entered(c)
		for _, f := range early {
			err := s.small(c, f)
			s.mem.give(len(f.Body))
			if err != nil {
				s.fail(err)
				return
			}
		}
	})
	s.mu.Unlock()
}

// onUnwant ends announcements, as far as a Want of everything is concerned.
func (c *channel) onUnwant(body []byte) error {
	var m wire.Unwant
	if err := wire.ParseUnwant(body, &m); err != nil {
		return c.s.garbled("unwant", err)
	}
	if m.Start == 0 && m.Length == 0 && c.wanted.Swap(false) {
		c.sw.kick()
	}
	return nil
}
