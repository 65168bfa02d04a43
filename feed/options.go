package feed

import (
	"crypto/ed25519"
	"fmt"
)

// Options of Open. The zero value opens the feed that is stored, or creates a
// writable one with a new key pair.
type Options struct {
	// Key is the public key. If a feed is stored it must be this one. If none is,
	// and there is no SecretKey, an empty feed is made to be downloaded. Zero: what
	// is stored, or SecretKey's, or new.
	Key Key
	// SecretKey makes the feed writable without a secret_key file: 64 bytes, seed
	// then public key (libsodium, crypto/ed25519). Nil: what is stored, or new.
	SecretKey ed25519.PrivateKey
	// DiscardSecretKey: a secret key given or made is not written to secret_key.
	// The feed is writable until it is closed.
	DiscardSecretKey bool

	// MustExist: ErrNotFound if no feed is stored. Nothing is created.
	MustExist bool
	// Overwrite throws away what is stored and starts empty.
	Overwrite bool
	// ReadOnly changes no file, and opens damaged feeds as far as they can be read
	// (for Audit). It implies MustExist.
	ReadOnly bool
	// Repair rebuilds what can be: the bitfield from the tree and the data, the
	// key from the secret key. Blocks that do not verify become missing, no block
	// that verifies is given up. See RepairReport.
	Repair bool

	// Sparse: of a feed that is downloaded only what is asked for is fetched, not
	// everything. Without it what Clear gives up is fetched again.
	Sparse bool
	// Static creates a feed without a key pair: its key is its content. Append,
	// then Finalize. It also opens one that is not finalized yet. To download one
	// only Key is given: what is made anew has none, so with both Open fails with
	// ErrStatic.
	Static bool

	// Durability says when Append returns and what is synced.
	Durability Durability
	// Identity is the node that writes, up to MaxIdentity bytes. A feed last
	// written under another identity refuses to append until TakeOver. Empty:
	// unknown, not compared.
	Identity string
	// KnownLength is the highest length known from elsewhere to have been
	// announced, for example from a record outside of the directory. If less is
	// here, the feed refuses to append until TakeOver.
	KnownLength uint64
	// Lot, if not nil, bounds how many of the feeds that were opened with it have
	// their files open: this one parks when it is at rest and the room is needed, see
	// the package comment. Only a feed in a directory parks.
	Lot *Lot
	// OnWrite, if not nil, is called with each block before it is stored: one that is
	// appended, or one that a peer has sent, when it was verified. With an error the
	// block is not stored: Append has that error and appends none of its blocks, one
	// that was sent stays missing and is asked for again some seconds later. It is
	// called with one block at a time, in the order in which they are stored, and nothing
	// else is stored meanwhile, so it must not take long. It may read the feed, but not
	// append, clear, sync or close; the block is borrowed. A block may be shown more than
	// once: a disk may have been full after the first time. (onwrite of npm hypercore)
	OnWrite func(index uint64, block []byte) error
	// VerifyReads hashes each block that is read from the disk and compares it
	// with the tree: bit rot becomes a CorruptError instead of wrong data.
	VerifyReads bool
}

// Durability is when an appended block is on the disk.
type Durability int

const (
	// AnnounceDurable: Append returns at once, in the background appends are
	// synced in groups, each begun within a second of the one before; only then are
	// blocks announced and served. A power cut takes what nobody has seen. Sync
	// waits for it.
	AnnounceDurable Durability = iota
	// AppendDurable: Append returns when its blocks are on the disk. Concurrent
	// appends share a sync, and a signature.
	AppendDurable
	// NoSync never syncs: for tests and caches. The first commit of an Open with
	// another durability syncs everything that was written so.
	NoSync
)

// String returns the name of the constant.
func (d Durability) String() string {
	switch d {
	case AnnounceDurable:
		return "AnnounceDurable"
	case AppendDurable:
		return "AppendDurable"
	case NoSync:
		return "NoSync"
	}
	return fmt.Sprintf("Durability(%d)", int(d))
}

const (
	// MaxBlock is the size of the largest block that can be appended. A message
	// on the wire has at most 8 MiB, of which the rest of the Data message, up to
	// 106 nodes of 45 bytes and a signature, must fit too.
	MaxBlock = 8<<20 - 8<<10

	// MaxLength is the number of blocks a feed can have here. It is far below what
	// the numbering allows, because the bitfield file of a sparse clone grows with
	// the highest index: a writer must not be able to make its readers keep, and
	// read on every open, a file of terabytes. At this length it has 1.8 GB.
	MaxLength = 1 << 32

	// MaxIdentity is the number of bytes of the longest Options.Identity: it is
	// kept in one sector of the journal.
	MaxIdentity = 128
)

// check validates the options once.
func (o *Options) check() error {
	if o.SecretKey != nil {
		k, err := checkSecret(o.SecretKey)
		if err != nil {
			return err
		}
		if !o.Key.IsZero() && o.Key != k {
			return fmt.Errorf("%w: Options.SecretKey belongs to %v, Options.Key is %v", ErrKeyMismatch, k, o.Key)
		}
		o.Key = k
	}
	if len(o.Identity) > MaxIdentity {
		return fmt.Errorf("feed: Options.Identity has %d bytes, at most %d are kept", len(o.Identity), MaxIdentity)
	}
	if o.Durability < AnnounceDurable || o.Durability > NoSync {
		return fmt.Errorf("feed: Options.Durability is %d", int(o.Durability))
	}
	if o.Static && o.SecretKey != nil {
		return fmt.Errorf("%w: a static feed has no secret key", ErrStatic)
	}
	if o.ReadOnly && (o.Overwrite || o.Repair) {
		return fmt.Errorf("feed: Options.ReadOnly excludes Overwrite and Repair")
	}
	return nil
}
