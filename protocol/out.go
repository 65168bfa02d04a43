package protocol

import (
	"sync"
	"time"

	"github.com/go-hypercore/hypercore/protocol/wire"
)

// outbox is what waits to be written to the connection: small messages, which
// any goroutine appends, and pieces of blocks, which the server fills. The writer
// takes both, small messages first. Appending never waits, so that no lock is
// held while a connection is slow; whoever appends looks at room before.
type outbox struct {
	mu      sync.Mutex
	work    sync.Cond // for the writer: there is something
	space   sync.Cond // for the server: a piece was taken
	control []byte
	spare   []byte // the other buffer of the two that control alternates between
	pieces  []*wire.Slab
	late    []*channel   // with announcements that wait for room
	cipher  *wire.Cipher // from the byte clear on, to be set before the next write
	clear   int
	finish  bool // no more comes: the writer ends when all is written
	closed  bool
	target  int       // size of a piece now
	writing time.Time // when the write under way began, zero if none
	wrote   time.Time // when the last one ended
}

func (o *outbox) init() {
	o.work.L, o.space.L = &o.mu, &o.mu
	o.target = 64 << 10
	o.wrote = time.Now()
}

// add appends small messages. fn gets the buffer and returns it longer.
func (o *outbox) add(fn func([]byte) []byte) {
	o.mu.Lock()
	if !o.closed {
		o.control = fn(o.control)
		o.work.Signal()
	}
	o.mu.Unlock()
}

// tryAdd is add unless more than limit bytes wait already.
func (o *outbox) tryAdd(limit int, fn func([]byte) []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || len(o.control) > limit {
		return false
	}
	o.control = fn(o.control)
	o.work.Signal()
	return true
}

// reply is tryAdd for what the remote makes us say at once. An outbox that was
// closed takes everything.
func (o *outbox) reply(fn func([]byte) []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return true
	}
	if len(o.control) > maxControlHard {
		return false
	}
	o.control = fn(o.control)
	o.work.Signal()
	return true
}

// awaitRoom waits until requests may be added; false when the stream has ended.
// For the server: its answers among the small messages wait for the remote to
// read, as blocks do.
func (o *outbox) awaitRoom() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.control) >= maxControl && !o.closed {
		o.space.Wait()
	}
	return !o.closed
}

// room reports whether requests may be added.
func (o *outbox) room() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.control) < maxControl
}

// piece gives a piece of blocks to the writer. It waits while two are waiting,
// and returns false when the stream has ended.
func (o *outbox) piece(s *wire.Slab) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.pieces) >= 2 && !o.closed {
		o.space.Wait()
	}
	if o.closed {
		s.Release()
		return false
	}
	o.pieces = append(o.pieces, s)
	o.work.Signal()
	return true
}

// await waits until no piece is waiting, so that of large blocks only one is in
// memory besides the one that is being written.
func (o *outbox) await() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.pieces) > 0 && !o.closed {
		o.space.Wait()
	}
	return !o.closed
}

// size is how large a piece should be.
func (o *outbox) size() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.target
}

// end lets the writer end when all is written.
func (o *outbox) end() {
	o.mu.Lock()
	o.finish = true
	o.work.Signal()
	o.mu.Unlock()
}

// close drops everything and lets everyone go.
func (o *outbox) close() {
	o.mu.Lock()
	o.closed = true
	for _, s := range o.pieces {
		s.Release()
	}
	o.pieces, o.control, o.spare, o.late = nil, nil, nil, nil
	o.work.Broadcast()
	o.space.Broadcast()
	o.mu.Unlock()
}

// write runs until the outbox is closed, finished and empty, or a write fails.
func (o *outbox) write(w *wire.Writer) error {
	for {
		o.mu.Lock()
		for len(o.control) == 0 && len(o.pieces) == 0 && !o.closed && !o.finish {
			o.work.Wait()
		}
		if o.closed || o.finish && len(o.control) == 0 && len(o.pieces) == 0 {
			o.mu.Unlock()
			return nil
		}
		control := o.control
		o.control = o.spare[:0]
		if len(control) >= maxControl {
			o.space.Broadcast()
		}
		var piece *wire.Slab
		if len(o.pieces) > 0 {
			piece = o.pieces[0]
			o.pieces[0] = nil
			o.pieces = append(o.pieces[:0], o.pieces[1:]...)
			o.space.Signal()
		}
		late := o.late
		o.late = nil
		if o.cipher != nil {
			w.SetCipher(o.cipher, o.clear)
			o.cipher = nil
		}
		start := time.Now()
		o.writing = start
		o.mu.Unlock()

		var err error
		n := 0
		if len(control) > 0 {
			err = w.WriteFrames(control)
		}
		if piece != nil {
			if n = len(piece.B); err == nil {
				err = w.WriteFrames(piece.B)
			}
			piece.Release()
		}
		for _, c := range late {
			c.announceLate()
		}

		o.mu.Lock()
		now := time.Now()
		o.writing, o.wrote = time.Time{}, now
		if cap(control) <= maxControl {
			o.spare = control
		} else {
			o.spare = nil
		}
		if n > 0 {
			// A piece should take a few milliseconds, so that small messages do not
			// wait long behind it.
			switch d := now.Sub(start); {
			case d > 50*time.Millisecond:
				o.target = max(minSendBuffer, o.target/2)
			case d < 10*time.Millisecond && n >= o.target/2:
				o.target = min(sendBuffer, o.target*2)
			}
		}
		o.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// state returns for how long the write under way has lasted, and when the last
// one ended.
func (o *outbox) state(now time.Time) (writing time.Duration, last time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.writing.IsZero() {
		writing = now.Sub(o.writing)
	}
	return writing, o.wrote
}
