package node

import (
	"sync"

	"github.com/go-hypercore/hypercore/feed"
)

// closedFeeds are feeds that the engine has no longer and the node is to forget.
type closedFeeds struct {
	wake chan struct{} // for tidy

	mu   sync.Mutex // guards list
	list []*feed.Feed
}

// add is called by the engine, in the middle of what others do with the feed and
// under their locks.
func (c *closedFeeds) add(f *feed.Feed) {
	c.mu.Lock()
	c.list = append(c.list, f)
	c.mu.Unlock()
	signal(c.wake)
}

func (c *closedFeeds) take() []*feed.Feed {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.list
	c.list = nil
	return list
}

// forgetClosed takes out the feeds that were closed by themselves.
func (n *Node) forgetClosed() {
	for _, f := range n.closedFeeds.take() {
		dk := f.DiscoveryKey()
		n.adding.Lock()
		if have := n.entry(dk); have != nil && have.feed == f && !f.Readable() {
			n.takeOut(dk, have)
		}
		n.adding.Unlock()
	}
}
