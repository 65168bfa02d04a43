package feed

import (
	"context"
	"slices"

	"github.com/go-hypercore/hypercore/feed/bitfield"
)

// renew loads the feed as an Open would, because another program has written the
// directory while it was parked, or may have. What is waited for, who watches and
// who replicates stays. parking is held and nobody is inside.
func (f *Feed) renew() error {
	g := newFeed(f.st, f.renewOptions())
	g.files = f.files
	err := g.open(context.Background())
	f.files = g.files // with those it has opened
	var fork *ForkError
	if err == nil {
		fork, err = f.otherHistory(g)
	}
	if err != nil {
		g.files = files{}
		g.letGo()
		return err
	}
	f.commitMu.Lock()
	f.mu.Lock()
	if fork != nil {
		g.frozen = fork
		f.emit(Forked{Evidence: fork.Evidence})
	}
	old, from := f.image, f.acc.Len()
	f.become(g)
	f.tell(&old.Data, from)
	if f.stopped() != nil {
		f.finish()
	}
	if f.eager || f.durable < f.acc.Len() {
		f.kick() // as after Open
	}
	f.mu.Unlock()
	f.commitMu.Unlock()
	if fork != nil {
		f.keepFork(fork)
	}
	return nil
}

// renewOptions are the options of the Open, with what became known since.
func (f *Feed) renewOptions() Options {
	f.mu.Lock()
	defer f.mu.Unlock()
	o := f.opts
	o.Key, o.MustExist, o.Overwrite, o.Repair, o.Static = f.key, true, false, false, false
	// What was announced stays announced, whatever is in the directory now. A
	// KnownLength that was taken over from (TakeOver) is settled.
	o.KnownLength = max(f.announced, f.durable, f.behind)
	if o.DiscardSecretKey {
		o.SecretKey = f.secret
	}
	return o
}

// otherHistory returns the evidence if what is in the directory now is not a
// continuation of what was: then the writer has signed two histories. It fails if
// that cannot be shown to others.
func (f *Feed) otherHistory(g *Feed) (*ForkError, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	length := f.acc.Len()
	if g.draft {
		return nil, f.corrupt(keyName, 0, "it was there when the feed was parked")
	}
	if length == 0 || g.acc.Len() < length || f.frozen != nil || g.frozen != nil {
		return nil, nil
	}
	roots, err := g.rootsAt(length)
	if err != nil {
		return nil, nil // a reader's: Demand.Links asks for what is not known
	}
	ours := slices.Clone(f.acc.Roots())
	for i, r := range roots {
		if r == ours[i] {
			continue
		}
		e := &ForkError{Evidence: ForkEvidence{
			Key:    f.key,
			Ours:   ForkSide{Length: length, Roots: ours, Signature: f.berth.signature, Node: ours[i]},
			Theirs: ForkSide{Length: g.acc.Len(), Roots: slices.Clone(g.acc.Roots()), Signature: g.lastSignature(), Node: r},
		}}
		e.Evidence.Theirs.Path = climb(r.Index, e.Evidence.Theirs.Roots, g.tree.get)
		if err := e.Evidence.Verify(); err != nil {
			return nil, f.corrupt(treeName, nodeOffset(r.Index), "it is not a continuation of the %d blocks that were here when the feed was parked: %v", length, err)
		}
		return e, nil
	}
	return nil, nil
}

// lastSignature returns the signature of the whole length, if it is in memory. mu
// held, or nobody else has the feed.
func (f *Feed) lastSignature() []byte {
	sig, ok, _, err := f.sigs.at(f.acc.Len())
	if err != nil || !ok {
		return nil
	}
	return sig[:]
}

// become takes over everything that an Open finds. Whoever adds a field to Feed
// decides here whether it is among it; a test asks. commitMu and mu are held.
func (f *Feed) become(g *Feed) {
	f.journal, f.doubtful, f.bitsOpen, f.bitsLen = g.journal, g.doubtful, g.bitsOpen, g.bitsLen
	f.settled.Store(g.settled.Load())
	f.flight, f.cargo, f.redo, f.hidden = g.flight, g.cargo, g.redo, g.hidden

	f.secret, f.keeps, f.acc, f.hash, f.static, f.draft, f.unsigned = g.secret, g.keeps, g.acc, g.hash, g.static, g.draft, g.unsigned
	f.image, f.tree, f.sigs, f.links, f.memo, f.groups = g.image, g.tree, g.sigs, g.links, g.memo, g.groups

	f.changes, f.committed = f.changes+g.changes, f.changes+g.committed
	if f.announced = max(f.announced, g.announced); f.secret != nil {
		f.announced = max(f.announced, f.durable)
	}
	f.pend, f.durable, f.identity = g.pend, g.durable, g.identity
	f.eager, f.lazy, f.newBits, f.newBlocks, f.touched = g.eager, g.lazy, g.newBits, g.newBlocks, g.touched

	f.damage, f.behind, f.other, f.repair, f.stale = g.damage, g.behind, g.other, g.repair, g.stale
	if f.frozen == nil {
		f.frozen = g.frozen
	}
}

// tell tells everyone what is different from the blocks that were here before. mu
// held.
func (f *Feed) tell(old *bitfield.Bits, from uint64) {
	f.tree.trim()
	changed := f.acc.Len() != from
	eachNotIn(old, &f.image.Data, func(start, end uint64) {
		changed = true
		f.note(note{kind: noteCleared, start: start, end: end})
	})
	eachNotIn(&f.image.Data, old, func(start, end uint64) {
		changed = true
		f.announce(start, min(end, f.limit()))
		f.woke(start, end)
	})
	if !changed {
		return
	}
	f.emit(Reloaded{From: from, Length: f.acc.Len()})
	f.demandChanged()
	f.progressed()
	if f.acc.Len() > from {
		f.lengthened()
	}
	if len(f.seeks) > 0 {
		f.reseek()
	}
}

// eachNotIn calls fn for each run of bits that are set in a and clear in b.
func eachNotIn(a, b *bitfield.Bits, fn func(start, end uint64)) {
	for i, ok := a.NextSetNotIn(b, 0); ok; i, ok = a.NextSetNotIn(b, i) {
		end := a.NextClear(i)
		if next, ok := b.NextSet(i); ok {
			end = min(end, next)
		}
		fn(i, end)
		i = end
	}
}
