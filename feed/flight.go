package feed

import (
	"context"
	"crypto/ed25519"
	"sync"

	"github.com/go-hypercore/hypercore/feed/bitfield"
)

// What may be pending before a flight sets out: memory, and the time the next commit
// takes. With twice as much, those who change the feed wait for it.
const (
	maxPendingBytes = 8 << 20
	maxPendingNodes = 1 << 16
	maxPendingSigs  = 4 << 10
)

// flight is what was pending at one moment, on its way to the files. Writing it
// is the first half of a commit; when much is pending it is written at once, without
// waiting for a sync. Guarded by flushMu.
type flight struct {
	changes uint64 // Feed.changes when it took off
	record  record // of the journal then
	segs    []segment
	runs    []run // of tree
	chunks  []*chunk
	sigs    []sigRecord
	secret  ed25519.PrivateKey // for those that are still to be made, see sign
	entry   []byte             // of the journal, if that is enough; good until the next flight
	after   bool               // the bitfield is written when those who wait have been told
	late    bool               // ... and the pages that have changed are for takeLate
}

// cargo is what the next commit does after its sync. Guarded by flushMu.
type cargo struct {
	pages []run // of bitfield
	bits  bool  // they hold data bits that the journal cannot restore
	order bool  // ... of blocks whose nodes are marked in them as well
	owed  int   // so many flights have left pages that are still to be taken
	due   bool  // it is time to sync them
}

// touched tells which files have writes that were not synced.
type touched struct{ data, tree, signatures bool }

// crowded reports whether more is pending than the bounds times n. mu held.
func (f *Feed) crowded(n int) bool {
	return f.pend.bytes > n*maxPendingBytes || f.tree.count > n*maxPendingNodes || len(f.sigs.recs)-f.sigs.taken > n*maxPendingSigs
}

// relieve has what is pending written if it is much, by a goroutine of its own, so that
// whoever changes the feed can go on. He waits only if it is twice as much.
func (f *Feed) relieve(ctx context.Context) {
	for {
		done, tooMuch := f.unload()
		if !tooMuch {
			return
		}
		select {
		case <-done:
		case <-ctx.Done():
			return
		}
	}
}

// unload sees to it that a flight is under way if much is pending. It returns what is
// closed when that has ended, and whether to wait for it.
func (f *Feed) unload() (done chan struct{}, tooMuch bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.crowded(1) || f.failed != nil || f.closing {
		return nil, false
	}
	if f.unloading == nil {
		f.unloading = make(chan struct{})
		f.loops.Go(f.unloader)
	}
	return f.unloading, f.crowded(2)
}

func (f *Feed) unloader() {
	if f.enter() == nil {
		if err := f.flyCrowded(); err != nil {
			f.fail(err, true) // the blocks are here; the next call tells
		}
		f.leave()
	}
	f.mu.Lock()
	close(f.unloading)
	f.unloading = nil
	f.mu.Unlock()
}

// flyCrowded is fly, unless another was faster.
func (f *Feed) flyCrowded() error {
	f.flushMu.Lock()
	defer f.flushMu.Unlock()
	f.mu.Lock()
	crowded := f.crowded(1)
	f.mu.Unlock()
	if !crowded {
		return nil
	}
	return f.fly()
}

// fly writes everything that is pending: data, nodes, signatures. flushMu is held.
func (f *Feed) fly() error {
	fl, err := f.board(boardFly)
	if err != nil {
		return err
	}
	return f.write(fl)
}

// boarding is what a flight is for.
type boarding uint8

const (
	boardFly    boarding = iota // to write what is pending, without a commit
	boardCommit                 // the first half of a commit
	boardLast                   // ... after which the files are left
)

// bitsDue reports whether a commit of r is to sync the bitfield. commitMu is held.
func (f *Feed) bitsDue(r *record) bool {
	open, d := r.length-f.bitsLen, &f.redo
	return open >= bitsEvery || open >= bitsEvery/2 && d.after != 0 && d.small(r) && d.full(r)
}

// board takes everything that is pending: data, nodes, signatures. For a commit it
// also makes the images of the changed pages of the bitfield, as of the moment
// the flight takes off, so that they promise nothing that is not in it or before
// it. If all that has changed is appended blocks nobody may need to wait for them
// (see commit): then their turn is when the flight has landed (takeLate). flushMu is
// held.
func (f *Feed) board(what boarding) (*flight, error) {
	if err := f.settle(); err != nil {
		return nil, err
	}
	if f.flight != nil { // what could not be written comes first
		if err := f.write(f.flight); err != nil {
			return nil, err
		}
	}
	f.mu.Lock()
	fl := &flight{changes: f.changes, record: f.recordNow(), segs: f.pend.take(), sigs: f.sigs.take(f.treeHash())}
	if n := f.tree.count; n > 0 {
		_, fl.runs, fl.chunks = f.tree.take(make([]byte, 0, n*(nodeSize+nodeSize/4)), nil)
	}
	if what != boardFly {
		f.eager, f.lazy = false, lazy{}
		f.cargo.bits = f.cargo.bits || f.newBits
		f.cargo.order = f.cargo.order || f.newBlocks
		f.newBits, f.newBlocks = false, false
		c := &f.cargo
		c.due = f.bitsDue(&fl.record)
		fl.after = what == boardCommit && f.opts.Durability != AnnounceDurable && !c.bits && !c.order && len(c.pages) == 0
		if fl.late = fl.after && !c.due && c.owed < lateFlights; !fl.late {
			c.pages = takePages(c.pages, f.image)
		}
		f.hidden.takeOff()
	}
	fl.secret = f.secret
	keeps := f.keeps
	f.mu.Unlock()

	if what == boardCommit {
		if !keeps {
			f.sign(fl)
		}
		fl.entry = f.entryFor(fl)
	}
	return fl, nil
}

// sign makes the signatures of a flight that are missing. flushMu is held.
func (f *Feed) sign(fl *flight) {
	if sign(fl.secret, fl.sigs) {
		f.mu.Lock()
		f.sigs.signed(fl.sigs)
		f.mu.Unlock()
	}
}

// signFlight is sign for a flight that has taken off, which others may write.
func (f *Feed) signFlight(fl *flight) {
	f.flushMu.Lock()
	defer f.flushMu.Unlock()
	f.sign(fl)
}

// takeLate makes the images of the changed pages for a flight that was late and has
// landed. If more has changed since, the pages would promise it, and if somebody is
// about to change more they can wait for him: then they are owed to a later commit.
func (f *Feed) takeLate(fl *flight, load *cargo) (ok bool) {
	f.flushMu.Lock()
	defer f.flushMu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if ok = f.changes == fl.changes && len(f.joints) == 0; ok {
		load.pages = takePages(nil, f.image)
		f.cargo.owed = 0
	}
	return ok
}

// settle makes new files durable, with the keys and the journal. It comes before
// the first byte of content: otherwise a crash could leave content without the
// key, or without a journal that says that it does not count.
func (f *Feed) settle() error {
	if f.settled.Load() {
		return nil
	}
	f.settling.Lock()
	defer f.settling.Unlock()
	if f.settled.Load() {
		return nil
	}
	if err := f.settleFiles(); err != nil {
		return f.fail(err, true)
	}
	f.settled.Store(true)
	return nil
}

func (f *Feed) settleFiles() error {
	if f.opts.Durability == NoSync {
		return nil
	}
	if r := f.journal; r.seq > 0 {
		if err := f.writeJournal(&r); err != nil {
			return err
		}
	}
	if err := f.files.journal.Sync(); err != nil {
		return f.fileError("sync", journalName, err)
	}
	if f.secret != nil {
		if err := f.keepSmall(secretName, f.secret); err != nil {
			return err
		}
	}
	if err := f.keepSmall(keyName, f.key[:]); err != nil {
		return err
	}
	return f.syncDirectory()
}

// pageBufs are for runs of one page, of which each commit of an append has one. A new
// one costs as much as all the rest of the image.
var pageBufs = sync.Pool{New: func() any { return new([bitfield.PageSize]byte) }}

// takePages appends the images of the changed pages, neighbours in one piece.
func takePages(runs []run, image *bitfield.File) []run {
	next := ^uint64(0)
	image.Take(func(p uint64) {
		if p != next {
			buf := pageBufs.Get().(*[bitfield.PageSize]byte)
			runs = append(runs, run{off: headerSize + int64(p)*int64(image.PageSize()), buf: buf[:0]})
		}
		r := &runs[len(runs)-1]
		r.buf = image.Page(p, r.buf)
		next = p + 1
	})
	return runs
}

// write signs and writes a flight, and tells the caches. If it fails the flight is kept
// and written again by the next one. The order of the writes does not matter:
// nothing counts before the journal says so.
func (f *Feed) write(fl *flight) error {
	f.flight = fl
	f.sign(fl)
	if err := f.writeFiles(fl); err != nil {
		return err
	}
	f.flight = nil

	f.mu.Lock()
	defer f.mu.Unlock()
	f.touched.data = f.touched.data || len(fl.segs) > 0
	f.touched.tree = f.touched.tree || len(fl.runs) > 0
	f.touched.signatures = f.touched.signatures || len(fl.sigs) > 0
	f.pend.landed()
	f.tree.done(fl.chunks)
	f.sigs.landed(fl.sigs)
	return nil
}

func (f *Feed) writeFiles(fl *flight) error {
	for _, s := range fl.segs {
		if err := f.writeAt(dataName, f.files.data, *s.buf, int64(s.off)); err != nil {
			return err
		}
	}
	for _, r := range fl.runs {
		if err := f.writeAt(treeName, f.files.tree, r.buf, r.off); err != nil {
			return err
		}
	}
	for _, r := range sigRuns(fl.sigs, nil) {
		if err := f.writeAt(signaturesName, f.files.signatures, r.buf, r.off); err != nil {
			return err
		}
	}
	return nil
}
