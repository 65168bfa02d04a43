package node

import (
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-hypercore/hypercore/feed"
)

// Offer tells a peer to which a stream is open that a feed is here, which must be open in
// this node. If the peer has it open as well it is replicated from then on, whether or not
// the feed was shared. This is for feeds that have no topic of their own, as those that a
// first feed names: whoever has proven to know that one (feed.PeerEvent with Joined; its
// Peer is the peer ID as text) is offered the others, on each stream anew. Offering
// discloses the discovery key, and without the key that is all. One side is enough.
//
// Share offers a feed by itself to those that were found in its topic, to fixed peers and
// to those of the local network. Offer fails with ErrNotOpen, ErrNoStream, or with
// protocol.ErrTooManyFeeds; and on a stream of npm hypercore, which proves that the peer
// knows its first feed and nothing more, with protocol.ErrNotKin unless Config.Kin allows
// the feed beside that one.
func (n *Node) Offer(id peer.ID, key feed.Key) error {
	if err := n.usable(); err != nil {
		return err
	}
	if n.Feed(key) == nil {
		return fmt.Errorf("%w: %s", ErrNotOpen, key)
	}
	p := n.peers
	p.mu.Lock()
	defer p.mu.Unlock()
	st := p.m[id]
	if st == nil || st.link == nil {
		return fmt.Errorf("%w: %s", ErrNoStream, id)
	}
	if st.offered[key] {
		return nil
	}
	if err := st.link.stream.Offer(key); err != nil {
		return fmt.Errorf("node: offering feed %s to %s: %w", key, id, err)
	}
	st.offered[key] = true
	return nil
}
