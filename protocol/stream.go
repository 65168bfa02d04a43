package protocol

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/protocol/wire"
)

// Stream is one connection with one remote, on which any number of feeds are
// exchanged. It is safe for concurrent use.
type Stream struct {
	// constant
	e       *Engine
	conn    io.ReadWriteCloser
	o       StreamOptions
	limit   uint64 // channels
	timeout time.Duration
	done    chan struct{} // closed when the stream begins to end
	nonce   func() []byte
	leads   bool // of two offers that cross, ours stands

	out   outbox
	jobs  jobs
	mem   ledger
	spent bucket // by its messages
	part  bucket // and out of its part of what all streams may spend
	inbox chan *batch
	r     *wire.Reader
	w     *wire.Writer

	// of the reading goroutine
	byNumber []*binding // by the remote's channel numbers; nil: never used
	filling  *batch
	owed     time.Duration // work not charged yet
	counted  *wire.Slab    // in the weight of a batch already
	firstIn  bool          // the remote's first Feed has come

	// of the serving goroutine
	marked marked

	firstNonce atomic.Pointer[[]byte] // (V6) what our encryption begins with

	// guarded by e.crowd.mu
	period int // of the last charge

	lastSent *sentRuns // of the serving goroutine, then of recheck; nil before the first block

	// of the ticking goroutine
	heard    uint64 // bytes received at heardAt
	rested   int64  // throttled at heardAt
	heardAt  time.Time
	lastMark uint64 // bytes carried when that was called progress

	born       time.Time      // constant
	pending    atomic.Int64   // bytes in inbox
	late       atomic.Int64   // work that was found after its message was charged
	throttled  atomic.Int64   // nanoseconds it was not read, or not answered, because of its messages
	maps       atomic.Int64   // what the have-maps of the remote may take
	resets     atomic.Int32   // channels opened anew after a proof did not add up
	remoteLive atomic.Bool    // the remote's Handshake said live
	taken      chan struct{}  // inbox became shorter; capacity 1
	waking     sync.WaitGroup // goroutines of wake; begun with mu, until ended

	mu         sync.Mutex
	channels   map[feed.DiscoveryKey]*channel
	peers      map[feed.DiscoveryKey]*Peer // those that a program was given
	next       uint64                      // our next channel number
	spare      []spare                     // numbers of closed channels (Native), to be used before
	starved    bool                        // there was no number for an answer
	firstOut   bool                        // our first Feed was sent
	begun      bool                        // (V6) with the first Feed of ours, or with encryption of the remote
	firstKey   feed.DiscoveryKey           // of that one
	sentHello  bool
	hello      *wire.Handshake // the remote's; nil before it came
	names      []string        // our extensions, as sent
	registered uint64          // Engine.registered when they were gathered
	finished   int             // channels that ended well
	opened     int             // channels that were joined
	started    bool
	ended      bool
	alive      context.Context    // for Config.Find; ends with the stream, set by Run
	die        context.CancelFunc // ends it
	cause      error
}

func newStream(e *Engine, conn io.ReadWriteCloser, o StreamOptions) *Stream {
	s := &Stream{
		e: e, conn: conn, o: o, limit: wire.MaxNativeChannels, timeout: o.Timeout,
		done: make(chan struct{}), inbox: make(chan *batch, 64), taken: make(chan struct{}, 1),
		channels: map[feed.DiscoveryKey]*channel{}, born: time.Now(), heardAt: time.Now(), nonce: randomNonce,
	}
	if o.Dialect == V6 {
		s.limit = wire.MaxChannels
	}
	if s.timeout == 0 {
		s.timeout = 20 * time.Second
		if o.Dialect == V6 {
			s.timeout = 5 * time.Second
		}
	}
	s.mem.init(o.Memory, s.done)
	s.out.init(&s.mem)
	s.jobs.init(&s.mem)
	s.r, s.w = wire.NewReader(conn), wire.NewWriter(conn)
	s.leads = bytes.Compare(o.LocalID, o.RemoteID) > 0
	s.r.SetChannels(s.limit)
	s.r.SetBudget(reading{s})
	return s
}

func randomNonce() []byte {
	b := make([]byte, wire.NonceLen)
	rand.Read(b)
	return b
}

// Run exchanges feeds until the stream ends: by Close or Engine.Close (ErrClosed),
// by ctx, by the remote's end (nil), because all is done on a stream that Ends
// (nil), or because of an error: ErrSameID, or a *RemoteError if it is the remote's
// fault. All goroutines of the stream have ended when it returns.
func (s *Stream) Run(ctx context.Context) error {
	s.mu.Lock()
	if s.started || s.ended {
		defer s.mu.Unlock()
		if s.ended {
			return ErrClosed
		}
		return errors.New("protocol: Run called twice")
	}
	s.started = true
	s.alive, s.die = context.WithCancel(ctx)
	defer s.die()
	s.mu.Unlock()
	if s.o.Dialect == Native && bytes.Equal(s.o.LocalID, s.o.RemoteID) {
		s.fail(ErrSameID)
		return ErrSameID
	}
	if err := s.e.enter(s); err != nil {
		s.fail(err)
		return err
	}
	defer s.e.leave(s)
	s.dropRemoved()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() { s.fail(context.Cause(ctx)) })
	defer stop()
	if s.e.ctx.Err() != nil {
		s.fail(ErrClosed)
	}

	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.out.write(s.w); err != nil {
			s.fail(s.connError("write", err))
		}
		s.halfClose()
	})
	wg.Go(func() { s.serve(ctx) })
	wg.Go(func() { s.receive(ctx) })
	wg.Go(func() { s.tick() })
	for _, k := range s.o.Feeds {
		if err := s.Offer(k); err != nil {
			s.fail(fmt.Errorf("protocol: offer %v: %w", k.Discovery(), err))
			break
		}
	}
	s.fail(s.read(ctx))
	wg.Wait()
	s.waking.Wait()
	s.r.Close()
	s.mem.end()
	s.recheck()
	s.mu.Lock()
	err := s.cause
	s.mu.Unlock()
	if err == errEnd {
		return nil
	}
	return err
}

// errEnd is the cause of a stream that ended well.
var errEnd = errors.New("protocol: end of stream")

// fail ends the stream with the first cause it is given.
func (s *Stream) fail(err error) {
	if err == nil {
		err = errEnd
	}
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return
	}
	s.ended, s.cause = true, err
	channels := slices.Collect(maps.Values(s.channels))
	die := s.die
	s.mu.Unlock()
	close(s.done)
	if die != nil {
		die()
	}
	s.out.close()
	s.jobs.close()
	s.conn.Close()
	for _, c := range channels {
		c.leave()
	}
	var remote *RemoteError
	if errors.As(err, &remote) && s.e.cfg.OnBlame != nil && !errors.Is(err, ErrTimeout) {
		s.e.cfg.OnBlame(Blame{RemoteID: s.o.RemoteID, Label: s.o.Label, Reason: remote})
	}
}

// fault returns why the stream ended, nil if it runs or ended well.
func (s *Stream) fault() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause == errEnd || s.cause == ErrClosed {
		return nil
	}
	return s.cause
}

// blame wraps a fault of the remote.
func (s *Stream) blame(op string, err error) error {
	return &RemoteError{Label: s.o.Label, Op: op, Err: err}
}

// connError wraps what the connection says: nobody's fault.
func (s *Stream) connError(op string, err error) error {
	switch {
	case errors.Is(err, ErrMemory):
		return s.short(op, err)
	case errors.Is(err, ErrClosed):
		return ErrClosed
	}
	return fmt.Errorf("protocol: %s: %w: %w", op, errConnection, err)
}

// errConnection is in what connError makes of errors.
var errConnection = errors.New("connection")

// halfClose tells the remote that nothing more comes, after all was written, and
// gives it some time to end its side.
func (s *Stream) halfClose() {
	select {
	case <-s.done:
		return
	default:
	}
	if c, ok := s.conn.(interface{ CloseWrite() error }); ok {
		if c.CloseWrite() == nil {
			t := time.AfterFunc(lingerTime, func() { s.fail(errEnd) })
			<-s.done
			t.Stop()
			return
		}
	}
	s.fail(errEnd)
}

// Close ends the stream at once. It does not wait for Run to return.
func (s *Stream) Close() error {
	s.fail(ErrClosed)
	return nil
}

// Offer opens one more feed on the stream. The feed must have been added. It
// returns at once; whether the remote has it shows in Feeds and Engine.Peers. The
// offer stands until the feed is removed. ErrTooManyFeeds: there is no channel for it
// until others are closed.
func (s *Stream) Offer(key feed.Key) error {
	sw := s.e.swarm(key.Discovery())
	if sw == nil {
		return ErrNotAdded
	}
	return s.offer(sw)
}

// Feeds returns the feeds that are open on both sides.
func (s *Stream) Feeds() []feed.DiscoveryKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []feed.DiscoveryKey
	for dk, c := range s.channels {
		if c.joined {
			out = append(out, dk)
		}
	}
	return out
}

// RemoteUserData returns what the remote set as StreamOptions.UserData; nil
// before its handshake came.
func (s *Stream) RemoteUserData() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hello == nil {
		return nil
	}
	return slices.Clone(s.hello.UserData)
}

// HandshakeID returns the ID of the remote's Handshake: what a V6 remote calls itself. It
// proves nothing. Nil before it came, and on Native streams, of which RemoteID is proven.
func (s *Stream) HandshakeID() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hello == nil || s.o.Dialect == Native {
		return nil
	}
	return slices.Clone(s.hello.ID)
}

// Options returns what the stream was made with.
func (s *Stream) Options() StreamOptions { return s.o }
