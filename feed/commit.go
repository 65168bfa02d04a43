package feed

import (
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/go-hypercore/hypercore/feed/bitfield"
	"github.com/go-hypercore/hypercore/store"
)

// bitsEvery is the number of appended blocks after which the bitfield is synced,
// which bounds what recovery has to look at. A commit that writes a slot for another
// reason does it after half of them.
const bitsEvery = 1 << 14

// lateFlights is for how many flights in a row the pages of the bitfield may be late.
const lateFlights = 16

// retryAfter is how long a failed write is not tried again by calls that change
// the feed; Sync always tries.
const retryAfter = time.Second

// commit makes everything durable that is pending now, in this order:
//
//  1. data, nodes and signatures are written (fly)
//  2. data, tree and signatures are synced
//  3. the journal slot that is not the newest is written and synced
//  4. the changed pages of the bitfield are written
//  5. waiters are told, and peers (Replicator.Available)
//
// The commit point is the end of 3. What a crash leaves:
//
//   - During 1 or 2: any mixture of old and new bytes beyond the length of the
//     newest journal slot. Everything below that length is as it was, because
//     nodes, signatures and data below it are never changed: a parent that
//     completes only now is a new node. Open starts at the journal's length,
//     takes further signatures only if the blocks read back hash to what is
//     signed, and clears what lies beyond. Nothing of it was announced.
//   - During 3: the slot being written is torn or old; then the other one counts,
//     and it is the case above. It is never half believed: it carries a checksum.
//   - After 3: the length counts. Open finds the bits that 4 did not get to write
//     by reading back what lies beyond the length up to which the bitfield was
//     synced. Data bits that were written are true, whichever sectors of a page
//     made it: blocks become durable in 2, before their bits are written, and Clear
//     syncs the bitfield before it gives the space of a block back.
//   - Downloads of a length that is committed already change only 1, 2 and 4: a
//     block whose bit is missing is fetched again. For them the bitfield is synced
//     in 4, so that Sync means what it says, and in two steps, first the tree bits,
//     then the data bits: a page that is torn in the middle, or one page of two,
//     never marks a block without the nodes that prove it.
//   - Of appended blocks 5 comes before 4 unless Durability is AnnounceDurable: Open
//     finds their bits as after 3. With AnnounceDurable JavaScript, too, finds in
//     the files of a process that was killed what peers have been told.
//   - A small commit has an entry in the journal instead of 2 and 3 (redo.go), and
//     the sync of that is its commit point. Before it, the entry is torn and what
//     was written is as during 1. After it Open appends what the entries hold, and
//     signs it, whatever the other files have of it, so 1 goes on meanwhile and 5 comes
//     before 4: all are written and synced before the next slot is, and only then
//     the room of the entries is used again. With AnnounceDurable 1 and 4 come before
//     5, unsynced. A feed at rest writes a slot before long.
//
// A failed write is kept and tried again; a failed sync makes the feed read only
// until it is opened anew, when recovery writes again whatever it takes over.
func (f *Feed) commit(final bool) (err error) {
	if err := f.enter(); err != nil {
		return err
	}
	f.commitMu.Lock()
	defer f.commitMu.Unlock()
	defer f.leave() // before others have commitMu, see ownCalls
	if f.files.closed {
		return ErrClosed
	}
	if err := f.stuck(); err != nil {
		return err
	}
	start := time.Now()
	if ferr := f.keepFrozen(); ferr != nil {
		defer func() {
			if err == nil {
				err = ferr
			}
		}()
	}
	fl, load, err := f.takeOff(final)
	if err != nil {
		return f.fail(err, true)
	}
	if fl.entry != nil {
		return f.commitSmall(fl, load, start)
	}
	if err := f.sync(); err != nil { // 2
		return f.fail(err, false)
	}
	err = f.commitJournal(fl.record, final && !f.bitsOpen && len(load.pages) == 0) // 3
	if err != nil {
		f.putBack(load)
		return err
	}
	// The commit point: the length counts.
	return f.land(fl, load, final, start)
}

// land is what comes after the commit point, 4 and 5 in the order of the flight.
func (f *Feed) land(fl *flight, load cargo, final bool, start time.Time) error {
	if !fl.after {
		if err := f.commitBits(fl.record, load, final); err != nil { // 4
			return err
		}
	}
	if final {
		f.dropEntries()
	}
	// Waiters are told before pages are written that Open does not need: then they are
	// back with the next blocks when this goroutine is.
	f.report(fl, start) // 5
	if !fl.after || fl.late && !f.takeLate(fl, &load) {
		return nil
	}
	return f.commitBits(fl.record, load, false)
}

// commitSmall is commit for a flight that has an entry in the journal. Where that is
// synced, the flight is signed and the other files are written meanwhile; where it is
// not, peers hear of the blocks as soon as the entry is written and the signature made,
// and Sync waits for the others.
func (f *Feed) commitSmall(fl *flight, load cargo, start time.Time) error {
	written := make(chan error, 1)
	write := func() { written <- f.writeFlight(fl) }
	var err error
	if f.opts.Durability == NoSync {
		if err = f.commitEntry(fl); err == nil { // instead of 2 and 3
			f.signFlight(fl)
			f.showEarly(fl)
		}
		write()
	} else {
		go write()
		err = f.commitEntry(fl)
	}
	if werr := <-written; werr != nil {
		f.redo.after = 0 // what the entry holds is in no file yet: a slot comes next
		if err == nil {
			err = f.fail(werr, true)
		}
	}
	if err != nil {
		f.putBack(load)
		return err
	}
	return f.land(fl, load, false, start)
}

// stuck returns the failure after which nothing is written any more.
func (f *Feed) stuck() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed != nil && !f.retry {
		return f.failed
	}
	return nil
}

// takeOff is step 1. A flight that has an entry for the journal is still to be
// written, by writeFlight.
func (f *Feed) takeOff(final bool) (*flight, cargo, error) {
	what := boardCommit
	if final {
		what = boardLast
	}
	f.flushMu.Lock()
	defer f.flushMu.Unlock()
	fl, err := f.board(what)
	if err == nil && fl.entry != nil {
		f.flight = fl // whoever takes off next writes it, if writeFlight was not there before
	} else if err == nil {
		err = f.write(fl)
	}
	if err != nil {
		return nil, cargo{}, err
	}
	load := f.cargo
	f.cargo = cargo{}
	if fl.late {
		f.cargo.owed = load.owed + 1
	}
	return fl, load, nil
}

// writeFlight writes a flight if nobody has done it yet.
func (f *Feed) writeFlight(fl *flight) error {
	f.flushMu.Lock()
	defer f.flushMu.Unlock()
	if f.flight != fl {
		return nil
	}
	return f.write(fl)
}

// putBack keeps what a commit could not do for the next one.
func (f *Feed) putBack(load cargo) {
	f.flushMu.Lock()
	defer f.flushMu.Unlock()
	f.cargo.pages = append(load.pages, f.cargo.pages...) // the later image wins
	f.cargo.bits = f.cargo.bits || load.bits
	f.cargo.order = f.cargo.order || load.order
}

// sync is step 2: what was written before is durable when it returns.
func (f *Feed) sync() error {
	f.mu.Lock()
	t := f.touched
	f.touched = touched{}
	f.mu.Unlock()
	if f.opts.Durability == NoSync {
		return nil
	}
	type job struct {
		name string
		file store.File
	}
	var jobs []job
	for _, j := range []struct {
		due bool
		job
	}{
		{t.data, job{dataName, f.files.data}},
		{t.tree, job{treeName, f.files.tree}},
		{t.signatures, job{signaturesName, f.files.signatures}},
	} {
		if j.due {
			jobs = append(jobs, j.job)
		}
	}
	errs := make([]error, len(jobs))
	var wg sync.WaitGroup
	for i, j := range jobs[min(1, len(jobs)):] {
		wg.Go(func() { errs[i+1] = j.file.Sync() })
	}
	if len(jobs) > 0 {
		errs[0] = jobs[0].file.Sync()
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			return f.fileError("sync", jobs[i].name, err)
		}
	}
	return nil
}

// recordNow returns what the journal has to say about the feed as it is. mu
// held.
func (f *Feed) recordNow() record {
	r := record{
		length: f.acc.Len(), byteLen: f.acc.ByteLen(), key: f.key, hash: f.treeHash(),
		unfinished: f.draft, links: slices.Clone(f.links), identity: f.identity, even: f.groups.even,
	}
	r.announced = max(r.length, f.announced)
	r.unsigned = f.unsigned && f.secret != nil
	return r
}

// commitJournal is step 3. allBits tells that the whole bitfield is durable, and
// that this is the last commit.
func (f *Feed) commitJournal(r record, allBits bool) error {
	if r.unsigned {
		// A writer takes what its journal says for signed, and signs it again.
		// Nothing has vouched for this.
		return nil
	}
	r.bits, r.open, r.unsynced = f.bitsLen, !allBits, f.opts.Durability == NoSync
	if allBits {
		r.bits = r.length
	}
	old := f.journal
	r.seq = old.seq
	if old.seq > 0 && !f.doubtful && r.says(old) {
		return nil
	}
	r.seq++
	if err := f.writeJournal(&r); err != nil {
		return f.fail(err, true)
	}
	if f.opts.Durability != NoSync {
		if err := f.files.journal.Sync(); err != nil {
			return f.fail(f.fileError("sync", journalName, err), false)
		}
	}
	f.journal, f.doubtful = r, false
	f.redo.restart(&r)
	return nil
}

// commitBits is step 4.
func (f *Feed) commitBits(r record, load cargo, final bool) error {
	if load.order && f.opts.Durability != NoSync {
		if err := f.commitTreeBits(load); err != nil {
			return err
		}
	}
	for _, p := range load.pages {
		f.bitsOpen = true
		if err := f.writeAt(bitfieldName, f.files.bitfield, p.buf, p.off); err != nil {
			f.putBack(load)
			return f.fail(err, true)
		}
	}
	for _, p := range load.pages {
		if cap(p.buf) == bitfield.PageSize {
			pageBufs.Put((*[bitfield.PageSize]byte)(p.buf[:bitfield.PageSize]))
		}
	}
	if !f.bitsOpen || !(load.bits || final || load.due) {
		return nil
	}
	if err := f.syncBits(); err != nil {
		return err
	}
	f.bitsOpen, f.bitsLen = false, r.length
	if final {
		return f.commitJournal(r, true)
	}
	return nil
}

// commitTreeBits writes the tree bits of pages whose data bits are still the old
// ones.
func (f *Feed) commitTreeBits(load cargo) error {
	size := f.image.PageSize() // constant
	for _, p := range load.pages {
		for at := 0; at < len(p.buf); at += size {
			f.bitsOpen = true
			lo := at + bitfield.TreeOffset
			if err := f.writeAt(bitfieldName, f.files.bitfield, p.buf[lo:lo+bitfield.TreeBytes], p.off+int64(lo)); err != nil {
				f.putBack(load)
				return f.fail(err, true)
			}
		}
	}
	return f.syncBits()
}

func (f *Feed) syncBits() error {
	if f.opts.Durability == NoSync {
		return nil
	}
	if err := f.files.bitfield.Sync(); err != nil {
		return f.fail(f.fileError("sync", bitfieldName, err), false)
	}
	return nil
}

// report is step 5.
func (f *Feed) report(fl *flight, start time.Time) {
	f.landed(fl, start)
	f.handOver()
}

// showEarly is the part of step 5 that is for peers.
func (f *Feed) showEarly(fl *flight) {
	f.mu.Lock()
	f.show(fl.record.length)
	f.mu.Unlock()
	f.handOver()
}

// handOver lets those who are told go on before what is left of the commit.
func (f *Feed) handOver() {
	f.dispatch()
	runtime.Gosched()
}

// show lets peers see a length. mu held.
func (f *Feed) show(length uint64) {
	from := f.durable
	f.durable = max(from, length)
	f.reveal(from, length)
	if length > from {
		f.emit(Synced{Length: length})
	}
}

// landed tells those who wait, and takes back a failure that the commit, which began
// at start, has come after.
func (f *Feed) landed(fl *flight, start time.Time) {
	f.mu.Lock()
	if f.failed != nil && !f.failedAt.After(start) {
		f.failed, f.retry = nil, false
		f.emit(Resumed{})
	}
	f.committed = fl.changes
	f.owes = fl.entry != nil && f.opts.Durability != NoSync
	f.show(fl.record.length)
	before := f.waiting()
	done := f.finished(nil)
	now := time.Now()
	f.waited, f.took, f.landedAt = before, now.Sub(start), now
	f.mu.Unlock()
	// Not under the lock: that is what they are going to need.
	for _, w := range done {
		w.done <- nil
	}
}
