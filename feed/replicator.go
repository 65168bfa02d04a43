package feed

import "github.com/go-hypercore/hypercore/feed/bitfield"

// Replicator fetches for a feed and serves it. Its methods are called one after
// the other, in the order of the events. They may ask the feed. Close, which waits for
// them, and what changes the feed they leave to another goroutine: whoever brings the
// news may be in the middle of a change, and another would wait for it. They must not
// block.
type Replicator interface {
	// DemandChanged: Demand is different from what it was.
	DemandChanged()
	// Available: blocks start to end-1 may be announced and are served. They are
	// durable.
	Available(start, end uint64)
	// Cleared: blocks start to end-1 are not here any more.
	Cleared(start, end uint64)
	// KnownLen returns the longest length that a peer has announced and that is
	// believed, 0 if none. It becomes less when peers leave, take it back, or do not
	// prove it; that is told by ReportPeer. It may be called at any time, from any
	// goroutine.
	KnownLen() uint64
	// FeedClosed: the feed is closed; cause is what Close has found, nil if nothing.
	// Nothing is called after it.
	FeedClosed(cause error)
}

// noteKind tells which method a note is for.
type noteKind uint8

const (
	noteAvailable noteKind = iota
	noteCleared
	noteClosed
)

// note is a call of the Replicator that is due. Of the blocks of one commit, which
// may be many runs, a set is kept, so that a slow Replicator costs no more than it.
type note struct {
	kind       noteKind
	start, end uint64         // if set is nil
	set        *bitfield.Bits // of blocks that are available
	err        error
}

// add adds blocks to a note of the same kind; false if it takes another one.
func (n *note) add(start, end uint64) bool {
	switch {
	case n.set != nil:
	case n.end == start:
		n.end = end
		return true
	case n.kind != noteAvailable:
		return false
	default:
		n.set = new(bitfield.Bits)
		n.set.SetRange(n.start, n.end, true)
	}
	n.set.SetRange(start, end, true)
	return true
}

// call makes the call.
func (n *note) call(r Replicator) {
	switch n.kind {
	case noteAvailable:
		if n.set == nil {
			r.Available(n.start, n.end)
			return
		}
		for start, ok := n.set.NextSet(0); ok; start, ok = n.set.NextSet(start) {
			end := n.set.NextClear(start)
			r.Available(start, end)
			start = end
		}
	case noteCleared:
		r.Cleared(n.start, n.end)
	case noteClosed:
		r.FeedClosed(n.err)
	}
}

// Attach makes r the feed's Replicator. Another one must have been detached
// before. After detach has returned no call starts; one may still be running.
func (f *Feed) Attach(r Replicator) (detach func(), err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.usable(); err != nil {
		return nil, err
	}
	if f.repl != nil {
		return nil, ErrReplicator
	}
	f.repl = r
	f.outbox = nil
	f.demand = false
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.repl == r {
			f.repl, f.outbox, f.audience = nil, nil, false
		}
	}, nil
}

// RemoteLen returns the longest length that connected peers have announced and that is
// believed, 0 if there is none. It may be less than Len. Update proves a greater one.
// (remoteLength of npm hypercore)
func (f *Feed) RemoteLen() uint64 { return f.knownLen() }

// knownLen asks the Replicator.
func (f *Feed) knownLen() uint64 {
	f.mu.Lock()
	r := f.repl
	f.mu.Unlock()
	if r == nil {
		return 0
	}
	return r.KnownLen()
}

// announce tells peers that those of blocks start to end-1 that are here and not
// hidden can be had. mu held.
func (f *Feed) announce(start, end uint64) {
	if f.repl == nil {
		return
	}
	for from := f.nextShown(start); from < end; from = f.nextShown(start) {
		start = min(end, f.nextUnshown(from))
		f.note(note{kind: noteAvailable, start: from, end: start})
	}
}

// note queues a call, merged with the one before if it can be. mu held.
func (f *Feed) note(n note) {
	if f.repl == nil {
		return
	}
	if k := len(f.outbox); k > 0 && n.kind != noteClosed {
		if last := &f.outbox[k-1]; last.kind == n.kind && last.add(n.start, n.end) {
			return
		}
	}
	f.outbox = append(f.outbox, n)
}

// dispatch makes the calls that are due. Only one goroutine does at a time, so
// that they stay in order; what comes up meanwhile it does too. Close waits for it.
func (f *Feed) dispatch() {
	f.mu.Lock()
	if f.draining {
		f.mu.Unlock()
		return
	}
	f.draining = true
	for f.repl != nil && (f.demand || len(f.outbox) > 0) {
		r, demand, notes := f.repl, f.demand, f.outbox
		f.demand, f.outbox = false, nil
		f.mu.Unlock()
		for i := range notes {
			notes[i].call(r)
		}
		if demand {
			r.DemandChanged()
		}
		f.mu.Lock()
	}
	f.demand = false
	f.draining = false
	if f.drained != nil {
		close(f.drained)
		f.drained = nil
	}
	f.mu.Unlock()
}
