package feed

import (
	"bytes"
	"context"
	"errors"
	"sort"

	"github.com/go-hypercore/hypercore/feed/bitfield"
	"github.com/go-hypercore/hypercore/feed/merkle"
	"github.com/go-hypercore/hypercore/store"
)

// How the length is found. The journal says it, if there is one: that much is
// durable. The bitfield says it too, by the nodes it marks; it is written later
// and not synced, so it may be behind, and if it is ahead, other software has
// written the directory. In a directory made elsewhere there is only the
// bitfield. A length counts if the roots in the tree file have the writer's
// signature (of a static feed: are the key).

// sigState is what is known of the signature of a length.
type sigState int

const (
	sigValid   sigState = iota
	sigMissing          // the record is blank
	sigInvalid
	rootsMissing // the roots cannot be read
)

func (s sigState) String() string {
	return [...]string{"valid", "missing", "invalid", "without roots"}[s]
}

// candidate is a length that may be the feed's.
type candidate struct {
	length uint64
	acc    *merkle.Accumulator
	hash   merkle.Hash
	state  sigState
	static bool
	sig    sigRecord // if the state is sigValid, and it is not static
}

// load finds the length, and takes over what is there. Nothing is written before
// it is clear that the feed can be used.
func (f *Feed) load(ctx context.Context, s *found) error {
	whole, err := f.loadBitfield(s)
	if err != nil {
		return err
	}
	f.tree.file, f.tree.image, f.sigs.file = f.files.tree, f.image, f.files.signatures
	var byBits uint64
	if n := f.image.Tree.Len(); n > 0 {
		byBits = merkle.Blocks(&f.image.Tree, n-1)
	}
	if byBits > MaxLength {
		whole, byBits = false, 0
	}
	p := plan{whole: whole, byBits: byBits}
	if s.hasJournal {
		err = f.planJournal(s, &p)
	} else {
		err = f.planBits(s, &p)
	}
	if err != nil {
		return err
	}
	return f.carryOut(ctx, s, &p)
}

// plan is what is to be done to open a feed.
type plan struct {
	whole  bool   // the bitfield file is as it should be
	byBits uint64 // length that it says

	take    candidate
	rebuild bool   // the bitfield is to be made anew
	from    uint64 // its bits are complete up to this length
	sign    bool   // the signature is to be made again
	damage  error  // the feed is to be read only
	foreign bool   // other software wrote it last
	tail    bool   // appends beyond the length may count
	cut     bool   // signatures beyond the length do not
	entries []entry
	lacks   error // why the journal may say more, which the disk does not give back
}

// loadBitfield reads the bitfield file. whole is false if it is missing, has no
// valid header or ends within a page.
func (f *Feed) loadBitfield(s *found) (whole bool, err error) {
	f.image = bitfield.NewFile(bitfield.PageSize)
	total := s.sizes[bitfieldName]
	var h [headerSize]byte
	if _, err := readFull(f.files.bitfield, h[:], 0); err != nil {
		return false, f.fileError("read", bitfieldName, err)
	}
	if total < headerSize {
		return false, nil
	}
	size, err := bitfield.ParseHeader(h[:])
	if err != nil {
		return false, nil
	}
	if uint64(total)/uint64(size) > MaxLength/bitfield.PageBlocks+1 {
		return false, f.corrupt(bitfieldName, 0, "it has %d bytes, more than the longest feed needs", total)
	}
	f.image = bitfield.NewFile(size)
	if err := f.loadPages(size, total-headerSize); err != nil {
		return false, err
	}
	return (total-headerSize)%int64(size) == 0, nil
}

// loadPages reads the pages in large pieces, but for what was never written.
func (f *Feed) loadPages(size int, total int64) error {
	const pages = 64
	buf := make([]byte, min(int64(pages*size), total))
	section := size - 3*bitfield.PageBlocks/8
	index := map[uint64][]byte{}
	for off := int64(0); off < total; off += int64(len(buf)) {
		skip, err := f.hole(off)
		if off += skip / int64(len(buf)) * int64(len(buf)); off >= total {
			break
		}
		n := 0
		if err == nil {
			n, err = readFull(f.files.bitfield, buf[:min(int64(len(buf)), total-off)], headerSize+off)
		}
		if err != nil {
			return f.fileError("read", bitfieldName, err)
		}
		for at := 0; at < n; at += size {
			page, p := buf[at:min(at+size, n)], uint64(off+int64(at))/uint64(size)
			f.image.Load(p, page)
			if len(page) == size && !isZero(page[size-section:]) {
				index[p] = bytes.Clone(page[size-section:])
			}
		}
	}
	if total > 0 {
		f.image.Load(uint64(total-1)/uint64(size), nil)
	}
	f.image.Loaded(func(p uint64) []byte { return index[p] })
	return nil
}

// hole returns how many bytes from off on, behind the header, were never written to the
// bitfield.
func (f *Feed) hole(off int64) (int64, error) {
	s, ok := f.files.bitfield.(store.Sparse)
	if !ok {
		return 0, nil
	}
	next, err := s.NextData(headerSize + off)
	return max(next-headerSize-off, 0), err
}

// check reads the roots of a length from the tree file, whatever the bits say,
// and looks at their signature. It changes nothing, and needs no lock.
func (f *Feed) check(length uint64) (candidate, error) {
	c := candidate{length: length, acc: new(merkle.Accumulator)}
	c.hash = c.acc.TreeHash()
	if length == 0 {
		return c, nil
	}
	if length > MaxLength {
		c.state = rootsMissing
		return c, nil
	}
	var buf [merkle.MaxRoots]uint64
	var roots []merkle.Node
	for _, n := range merkle.Roots(buf[:0], length) {
		node, ok, err := f.rawNode(n)
		if err != nil {
			return c, err
		}
		if !ok {
			c.state = rootsMissing
			return c, nil
		}
		roots = append(roots, node)
	}
	acc, err := merkle.NewAccumulator(roots)
	if err != nil {
		c.state = rootsMissing
		return c, nil
	}
	c.acc, c.hash = acc, acc.TreeHash()
	if f.draft {
		return c, nil
	}
	if c.hash == merkle.Hash(f.key) {
		c.static = true
		return c, nil
	}
	sig, ok, err := readSig(f.files.signatures, length)
	switch {
	case err != nil:
		return c, f.fileError("read", signaturesName, err)
	case !ok:
		c.state = sigMissing
	case !verifySignature(f.key, c.hash, length, sig[:]):
		c.state = sigInvalid
	default:
		c.sig = sigRecord{length: length, hash: c.hash, sig: sig, signed: true}
	}
	return c, nil
}

// rawNode reads a node from the tree file; ok is false if it is blank or
// impossible.
func (f *Feed) rawNode(n uint64) (node merkle.Node, ok bool, err error) {
	var b [nodeSize]byte
	m, err := readFull(f.files.tree, b[:], nodeOffset(n))
	if err != nil {
		return node, false, f.fileError("read", treeName, err)
	}
	if m < nodeSize || isZero(b[:]) {
		return node, false, nil
	}
	node = getNode(n, b[:])
	return node, node.Size <= merkle.MaxInt, nil
}

// checkData notices a data file that ends before the last block that is here. A
// reader fetches again what is lost. The writer's feed becomes read only: perhaps
// the file can be had back, and whoever appends should know.
func (f *Feed) checkData() error {
	have, err := size(f.files.data)
	if err != nil {
		return f.fileError("size of", dataName, err)
	}
	for _, s := range f.pend.segs {
		have = max(have, int64(s.end()))
	}
	for last := f.image.Data.Len(); last > 0; last = f.lastBefore(last) {
		off, err := f.offset(last - 1)
		if err != nil {
			return f.orDamage(err)
		}
		n, err := f.sizeOf(last - 1)
		if err != nil {
			return f.orDamage(err)
		}
		if n == 0 {
			continue // it is here whatever the file says
		}
		if off+n <= uint64(have) {
			return nil
		}
		if f.secret != nil || f.draft || f.opts.ReadOnly {
			f.damage = f.corrupt(dataName, have, "the file ends here, block %d should end at byte %d", last-1, off+n)
			return nil
		}
		f.image.SetData(last-1, last, false)
		f.repair.Lost++
		f.newBits = true
		f.changes++
	}
	return nil
}

// lastBefore returns 1 + the last block before block end-1 that is here, 0 if
// there is none.
func (f *Feed) lastBefore(end uint64) uint64 {
	end--
	gap := sort.Search(int(end), func(k int) bool { return f.image.Data.Count(end-uint64(k)-1, end) > 0 })
	return end - uint64(gap)
}

// orDamage makes damage of an error that only says that something is missing.
func (f *Feed) orDamage(err error) error {
	var c *CorruptError
	if errors.As(err, &c) || isNotLocal(err) {
		f.damage = err
		return nil
	}
	return err
}
