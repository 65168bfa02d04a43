// Package control is the local API of a running node: what lets one command
// append to, read or inspect a feed that another process of the same user
// holds open and serves.
//
// A Home is the user's directory. A process that keeps feeds open claims a
// Slot of it, listens on the socket there (Listen) and answers with a Server
// over its Backend. Commands look for the node that holds a feed with
// Home.Find and use it through a Client; a feed opened by the command itself
// is used through Local. Both are a Feed.
//
// # Protocol
//
// HTTP/1.1 over a unix socket of mode 0600 in a directory of mode 0700: who
// may connect is who owns the home. All paths begin with /v1; what is added
// later keeps their meaning. KEY is the public key of a feed in hex.
//
//	GET  /v1/node                      NodeInfo
//	GET  /v1/feeds[?dir=D]             []FeedInfo of the feeds held, or of the one in directory D
//	GET  /v1/feeds/KEY                 FeedInfo
//	POST /v1/feeds/KEY/append?cut=C&size=N
//	                                   the body is cut into blocks (see Cut) and appended as
//	                                   it arrives; Appended. What is left after the last whole
//	                                   block is none when the trailer Hypercore-Cut-Off says
//	                                   that the input has not ended
//	GET  /v1/feeds/KEY/blocks/I        the bytes of block I
//	GET  /v1/feeds/KEY/blocks?start=&end=&tail=&live=
//	                                   blocks, framed as below
//	POST /v1/feeds/KEY/verify          lines of JSON: {"done":N,"total":N} again and again, then
//	                                   {"report":Report}
//	GET  /v1/feeds/KEY/peers           []PeerInfo
//	GET  /v1/facts[?key=KEY]           diagnosis.Facts of the node, and of the feed if it is held;
//	                                   the DHT is asked for the announcement
//	GET  /v1/peers                     []NodePeer of the node
//	PUT  /v1/peers/rules               the body is []PeerRule, which take the place of all there were
//
// Answers are JSON unless said otherwise. Of several blocks each is
//
//	uvarint index | uvarint length | length bytes
//
// An error is an HTTP status of 400 or more with {"error":{"message","codes"}};
// one that comes after the first byte of an answer is the same JSON in the
// trailer Hypercore-Error. Codes keep the identity of errors: what is
// feed.ErrNotLocal in the node is feed.ErrNotLocal at the client.
package control

import (
	"context"
	"io"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node/diagnosis"
)

// Feed is one feed as commands use it: opened in this process (Local) or held
// by a running node (Client.Feed). It is safe for concurrent use.
type Feed interface {
	// Info describes the feed.
	Info(ctx context.Context) (FeedInfo, error)
	// Append cuts what r yields into blocks and appends them as they become
	// whole, until r ends. It returns what was appended also when it fails.
	Append(ctx context.Context, r io.Reader, cut Cut) (Appended, error)
	// Get returns a block. If it is not here, a networked feed waits for it
	// until ctx ends; others return feed.ErrNotLocal.
	Get(ctx context.Context, index uint64) ([]byte, error)
	// Cat calls fn for blocks in order; data is borrowed until fn returns.
	// Missing blocks are as for Get. The error of fn ends it and is returned.
	Cat(ctx context.Context, o CatOptions, fn func(index uint64, data []byte) error) error
	// Verify reads every block that is here and checks it, the tree and the
	// signature. progress, if not nil, is called now and then with
	// the block that is next and the length.
	Verify(ctx context.Context, progress func(done, total uint64)) (Report, error)
	// Peers lists the peers of a networked feed.
	Peers(ctx context.Context) ([]PeerInfo, error)
	// Close ends the use; a feed that was opened for it is closed.
	Close() error
}

// FeedInfo is what is known about a feed without reading it.
type FeedInfo struct {
	Key             string `json:"key"`                  // 64 hex digits
	DiscoveryKey    string `json:"discoveryKey"`         // 64 hex digits
	Length          uint64 `json:"length"`               // blocks, as signed
	ByteLength      uint64 `json:"byteLength"`           // bytes of all of them
	Downloaded      uint64 `json:"downloaded"`           // blocks that are here
	DownloadedBytes uint64 `json:"downloadedBytes"`      // bytes of those
	Duplicates      uint64 `json:"duplicates,omitempty"` // blocks that came from peers although they were here, since the feed was opened
	Writable        bool   `json:"writable"`             // the secret key is here
	Static          bool   `json:"static"`
	Directory       string `json:"directory,omitempty"`
	Networked       bool   `json:"networked,omitempty"`     // a running node serves or fetches it
	Peers           int    `json:"peers,omitempty"`         // connected ones
	ReadOnlyCause   string `json:"readOnlyCause,omitempty"` // why a writable feed takes nothing
	ReadOnlyCode    string `json:"readOnlyCode,omitempty"`  // the same as a code of errors, or "corrupt" or "unwritable"

	// Runs are the first MaxRuns runs of blocks that are here, when some are missing.
	Runs []feed.Span `json:"runs,omitempty"`
}

// MaxRuns bounds FeedInfo.Runs: a copy that lacks every second block has as many as it has
// blocks.
const MaxRuns = 64

// ReadOnly is ReadOnlyCause as the error that it was; nil if there is none.
func (i FeedInfo) ReadOnly() error {
	if i.ReadOnlyCause == "" {
		return nil
	}
	w := wireError{Message: i.ReadOnlyCause, Codes: []string{i.ReadOnlyCode}}
	if i.ReadOnlyCode == codeCorrupt {
		w.Corrupt = &wireCorrupt{}
	}
	return fromWire(w)
}

// Appended is the result of an append.
type Appended struct {
	First  uint64 `json:"first"`  // index of the first block
	Blocks uint64 `json:"blocks"` // how many
	Bytes  uint64 `json:"bytes"`  // their bytes
	Length uint64 `json:"length"` // of the feed afterwards

	// Uncertain, after an error, are blocks behind those that were handed over too:
	// when the feed is opened again they are there, or they are not.
	Uncertain uint64 `json:"uncertain,omitempty"`
	// Unanswered: the node did not say what it has appended. First is not known then,
	// and Uncertain are the blocks that were sent to it.
	Unanswered bool `json:"-"`
}

// CatOptions choose blocks.
type CatOptions struct {
	Start uint64 // first block
	End   uint64 // block after the last; 0: up to the length at the start
	Tail  uint64 // if not 0: only the last so many, instead of Start
	Live  bool   // go on with new blocks until ctx ends; End must be 0
}

// States of a signature in a Report.
const (
	SignatureValid   = "valid"
	SignatureMissing = "missing" // none stored, as in a static feed or an empty one
	SignatureInvalid = "invalid"
)

// Report is the result of Verify.
type Report struct {
	Length    uint64   `json:"length"`             // blocks, as signed
	Present   uint64   `json:"present"`            // blocks that are here, right or wrong
	Missing   uint64   `json:"missing"`            // blocks that are not
	Invalid   uint64   `json:"invalid"`            // present ones that do not match the tree
	Signature string   `json:"signature"`          // "valid", "missing" or "invalid"
	SHA256    string   `json:"sha256"`             // over the present blocks in order, hex
	Bytes     uint64   `json:"bytes"`              // of the present blocks
	Problems  []string `json:"problems,omitempty"` // what else is wrong, in words
	Notes     []string `json:"notes,omitempty"`    // leftovers that do not matter, such as of an append that failed
	Wrong     []uint64 `json:"wrong,omitempty"`    // the first invalid blocks
}

// OK tells whether nothing is wrong. Missing blocks are not wrong.
func (r Report) OK() bool {
	return r.Invalid == 0 && r.Signature != SignatureInvalid && len(r.Problems) == 0
}

// NodeInfo describes a running node.
type NodeInfo struct {
	API     int       `json:"api"` // version of this API: 1
	PID     int       `json:"pid"`
	Role    string    `json:"role"`              // "seed", "clone", "bootstrap", or of a command
	ID      string    `json:"id,omitempty"`      // libp2p peer ID; empty: not on a network
	Addrs   []string  `json:"addrs,omitempty"`   // multiaddrs with /p2p/ID
	Network string    `json:"network,omitempty"` // name of the DHT network
	Started time.Time `json:"started"`
	Feeds   int       `json:"feeds"`
}

// PeerInfo is a peer that a feed is exchanged with.
type PeerInfo struct {
	ID         string `json:"id"`
	Addr       string `json:"addr,omitempty"`
	Protocol   string `json:"protocol,omitempty"`
	Length     uint64 `json:"length"`     // blocks it says it knows of
	Downloaded uint64 `json:"downloaded"` // bytes from it
	Uploaded   uint64 `json:"uploaded"`   // bytes to it
	Relayed    bool   `json:"relayed,omitempty"`
}

// Backend is what a Server needs of the process that it speaks for. Methods
// may be called at any time, by several goroutines.
type Backend interface {
	// Node describes the process.
	Node() NodeInfo
	// Feeds lists the feeds that are open.
	Feeds() []OpenFeed
	// Feed returns an open feed by key; false when it is not open here.
	Feed(k feed.Key) (OpenFeed, bool)
	// Facts tells what package diagnosis judges, of the node and, unless k is
	// zero, of a feed that is open here. ErrNoNode: the process runs no node.
	Facts(ctx context.Context, k feed.Key) (diagnosis.Facts, error)
}

// OpenFeed is a feed that a Backend holds.
type OpenFeed struct {
	Feed      *feed.Feed
	Dir       string            // Canonical directory; empty when it is not in one
	Networked bool              // missing blocks may come: reads wait for them
	Peers     func() []PeerInfo // nil: none
}
