package protocol

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Memory is what the memory of a stream is reserved with before it is used: the
// budget of a process, or of a resource manager. It is called from any goroutine
// of the stream, also under locks of the Engine: it must neither wait nor call
// into it.
type Memory interface {
	// Reserve asks for n more bytes; the stream keeps total with them, so that
	// those who keep much can be refused before others. If it refuses, what can do with less does with less: maps are not noted, pieces
	// and slabs are smaller, reading waits. What cannot waits for memoryPatience,
	// and then the stream ends with ErrMemory.
	Reserve(n, total int) error
	// Release gives n bytes back.
	Release(n int)
}

const (
	// MaxStreamMemory is what one remote can make us keep at most, in bytes,
	// counted as it grows: frames and slabs received (two of the largest frames
	// and one of half the size that is copied from), answers (two of the largest
	// blocks), maps, requests, small messages, kept messages. All parts at their
	// bounds would be more; the last to come wait for the others then. Two of the
	// largest frames each way always fit. An idle stream keeps about 30 KiB.
	MaxStreamMemory = 48 << 20
	// MinStreamMemory is what a stream has before it asks StreamOptions.Memory
	// for more: an idle one needs no more, and a busy one can go on with it.
	MinStreamMemory = 128 << 10
	// memoryStep is what is reserved at a time.
	memoryStep = 256 << 10
	// memorySlack is how much a stream may hold reserved without using it until
	// the next tick: what comes and goes with each batch.
	memorySlack = 2 << 20
	// memoryPatience is how long a stream waits for memory it cannot go on
	// without, and memoryPoll how often it asks meanwhile.
	memoryPatience = 10 * time.Second
	memoryPoll     = 50 * time.Millisecond
)

// ledger counts what a stream keeps, and reserves it.
type ledger struct {
	m    Memory // nil: only the ceiling holds; constant
	done <-chan struct{}

	used atomic.Int64 // bytes kept
	held atomic.Int64 // bytes reserved, MinStreamMemory included; mu to change it

	mu    sync.Mutex
	ended bool // everything was given back; nothing is reserved any more
}

func (l *ledger) init(m Memory, done <-chan struct{}) {
	l.m, l.done = m, done
	l.held.Store(MinStreamMemory)
}

// take counts n more bytes. An error says that they are not to be had.
func (l *ledger) take(n int) error {
	if used := l.used.Add(int64(n)); used <= l.held.Load() {
		return nil
	}
	return l.reserve(n)
}

// reserve covers what take has counted already, or takes it back.
func (l *ledger) reserve(n int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	used, held := l.used.Load(), l.held.Load()
	if used <= held || l.ended {
		return nil
	}
	if used > MaxStreamMemory {
		l.used.Add(int64(-n))
		return fmt.Errorf("%w: %d bytes more than the %d there are for one remote", ErrMemory, used-MaxStreamMemory, MaxStreamMemory)
	}
	more := min((used-held+memoryStep-1)/memoryStep*memoryStep, MaxStreamMemory-held)
	if l.m != nil {
		err := l.m.Reserve(int(more), int(held+more))
		if err != nil && more > used-held {
			more = used - held
			err = l.m.Reserve(int(more), int(held+more))
		}
		if err != nil {
			l.used.Add(int64(-n))
			return fmt.Errorf("%w: %d bytes more than %d: %w", ErrMemory, more, held, err)
		}
	}
	l.held.Store(held + more)
	return nil
}

// give counts n bytes less.
func (l *ledger) give(n int) {
	if used := l.used.Add(int64(-n)); l.held.Load()-used > memorySlack+MinStreamMemory {
		l.trim(memorySlack)
	}
}

// trim gives back what is reserved and not used, except slack. A take at the same
// moment may stay without cover until the next one reserves.
func (l *ledger) trim(slack int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	held := l.held.Load()
	keep := max(MinStreamMemory, (l.used.Load()+slack+memoryStep-1)/memoryStep*memoryStep)
	if l.ended || keep >= held {
		return
	}
	l.held.Store(keep)
	if l.m != nil {
		l.m.Release(int(held - keep))
	}
}

// end gives back everything that was reserved. Later takes are not counted: the
// stream has ended.
func (l *ledger) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := l.held.Load() - MinStreamMemory; !l.ended && n > 0 && l.m != nil {
		l.m.Release(int(n))
	}
	l.ended = true
	l.held.Store(1 << 62)
}

// await is take for what the stream cannot go on without.
func (l *ledger) await(n int) error {
	err := l.take(n)
	if err == nil {
		return nil
	}
	poll, patience := time.NewTicker(memoryPoll), time.NewTimer(memoryPatience)
	defer poll.Stop()
	defer patience.Stop()
	for {
		select {
		case <-l.done:
			return ErrClosed
		case <-patience.C:
			return err
		case <-poll.C:
		}
		if err = l.take(n); err == nil {
			return nil
		}
	}
}

// Memory tells what the stream keeps now, in bytes, as far as the remote can make
// it grow, and what is reserved for that.
func (s *Stream) Memory() (used, reserved int) {
	s.mem.mu.Lock()
	defer s.mem.mu.Unlock()
	if s.mem.ended {
		return 0, 0
	}
	return int(s.mem.used.Load()), int(s.mem.held.Load())
}

// reading is the budget of the Reader's slabs. What it cannot read without waits
// until what was read is stored, and then for memory.
type reading struct{ s *Stream }

func (b reading) Take(n int, must bool) error {
	s := b.s
	err := s.mem.take(n)
	if err == nil || !must {
		return err
	}
	if !s.flush() || !s.settled() {
		return ErrClosed
	}
	return s.mem.await(n)
}

func (b reading) Give(n int) { b.s.mem.give(n) }

// serving is the budget of the server's pieces. One it cannot send without waits
// until those before it are written, and then for memory.
type serving struct{ s *Stream }

func (b serving) Take(n int, must bool) error {
	err := b.s.mem.take(n)
	if err == nil || !must {
		return err
	}
	if !b.s.out.idle() {
		return ErrClosed
	}
	return b.s.mem.await(n)
}

func (b serving) Give(n int) { b.s.mem.give(n) }

// settled waits until the receiver has nothing to do; false if the stream has
// ended. Reading goroutine.
func (s *Stream) settled() bool {
	for s.pending.Load() > 0 {
		select {
		case <-s.taken:
		case <-s.done:
			return false
		}
	}
	return true
}

// short says what memory was wanted for.
func (s *Stream) short(op string, err error) error {
	if errors.Is(err, ErrMemory) {
		return fmt.Errorf("protocol: %s: %w", op, err)
	}
	return err
}
