package discovery

import (
	"context"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Search is one wish for the peers of a topic.
type Search struct {
	d     *Discovery
	topic Topic
	fn    func(peer.AddrInfo)

	enough bool // see Enough; Discovery.mu guards it
}

// Find calls fn for each peer of t found, at once and again each time a
// later look finds it, until Stop. fn is called from several goroutines, must
// not block and must not call Stop.
func (d *Discovery) Find(t Topic, fn func(peer.AddrInfo)) (*Search, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, ErrClosed
	}
	s := &Search{d: d, topic: t, fn: fn}
	e := d.get(t)
	if e.searches == nil {
		e.searches = map[*Search]struct{}{}
	}
	e.searches[s] = struct{}{}
	d.hurry(e, true)
	return s, nil
}

// Enough tells whether the searcher has peers that serve. With enough, looks
// are rare; without, which is the state at the start, they begin at once and
// quickly. What the DHT returns does not tell: it may all be out of date.
func (s *Search) Enough(enough bool) {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	e := s.d.topics[s.topic]
	if e == nil || s.enough == enough {
		return
	}
	s.enough = enough
	if e.look.streak = 0; !enough {
		s.d.hurry(e, true)
	}
}

// Again starts over: a look now, and quick ones after it unless there are
// enough peers.
func (s *Search) Again() {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	if e := s.d.topics[s.topic]; e != nil {
		s.d.hurry(e, true)
	}
}

// Stop ends the search. A call of its function may still be under way.
func (s *Search) Stop() {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	e := s.d.topics[s.topic]
	if e == nil {
		return
	}
	delete(e.searches, s)
	if len(e.searches) == 0 {
		s.d.queue.remove(e)
		s.d.forget(e)
	}
}

// Lookup delivers the peers of t, each as soon as it is found and again each
// time a later look finds it, until ctx ends or the Discovery is closed; then
// the channel is closed. A receiver that is slow misses repetitions, not
// peers.
func (d *Discovery) Lookup(ctx context.Context, t Topic) <-chan peer.AddrInfo {
	out := make(chan peer.AddrInfo)
	var mu sync.Mutex
	var waiting []peer.AddrInfo // at most one entry per peer
	more := make(chan struct{}, 1)
	s, err := d.Find(t, func(info peer.AddrInfo) {
		mu.Lock()
		defer mu.Unlock()
		for i := range waiting {
			if waiting[i].ID == info.ID {
				waiting[i] = info
				return
			}
		}
		if len(waiting) < 4*maxProviders {
			waiting = append(waiting, info)
			signal(more)
		}
	})
	if err != nil {
		close(out)
		return out
	}
	d.wg.Go(func() {
		defer close(out)
		defer s.Stop()
		for {
			mu.Lock()
			batch := waiting
			waiting = nil
			mu.Unlock()
			for _, info := range batch {
				select {
				case out <- info:
				case <-ctx.Done():
					return
				case <-d.ctx.Done():
					return
				}
			}
			select {
			case <-more:
			case <-ctx.Done():
				return
			case <-d.ctx.Done():
				return
			}
		}
	})
	return out
}
