// Package protocol is the replication engine: it exchanges hypercore feeds with
// remotes over byte streams. It knows feeds and bytes, not networks: a TCP
// socket, a pipe and a libp2p stream are the same to it.
//
// An [Engine] holds feeds by discovery key and runs one [Stream] for each remote.
// On a stream each feed is a channel. What a feed has and wants, over all
// remotes, is its swarm.
//
// # Opening
//
// V6 (hypercore-protocol 6.12, npm hypercore 6 and 7): each side sends, without
// waiting, Feed(discovery key, nonce) and Handshake. Everything after the first
// Feed frame is encrypted with the public key of the feed. An acceptor that
// offers nothing reads the first Feed, looks the key up and answers, when the
// Handshake behind it has shown that the remote knows the key. Nothing proves that
// it knows another one: a stream is for one feed, and for those that the program
// says go with it ([StreamOptions].Kin).
//
// Native: whoever wants a feed sends Feed(discovery key, nonce, capability), see
// capability.go. The other side answers with its own only after it has verified
// that; then follow Handshake and everything else:
//
//	offers                                      knows the feed
//	Feed(dk, nonce, capability) ───────────────►  verified? else silence
//	verified? ◄───────────────────────────────── Feed, Handshake
//	Handshake, Want ───────────────────────────►
//	       ◄──────────────────────────────────── Want, Have
//	Request ───────────────────────────────────►
//	       ◄──────────────────────────────────── Data
//
// Either side takes back its Feed with an Info when the feed is removed, see half.go.
//
// A remote that has not proven that it knows the public key learns nothing: to it
// a feed that is here and one that is not look the same. Only an offer made on
// this side's own account ([StreamOptions].Feeds, [Stream.Offer]) tells that it is
// here.
//
// # Asking and answering
//
// A side that downloads sends Want for regions of 2^20 blocks: the first always,
// others when something in them is wanted and known to exist. The other side
// answers with its map of the region, and from then on with Have for what is new
// and Unhave for what is cleared. Single blocks are asked for by Request with a
// digest of the nodes that are here; between native peers runs of blocks by
// RequestRange, answered in pieces of about 256 KiB with one proof each, and every
// request is answered, if only by NoData. npm hypercore says nothing when it lost
// a block, so that requests to it may time out and go to others.
//
// Who waits for the block after the last one asks a native remote for it before it
// is there, and gets it instead of an announcement, see await.go.
//
// When remotes announce more than the length that is known here, the first block
// beyond it is fetched alone. Its proof shows that the longer history contains
// ours; what is proven after it builds on that. For V6 remotes, whose answers
// build on nothing but digests, a block somebody waits for is asked at once. What a
// remote announces and does not prove counts for some seconds, see claim.go; who is
// asked for proof, question.go.
//
// A native remote remembers which blocks it has sent and leaves the subtrees they
// make up out of later proofs, so every answer is applied, in order, even if the
// block has come from elsewhere meanwhile; where storing fails the channel is
// opened anew (a second Feed), which makes it forget.
//
// # Goroutines of a stream, and what they own
//
//	          conn
//	   ┌───────┴────────┐
//	 read            write ◄── outbox: small messages (any goroutine), pieces of blocks
//	parses,             ▲                              │ at most 2
//	dispatches          └──────────────────────────────┤
//	   │  │                                            │
//	   │  └── requests: ring, at most maxRequests ──► serve: proofs, values read straight
//	   │                                                into the piece, oldest first
//	   └──── Data, in batches, slabs not copied ─────► receive: feed.Apply, then asks for more
//	         at most maxPending bytes
//	tick: keep-alive, timeouts
//	wake: what came for a feed before it was here (V6), once it is
//
// read is the only dispatcher: it decides what is legal in which state. When a
// queue is full it stops reading; the queues are larger than what a remote that
// keeps to its window can fill, so two such remotes never block each other. It
// also stops for a while when a remote asks for too much work (work.go), and when
// there is no memory for what comes (memory.go).
//
// The table of a swarm (package schedule) is worked by whoever has news for it:
// see swarm.kick. It runs on the reader's, receiver's or a reading application's
// goroutine, one at a time, without a hop.
//
// Locks, in the order they may be taken: Stream.mu, Engine.mu, swarm.mu, then
// outbox.mu or jobs.mu. The feed's own come last. No lock is held over the
// connection or over feed.Apply.
//
// # Blame
//
// A [RemoteError] is the remote's fault and ends its stream, and only that; what
// was in flight there is asked of others at once. [Config].OnBlame is told. An
// error of this side (the disk is full) never has that type: the feed pauses, the
// stream and its other feeds go on.
package protocol
