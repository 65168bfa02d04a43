package node

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-hypercore/hypercore/discovery"
	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/store"
)

// openFeed is a feed known to the engine; Node.mu guards it.
type openFeed struct {
	feed   *feed.Feed
	key    feed.Key
	ours   bool // closed by the node
	shared int  // joins
}

// Open opens a feed that the node closes with itself, or earlier with
// CloseFeed. It is served to every peer that knows it; Share makes it known. With
// many feeds open, those at rest park: see Config.Lot. Several may be opened at the
// same time, which is faster. One that is closed by itself is no longer in the node,
// as after CloseFeed. With Config.Dir, one of one's own that was restored from a backup, or
// last written elsewhere, does not take appends: see the package comment.
func (n *Node) Open(ctx context.Context, s store.Storage, o feed.Options) (*feed.Feed, error) {
	return n.open(ctx, s, o, protocol.FeedOptions{})
}

func (n *Node) open(ctx context.Context, s store.Storage, o feed.Options, po protocol.FeedOptions) (*feed.Feed, error) {
	if err := n.usable(); err != nil {
		return nil, err
	}
	if o.Lot == nil {
		o.Lot = n.cfg.Lot
	}
	o, mine, err := n.guarded(s, o)
	if err != nil {
		return nil, err
	}
	f, err := feed.Open(ctx, s, o)
	if err != nil {
		return nil, err
	}
	if mine {
		n.guard.Keep(f)
	}
	if err := n.add(f, true, po); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// guarded adds to the options of a feed who writes here and what was announced from here,
// and tells whether its record is to be kept. One whose caller says who writes is his
// affair, and one in memory is not restored from anywhere. Without Config.Dir it is a new
// node each time, which would be another writer.
func (n *Node) guarded(s store.Storage, o feed.Options) (_ feed.Options, mine bool, err error) {
	if _, ok := s.(*store.MemoryStorage); ok || n.guard == nil || o.Identity != "" {
		return o, false, nil
	}
	if o, mine, err = n.guard.Options(s, o); err != nil {
		return o, false, fmt.Errorf("node: opening %s: %w", s, err)
	}
	return o, mine, nil
}

// Add gives the node a feed of the caller's, to be replicated as o says: without
// serving it (NoUpload), say, or without fetching anything (NoDownload). Who writes it, and
// what was announced, is the caller's affair: see package guard. Like one that
// Share adds, with no options, it is not closed by the node; its owner calls CloseFeed
// before closing it. A feed that is in the node already is protocol.ErrAdded.
func (n *Node) Add(f *feed.Feed, o protocol.FeedOptions) error { return n.add(f, false, o) }

// add gives f to the engine. That looks at every stream, so the rest of the node does
// not wait for it.
func (n *Node) add(f *feed.Feed, ours bool, o protocol.FeedOptions) error {
	dk := f.DiscoveryKey()
	n.adding.Lock()
	defer n.adding.Unlock()
	n.mu.Lock()
	have, closed := n.feeds[dk], n.closed
	n.mu.Unlock()
	switch {
	case closed:
		return ErrClosed
	case have == nil:
	case !have.feed.Readable(): // tidy has not come to it
		n.takeOut(dk, have)
	default:
		return fmt.Errorf("node: feed %s is open already: %w", f.Key(), protocol.ErrAdded)
	}
	err := n.engine.Add(f, o)
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.closed: // and so is the engine, or about to be
		return ErrClosed
	case err != nil:
		return fmt.Errorf("node: adding feed %s: %w", f.Key(), err)
	}
	n.feeds[dk] = &openFeed{feed: f, key: f.Key(), ours: ours}
	return nil
}

// takeOut ends what the node does for a feed. n.adding is held.
func (n *Node) takeOut(dk feed.DiscoveryKey, f *openFeed) {
	n.mu.Lock()
	t := n.topics[dk]
	delete(n.feeds, dk)
	n.mu.Unlock()
	n.tcp.closed(f.key)
	if t != nil {
		t.leaveAll()
	}
	n.peers.left(dk, f.key) // when the topic was left the feed was not known any more
	if err := n.engine.Remove(dk); err != nil && !errors.Is(err, protocol.ErrNotAdded) {
		log.Warnw("removing a feed", "feed", f.key, "error", err)
	}
}

// entry returns what is known of a feed, or nil.
func (n *Node) entry(dk feed.DiscoveryKey) *openFeed {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.feeds[dk]
}

// Feed returns an open feed, or nil.
func (n *Node) Feed(key feed.Key) *feed.Feed {
	if f := n.entry(key.Discovery()); f != nil && f.feed.Readable() {
		return f.feed
	}
	return nil
}

// Feeds returns the feeds open in the node, in no order.
func (n *Node) Feeds() []*feed.Feed {
	n.mu.Lock()
	out := make([]*feed.Feed, 0, len(n.feeds))
	for _, f := range n.feeds {
		out = append(out, f.feed)
	}
	n.mu.Unlock()
	return slices.DeleteFunc(out, func(f *feed.Feed) bool { return !f.Readable() })
}

// CloseFeed leaves the feed's topic, stops serving it, and closes it if Open
// opened it. It returns ErrNotOpen for a feed the node does not have.
func (n *Node) CloseFeed(key feed.Key) error {
	if err := n.usable(); err != nil {
		return err
	}
	dk := key.Discovery()
	n.adding.Lock()
	f := n.entry(dk)
	open := f != nil && f.feed.Readable()
	if f != nil {
		n.takeOut(dk, f)
	}
	n.adding.Unlock()
	switch {
	case !open:
		return fmt.Errorf("%w: %s", ErrNotOpen, key)
	case f.ours:
		if n.guard != nil {
			n.guard.Update(f.feed)
		}
		return f.feed.Close()
	}
	return nil
}

// sharedKey returns the key of a feed that is shared.
func (n *Node) sharedKey(dk feed.DiscoveryKey) (feed.Key, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if f := n.feeds[dk]; f != nil && f.shared > 0 {
		return f.key, true
	}
	return feed.Key{}, false
}

// sharedKeys returns the keys of every shared feed.
func (n *Node) sharedKeys() []feed.Key {
	n.mu.Lock()
	defer n.mu.Unlock()
	var keys []feed.Key
	for _, f := range n.feeds {
		if f.shared > 0 {
			keys = append(keys, f.key)
		}
	}
	return keys
}

// anyShared tells whether a feed is shared.
func (n *Node) anyShared() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, f := range n.feeds {
		if f.shared > 0 {
			return true
		}
	}
	return false
}

// joined returns the topic of dk while it is joined, or nil.
func (n *Node) joined(dk feed.DiscoveryKey) *topic {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.topics[dk]
}

// topicOf is the name of a feed's topic in discovery.
func topicOf(dk feed.DiscoveryKey) discovery.Topic { return discovery.Topic(dk) }
