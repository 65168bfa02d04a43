package protocol

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/go-hypercore/hypercore/feed"
)

// Engine exchanges feeds with any number of remotes, one Stream for each. It is
// safe for concurrent use.
type Engine struct {
	// constant
	cfg    Config
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	runs   sync.WaitGroup // streams that run
	spent  bucket         // by the messages of all streams
	crowd  crowd          // that spend it

	registered atomic.Uint64 // extensions, in all
	recheck    sync.Mutex    // held while one runs, see Stream.recheck

	mu      sync.Mutex
	feeds   map[feed.DiscoveryKey]*swarm
	streams map[*Stream]struct{}
	closed  bool
}

// New returns an engine without feeds and streams.
func New(cfg Config) *Engine {
	e := &Engine{cfg: cfg, feeds: map[feed.DiscoveryKey]*swarm{}, streams: map[*Stream]struct{}{}}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	return e
}

// Add makes a feed available on all streams, also on those that run: what a
// remote has opened is answered now. The feed stays the caller's to close.
func (e *Engine) Add(f *feed.Feed, o FeedOptions) error {
	key := f.Key()
	if key.IsZero() {
		return fmt.Errorf("protocol: add: %w: static feed not finalized", feed.ErrStatic)
	}
	sw := newSwarm(e, f, key, o)
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return ErrClosed
	}
	if _, ok := e.feeds[sw.dk]; ok {
		e.mu.Unlock()
		return ErrAdded
	}
	e.feeds[sw.dk] = sw
	streams := slices.Collect(maps.Keys(e.streams))
	e.mu.Unlock()

	detach, err := f.Attach(sw)
	if err != nil {
		e.drop(sw)
		return fmt.Errorf("protocol: add %v: %w", sw.dk, err)
	}
	sw.mu.Lock()
	sw.detach = detach
	gone := sw.closed != nil
	sw.mu.Unlock()
	if gone {
		detach()
		return ErrClosed
	}
	for _, s := range streams {
		s.feedAdded(sw)
	}
	return nil
}

// Remove takes a feed off all streams; the streams go on. ErrNotAdded if it is
// not here.
func (e *Engine) Remove(dk feed.DiscoveryKey) error {
	e.mu.Lock()
	sw := e.feeds[dk]
	e.mu.Unlock()
	if sw == nil {
		return ErrNotAdded
	}
	sw.close(ErrNotAdded)
	return nil
}

// drop takes a swarm out of the table if it is still in it.
func (e *Engine) drop(sw *swarm) {
	e.mu.Lock()
	here := e.feeds[sw.dk] == sw
	if here {
		delete(e.feeds, sw.dk)
	}
	e.mu.Unlock()
	if here && e.cfg.OnRemove != nil {
		e.cfg.OnRemove(sw.f)
	}
}

// swarm returns an added feed, nil if there is none.
func (e *Engine) swarm(dk feed.DiscoveryKey) *swarm {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.feeds[dk]
}

// find returns an added feed, or one that Config.Find knows; nil if there is
// none.
func (e *Engine) find(ctx context.Context, dk feed.DiscoveryKey) (*swarm, error) {
	if sw := e.swarm(dk); sw != nil || e.cfg.Find == nil {
		return sw, nil
	}
	f, err := e.cfg.Find(ctx, dk)
	if err != nil || f == nil {
		return nil, err
	}
	if f.DiscoveryKey() != dk {
		return nil, fmt.Errorf("protocol: Config.Find returned feed %v for %v", f.DiscoveryKey(), dk)
	}
	if err := e.Add(f, FeedOptions{}); err != nil && err != ErrAdded {
		return nil, err
	}
	return e.swarm(dk), nil
}

// NewStream returns a stream over conn. It does nothing until Run. The stream
// closes conn; besides Close it uses CloseWrite if conn has it.
func (e *Engine) NewStream(conn io.ReadWriteCloser, o StreamOptions) *Stream {
	return newStream(e, conn, o)
}

// enter registers a stream that begins to run.
func (e *Engine) enter(s *Stream) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return ErrClosed
	}
	e.streams[s] = struct{}{}
	e.runs.Add(1)
	return nil
}

// sent reports whether a stream that runs has sent a nonce. Whoever repeats what this
// side sends has a Feed and a Handshake that can be read, and knows no key.
func (e *Engine) sent(nonce []byte) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for s := range e.streams {
		if n := s.firstNonce.Load(); n != nil && bytes.Equal(*n, nonce) {
			return true
		}
	}
	return false
}

func (e *Engine) leave(s *Stream) {
	e.mu.Lock()
	delete(e.streams, s)
	e.mu.Unlock()
	e.runs.Done()
}

// Close ends all streams, detaches from all feeds and waits until nothing of it
// runs any more. The feeds stay open. It may be called twice.
func (e *Engine) Close() error {
	e.mu.Lock()
	e.closed = true
	feeds := slices.Collect(maps.Values(e.feeds))
	streams := slices.Collect(maps.Keys(e.streams))
	e.mu.Unlock()
	e.cancel()
	for _, s := range streams {
		s.Close()
	}
	for _, sw := range feeds {
		sw.close(ErrClosed)
	}
	e.runs.Wait()
	return nil
}
