package protocol

import (
	"context"
	"time"

	"github.com/go-hypercore/hypercore/feed"
)

// Dialect is how a stream opens and what may be said on it.
type Dialect int

const (
	// Native is between peers of this implementation, over a transport that
	// encrypts and knows who the peer is.
	Native Dialect = iota
	// V6 is hypercore-protocol 6.12, as npm hypercore 6 and 7 speak it.
	V6
)

const (
	// NativeID and V6ID name the dialects where a transport negotiates protocols.
	NativeID = "/hypercore/replicate/1.0.0"
	V6ID     = "/hypercore/6.12.0"
)

// String returns the protocol's name.
func (d Dialect) String() string {
	if d == V6 {
		return V6ID
	}
	return NativeID
}

// Config of an Engine. The zero value works.
type Config struct {
	// Find is asked when a remote opens a feed that was not added. A feed it
	// returns is added. Nil, or (nil, nil): refuse. With an error the feed is not
	// here either, and a V6 stream that needs its key to go on ends with that error.
	// It is called from the goroutine that reads the stream: the stream waits
	// meanwhile, and ctx ends with it.
	Find func(ctx context.Context, key feed.DiscoveryKey) (*feed.Feed, error)
	// OnBlame is told what a remote did wrong, once for each stream it ends; not of
	// ErrTimeout, which networks cause as well. It must not block, nor call into
	// the Engine.
	OnBlame func(Blame)
	// OnRemove is told of each feed that is not here any more: it was closed, or
	// removed. It must not block, nor call into the Engine or a feed.
	OnRemove func(*feed.Feed)
}

// Blame says who did what.
type Blame struct {
	RemoteID []byte // StreamOptions.RemoteID
	Label    string // StreamOptions.Label
	Reason   error  // a *RemoteError
}

// FeedOptions say what is done with one feed on all streams.
type FeedOptions struct {
	NoDownload bool // nothing is asked for
	NoUpload   bool // nothing is announced or answered
	// Download asks for blocks although the feed is writable: to recover the
	// newest blocks of one's own feed from peers.
	Download bool
}

// StreamOptions of one connection. The zero value is a Native stream of an
// acceptor without feeds of its own: it answers for those the remote opens.
type StreamOptions struct {
	Dialect   Dialect
	Initiator bool // this side made the connection; for display only, opening is symmetric
	// Plain (V6): no encryption, hypercore's encrypt: false. Both sides must agree.
	// A remote proves nothing then: it can read what it knows the discovery key of.
	Plain bool
	// Ends: the stream ends when both sides have all they can get, hypercore's
	// live: false. Both sides must say so.
	Ends bool
	// Feeds are offered at once, in this order; they must have been added. An
	// offer tells the remote that we hold the feed; what the remote opens is
	// answered without it.
	Feeds []feed.Key
	// Kin tells, on a V6 stream, whether a remote that has proven that it knows the
	// key of first, the feed the stream began with, may have other as well: of the
	// other feeds of a stream nothing is proven but that the remote knows the
	// discovery key. Nil: it may not, the stream is for one feed. Programs as
	// hyperdrive have several on one. It must not block, nor call into the Engine.
	Kin func(first, other feed.DiscoveryKey) bool
	// ExpectedFeeds is how many feeds have to be done until a stream that Ends
	// does; 0: as many as were opened, at least one.
	ExpectedFeeds int
	// LocalID and RemoteID are what the transport has proven: the peer IDs. The
	// native capability binds both, so they must differ (ErrSameID). In V6 LocalID,
	// if there is one, is the id of the Handshake.
	LocalID, RemoteID []byte
	// Label names the remote in messages and PeerStats.
	Label string
	// UserData is given to the remote application; what is beyond 64 KiB is cut off.
	UserData []byte
	// NoDownload and NoUpload hold for all feeds of this stream.
	NoDownload, NoUpload bool
	// Memory is what the stream's memory is reserved with; nil: it is bounded by
	// MaxStreamMemory alone. MinStreamMemory are the caller's to reserve first.
	Memory Memory
	// Timeout is the time without sending after which a keep-alive goes out; a
	// remote from which nothing comes for one and a half of it has timed out. 0:
	// 5 s with V6 (as in hypercore 6), 20 s with Native. Negative: never.
	Timeout time.Duration
	// Limited: a relayed connection that carries little: heads and single blocks
	// someone waits for are asked for, ranges are not.
	Limited bool
}

// The bounds. What a remote can make us keep or do is limited by these, see
// also those of protocol/wire, and MaxStreamMemory for all of it together.

const (
	// maxRequests is how many requests of a remote wait for their turn, over all
	// its channels. More, and reading stops until some are answered. A peer of
	// ours has at most maxInFlight outstanding on each feed.
	maxRequests = 65536
	// minRequests of them may wait in any case.
	minRequests = 64
	// maxInFlight and maxInFlightV6 are how many blocks are asked of a peer for
	// one feed at a time. npm hypercore keeps a few hundred bytes for each.
	maxInFlight   = 16384
	maxInFlightV6 = 1024
	// askBytes is about how much one RequestRange asks for: what the remote has
	// begun to answer cannot be taken back.
	askBytes = 1 << 20
	// maxPending bounds the bytes that were received and wait to be verified.
	maxPending = 4 << 20
	// maxControl is how many bytes of small messages may wait to be written before
	// announcements are merged and requests are held back.
	maxControl = 256 << 10
	// maxControlHard is where extension messages are refused, and where a remote
	// that makes us answer without reading the answers loses the stream.
	maxControlHard = 4 << 20
	// sendBuffer is the size of a piece of outgoing blocks. Two are filled ahead.
	sendBuffer = 512 << 10
	// minSendBuffer is what it shrinks to on a slow connection.
	minSendBuffer = 16 << 10

	// regionBlocks is how much of a feed one Want is for, as in hypercore 6.
	regionBlocks = 1 << 20
	// wantGrain is what the numbers of a Want are multiples of, as in hypercore 6.
	wantGrain = 8192
	// maxRegions is how many regions of a remote's have-map are kept for one
	// channel: 4 MiB at worst.
	maxRegions = 32
	// maxMaps bounds the have-maps of a remote over all its channels, in bytes as
	// they are counted in have.go. What it announces beyond is not noted: a remote
	// whose maps are that ragged on that many feeds is asked for less.
	maxMaps = 8 << 20
	// regionMost is the most one region can cost.
	regionMost = regionBlocks / pageBlocks * pageCost
	// marksReset is after how many requests out of order, over all channels, it is
	// forgotten what the remote was sent; markCost is what each may take: a few
	// pages of a kilobyte.
	marksReset = 1024
	markCost   = 4 << 10
	// channelCost is what a channel takes, about.
	channelCost = 1 << 10
	// maxWants is how many Wants may be unanswered, as in hypercore 6.
	maxWants = 16
	// maxEarly is how many messages are kept for a channel whose feed is not open
	// here, and earlyBytes how large each may be. As in hypercore 6, one more
	// ends the stream.
	maxEarly   = 17
	earlyBytes = 1024
	// maxUnasked is how many blocks nobody asked for a remote may send beyond as many as
	// it was asked for. hypercore 6 sends none, but answers may cross.
	maxUnasked = 256
	// maxAnnounce is how many separate runs of new blocks wait to be announced to
	// a remote that does not read; then neighbours are joined, and what lies between
	// them is looked up when there is room.
	maxAnnounce = 512
	// maxSpecial is how many hash and seek requests are in flight on a channel.
	maxSpecial = 16
	// specialTimeout is after how long a remote may be asked the same hash or seek
	// request again; specialPause after how long when there was an answer. Half of
	// that is the longest that one is waited for before the next one is asked.
	specialTimeout = 7500 * time.Millisecond
	specialPause   = time.Second
	// maxResets is how many proofs of a remote may not add up for want of nodes,
	// see probe.go.
	maxResets = 16
	// claimTimeout is for how long a remote need not prove a length that it has
	// announced, while something is wanted of what it tells of, before that counts no
	// more. It is asked for proof alone after claimPause, since blocks are proof as well.
	// The time is counted in steps. Of one in which more than progressBytes of a large
	// message come from it only a part counts: a block may be under way, and the proof
	// behind it.
	claimTimeout = 10 * time.Second
	claimPause   = 3 * time.Second
	claimStep    = time.Second
	claimBusy    = 8
	// linkPause is how long native remotes are not asked for blocks while a link
	// between two lengths is open, see feed.Demand.Links.
	linkPause = 5 * time.Second
	// linkPatience is how long, besides two round trips, one remote is waited for
	// that is asked for a hash or seeks, before the next one is asked.
	linkPatience = 50 * time.Millisecond
	// specialRest is how many such requests go to others first, if there are others,
	// after one did not help: as many as are wanted at a time.
	specialRest = 4096
	// failPause is how long nothing is asked for after storing has failed.
	failPause = 3 * time.Second
	// maxStalls is how often in a row a peer may leave requests unanswered until
	// they time out before its stream is ended.
	maxStalls = 4
	// limitedBlocks is how many single blocks are asked for at a time over a limited
	// connection. A relay may cut it off after 128 KiB: where blocks are larger than
	// limitedSize on average none is asked for within limitedSpare, in which a
	// direct connection is arranged. Later there may be no other way.
	limitedBlocks = 2
	limitedSize   = 16 << 10
	limitedSpare  = 20 * time.Second
	// writeStall is how long a single write may take: the remote does not read.
	writeStall = 60 * time.Second
	// lingerTime is how long a stream that ended well waits for the remote's end.
	lingerTime = 5 * time.Second
)
