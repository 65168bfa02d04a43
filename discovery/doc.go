// Package discovery finds the peers of a topic, 32 bytes such as a feed's
// discovery key, and tells others that this host is one of them.
//
// # Names on the wire
//
// A topic becomes a key of a Kademlia DHT like this, byte for byte:
//
//	multihash  a0 e4 02 | 20 | 32 bytes of the topic     (blake2b-256, 0xb220)
//	CID        01 | 55 | multihash                       (version 1, raw)
//	DHT key    SHA-256(multihash)                        (libp2p kad-dht)
//
// The networks (Config.Network) and the stream protocols they speak:
//
//	"amino"  the public DHT of IPFS          /ipfs/kad/1.0.0            client only, public addresses only
//	NAME     a DHT of one's own              /hypercore/NAME/kad/1.0.0  servers unless they sit behind a NAT
//	"none"   no DHT beyond the local network
//
// A DHT one takes part in is called an overlay here. With Config.MDNS a
// second overlay, always as a server, is made of the peers of the local
// network, so that they resolve topics among themselves when there is no
// internet or no bootstrap peer:
//
//	/hypercore/lan/kad/1.0.0 (amino, none), /hypercore/NAME/lan/kad/1.0.0 (NAME)
//
// It answers only peers to which there is a connection within the local network.
//
// mDNS itself only finds peers, not topics, under the service name
// "_hypercore-p2p._udp".
//
// # Announcing
//
// Announcements are kept by kad-dht's sweeping provider: keys are stored in
// Config.Store, sent region by region, and sent again before they run out.
// Five things it does not do are done here.
//
//  1. Nothing is announced before there is an address to announce and a peer
//     to announce it to; until then Status says what is missing.
//  2. A new address makes everything announced be announced again. The
//     addresses of the last announcement are stored: a restart on the same
//     addresses sends nothing that is still valid, and an absence of up to
//     three hours after a clean end counts as none.
//  3. On small networks (at most one bucket of servers, where each server
//     keeps every record) a server that appears is asked for the records
//     nearest to it, and is sent all of them when it has none. This is how a
//     restarted bootstrap node learns the records again.
//  4. Keys of former runs that nobody announces any more are dropped.
//  5. Its timers stand still while the machine is suspended, and records run out
//     meanwhile: after an hour of that everything is announced again.
//
// A server with Config.Store also keeps, over a restart, the addresses of the
// providers whose records it holds; kad-dht stores the records only.
//
// # Records held for others
//
// kad-dht bounds the age of provider records, not their number. Here each overlay
// holds at most 16,384 of one peer, 512 of one key and 262,144 in all. A new
// record always finds room: it displaces the oldest one of its peer or its key,
// or, where all is full, the oldest one of the peer that has most. What this
// host announces itself is not counted. All records are in memory, some 200
// bytes each, and in Config.Store for the next start.
//
// # Looking up
//
// Looks are repeated, first quickly and then with jittered back-off, for as
// long as somebody wants the topic. Each peer is delivered as soon as it is
// found. A new look is taken at once when an overlay gets its first peer and
// when this host's addresses change. Records without addresses are completed
// by a lookup of the peer, and this host's own records are skipped.
//
// # Trust
//
// Anybody can announce any topic with any address: what is delivered is a
// hint. Peers that vanished stay in the records of the DHT for a day or two;
// the receiver dials in parallel and backs off per peer.
package discovery
