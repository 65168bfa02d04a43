package feed

import (
	"encoding/binary"

	"golang.org/x/crypto/blake2b"

	"github.com/go-hypercore/hypercore/feed/merkle"
	"github.com/go-hypercore/hypercore/store"
)

// The journal file: two slots of 512 bytes, written in turn, 4096 bytes apart so
// that no disk tears both with one write. All integers are big endian.
//
//	  0  8   "hcjourn1"
//	  8  8   sequence number; the slot is its lowest bit, the higher valid one counts
//	 16  8   length in blocks: this much is durable, signature included
//	 24  8   the highest length that was ever announced
//	 32  8   bytes at that length
//	 40  8   the bitfield file is durable up to this length
//	 48  4   flags: 1 a static feed that is not finalized, 2 whoever wrote it has not
//	         closed the feed, 4 whoever wrote it never syncs (NoSync): nothing is known
//	         to be durable, whatever is said here
//	 52  2   length of the identity     54  2   number of links
//	 56 32   key                        88 32   tree hash at the length
//	120 64   links: up to 8 lengths whose roots were not yet shown to be part of
//	         the longest one, 8 bytes each
//	184 128  identity of the node that wrote last
//	312  8   the first blocks that all have one size: how many
//	320  8   their size in bytes
//	328 152  zeros
//	480 32   BLAKE2b-256 of the 480 bytes before
//
// What stands behind the slots is in redo.go.
const (
	slotSize   = 512
	slotStride = 4096
	slotEven   = 312
	slotSum    = 480
	maxLinks   = 8

	flagUnfinished = 1
	flagOpen       = 2
	flagUnsynced   = 4
)

var slotMagic = [8]byte{'h', 'c', 'j', 'o', 'u', 'r', 'n', '1'}

// record is what a slot says.
type record struct {
	seq        uint64
	length     uint64
	announced  uint64
	byteLen    uint64
	bits       uint64
	unfinished bool
	open       bool // the last commit before Close takes it back
	unsynced   bool // nothing was synced
	key        Key
	hash       merkle.Hash
	links      []uint64
	identity   string
	even       even

	unsigned bool // of a writer whose newest signature is missing; never written
}

// marshal returns the slot.
func (r *record) marshal() (b [slotSize]byte) {
	copy(b[:], slotMagic[:])
	be := binary.BigEndian
	be.PutUint64(b[8:], r.seq)
	be.PutUint64(b[16:], r.length)
	be.PutUint64(b[24:], r.announced)
	be.PutUint64(b[32:], r.byteLen)
	be.PutUint64(b[40:], r.bits)
	var flags uint32
	if r.unfinished {
		flags |= flagUnfinished
	}
	if r.open {
		flags |= flagOpen
	}
	if r.unsynced {
		flags |= flagUnsynced
	}
	be.PutUint32(b[48:], flags)
	be.PutUint16(b[52:], uint16(len(r.identity)))
	be.PutUint16(b[54:], uint16(len(r.links)))
	copy(b[56:], r.key[:])
	copy(b[88:], r.hash[:])
	for i, l := range r.links {
		be.PutUint64(b[120+8*i:], l)
	}
	copy(b[184:184+MaxIdentity], r.identity)
	be.PutUint64(b[slotEven:], r.even.blocks)
	be.PutUint64(b[slotEven+8:], r.even.size)
	sum := blake2b.Sum256(b[:slotSum])
	copy(b[slotSum:], sum[:])
	return b
}

// says reports whether another record says the same, but for what only saves time:
// that is worth no write.
func (r *record) says(old record) bool {
	old.even = r.even
	return r.marshal() == old.marshal()
}

// parseSlot reads a slot; ok is false unless marshal could have made it.
func parseSlot(b []byte) (r record, ok bool) {
	if len(b) != slotSize || [8]byte(b) != slotMagic || blake2b.Sum256(b[:slotSum]) != [32]byte(b[slotSum:]) {
		return record{}, false
	}
	be := binary.BigEndian
	r = record{
		seq: be.Uint64(b[8:]), length: be.Uint64(b[16:]), announced: be.Uint64(b[24:]),
		byteLen: be.Uint64(b[32:]), bits: be.Uint64(b[40:]),
		unfinished: be.Uint32(b[48:])&flagUnfinished != 0,
		open:       be.Uint32(b[48:])&flagOpen != 0,
		unsynced:   be.Uint32(b[48:])&flagUnsynced != 0,
		key:        Key(b[56:88]), hash: merkle.Hash(b[88:120]),
		even: even{be.Uint64(b[slotEven:]), be.Uint64(b[slotEven+8:])},
	}
	id, links := int(be.Uint16(b[52:])), int(be.Uint16(b[54:]))
	if id > MaxIdentity || links > maxLinks || r.length > MaxLength || r.announced < r.length ||
		r.byteLen > merkle.MaxInt || r.announced > merkle.MaxLength {
		return record{}, false
	}
	for i := range links {
		r.links = append(r.links, be.Uint64(b[120+8*i:]))
	}
	r.identity = string(b[184 : 184+id])
	return r, r.marshal() == [slotSize]byte(b)
}

// readJournal returns the newest valid slot; ok is false if there is none. With an error
// a slot cannot be read, which may be newer.
func readJournal(file store.File) (r record, ok bool, err error) {
	var b [slotSize]byte
	for k := range int64(2) {
		n, rerr := readFull(file, b[:], k*slotStride)
		if rerr != nil {
			n, err = 0, rerr
		}
		if s, valid := parseSlot(b[:n]); valid && int64(s.seq&1) == k && (!ok || s.seq > r.seq) {
			r, ok = s, true
		}
	}
	return r, ok, err
}

// writeJournal writes the record into the slot that is not the newest.
func (f *Feed) writeJournal(r *record) error {
	b := r.marshal()
	return f.writeAt(journalName, f.files.journal, b[:], int64(r.seq&1)*slotStride)
}
