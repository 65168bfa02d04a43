package feed

// For journal_test.go: the slot of the journal as bytes.

type Record = record

const SlotSize = slotSize

func (r *Record) Marshal() [slotSize]byte { return r.marshal() }

func ParseSlot(b []byte) (Record, bool) { return parseSlot(b) }

// NewRecord returns a record with all its fields set.
func NewRecord(seq, length uint64, identity string, links ...uint64) Record {
	return Record{seq: seq, length: length, announced: length + 3, byteLen: 7 * length, bits: length / 2,
		unfinished: seq%2 == 0, unsynced: length%2 == 1, key: Key{1, 2}, hash: [32]byte{3}, links: links, identity: identity, even: even{length / 2, min(length/2, 5)}}
}

// Rest waits for a commit that is under way: what it has still to write after those
// who wait were told, too.
func (f *Feed) Rest() {
	f.commitMu.Lock()
	defer f.commitMu.Unlock()
}

// WithEven returns the slot with other words on the first blocks.
func (r record) WithEven(blocks, size uint64) [slotSize]byte {
	r.even = even{blocks, size}
	return r.marshal()
}
