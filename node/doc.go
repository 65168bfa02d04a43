// Package node assembles feeds, the replication protocol and discovery on a
// libp2p host: identity, limits, open feeds, joined topics, and their
// lifetimes.
//
//	n, err := node.New(ctx, node.Config{})
//	f, err := n.Open(ctx, store.Dir("dir"), feed.Options{Key: key})
//	j, err := n.Share(ctx, f, node.JoinOptions{Announce: true, Lookup: true})
//	block, err := f.Get(ctx, 0)
//	err = n.Close()
//
// # Streams
//
// A node keeps at most one replication stream with each peer; every feed the
// two have in common is a channel of it. Two protocols are offered, the first
// one that both speak is used:
//
//	/hypercore/replicate/1.0.0   between nodes of this package
//	/hypercore/6.12.0            what npm hypercore 6 and 7 speak
//
// When two peers open streams to each other at once, both keep the one opened
// by the peer with the lesser ID (see keepNew). A stream that begins on a
// relay moves to the direct connection when there is one: whoever opened it
// opens another there, and the newer stream of the same opener replaces the
// older.
//
// # Who is offered what
//
// A peer found under a topic is offered the feed of that topic and no other,
// so that a peer learns nothing of feeds it does not know. Config.Peers and
// the peers of the local network are offered the discovery keys of all shared
// feeds; a discovery key does not reveal the feed. A stream of npm hypercore is for
// one feed, unless Config.Kin says more: nothing but the key of its first one is
// ever proven there.
//
// # Lifetimes
//
// A join lasts until Leave or Close. Peers are dialled in parallel within
// bounds, each with a back-off of its own, so that records of peers that
// vanished delay nobody; no topic, nor the local network, can have all dials under way. A peer that is lost is dialled again, a peer found
// at a new address at once. When a topic runs short of peers it is looked up
// again. Peers count that have proven that they know the feed; those that do not
// open it within some seconds make room when others wait, and are tried again
// later, as if they had failed. In a topic without a feed each connection counts.
//
// # Many feeds
//
// Feeds that Open opens share a feed.Lot: 40 of them have their files open, the
// others are parked and answer from memory what they have; a request for a block
// opens the files for it. An idle feed costs some kibibytes and no goroutine.
//
// # Restored and copied directories
//
// A writer that goes on from a backup signs other blocks at places that readers have seen
// already: its feed is forked, and they stop at that for good. So a node with Config.Dir
// keeps there who writes (feed.Options.Identity) and the highest length of each feed that
// Open opened and that was written here, and gives both to Open, unless the caller sets
// Identity himself; package guard says what that is worth. A feed's directory that was
// restored, alone or with Config.Dir, or came from elsewhere then opens and is served, but
// Append fails with feed.ErrBehind or feed.ErrOtherWriter. The way out, when nobody else
// writes the feed any more:
//
//	f, err := n.OpenToFetch(ctx, store.Dir("dir"), feed.Options{})
//	have := f.Len()
//	j, err := n.Share(ctx, f, node.JoinOptions{Lookup: true})
//	err = f.Update(ctx, have+1)          // after ErrBehind: a peer has more
//	err = f.Download(feed.Range{}).Wait(ctx)
//	err = f.TakeOver(ctx, false)         // with true if nobody has more than is here
//
// Feeds of the command were written by its home, and of another node by that one's Dir:
// they are taken over in the same way. Without Config.Dir nothing is known of the last run
// and nothing compared, nor is it of feeds in memory. Feeds that the caller opens himself,
// for Share or Add, he guards with package guard.
//
// # Loopback
//
// A node that listens on loopback addresses only sends no packet off the
// machine: no public bootstrap peers, no mDNS, no port mapping, no questions
// to name servers, and a connection gater that refuses every other address.
//
// # Locks
//
// Node.adding is taken first of all, peers.mu before Node.mu, and Node.mu before
// the lock of a topic. The engine and discovery call back without locks of theirs.
package node
