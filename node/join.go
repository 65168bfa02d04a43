package node

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-hypercore/hypercore/discovery"
	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/protocol"
)

// enoughPeers is the number of connected peers that have the feed from which a
// topic is looked up rarely.
const enoughPeers = 3

// JoinOptions says how to join a topic. With neither field set the node only
// serves the peers that come by themselves.
type JoinOptions struct {
	Announce bool // let others find this node
	Lookup   bool // find others, connect to them and stay connected
}

// Join is one wish to meet the peers of a topic.
type Join struct {
	// Constant.
	n    *Node
	t    *topic
	opts JoinOptions

	left chan struct{} // closed by Leave and by Node.Close
	once sync.Once
}

// topic is a topic with at least one Join.
type topic struct {
	n  *Node
	dk feed.DiscoveryKey

	// mu guards the fields below.
	mu         sync.Mutex
	joins      map[*Join]struct{}
	search     *discovery.Search // nil while no join looks up
	announced  bool
	candidates int
	rotated    time.Time            // when an idle peer made room last
	connected  map[peer.ID]presence // made when needed: most topics of a seeder meet nobody
	visits     uint64               // how often a peer connected
	changed    chan struct{}        // closed when connected grows; made by those who wait
	ended      bool
}

// presence is a peer of a topic that is connected.
type presence struct {
	standing
	visit uint64 // tells this connection from those of before
}

// Share joins the topic of a feed and offers the feed to the peers met. A
// feed that was not opened by Open is served but not closed by the node; its
// owner calls CloseFeed before closing it.
func (n *Node) Share(ctx context.Context, f *feed.Feed, o JoinOptions) (*Join, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err := n.add(f, false, protocol.FeedOptions{})
	if err != nil && !(errors.Is(err, protocol.ErrAdded) && n.Feed(f.Key()) == f) {
		return nil, err
	}
	j, err := n.join(f.DiscoveryKey(), o, true)
	if err != nil {
		return nil, err
	}
	n.peers.shared(f.DiscoveryKey())
	return j, nil
}

// Join joins a topic without a feed: Join.Peers tells the peers met, for
// protocols of the application. Peers that come because this node announced
// the topic do not say so; an application that needs them lets both sides
// announce and look up.
func (n *Node) Join(ctx context.Context, dk feed.DiscoveryKey, o JoinOptions) (*Join, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return n.join(dk, o, false)
}

func (n *Node) join(dk feed.DiscoveryKey, o JoinOptions, share bool) (*Join, error) {
	j := &Join{n: n, opts: o, left: make(chan struct{})}
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return nil, ErrClosed
	}
	f := n.feeds[dk]
	if share && f == nil { // closed meanwhile
		n.mu.Unlock()
		return nil, fmt.Errorf("%w: %s", ErrNotOpen, dk)
	}
	t := n.topics[dk]
	if t == nil {
		t = &topic{n: n, dk: dk, joins: map[*Join]struct{}{}}
		n.topics[dk] = t
	}
	if share {
		f.shared++
	}
	j.t = t
	t.mu.Lock()
	t.joins[j] = struct{}{}
	n.mu.Unlock()
	err := t.update()
	t.mu.Unlock()
	if err != nil {
		j.Leave()
		return nil, fmt.Errorf("node: joining %s: %w", dk, err)
	}
	return j, nil
}

// update makes discovery do what the joins want. t.mu is held.
func (t *topic) update() error {
	announce, lookup := false, false
	for j := range t.joins {
		announce = announce || j.opts.Announce
		lookup = lookup || j.opts.Lookup
	}
	id := topicOf(t.dk)
	if announce != t.announced {
		t.announced = announce
		if !announce {
			t.n.disc.Unannounce(id)
		} else if err := t.n.disc.Announce(id); err != nil {
			return err
		}
	}
	switch {
	case lookup && t.search == nil:
		s, err := t.n.disc.Find(id, func(info peer.AddrInfo) { t.n.peers.found(t.dk, info) })
		if err != nil {
			return err
		}
		t.search = s
	case !lookup && t.search != nil:
		t.search.Stop()
		t.search = nil
	}
	return nil
}

// Leave ends the join: the topic is no longer announced nor looked up, unless
// another Join wants it. Connections and streams in use stay.
func (j *Join) Leave() {
	j.once.Do(func() {
		close(j.left)
		j.n.leave(j)
	})
}

func (n *Node) leave(j *Join) {
	t := j.t
	n.mu.Lock()
	t.mu.Lock()
	delete(t.joins, j)
	last := len(t.joins) == 0 && !t.ended
	if last {
		t.ended = true
		if n.topics[t.dk] == t {
			delete(n.topics, t.dk)
		}
	}
	f := n.feeds[t.dk]
	var key feed.Key
	if f != nil {
		key = f.key
		if last {
			f.shared = 0
		}
	}
	n.mu.Unlock()
	err := t.update()
	t.mu.Unlock()
	if err != nil {
		log.Warnw("leaving a topic", "topic", t.dk, "error", err)
	}
	if last {
		n.peers.left(t.dk, key)
	}
}

// leaveAll ends every join of the topic.
func (t *topic) leaveAll() {
	t.mu.Lock()
	joins := slices.Collect(maps.Keys(t.joins))
	t.mu.Unlock()
	for _, j := range joins {
		j.Leave()
	}
}

// end unblocks those who wait for peers: the node closes. One who leaves meanwhile may
// be about to lock mu, so it is not held.
func (t *topic) end() {
	t.mu.Lock()
	joins := slices.Collect(maps.Keys(t.joins))
	t.mu.Unlock()
	for _, j := range joins {
		j.once.Do(func() { close(j.left) })
	}
}

// room tells whether another candidate is taken.
func (t *topic) room() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.candidates < maxPerTopic
}

func (t *topic) candidate(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.candidates = max(t.candidates+n, 0)
}

// counts returns how many connected peers have the feed, how many of those are idle, and
// how many are on trial.
func (t *topic) counts() (has, idles, trials int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	idles = t.count(idle)
	return t.count(proven) + idles, idles, t.count(onTrial)
}

// rotate tells whether an idle peer is to make room now: there are as many peers as the
// topic wants, and others wait.
func (t *topic) rotate(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count(proven)+t.count(idle) < maxLinks || t.candidates <= len(t.connected) || now.Sub(t.rotated) < rotateEvery {
		return false
	}
	t.rotated = now
	return true
}

// count counts the connected peers of a standing. t.mu is held.
func (t *topic) count(s standing) (n int) {
	for _, is := range t.connected {
		if is.standing == s {
			n++
		}
	}
	return n
}

// crowded tells whether candidates wait because others are on trial.
func (t *topic) crowded() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count(onTrial) >= maxTrials && t.candidates > len(t.connected)
}

// up notes that a peer found under the topic is connected.
func (t *topic) up(id peer.ID, s standing) {
	t.mu.Lock()
	defer t.mu.Unlock()
	is, ok := t.connected[id]
	if !ok {
		t.visits++
		is.visit = t.visits
		if t.changed != nil {
			close(t.changed)
			t.changed = nil
		}
	}
	if t.connected == nil {
		t.connected = map[peer.ID]presence{}
	}
	is.standing = s
	t.connected[id] = is
	t.settle()
}

// rate notes how it stands with one that is connected.
func (t *topic) rate(id peer.ID, s standing) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if is, ok := t.connected[id]; ok && is.standing != s {
		is.standing = s
		t.connected[id] = is
		t.settle()
	}
}

// settle tells the search whether there are enough peers. t.mu is held.
func (t *topic) settle() {
	if t.search != nil {
		t.search.Enough(t.count(proven) >= enoughPeers)
	}
}

// down notes that it no longer is. Without any that counts the topic is looked up
// at once.
func (t *topic) down(id peer.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	was, ok := t.connected[id]
	if !ok {
		return
	}
	delete(t.connected, id)
	t.settle()
	if t.search != nil && was.standing == proven && t.count(proven) == 0 {
		t.search.Again()
	}
}

// Topic returns what was joined.
func (j *Join) Topic() feed.DiscoveryKey { return j.t.dk }

// Peers yields the peers found under the topic that are connected, each once
// when it connects and again when it comes back, until ctx or the join ends. Those
// that were not looked for, fixed ones and those that have come, are in Status.
func (j *Join) Peers(ctx context.Context) iter.Seq[peer.ID] {
	return func(yield func(peer.ID) bool) {
		known := map[peer.ID]uint64{} // the visit of each
		for {
			select {
			case <-j.left:
				return
			default:
			}
			j.t.mu.Lock()
			var fresh []peer.ID
			for id, is := range j.t.connected {
				if known[id] != is.visit {
					known[id] = is.visit
					fresh = append(fresh, id)
				}
			}
			for id := range known {
				if _, ok := j.t.connected[id]; !ok {
					delete(known, id)
				}
			}
			if j.t.changed == nil {
				j.t.changed = make(chan struct{})
			}
			changed := j.t.changed
			j.t.mu.Unlock()
			for _, id := range fresh {
				if ctx.Err() != nil || !yield(id) {
					return
				}
			}
			select {
			case <-changed:
			case <-j.left:
				return
			case <-ctx.Done():
				return
			}
		}
	}
}
