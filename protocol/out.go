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
	mem     *ledger   // constant
	counted int       // bytes of it for control, spare and what is being written
	flying  int       // bytes of the control being written
	broken  error     // not nil: no memory, or a write has failed; the writer ends with it
	control []byte
	spare   []byte // the other buffer of the two that control alternates between
	pieces  []*wire.Slab
	handed  uint64       // how many pieces it was given
	gone    uint64       // how many of them were written
	late    []*channel   // with announcements that wait for room
	cipher  *wire.Cipher // from the byte clear on, to be set before the next write
	clear   int
	finish  bool // no more comes: the writer ends when all is written
	closed  bool
	target  int       // size of a piece now
	busy    bool      // somebody writes: the writer, or the server (pass)
	sending bool      // a piece is being written
	writing time.Time // when the write under way began, zero if none
	wrote   time.Time // when the last one ended
}

func (o *outbox) init(mem *ledger) {
	o.mem = mem
	o.work.L, o.space.L = &o.mu, &o.mu
	o.target = 64 << 10
	o.wrote = time.Now()
}

// account counts the buffers after they have changed. Small messages are not held
// back here, but by those that look at room; what they take beyond the budget
// ends the stream. mu held.
func (o *outbox) account() {
	n := cap(o.control) + cap(o.spare) + o.flying
	switch {
	case n < o.counted:
		o.mem.give(o.counted - n)
	case n == o.counted:
		return
	default:
		if err := o.mem.take(n - o.counted); err != nil {
			o.broken = err
			return
		}
	}
	o.counted = n
}

// starve ends the stream: there is no memory for what another part has to keep.
func (o *outbox) starve(err error) {
	o.mu.Lock()
	o.broken = err
	o.work.Signal()
	o.mu.Unlock()
}

// add appends small messages. fn gets the buffer and returns it longer.
func (o *outbox) add(fn func([]byte) []byte) {
	o.mu.Lock()
	if !o.closed {
		o.put(fn)
	}
	o.mu.Unlock()
}

// put appends. mu held.
func (o *outbox) put(fn func([]byte) []byte) {
	o.control = fn(o.control)
	o.account()
	o.work.Signal()
}

// tryAdd is add of about n bytes, unless more than limit wait already or there is
// no memory for them.
func (o *outbox) tryAdd(limit, n int, fn func([]byte) []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || len(o.control) > limit {
		return false
	}
	if n = 2 * (len(o.control) + n); n > cap(o.control) { // it may grow to that
		if o.mem.take(n) != nil {
			return false
		}
		defer o.mem.give(n)
	}
	o.put(fn)
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
	o.put(fn)
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
	o.pieces, o.handed = append(o.pieces, s), o.handed+1
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

// idle waits until nothing is waiting or being written but small messages; false
// when the stream has ended.
func (o *outbox) idle() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for (len(o.pieces) > 0 || o.sending) && !o.closed {
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
	o.account()
	o.work.Broadcast()
	o.space.Broadcast()
	o.mu.Unlock()
}

// write runs until the outbox is closed, finished and empty, or a write fails.
func (o *outbox) write(w *wire.Writer) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		empty := len(o.control) == 0 && len(o.pieces) == 0
		switch {
		case o.busy || empty && !o.closed && !o.finish && o.broken == nil:
			o.work.Wait()
		case o.broken != nil:
			return o.broken
		case o.closed || empty:
			return nil
		default:
			if err := o.turn(w); err != nil {
				return err
			}
		}
	}
}

// pass is piece for what is the last one for now. If it is small, and the writer has
// nothing to do, the caller writes it: that takes him less time than to wake the
// writer takes.
func (o *outbox) pass(s *wire.Slab, w *wire.Writer) bool {
	o.mu.Lock()
	if len(s.B) > passBytes || o.busy || len(o.pieces) > 0 || o.closed || o.finish || o.broken != nil {
		o.mu.Unlock()
		return o.piece(s)
	}
	defer o.mu.Unlock()
	o.pieces, o.handed = append(o.pieces, s), o.handed+1
	if err := o.turn(w); err != nil {
		o.broken = err
	}
	if len(o.control) > 0 || o.closed || o.broken != nil {
		o.work.Signal()
	}
	return !o.closed && o.broken == nil
}

// turn writes the small messages and one piece. mu is held, but not while it writes.
func (o *outbox) turn(w *wire.Writer) error {
	control := o.control
	o.control, o.spare, o.flying = o.spare[:0], nil, cap(control)
	if len(control) >= maxControl {
		o.space.Broadcast()
	}
	var piece *wire.Slab
	if len(o.pieces) > 0 {
		piece = o.pieces[0]
		o.pieces[0] = nil
		o.pieces = append(o.pieces[:0], o.pieces[1:]...)
		o.sending = true
		o.space.Signal()
	}
	late := o.late
	o.late = nil
	if o.cipher != nil {
		w.SetCipher(o.cipher, o.clear)
		o.cipher = nil
	}
	start := time.Now()
	o.writing, o.busy = start, true
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
	o.writing, o.wrote, o.busy = time.Time{}, now, false
	if cap(control) <= maxControl {
		o.spare = control
	} else {
		o.spare = nil
	}
	o.flying = 0
	if o.sending {
		o.sending, o.gone = false, o.gone+1
		o.space.Signal()
	}
	o.account()
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
	return err
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
