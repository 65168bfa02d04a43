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
			if !s.flush() {
				return ErrClosed
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
		return s.onFeed(ctx, f.Channel, f.Body)
	}
	var c *channel
	if f.Channel < uint64(len(s.byNumber)) {
		c = s.byNumber[f.Channel]
	}
	if c == nil {
		return s.blame("read", ErrUnopened)
	}
	if f.Type == wire.TypeHandshake {
		return s.onHandshake(f.Body)
	}
	if !c.open.Load() {
		return s.onEarly(c, f)
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

// onEarly keeps a message for a feed that is not open here (V6), or was closed
// here; a native remote sends nothing before it was answered.
func (s *Stream) onEarly(c *channel, f wire.Frame) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.gone || c.joined || s.o.Dialect == Native {
		return nil
	}
	if len(c.early) == maxEarly || len(f.Body) > earlyBytes {
		return s.blame("read", ErrUnopened)
	}
	if err := s.mem.take(len(f.Body)); err != nil {
		return s.short("read", err)
	}
	f.Body = append([]byte(nil), f.Body...)
	c.early = append(c.early, f)
	return nil
}

// takeEarly returns what was kept, which counts no longer. mu held.
func (c *channel) takeEarly() []wire.Frame {
	early := c.early
	c.early = nil
	for _, f := range early {
		c.s.mem.give(len(f.Body))
	}
	return early
}

// wake handles what was kept for a channel that is open now.
func (s *Stream) wake(c *channel) {
	s.mu.Lock()
	early := c.takeEarly()
	s.mu.Unlock()
	for _, f := range early {
		if err := s.small(c, f); err != nil {
			s.fail(err)
			return
		}
	}
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
