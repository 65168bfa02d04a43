package feed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/go-hypercore/hypercore/feed/bitfield"
	"github.com/go-hypercore/hypercore/feed/merkle"
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
}

// carryOut follows the plan.
func (f *Feed) carryOut(ctx context.Context, s *found, p *plan) error {
	c := p.take
	f.acc, f.hash, f.static = c.acc, c.hash, c.static
	f.unsigned = c.state == sigMissing && c.length > 0 && !c.static && !f.draft && !p.sign
	if p.damage != nil {
		f.damage = p.damage
	}
	if !f.opts.ReadOnly {
		// A first commit has settled the files. Before it, who made them may have
		// been killed, and nothing of them may be durable.
		f.settled.Store(s.hasJournal && s.journal.seq > 1)
		if err := f.finishFinalize(s); err != nil {
			return err
		}
		if err := f.keepSecret(s); err != nil {
			return err
		}
		if err := f.makeFiles(f.image.PageSize()); err != nil {
			return err
		}
	}
	var old *bitfield.File
	synced := p.from
	if p.rebuild || f.opts.Repair {
		old, p.rebuild, p.from = f.image, true, 0
		f.image = bitfield.NewFile(f.image.PageSize())
		f.tree.image = f.image
	}
	f.journal, f.bitsLen, f.announced = s.journal, p.from, max(f.announced, s.journal.announced)
	f.links = slices.Clone(s.journal.links)
	if e := s.journal.even; c.hash == s.journal.hash && e.holds(c.length, c.acc.ByteLen()) && !f.opts.Repair {
		f.groups.even = e
	}
	f.trimBits(c.length)
	f.stale = f.image.Dirty() || p.rebuild
	if p.sign {
		f.sigs.add(sigRecord{length: c.length, hash: c.hash})
		f.changes++
		f.repair.Signature = true
	}
	if p.from < c.length {
		w := restorer{from: p.from, doubtful: s.journal.open && !p.rebuild && !f.opts.ReadOnly}
		if old != nil && !f.opts.Repair { // then what is there counts
			w.old, w.synced = old, synced
		}
		if err := f.recoverBits(ctx, &w); err != nil {
			return err
		}
	}
	foreign := !s.hasJournal || p.foreign
	if foreign {
		if err := f.findLinks(ctx); err != nil {
			return err
		}
	}
	if f.damage == nil {
		if err := f.replay(p.entries); err != nil {
			return err
		}
	}
	if old != nil {
		f.repair.compare(old, f.image)
	}
	if foreign {
		// Nobody knows what of it is durable: the first commit sees to it.
		f.changes++
		f.touched = touched{true, true, true}
		f.bitsOpen = true
	}
	if !p.whole && !p.rebuild && f.image.Pages() > 0 {
		f.image.TouchAll() // so that the short page is written as a whole one
	}
	if s.journal.open && !f.opts.ReadOnly {
		f.doubt()
	}
	if f.image.Dirty() {
		f.changes++
	}
	if p.rebuild && !f.opts.ReadOnly {
		if err := f.remakeBitfield(); err != nil {
			return err
		}
	}
	f.durable = c.length
	if f.damage == nil && !f.opts.ReadOnly {
		if err := f.recoverTail(ctx, p); err != nil {
			return err
		}
	}
	if f.unsure(s, p) {
		f.durable = 0 // until the first commit nothing is shown
	}
	return f.checkData()
}

// unsure reports whether what was found may only be in the cache of the operating
// system. A writer's journal vouches for everything below its length, whether the
// journal itself is durable or not: what it counts was synced before it was
// written. A reader's blocks are vouched for by their bits, which may not be.
func (f *Feed) unsure(s *found, p *plan) bool {
	switch {
	case f.opts.ReadOnly:
		return false
	case !s.hasJournal, p.foreign, p.sign:
		return true
	}
	return f.secret == nil && f.changes > 0
}

// doubt has the journal and the bitfield written anew with the first commit: who
// had the feed open before was killed, or a sync failed, and what is read of them
// may only be in the cache of the operating system, where it counts as clean.
func (f *Feed) doubt() {
	f.doubtful = true
	f.changes++
	f.newBits, f.newBlocks = true, true
	f.image.TouchAll()
}

// compare counts what became marked and what is not marked any more.
func (r *RepairReport) compare(old, image *bitfield.File) {
	for i, ok := old.Data.NextSetNotIn(&image.Data, 0); ok; i, ok = old.Data.NextSetNotIn(&image.Data, i+1) {
		r.Lost++
	}
	r.Found = image.Data.Count(0, MaxLength) + r.Lost - old.Data.Count(0, MaxLength)
}

// remakeBitfield has the whole bitfield written with the next commit, and cuts
// off what it will not overwrite.
func (f *Feed) remakeBitfield() error {
	f.repair.Bitfield = true
	f.changes++
	f.newBits, f.newBlocks = true, true
	f.image.TouchAll()
	end := headerSize + int64(f.image.Pages())*int64(f.image.PageSize())
	if have, err := f.files.bitfield.Size(); err != nil {
		return f.fileError("size of", bitfieldName, err)
	} else if have > end {
		if err := f.files.bitfield.Truncate(end); err != nil {
			return f.fileError("cut", bitfieldName, err)
		}
	}
	return nil
}

// trimBits clears bits beyond the length.
func (f *Feed) trimBits(length uint64) {
	if f.image.Data.Len() > length {
		f.image.SetData(length, f.image.Data.Len(), false)
	}
	if top := f.image.Tree.Len(); length == 0 || top > 2*length-1 {
		for n, ok := f.image.Tree.NextSet(2*length - min(1, length)); ok; n, ok = f.image.Tree.NextSet(n + 1) {
			f.image.SetTree(n, false)
		}
	}
	for _, n := range openParents(length) {
		f.image.SetTree(n, false)
	}
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

// loadPages reads the pages in large pieces.
func (f *Feed) loadPages(size int, total int64) error {
	const pages = 64
	buf := make([]byte, min(int64(pages*size), total))
	section := size - 3*bitfield.PageBlocks/8
	index := make([]byte, 0, total/int64(size)*int64(section)+int64(section))
	for off := int64(0); off < total; off += int64(len(buf)) {
		n, err := readFull(f.files.bitfield, buf[:min(int64(len(buf)), total-off)], headerSize+off)
		if err != nil {
			return f.fileError("read", bitfieldName, err)
		}
		for at := 0; at < n; at += size {
			page := buf[at:min(at+size, n)]
			f.image.Load(uint64(off+int64(at))/uint64(size), page)
			idx := make([]byte, section)
			if len(page) == size {
				idx = page[size-section:]
			}
			index = append(index, idx...)
		}
	}
	f.image.Loaded(func(x uint64) byte {
		if x < uint64(len(index)) {
			return index[x]
		}
		return 0
	})
	return nil
}

// check reads the roots of a length from the tree file, whatever the bits say,
// and looks at their signature.
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
		f.sigs.last = sigRecord{length: length, hash: c.hash, sig: sig, signed: true}
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
			f.damage = f.corrupt(dataName, have, "the file ends here, block %d should end at byte %d. "+repairHint, last-1, off+n)
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
		f.damage = fmt.Errorf("%w. %s", err, repairHint)
		return nil
	}
	return err
}
