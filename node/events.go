package node

import (
	"context"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/go-hypercore/hypercore/feed"
)

// EventType tells what happened.
type EventType string

// Types of events.
const (
	PeerFound           EventType = "peer-found"           // Peer, Topic: found for the first time under the topic
	DialFailed          EventType = "dial-failed"          // Peer, Err: first failure; the next ones are not told
	StreamOpened        EventType = "stream-opened"        // Peer, Addr: replication began
	StreamClosed        EventType = "stream-closed"        // Peer, Err: nil for a clean end
	MovedDirect         EventType = "moved-direct"         // Peer: from a relay to a direct connection
	AddrsChanged        EventType = "addrs-changed"        // see Node.Addrs
	ReachabilityChanged EventType = "reachability-changed" // Text
	Missed              EventType = "missed"               // Count events were lost: the watcher is slow
)

// Event is something the node did or learnt.
type Event struct {
	Time  time.Time
	Type  EventType
	Peer  peer.ID
	Topic feed.DiscoveryKey
	Addr  ma.Multiaddr
	Err   error
	Text  string
	Count int
}

// eventQueue is how many events wait for a slow watcher.
const eventQueue = 256

// hub hands events to watchers without ever waiting for them.
type hub struct {
	// mu guards the fields below.
	mu       sync.Mutex
	watchers map[*watcher]struct{}
}

type watcher struct {
	queue  []Event
	missed int
	more   chan struct{}
}

func (h *hub) init() { h.watchers = map[*watcher]struct{}{} }

func (n *Node) emit(e Event) {
	e.Time = time.Now()
	h := &n.events
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.watchers {
		if len(w.queue) >= eventQueue {
			w.missed++
			continue
		}
		w.queue = append(w.queue, e)
		signal(w.more)
	}
}

// take removes what is queued for w.
func (h *hub) take(w *watcher) []Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := w.queue
	w.queue = nil
	if w.missed > 0 {
		out = append(out, Event{Time: time.Now(), Type: Missed, Count: w.missed})
		w.missed = 0
	}
	return out
}

// Watch delivers the node's events until ctx ends or the node is closed; then
// the channel is closed. A watcher that is slow loses events and is told how
// many.
func (n *Node) Watch(ctx context.Context) <-chan Event {
	out := make(chan Event)
	w := &watcher{more: make(chan struct{}, 1)}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		close(out)
		return out
	}
	n.events.mu.Lock()
	n.events.watchers[w] = struct{}{}
	n.events.mu.Unlock()
	n.wg.Go(func() {
		defer close(out)
		defer func() {
			n.events.mu.Lock()
			delete(n.events.watchers, w)
			n.events.mu.Unlock()
		}()
		for {
			for _, e := range n.events.take(w) {
				select {
				case out <- e:
				case <-ctx.Done():
					return
				case <-n.ctx.Done():
					return
				}
			}
			select {
			case <-w.more:
			case <-ctx.Done():
				return
			case <-n.ctx.Done():
				return
			}
		}
	})
	return out
}
