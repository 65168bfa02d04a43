package feed

import (
	"crypto/ed25519"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-hypercore/hypercore/feed/bitfield"
	"github.com/go-hypercore/hypercore/feed/merkle"
	"github.com/go-hypercore/hypercore/store"
)

// Feed is one open log. It is safe for concurrent use.
type Feed struct {
	// Constant after Open.
	st    store.Storage
	opts  Options
	files files         // while the feed is parked there are none: see enter
	done  chan struct{} // closed when Close begins
	lot   *Lot          // nil: the feed does not park

	// Parking, see park.go. holds counts those who use the files; while they are
	// closed it is less than 0, and they wait for parking. parking is taken before
	// wmu and commitMu, and guards berth and retired.
	holds   atomic.Int64
	usedAt  atomic.Uint64 // by lot.clock
	parking sync.Mutex
	berth   *berth // nil: the files are open
	retired bool   // no parking any more
	spot    int    // guarded by lot.mu: index among the parked

	// wmu is held by whoever changes the log: one append, batch of proofs, clear
	// or finalize at a time. It is taken before mu, and held over file writes.
	wmu   sync.Mutex
	apply applyState

	// settling is held while new files are made durable.
	settling sync.Mutex
	settled  atomic.Bool // they are

	// flushMu is held while a flight is in the air: what was pending at one moment
	// is being written. It is taken before mu.
	flushMu sync.Mutex
	flight  *flight // one that could not be written, to be tried again
	cargo   cargo

	// commitMu is held by the one who commits, from the flight to the end. It is
	// taken before flushMu.
	commitMu sync.Mutex
	journal  record // as it is in the file
	doubtful bool   // ... but perhaps only in the cache of the operating system
	bitsOpen bool   // the bitfield has writes that were not synced
	bitsLen  uint64 // the bitfield was synced with everything up to this length
	redo     redo   // entries of the journal after that

	// mu guards everything below. It is never held over a call to the outside,
	// and over file reads only for tree nodes that are not cached.
	mu sync.Mutex

	// The log.
	key      Key
	secret   ed25519.PrivateKey // nil: not the writer
	keeps    bool               // the secret key is stored here
	acc      *merkle.Accumulator
	hash     merkle.Hash // tree hash at acc.Len(); zero: treeHash computes it
	static   bool        // finalized, or a clone of such a feed
	draft    bool        // static, not finalized
	unsigned bool        // the signature at the length is missing
	image    *bitfield.File
	tree     nodes
	sigs     sigList
	links    []uint64 // lengths whose roots were not shown to be part of this history
	memo     memo
	groups   groups

	// Commit.
	pend      pending
	changes   uint64 // counts changes that have to become durable
	committed uint64 // changes that are
	durable   uint64 // length up to which everything appended is on the disk
	hidden    hidden // downloaded blocks that are not
	audience  bool   // peers wait to hear of them
	announced uint64 // highest length that was ever announced
	identity  string // of who wrote last
	eager     bool   // blocks were appended, which are not to wait for company
	lazy      lazy   // downloads, which are
	newBits   bool   // data bits changed that the journal cannot restore
	newBlocks bool   // ... of blocks that came with their nodes
	touched   touched
	unloading chan struct{} // closed when the flight of unload has ended; nil: there is none
	syncs     []*syncWait
	joints    []*joint      // appends that are to join the next commit
	spare     sync.Pool     // of joints. Not one for all feeds: each has its channel, and a feed may be in a bubble of testing/synctest
	stalled   atomic.Bool   // they could not, and are to try again once wmu is free
	waited    int           // how many waited when the last commit ended
	took      time.Duration // it
	expected  int           // so many have to wait before the next one begins; 0: it does not wait
	enough    chan struct{} // so many do; capacity 1, nil if nobody waited yet
	landedAt  time.Time     // when it ended
	hurry     uint64        // changes that someone waits for
	looping   bool          // the committer runs
	resting   bool          // ... and has nothing to do
	owes      bool          // the last commit was an entry: a slot is to be written when there is time
	wake      chan struct{}
	nap       time.Time // the committer looks again then at the latest; zero: when it is woken
	scratch   []merkle.Node
	joined    [][]byte // scratch of join. Guarded by wmu

	// Health.
	closing  bool
	closed   chan struct{} // closed when Close has ended; nil before it began
	closeErr error
	loops    sync.WaitGroup // the committer, unload
	failed   error          // writing failed: read only
	retry    bool           // ... and may be tried again
	failedAt time.Time
	damage   error // found on open: read only
	astray   error // the directory holds something else since the feed was parked
	frozen   *ForkError
	behind   uint64 // more was announced than is here: this length; 0 no
	other    string // identity of the node that wrote last, if it is another one
	repair   RepairReport
	stale    bool // as it was read, the bitfield was short, or its index or end was wrong; constant

	// Those who wait.
	wants     wants
	lengths   []lengthWait
	seeks     []*seekWait
	windows   []*window
	downloads []*Download
	arrived   chan struct{} // closed with the next blocks; nil: nobody waits
	hint      uint64        // block of the last proof without a value
	watchers  []*watcher

	// The fetcher.
	repl     Replicator
	outbox   []note
	draining bool
	drained  chan struct{} // for Close: closed when nobody drains any more
	demand   bool          // DemandChanged is due

	// Counters.
	cleared uint64 // counts calls of Clear, so that a read notices one
	stats   counters
}

// memo remembers where a block begins: readers and writers mostly go in order.
type memo struct {
	block, off uint64
	ok         bool
}

// Key returns the public key; zero for a static feed that is not finalized.
func (f *Feed) Key() Key {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.key
}

// DiscoveryKey returns the discovery key.
func (f *Feed) DiscoveryKey() DiscoveryKey { return f.Key().Discovery() }

// SecretKey returns the secret key, nil if it is not here.
func (f *Feed) SecretKey() ed25519.PrivateKey {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append(ed25519.PrivateKey(nil), f.secret...)
}

// Writable reports whether this is the writer: the secret key is here, or the
// feed is static and not finalized. That Append may still refuse is told by
// Stats.Err.
func (f *Feed) Writable() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.writable()
}

func (f *Feed) writable() bool { return (f.secret != nil || f.draft) && !f.opts.ReadOnly }

// Readable reports whether blocks can be read: until Close.
func (f *Feed) Readable() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.closing
}

// Static reports whether the feed is static: its key is its content.
func (f *Feed) Static() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.static || f.draft
}

// Sparse reports whether only what is asked for is downloaded.
func (f *Feed) Sparse() bool { return f.opts.Sparse }

// Len returns the length in blocks: of the writer's feed what was appended, of
// others the longest that was proven.
func (f *Feed) Len() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.acc.Len()
}

// ByteLen returns the sum of the sizes of all blocks, also of those that are not
// here.
func (f *Feed) ByteLen() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.acc.ByteLen()
}

// Has reports whether block i is here.
func (f *Feed) Has(i uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.image.Data.Get(i)
}

// HasRange reports whether all blocks from start to end-1 are here.
func (f *Feed) HasRange(start, end uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.image.Data.RunEnd(start, end) >= end
}

// Downloaded returns how many of the blocks start to end-1 are here; end 0 means
// the length.
func (f *Feed) Downloaded(start, end uint64) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if end == 0 {
		end = f.acc.Len()
	}
	return f.image.Data.Count(start, end)
}

// NextMissing returns the first block at from or after it that is not here; it
// may be beyond the length.
func (f *Feed) NextMissing(from uint64) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.image.Data.NextClear(from)
}

// NextLocal returns the first block at from or after it that is here, durable or
// not, the highest number if there is none.
func (f *Feed) NextLocal(from uint64) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i, ok := f.image.Data.NextSet(from); ok {
		return i
	}
	return ^uint64(0)
}

// usable returns why nothing can be done, nil if something can.
func (f *Feed) usable() error {
	if f.closing {
		return ErrClosed
	}
	return nil
}

// usableNow is usable without mu.
func (f *Feed) usableNow() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.usable()
}

// changeable returns why nothing may be written, nil if it may.
func (f *Feed) changeable() error {
	switch {
	case f.closing:
		return ErrClosed
	case f.opts.ReadOnly:
		return ErrNotWritable
	}
	if err := f.spoilt(); err != nil {
		return err
	}
	return f.astray
}

// spoilt returns why the feed takes nothing any more, whoever writes. mu held.
func (f *Feed) spoilt() error {
	switch {
	case f.frozen != nil:
		return f.frozen.again()
	case f.failed != nil && !f.retry:
		return f.failed
	}
	return f.damage
}
