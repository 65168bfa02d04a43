package feed

import (
	"context"
	"slices"

	"github.com/go-hypercore/hypercore/feed/bitfield"
)

// carryOut follows the plan.
func (f *Feed) carryOut(ctx context.Context, s *found, p *plan) error {
	f.takeCandidate(p)
	if err := f.readyFiles(s); err != nil {
		return err
	}
	synced := p.from
	old := f.blankBits(p)
	f.takeJournal(s, p)
	f.trimBits(p.take.length)
	f.stale = f.image.Dirty() || p.rebuild
	if p.sign {
		f.sigs.add(sigRecord{length: p.take.length, hash: p.take.hash})
		f.changes++
		f.repair.Signature = true
	}
	lost, err := f.completeBits(ctx, s, p, old, synced)
	if err != nil {
		return err
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
	f.owesMore(p)
	if old != nil {
		f.repair.compare(old, f.image)
	}
	f.repair.Lost += lost
	if err := f.oweCommit(s, p, foreign); err != nil {
		return err
	}
	f.durable = p.take.length
	if f.opts.ReadOnly && f.acc.Len() > f.durable {
		// What was replayed is shown as well. The writer was killed; if its last sync
		// was still to come it is made up for. A medium that has none keeps what it has.
		f.files.journal.Sync()
		f.durable = f.acc.Len()
	}
	if f.damage == nil && !f.opts.ReadOnly {
		if err := f.recoverTail(ctx, p); err != nil {
			return err
		}
		f.owesMore(p)
	}
	if f.unsure(s, p) {
		f.durable = 0 // until the first commit nothing is shown
	}
	return f.checkData()
}

// takeCandidate makes the candidate the feed's length.
func (f *Feed) takeCandidate(p *plan) {
	c := &p.take
	f.acc, f.hash, f.static = c.acc, c.hash, c.static
	if c.sig.signed {
		f.sigs.last = c.sig
	}
	f.unsigned = c.state == sigMissing && c.length > 0 && !c.static && !f.draft && !p.sign
	if p.damage != nil {
		f.damage = p.damage
	}
}

// readyFiles ends what an earlier opener has begun with the files, and makes those
// that are missing.
func (f *Feed) readyFiles(s *found) error {
	if f.opts.ReadOnly {
		return nil
	}
	// A first commit has settled the files. Before it, who made them may have
	// been killed, and nothing of them may be durable.
	f.settled.Store(s.hasJournal && s.journal.seq > 1 && !f.unsynced(s))
	if err := f.finishFinalize(s); err != nil {
		return err
	}
	if err := f.keepSecret(s); err != nil {
		return err
	}
	return f.makeFiles(f.image.PageSize())
}

// blankBits begins the bitfield anew if it has to be, and returns the old one, nil
// if it stays.
func (f *Feed) blankBits(p *plan) (old *bitfield.File) {
	if !p.rebuild && !f.opts.Repair {
		return nil
	}
	old, p.rebuild, p.from = f.image, true, 0
	f.image = bitfield.NewFile(f.image.PageSize())
	f.tree.image = f.image
	return old
}

// takeJournal takes over what the journal says beside the length.
func (f *Feed) takeJournal(s *found, p *plan) {
	c := &p.take
	f.journal, f.bitsLen, f.announced = s.journal, p.from, max(f.announced, s.journal.announced)
	f.links = slices.Clone(s.journal.links)
	if e := s.journal.even; c.hash == s.journal.hash && e.holds(c.length, c.acc.ByteLen()) && !f.opts.Repair {
		f.groups.even = e
	}
}

// completeBits makes the bits that the bitfield does not have yet of what is in the
// other files, and returns how many blocks cannot be read that were not marked before.
// old is what it was before it was begun anew, complete up to synced.
func (f *Feed) completeBits(ctx context.Context, s *found, p *plan, old *bitfield.File, synced uint64) (lost uint64, err error) {
	if p.from >= p.take.length {
		return 0, nil
	}
	w := restorer{from: p.from, doubtful: s.journal.open && !p.rebuild && !f.opts.ReadOnly, was: old}
	if old != nil && !f.opts.Repair { // then what is there counts
		w.old, w.synced = old, synced
	}
	err = f.recoverBits(ctx, &w)
	return w.lost, err
}

// owesMore sees to it that nobody appends where a part of the journal may be lost: what it
// told of was perhaps shown. How much it was nobody knows, one block at least.
func (f *Feed) owesMore(p *plan) {
	switch {
	case p.lacks == nil:
	case f.opts.ReadOnly && f.damage == nil:
		f.damage = p.lacks
	case !f.opts.ReadOnly && f.secret != nil:
		f.announced = max(f.announced, f.acc.Len()+1)
	}
}

// oweCommit notes what the first commit has to write, and to sync, of what was found.
func (f *Feed) oweCommit(s *found, p *plan, foreign bool) error {
	if foreign {
		// Nobody knows what of it is durable: the first commit sees to it.
		f.changes++
		f.touched = touched{true, true, true}
		f.bitsOpen = true
	}
	if f.unsynced(s) {
		f.changes++
		f.touched = touched{true, true, true}
		f.bitsOpen, f.newBits, f.bitsLen = true, true, 0
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
		return f.remakeBitfield()
	}
	return nil
}

// unsynced reports whether all that was found is to be synced once: it was written by
// somebody who never does that (NoSync).
func (f *Feed) unsynced(s *found) bool {
	return s.hasJournal && s.journal.unsynced && f.opts.Durability != NoSync && !f.opts.ReadOnly
}

// unsure reports whether what was found may only be in the cache of the operating
// system. A writer's journal vouches for everything below its length, whether the
// journal itself is durable or not: what it counts was synced before it was
// written. A reader's blocks are vouched for by their bits, which may not be.
func (f *Feed) unsure(s *found, p *plan) bool {
	switch {
	case f.opts.ReadOnly:
		return false
	case !s.hasJournal, p.foreign, p.sign, f.unsynced(s):
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
