package feed

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-hypercore/hypercore/feed/merkle"
)

// maxBatch is the number of proofs that are verified without letting go of the
// lock: readers wait that long, below a millisecond.
const maxBatch = 128

// applyState is what Apply needs again and again. Guarded by wmu.
type applyState struct {
	verifier merkle.Verifier
	result   merkle.Result
	placed   []placed
	join     []byte
}

// placed is a value that was verified, and where it belongs.
type placed struct {
	index, off uint64
	value      []byte
}

// Apply is the one door for blocks and nodes from elsewhere: it verifies each
// proof up to a node that is held or to roots that the writer signed, and stores
// what it proves. Values are borrowed until it returns. The proofs are applied in
// order, each may build on those before; n of them were applied before an error,
// which belongs to proof n. Blocks that are here already are not written again.
//
// The fault is the sender's if the error is ErrInvalidProof (a *ProofError), and
// only then; if the sender was told by a digest to leave nodes out, it may also
// hold another history than we do: asked again with digest 0 it shows the
// signature. ErrFork says that it did, and the writer signed both: the feed is
// frozen. ErrUnlinked is nobody's fault. Everything else is ours.
//
// It is safe to call from several goroutines: hashing runs at the same time,
// verification and writing one after the other.
func (f *Feed) Apply(ctx context.Context, batch []Proof) (n int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := f.tryAgain(false); err != nil {
		return 0, err
	}
	hashed := leaves(len(batch))
	defer leafPool.Put(hashed)
	hashValues(*hashed, batch)

	for n < len(batch) && err == nil {
		end := min(n+maxBatch, len(batch))
		var k int
		f.wmu.Lock()
		k, err = f.applySome(batch[n:end], (*hashed)[n:end])
		f.wmu.Unlock()
		n += k
		f.dispatch()
		if err == nil {
			err = ctx.Err()
		}
	}
	if err == nil {
		if err := f.relieve(); err != nil {
			f.fail(err, true)
		}
	}
	return n, err
}

// hashValues computes the leaves of the values.
func hashValues(nodes []merkle.Node, batch []Proof) {
	total := 0
	for i := range batch {
		total += len(batch[i].Value)
	}
	leaf := func(i int) {
		if p := &batch[i]; p.Value != nil && p.Index < merkle.MaxLength {
			nodes[i] = merkle.Leaf(p.Index, p.Value)
		}
	}
	grain := len(batch)
	if total >= parallelBytes {
		grain = max(1, len(batch)*(parallelBytes/2)/total)
	}
	parallel(len(batch), grain, leaf)
}

// applySome verifies, writes and accounts for a part of a batch. wmu is held.
func (f *Feed) applySome(batch []Proof, hashed []merkle.Node) (n int, err error) {
	a := &f.apply
	a.placed = a.placed[:0]

	f.mu.Lock()
	before, nodes := f.acc.Len(), f.tree.count
	if err = f.changeable(); err == nil && f.draft {
		err = fmt.Errorf("%w: not finalized", ErrStatic)
	}
	for n < len(batch) && err == nil {
		if err = f.verify(&batch[n], &hashed[n]); err == nil {
			n++
		}
	}
	if f.acc.Len() > before || f.tree.count > nodes {
		f.downloaded(0)
	}
	if f.acc.Len() > before {
		f.lengthened()
	}
	if len(f.seeks) > 0 {
		f.reseek()
	}
	f.mu.Unlock()

	var fork *ForkError
	if errors.As(err, &fork) {
		f.keepFork(fork)
	}
	if werr := f.writePlaced(); werr != nil {
		return 0, werr
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.place()
	return n, err
}

// verify checks one proof and stores its nodes. The value is put on the list of
// those to be written. mu held.
func (f *Feed) verify(p *Proof, leaf *merkle.Node) error {
	a := &f.apply
	if p.Index >= MaxLength {
		return &ProofError{Index: p.Index, Reason: fmt.Sprintf("feeds have at most %d blocks here", uint64(MaxLength))}
	}
	if len(p.Value) > maxValue {
		return &ProofError{Index: p.Index, Reason: fmt.Sprintf("a block of %d bytes", len(p.Value))}
	}
	if p.Signature != nil && len(p.Signature) != sigSize {
		return &ProofError{Index: p.Index, Reason: fmt.Sprintf("a signature of %d bytes", len(p.Signature))}
	}
	mp := merkle.Proof{Block: p.Index, Nodes: p.Nodes}
	if p.Value != nil {
		mp.Leaf = leaf
	}
	a.verifier.Length = f.acc.Len()
	res := &a.result
	err := a.verifier.Verify(mp, res)
	if rerr := f.tree.takeErr(); rerr != nil {
		return f.nodeError(rerr)
	}
	if err != nil {
		return &ProofError{Index: p.Index, Reason: "it does not add up", Err: err}
	}
	if !res.Trusted {
		if err := f.upgrade(p, res); err != nil {
			return err
		}
	} else {
		if c := res.Conflict; c != nil && !c.SizeOnly() {
			if err := f.contradicted(p, res); err != nil {
				return err
			}
		}
		f.store(res.Store)
		if res.Surplus > 0 && p.Signature != nil {
			if err := f.verifyThrough(p, mp); err != nil {
				return err
			}
		}
	}
	if len(f.links) > 0 {
		f.closeLinks()
	}
	if p.Value == nil {
		f.hinted(p.Index)
		return nil
	}
	return f.reserve(p)
}

// maxValue is the size of the largest block that is taken from a peer: what fits
// in a frame.
const maxValue = 8 << 20

// held is the Verifier's view of the tree. mu held.
func (f *Feed) held(n uint64) (merkle.Node, bool) { return f.tree.get(n) }

// store adds nodes to the tree. mu held.
func (f *Feed) store(list []merkle.Node) {
	for i := range list {
		f.tree.set(&list[i])
	}
}

// verifyThrough looks at what a trusted proof brought beyond what it needed: the
// roots and the signature of a length that may be greater, or may contradict.
func (f *Feed) verifyThrough(p *Proof, mp merkle.Proof) error {
	mp.Through = true
	err := f.apply.verifier.Verify(mp, &f.apply.result)
	if rerr := f.tree.takeErr(); rerr != nil {
		return f.nodeError(rerr)
	}
	if err != nil || f.apply.result.Trusted {
		return nil // the block is trusted anyway
	}
	err = f.upgrade(p, &f.apply.result)
	if errors.Is(err, ErrInvalidProof) || errors.Is(err, ErrUnlinked) {
		return nil
	}
	return err
}

// upgrade takes a proof that ends at the roots of a signed length. mu held.
func (f *Feed) upgrade(p *Proof, res *merkle.Result) error {
	if res.Length > MaxLength {
		return &ProofError{Index: p.Index, Reason: fmt.Sprintf("length %d; feeds have at most %d blocks here", res.Length, uint64(MaxLength))}
	}
	// A signature is checked once for each length.
	known := res.Length == f.acc.Len() && res.TreeHash == f.hash && res.Length > 0 && !f.unsigned
	static := false
	if !known {
		switch {
		case res.TreeHash == merkle.Hash(f.key) && (f.static || f.acc.Len() == 0):
			static = true
		case f.static || p.Signature == nil:
			return &ProofError{Index: p.Index, Reason: "the roots are not signed, nor are they the key"}
		case !verifySignature(f.key, res.TreeHash, res.Length, p.Signature):
			return &ProofError{Index: p.Index, Reason: fmt.Sprintf("the signature of length %d is not the writer's", res.Length)}
		}
	}
	if c := res.Conflict; c != nil && !c.SizeOnly() {
		if err := f.forked(p, res, known); err != nil {
			return err
		}
	}
	old := f.acc.Len()
	if len(res.Unproven) > 0 && !f.addLink(min(old, res.Length)) {
		return fmt.Errorf("%w: length %d, and %d more lengths", ErrUnlinked, res.Length, len(f.links))
	}
	f.store(res.Store)
	if known {
		return nil
	}
	if static {
		f.static = true
	} else if res.Length >= old || len(res.Unproven) > 0 && !f.signedAt(res.Length) {
		f.sigs.add(sigRecord{length: res.Length, hash: res.TreeHash, sig: [sigSize]byte(p.Signature), signed: true})
	}
	switch {
	case res.Length > old:
		acc, err := merkle.NewAccumulator(res.Roots)
		if err != nil {
			return &ProofError{Index: p.Index, Reason: "its roots are not the roots of a feed", Err: err}
		}
		f.acc, f.hash, f.unsigned = acc, res.TreeHash, false
		if f.secret != nil {
			// Signed with our key, but not here: this is not the newest copy.
			f.behind = max(f.behind, res.Length)
		}
		f.emit(Extended{From: old, Length: res.Length})
	case res.Length == old:
		f.unsigned = false
	}
	f.newBits, f.newBlocks = true, true
	return nil
}

// signedAt reports whether the signature of a length is here. mu held.
func (f *Feed) signedAt(length uint64) bool {
	_, ok, err := f.signatureAt(length)
	return ok && err == nil
}

// reserve finds the place of a verified value. mu held.
func (f *Feed) reserve(p *Proof) error {
	if f.image.Data.Get(p.Index) {
		f.stats.duplicates++
		return nil
	}
	off, err := f.offset(p.Index)
	if err != nil {
		return err
	}
	f.apply.placed = append(f.apply.placed, placed{p.Index, off, p.Value})
	f.memo = memo{p.Index + 1, off + uint64(len(p.Value)), true}
	return nil
}

// joinBytes is the size up to which neighbouring values are written together.
const joinBytes = 256 << 10

// writePlaced writes the values, neighbours together. Nothing says that they are
// here until place.
func (f *Feed) writePlaced() error {
	a := &f.apply
	if len(a.placed) == 0 {
		return nil
	}
	if err := f.settle(); err != nil {
		return f.fail(err, false)
	}
	buf, at := a.join[:0], uint64(0)
	flush := func() error {
		if len(buf) == 0 {
			return nil
		}
		err := f.writeAt(dataName, f.files.data, buf, int64(at))
		buf = buf[:0]
		return err
	}
	var err error
	for i := range a.placed {
		v := &a.placed[i]
		if len(buf) > 0 && (at+uint64(len(buf)) != v.off || len(buf)+len(v.value) > joinBytes || len(v.value) >= directBlock) {
			if err = flush(); err != nil {
				break
			}
		}
		if len(v.value) >= directBlock {
			if err = f.writeAt(dataName, f.files.data, v.value, int64(v.off)); err != nil {
				break
			}
			continue
		}
		if len(buf) == 0 {
			at = v.off
		}
		buf = append(buf, v.value...)
	}
	if err == nil {
		err = flush()
	}
	if cap(buf) <= joinBytes+directBlock {
		a.join = buf[:0]
	}
	if err != nil {
		return f.fail(err, true)
	}
	return nil
}

// place makes the written values count. mu held.
func (f *Feed) place() {
	a := &f.apply
	if len(a.placed) == 0 {
		return
	}
	f.touched.data = true
	total := 0
	for i := 0; i < len(a.placed); {
		start, end, bytes := a.placed[i].index, a.placed[i].index, 0
		for ; i < len(a.placed) && a.placed[i].index == end; i++ {
			end++
			bytes += len(a.placed[i].value)
		}
		f.image.SetData(start, end, true)
		f.stats.downBlocks += end - start
		f.stats.downBytes += uint64(bytes)
		total += bytes
		if len(f.watchers) > 0 {
			f.emit(Downloaded{Start: start, End: end, Bytes: uint64(bytes)})
		}
		f.announce(start, min(end, f.limit()))
		f.woke(start, end)
	}
	f.newBits, f.newBlocks = true, true
	f.downloaded(total)
	f.progressed()
	clear(a.placed) // the values are the caller's again
}

// downloaded notes a change that waits for company. mu held.
func (f *Feed) downloaded(bytes int) {
	if f.lazy.since.IsZero() {
		f.lazy.since = time.Now()
	}
	f.lazy.bytes += bytes
	f.changes++
	if !f.looping || f.lazy.bytes >= lazyBytes {
		f.kick()
	}
}
