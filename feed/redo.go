package feed

import (
	"encoding/binary"
	"hash/crc32"
	"slices"

	"github.com/go-hypercore/hypercore/feed/merkle"
)

// A small commit syncs one file once instead of three files and then a slot, and
// where nothing is synced it writes one file before peers are told instead of four:
// what was appended is written to the journal once more, behind the slots, as an
// entry that follows the newest slot, and only the journal is synced. Data, nodes,
// signatures and bits are written to their files as ever, so that other programs
// find them there; the next commit that writes a slot syncs them, and from then on
// the entries do not count. It comes when the room is full, and when the feed is at
// rest. After a crash Open appends again what the entries hold.
//
// From redoStart on, one behind the other, integers big endian:
//
//	 0  8  "hcentry2"
//	 8  8  sequence number of the slot that it follows
//	16  4  number of the entry after that slot, from 0
//	20  4  size of the entry
//	24  4  CRC-32C of the entry with zeros here: to tell a torn one; what counts is
//	       the tree hash
//	28  4  number of blocks
//	32  8  length of the feed before them
//	40 32  tree hash of the length after them
//	72 64  its signature; zeros where secret_key is, and makes the same one again
//	136    the size of each block, 4 bytes each; the blocks
//
// The signature is made while the entry is synced. A crash may leave it nowhere, and
// somebody may take the secret key away before the feed is opened again: then the
// entry does not count, but the length that it made stays announced.
//
// "hcentry1" is from before: it has no tree hash, and always the signature, at 40.
const (
	redoStart  = 2 * slotStride
	redoHeader = redoSig + sigSize
	redoSig    = redoHash + 32
	redoHash   = 40

	// redoBytes is the room for entries. When it is full a slot is written. It
	// bounds what Open has to append again.
	redoBytes = 4 << 20
	// maxEntry bounds the size of an entry: the cost of a larger commit is not that
	// of its syncs.
	maxEntry = 256 << 10
)

var (
	redoMagic = [8]byte([]byte("hcentry2"))
	oldMagic  = [8]byte([]byte("hcentry1"))
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// redo is where the next entry goes. Guarded by Feed.commitMu.
type redo struct {
	after   uint64 // sequence number of the slot; 0: the next commit writes one
	n       uint32 // entries that follow it
	off     int64  // where they end
	length  uint64 // of the feed with them
	byteLen uint64
	buf     []byte // the last one
}

// restart has the next entry follow the slot that was just written.
func (d *redo) restart(r *record) {
	*d = redo{after: r.seq, off: redoStart, length: r.length, byteLen: r.byteLen, buf: d.buf}
}

// size returns the size of an entry that makes the feed what r says.
func (d *redo) size(r *record) uint64 {
	return redoHeader + 4*(r.length-d.length) + r.byteLen - d.byteLen
}

// small reports whether that is as much as an entry may have.
func (d *redo) small(r *record) bool {
	return r.length-d.length <= maxEntry && r.byteLen-d.byteLen <= maxEntry && d.size(r) <= maxEntry
}

// full reports whether there is no room for it.
func (d *redo) full(r *record) bool { return uint64(d.off)+d.size(r) > redoStart+redoBytes }

// entryFor returns the entry for a flight, nil if there is to be a slot: the flight
// is more than a few appended blocks. commitMu and flushMu are held.
func (f *Feed) entryFor(fl *flight) []byte {
	d, r, old := &f.redo, &fl.record, &f.journal
	switch {
	case d.after == 0 || d.after != old.seq || !old.open || f.doubtful:
		return nil
	case f.cargo.bits || f.cargo.order || f.cargo.due: // not only appends
		return nil
	case r.identity != old.identity || r.unfinished || r.key != old.key || !slices.Equal(r.links, old.links):
		return nil
	case r.length <= d.length || r.announced != r.length || !d.small(r) || d.full(r):
		return nil
	}
	size := d.size(r)
	if f.opts.Durability == AnnounceDurable && len(fl.sigs) != 1 {
		return nil // the others would be nowhere but in the file, and may be torn there
	}
	if len(fl.sigs) == 0 {
		return nil
	}
	sig := &fl.sigs[len(fl.sigs)-1]
	if sig.length != r.length || !covers(fl.segs, d.byteLen, r.byteLen) {
		return nil
	}
	be := binary.BigEndian
	b := slices.Grow(d.buf[:0], int(size))
	b = append(b, redoMagic[:]...)
	b = be.AppendUint64(b, d.after)
	b = be.AppendUint32(b, d.n)
	b = be.AppendUint32(b, uint32(size))
	b = be.AppendUint32(b, 0)
	b = be.AppendUint32(b, uint32(r.length-d.length))
	b = be.AppendUint64(b, d.length)
	b = append(b, sig.hash[:]...)
	b = append(b, sig.sig[:]...) // zeros if it is still to be made
	f.mu.Lock()
	for i := d.length; i < r.length; i++ {
		n, err := f.sizeOf(i)
		if err != nil {
			f.mu.Unlock()
			return nil
		}
		b = be.AppendUint32(b, uint32(n))
	}
	f.mu.Unlock()
	for _, s := range fl.segs {
		b = append(b, *s.buf...)
	}
	be.PutUint32(b[24:], crc32.Checksum(b, castagnoli))
	d.buf = b
	return b
}

// covers reports whether the segments are the data from start to end.
func covers(segs []segment, start, end uint64) bool {
	for _, s := range segs {
		if s.off != start {
			return false
		}
		start = s.end()
	}
	return start == end
}

// commitEntry makes an entry durable. commitMu is held.
func (f *Feed) commitEntry(fl *flight) error {
	d := &f.redo
	after := d.after
	d.after = 0 // if it fails the next commit writes a slot
	if err := f.writeAt(journalName, f.files.journal, fl.entry, d.off); err != nil {
		return f.fail(err, true)
	}
	if f.opts.Durability != NoSync {
		if err := f.files.journal.Sync(); err != nil {
			return f.fail(f.fileError("sync", journalName, err), false)
		}
	}
	d.after, d.n, d.off = after, d.n+1, d.off+int64(len(fl.entry))
	d.length, d.byteLen = fl.record.length, fl.record.byteLen
	return nil
}

// dropEntries gives back the room of entries after the last slot was written:
// they do not count, so nobody minds if this fails. commitMu is held.
func (f *Feed) dropEntries() {
	f.redo = redo{}
	if have, err := f.files.journal.Size(); err == nil && have > redoStart {
		f.files.journal.Truncate(slotStride + slotSize)
	}
}

// entry is an entry as it was read.
type entry struct {
	first  uint64        // index of its first block
	blocks [][]byte      // in the memory that was read
	bytes  uint64        // sum of their sizes
	hash   merkle.Hash   // zeros: it was not told
	sig    [sigSize]byte // zeros: it is not here
}

// readEntries returns the entries that follow a slot, up to the first that is not
// whole. A disk that does not give all of them back fails it, with those before, if one
// that counts may be there.
func (f *Feed) readEntries(r *record) ([]entry, error) {
	have, err := size(f.files.journal)
	if err != nil {
		return nil, f.fileError("size of", journalName, err)
	}
	if have <= redoStart || !r.open { // none was written after the last commit of Close
		return nil, nil
	}
	b := make([]byte, min(have-redoStart, redoBytes))
	n, err := readFull(f.files.journal, b, redoStart)
	if err == nil {
		return parseEntries(b[:n], r), nil
	}
	return f.readOneByOne(b, r)
}

// readOneByOne is readEntries with no byte read behind the first that does not follow: what
// lies there does not count, so nobody minds if it is unreadable.
func (f *Feed) readOneByOne(b []byte, r *record) (list []entry, err error) {
	length, off := r.length, int64(redoStart)
	for len(b) > 0 {
		n, err := readFull(f.files.journal, b[:min(len(b), redoHash)], off)
		if err == nil {
			var size int
			if size = entrySize(b[:n], r.seq, uint32(len(list)), length); size == 0 || size > len(b) {
				break
			}
			n, err = readFull(f.files.journal, b[:size], off)
		}
		if err != nil {
			return list, f.fileError("read", journalName, err)
		}
		e, size, ok := parseEntry(b[:n], r.seq, uint32(len(list)), length)
		if !ok {
			break
		}
		list, b, off = append(list, e), b[size:], off+int64(size)
		length += uint64(len(e.blocks))
	}
	return list, nil
}

func parseEntries(b []byte, r *record) (list []entry) {
	length := r.length
	for {
		e, size, ok := parseEntry(b, r.seq, uint32(len(list)), length)
		if !ok {
			return list
		}
		list, b = append(list, e), b[size:]
		length += uint64(len(e.blocks))
	}
}

// entrySize returns the size of the entry that begins with b, 0 if it is not the one with
// this number after this slot and a feed of this length.
func entrySize(b []byte, after uint64, n uint32, length uint64) int {
	be := binary.BigEndian
	if len(b) < redoHash || be.Uint64(b[8:]) != after || be.Uint32(b[16:]) != n || be.Uint64(b[32:]) != length {
		return 0
	}
	size := int(be.Uint32(b[20:]))
	if header := headerLen(b); header == 0 || size < header || size > maxEntry {
		return 0
	}
	return size
}

// headerLen returns what stands before the sizes in an entry, 0 if b begins with none.
func headerLen(b []byte) int {
	switch [8]byte(b) {
	case redoMagic:
		return redoHeader
	case oldMagic:
		return redoHeader - (redoSig - redoHash)
	}
	return 0
}

// parseEntry reads the entry at the beginning of b, if it is the one with this
// number after this slot and a feed of this length.
func parseEntry(b []byte, after uint64, n uint32, length uint64) (e entry, size int, ok bool) {
	be := binary.BigEndian
	if size = entrySize(b, after, n, length); size == 0 || size > len(b) {
		return e, 0, false
	}
	header := headerLen(b)
	b = b[:size]
	sum := crc32.Checksum(b[:24], castagnoli)
	sum = crc32.Update(sum, castagnoli, make([]byte, 4))
	if sum = crc32.Update(sum, castagnoli, b[28:]); sum != be.Uint32(b[24:]) {
		return e, 0, false
	}
	if e.first, e.sig = length, [sigSize]byte(b[header-sigSize:]); header == redoHeader {
		e.hash = merkle.Hash(b[redoHash:])
	}
	blocks, rest := uint64(be.Uint32(b[28:])), b[header:]
	if blocks == 0 || blocks > uint64(len(rest))/4 || length+blocks > MaxLength {
		return e, 0, false
	}
	sizes, rest := rest[:4*blocks], rest[4*blocks:]
	e.bytes = uint64(len(rest))
	for ; len(sizes) > 0; sizes = sizes[4:] {
		k := uint64(be.Uint32(sizes))
		if k > uint64(len(rest)) {
			return e, 0, false
		}
		e.blocks = append(e.blocks, rest[:k])
		rest = rest[k:]
	}
	return e, size, len(rest) == 0
}

// entriesEnd returns the length of the feed with the entries after a slot.
func entriesEnd(r *record, list []entry) uint64 {
	length := r.length
	for _, e := range list {
		length += uint64(len(e.blocks))
	}
	return length
}

// replay appends what the entries hold, as long as it is signed, or can be. It takes
// the way of any append: the first commit writes all of it again and syncs it.
func (f *Feed) replay(list []entry) error {
	for i := range list {
		e := &list[i]
		nodes := make([]merkle.Node, len(e.blocks))
		hashBlocks(nodes, e.blocks, e.bytes)
		acc := f.acc.Clone()
		for k := range nodes {
			nodes[k].Index = 2 * (e.first + uint64(k))
			if _, err := acc.Append(nodes[k], nil); err != nil {
				return nil
			}
		}
		if hash := acc.TreeHash(); e.hash == (merkle.Hash{}) && e.sig != [sigSize]byte{} {
			e.hash = hash
		} else if e.hash != hash {
			return nil
		}
		sig, ok, err := f.signatureOf(e)
		if err != nil {
			return err
		}
		if !ok {
			last := &list[len(list)-1]
			f.announced = max(f.announced, last.first+uint64(len(last.blocks)))
			return nil
		}
		identity := f.identity
		if _, _, err := f.grow(nodes, e.blocks, e.bytes, true); err != nil {
			return err
		}
		f.identity = identity
		last := &f.sigs.recs[len(f.sigs.recs)-1]
		last.sig, last.signed = sig, true
		f.repair.Recovered += uint64(len(e.blocks))
	}
	if f.opts.ReadOnly && f.repair.Recovered > 0 {
		f.lay()
	}
	return nil
}

// signatureOf returns the signature of the length that an entry makes. Where the entry
// has none it is in the file, if the process was killed, or is made again, the same:
// Ed25519 has only one.
func (f *Feed) signatureOf(e *entry) (sig [sigSize]byte, ok bool, err error) {
	length := e.first + uint64(len(e.blocks))
	if e.sig == [sigSize]byte{} && f.secret != nil {
		r := sigRecord{hash: e.hash}
		r.make(f.secret)
		return r.sig, true, nil
	}
	if sig = e.sig; sig == [sigSize]byte{} {
		if sig, _, err = readSig(f.files.signatures, length); err != nil {
			return sig, false, f.fileError("read", signaturesName, err)
		}
	}
	return sig, verifySignature(f.key, e.hash, length, sig[:]), nil
}
