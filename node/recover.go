package node

import (
	"context"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/store"
)

// OpenToFetch is Open for a feed of one's own that others may have more of: it
// was restored from a backup, or blocks of it were lost. Peers are asked for
// blocks although the feed is writable; feed.Feed.Download says which. When they are
// here feed.Feed.TakeOver allows appending again.
func (n *Node) OpenToFetch(ctx context.Context, s store.Storage, o feed.Options) (*feed.Feed, error) {
	return n.open(ctx, s, o, protocol.FeedOptions{Download: true})
}
