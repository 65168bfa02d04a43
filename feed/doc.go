// Package feed is one log: blocks that only its writer can append, that anyone
// who knows its public key can verify, whole or in part, on disk.
//
// # A feed
//
// The writer holds an Ed25519 key pair. Blocks are numbered from 0. Over them
// grows a Merkle tree (package merkle), and each append signs its roots. Who has
// the public key can verify any block with the nodes on its way to signed roots,
// without the others: feeds are whole or sparse, and it does not matter from whom
// a block comes. A static feed has no key pair: its key is its tree hash.
//
//	            Append ──┐                        ┌── Get, Blocks, Reader
//	                     ▼                        │
//	peers ── Apply ─► memory ─► flight ─► sync ─► files
//	                     │     (writes)           │
//	  Demand ◄───────────┘                        └── Prove, ReadBlocks ─► peers
//
// There is one way to the disk: what is appended, downloaded or recovered is
// pending in memory, a flight writes all of it, and a commit makes it durable and
// then counts it. When much is pending a flight sets out beside whoever changes the
// feed, who waits only if it is twice as much. Commit points and what a crash leaves
// at each are written down at [Feed.commit], in commit.go.
//
// # Files
//
// Six files are those of npm hypercore 6 to 9, byte for byte. Integers are big
// endian. Three begin with a header of 32 bytes: 05 02 57, type, version 0,
// u16 size of an entry, length of a name, name, zeros.
//
//	key         32 bytes: the public key
//	secret_key  64 bytes: seed, public key; only at the writer
//	data        the blocks, one after the other; in a clone each is at its final
//	            place, what is not here is a hole
//	tree        header (type 2, entries of 40, "BLAKE2b"), then node n at
//	            32 + 40n: hash 32, size 8. All zeros: not here. A parent whose
//	            right half does not exist yet is not here
//	signatures  header (type 1, entries of 64, "Ed25519"), then the signature of
//	            length n at 32 + 64(n-1). Zeros: no append ended there
//	bitfield    header (type 0, entries: the page size), then pages, see
//	            package bitfield: which blocks and nodes are here
//
// Hypercore 6 to 8 sign the tree hash, hypercore 9 the tree hash and the length:
// both verify, the first is written.
//
// Two more are our own, and JavaScript does not look at them:
//
//	journal     two slots in turn, each in a sector of its own, with a checksum:
//	            how much is durable, the highest length that was announced, the
//	            node that wrote last, the first blocks that have one size
//	            (journal.go); behind them what small commits have appended since
//	            the newest slot (redo.go)
//	fork        the evidence, if the writer signed two histories (fork.go); a part of
//	            it freezes the feed as well
//
// A lock (flock) is held on bitfield while the feed is open and not parked, as
// hypercore does.
//
// # Invariants
//
//  1. A bit is a promise: on disk, the bit of a block is set only after its bytes
//     and its nodes are durable, in their files or as an entry of the journal.
//  2. A writer never forks itself: a block is announced and served only when it
//     is durable, with its signature or the secret key that makes the same one
//     again; readers hold to this as well. A directory that is behind what was
//     announced (a restored backup), or was last written by another node, refuses
//     to append.
//  3. One door: whatever comes from elsewhere goes through [Feed.Apply] and is
//     verified before anything is written. What was written is not hashed again
//     when it is read, but with Options.VerifyReads, and by [Feed.Audit].
//  4. Old roots hold: a held node is never replaced by another that is signed too.
//     If the writer signed both, the evidence is kept and the feed is frozen.
//
// # Opening
//
// The journal says how much counts; the roots of that length must be signed. What
// an interrupted append has written beyond it is taken over if it is complete,
// else cut off: nobody has seen it. A bitfield that is missing, cut or at odds
// with the tree is made anew from the tree and the data.
//
// Without a journal (a directory made by hypercore, or the file was lost) only
// the bitfield says how much counts, and only if its length is signed. Where
// hypercore 6 would go on at a lower length and fork the feed, Open refuses:
// a bitfield that is missing, blank or cut while there are blocks, a key that is
// missing. Options.Repair then rebuilds what can be, Options.ReadOnly looks at it.
//
//	state                                     Open
//	nothing                                   creates a feed, or ErrNotFound
//	only key, or key and secret_key           an empty feed
//	journal, bitfield missing, blank or cut   rebuilt
//	no journal, the same                      CorruptError
//	key missing or short, but blocks          CorruptError
//	secret_key missing or short               read only for want of a key
//	secret_key of another feed, other key     ErrKeyMismatch
//	signature of the length missing           reading only; made again if the
//	                                          journal vouches for the roots and the
//	                                          secret key is here
//	signature or roots wrong                  CorruptError; with a journal the
//	                                          greatest length that is right, and no
//	                                          appends (ErrBehind)
//	data too short                            writer: reading only; reader: what is
//	                                          lost is missing
//	data that the disk does not give back     what is not marked yet is missing, what
//	                                          is marked until Recheck or Repair
//	the same of a slot of the journal, or of  an error; ReadOnly and Repair go on with
//	entries that may count                    what is left, without appends (ErrBehind)
//
// # Parking
//
// A feed holds five files. A program with thousands opens them with a common
// Options.Lot, which bounds how many feeds have files open at once (40 of them if
// nothing else is said). When one more needs its files, the one that was not used
// for the longest time parks: what is pending is committed as by Close, the files
// are closed, the lock is given back. In memory stays what most questions need:
// length, roots, which blocks are here, who waits, watches and replicates. The next
// call that reads, proves, appends or applies opens the files and locks them again.
//
//	        room is needed, or LotOptions.Idle
//	      ┌─────────────────────────────────────┐
//	      │                                     ▼
//	Open ─► open ◄─ stamps as they were ──── parked
//	          ▲                                 │
//	          └──── loaded anew ◄─ different ───┘
//
// What holds:
//
//  1. A feed parks only at rest: nothing is pending, nobody is inside a call, no
//     write has failed. What cannot be written stays open.
//  2. While it is parked other programs may write the directory, as the lock allows
//     them. Sizes, times and inodes of all files are compared when they are opened
//     again; where the clock of the file system is too coarse to tell, they count as
//     different. Then the feed is loaded as Open does it, and what it has gained and
//     lost is announced (Available, Cleared, the event Reloaded). The directories of
//     parked feeds are looked at once a minute, so this also happens unasked.
//  3. The guard against forks stays: while another program has the lock every use
//     that needs a file is ErrLocked; the highest length that was announced is
//     remembered, so a directory that is shorter now is ErrBehind; one that another
//     identity wrote is ErrOtherWriter; one with another history freezes the feed,
//     with the evidence; one that holds another feed, or none, is an error, and
//     nothing of it is announced.
//  4. When all open feeds are in use one more waits for up to a second, then opens
//     its files anyway.
//
// What is in memory, or in a storage made of a function, never parks.
//
// # Use
//
// A Feed is safe for concurrent use. Calls that can wait take a context. Close
// ends everything the feed started and lets everyone who waits go with ErrClosed;
// it may be called twice. An idle feed has no goroutine.
//
// Waits end as well when nothing comes to the feed any more: it is frozen, damaged, or a
// write has failed for good. Whoever waits for what is not here is told why, see
// [Feed.Get]; what is here goes on being read. What is tried again, as on a full disk, is
// waited for.
//
// A reader that is not sparse wants everything for as long as it is open, also what it has
// cleared. To follow a feed and keep its end only, open it with Options.Sparse, download
// Range{Start: x} and clear what is before x, see [Feed.Clear].
//
// The engine that fetches and serves implements [Replicator] and is attached to
// the feed; [Feed.Demand] tells it what is wanted.
package feed
