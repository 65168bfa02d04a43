package feed

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/go-hypercore/hypercore/feed/merkle"
)

// maxBatch is the number of blocks after which the lock is let go of: readers wait
// that long, below a millisecond. A run is verified as a whole.
const maxBatch = 256

// applyState is what Apply needs again and again. Guarded by wmu.
type applyState struct {
	idleTill time.Time // until then nothing is looked at beyond what a proof needs
	verifier merkle.Verifier
	result   merkle.Result
	placed   []placed
	join     []byte
	refused  uint64 // by OnWrite: the last block
}

// placed is blocks that were verified, neighbours, and where they belong.
type placed struct {
	index, n, off uint64
	value         []byte
}

// hashed is the leaves of a batch of proofs.
type hashed struct {
	nodes []merkle.Node
	vals  [][]byte
	first []int // by proof: its first leaf; and the number of leaves
}

var hashedPool = sync.Pool{New: func() any { return new(hashed) }}

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
// frozen. ErrUnsound is the writer's fault as well, ErrUnlinked nobody's. Everything
// else is ours.
//
// It is safe to call from several goroutines: hashing runs at the same time,
// verification and writing one after the other.
func (f *Feed) Apply(ctx context.Context, batch []Proof) (n int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := f.enter(); err != nil {
		return 0, err
	}
	defer f.leave()
	if err := f.tryAgain(false); err != nil {
		return 0, err
	}
	if len(batch) == 0 {
		return 0, f.usableNow()
	}
	h := hashedPool.Get().(*hashed)
	defer h.release()
	h.hash(batch)

	for n < len(batch) && err == nil {
		end := n + 1
		for end < len(batch) && h.first[end+1]-h.first[n] <= maxBatch {
			end++
		}
		var k int
		f.wmu.Lock()
		k, err = f.applySome(batch[n:end], h, n)
		f.unlockWrites()
		n += k
		if len(batch) == 1 {
			runtime.Gosched() // who waits for it goes first
		}
		f.dispatch()
		if err == nil {
			err = ctx.Err()
		}
	}
	if err == nil {
		f.relieve(ctx)
	}
	return n, err
}

// hash computes the leaves of the values, on all cores.
func (h *hashed) hash(batch []Proof) {
	total := 0
	for i := range batch {
		p := &batch[i]
		h.first = append(h.first, len(h.nodes))
		if p.Value == nil || p.malformed() != "" {
			continue // verify will tell
		}
		if p.Sizes == nil {
			h.add(p.Index, p.Value)
		}
		at := uint64(0)
		for k, size := range p.Sizes {
			h.add(p.Index+uint64(k), p.Value[at:at+size])
			at += size
		}
		total += len(p.Value)
	}
	h.first = append(h.first, len(h.nodes))
	hashBlocks(h.nodes, h.vals, uint64(total))
}

// add notes a value whose leaf is to be computed.
func (h *hashed) add(block uint64, value []byte) {
	h.nodes = append(h.nodes, merkle.Node{Index: 2 * block})
	h.vals = append(h.vals, value)
}

func (h *hashed) release() {
	clear(h.vals) // they are the caller's
	h.nodes, h.vals, h.first = h.nodes[:0], h.vals[:0], h.first[:0]
	hashedPool.Put(h)
}

// malformed returns what is wrong with the form of a proof, "" if nothing is.
func (p *Proof) malformed() string {
	n := max(1, uint64(len(p.Sizes)))
	switch {
	case p.Index >= MaxLength || n > MaxLength-p.Index:
		return fmt.Sprintf("feeds have at most %d blocks here", uint64(MaxLength))
	case p.Signature != nil && len(p.Signature) != sigSize:
		return fmt.Sprintf("a signature of %d bytes", len(p.Signature))
	case len(p.Value) > maxValue:
		return fmt.Sprintf("%d bytes", len(p.Value))
	case p.Sizes == nil:
		return ""
	case p.Value == nil || len(p.Sizes) == 0 || len(p.Sizes) > merkle.MaxRun:
		return fmt.Sprintf("a run of %d blocks", len(p.Sizes))
	}
	left := uint64(len(p.Value))
	for _, size := range p.Sizes {
		if size > left {
			return "a run whose sizes are not those of its blocks"
		}
		left -= size
	}
	if left > 0 {
		return "a run whose sizes are not those of its blocks"
	}
	return ""
}

// applySome verifies, writes and accounts for a part of a batch, from proof at
// on. wmu is held.
func (f *Feed) applySome(batch []Proof, h *hashed, at int) (n int, err error) {
	a := &f.apply
	a.placed = a.placed[:0]

	f.mu.Lock()
	before, nodes := f.acc.Len(), f.tree.count
	if err = f.changeable(); err == nil && f.draft {
		err = fmt.Errorf("%w: not finalized", ErrStatic)
	}
	for n < len(batch) && err == nil {
		if err = f.verify(&batch[n], h.nodes[h.first[at+n]:h.first[at+n+1]]); err == nil {
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
	if serr := f.offerPlaced(); serr != nil {
		n, err = f.before(batch[:n]), serr
	}
	if werr := f.writePlaced(); werr != nil {
		return 0, werr
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.place()
	return n, err
}

// climb runs the Verifier over a proof. mu held.
func (f *Feed) climb(p *Proof, leaves []merkle.Node, through bool) error {
	v, res := &f.apply.verifier, &f.apply.result
	v.Length = f.acc.Len()
	var err error
	if p.Sizes != nil {
		err = v.VerifyRun(merkle.Run{Start: p.Index, Leaves: leaves, Nodes: p.Nodes, Through: through}, res)
	} else {
		mp := merkle.Proof{Block: p.Index, Nodes: p.Nodes, Through: through}
		if p.Value != nil {
			mp.Leaf = &leaves[0]
		}
		err = v.Verify(mp, res)
	}
	if rerr := f.tree.takeErr(); rerr != nil {
		return f.nodeError(rerr)
	}
	if err != nil {
		return &ProofError{Index: p.Index, Reason: "it does not add up", Err: err}
	}
	return nil
}

// verify checks one proof and stores its nodes. The value is put on the list of
// those to be written. mu held.
func (f *Feed) verify(p *Proof, leaves []merkle.Node) error {
	if m := p.malformed(); m != "" {
		return &ProofError{Index: p.Index, Reason: m}
	}
	if err := f.climb(p, leaves, false); err != nil {
		return err
	}
	res := &f.apply.result
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
		if err := f.take(res.Store, res); err != nil {
			return err
		}
		if res.Surplus > 0 && p.Signature != nil && time.Now().After(f.apply.idleTill) {
			if err := f.verifyThrough(p, leaves); err != nil {
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
	f.groups.even.add(leaves)
	return f.reserve(p)
}

// maxValue is the size of the largest block that is taken from a peer: what fits
// in a frame.
const maxValue = 8 << 20

// held is the Verifier's view of the tree. mu held.
func (f *Feed) held(n uint64) (merkle.Node, bool) { return f.tree.get(n) }

// treeWord is the same for 64 nodes. mu held.
func (f *Feed) treeWord(n uint64) uint64 { return f.image.Tree.Word(n) }

// verifyThrough looks at what a trusted proof brought beyond what it needed: the
// roots and the signature of a length that may be greater, or may contradict. A
// greater length that is not shown to contain ours is left to a proof that shows
// it: while the writer appends, each answer that closes a link would open
// another one.
func (f *Feed) verifyThrough(p *Proof, leaves []merkle.Node) error {
	err := f.climb(p, leaves, true)
	if errors.Is(err, ErrInvalidProof) {
		f.apply.idleTill = time.Now().Add(surplusPause)
		return nil // the block is trusted anyway
	}
	if err == nil && f.apply.result.Trusted {
		return nil
	}
	if err != nil {
		return err
	}
	res := &f.apply.result
	if len(res.Unproven) > 0 && res.Conflict == nil {
		return f.take(res.Store[:res.Proven], res)
	}
	err = f.upgrade(p, res)
	if errors.Is(err, ErrInvalidProof) {
		f.apply.idleTill = time.Now().Add(surplusPause)
		return nil
	}
	if errors.Is(err, ErrUnlinked) {
		return nil
	}
	return err
}

// surplusPause follows on a signature behind a proof that is worth nothing: two of them
// are checked for each, which takes a hundred times as long as the proof. Nobody is
// blamed: who holds another history than we do may mean well.
const surplusPause = 10 * time.Millisecond

// upgrade takes a proof that ends at the roots of a signed length. mu held.
func (f *Feed) upgrade(p *Proof, res *merkle.Result) error {
	if res.Length > MaxLength {
		return &ProofError{Index: p.Index, Reason: fmt.Sprintf("length %d; feeds have at most %d blocks here", res.Length, uint64(MaxLength))}
	}
	// A signature is checked once for each length.
	known := res.Length == f.acc.Len() && res.TreeHash == f.treeHash() && res.Length > 0 && !f.unsigned
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
	if err := f.take(res.Store, res); err != nil || known {
		return err
	}
	f.sigs.seal(f.treeHash())
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

// downloaded notes a change that waits for company. mu held.
func (f *Feed) downloaded(bytes int) {
	if f.lazy.since.IsZero() {
		f.lazy.since = time.Now()
	}
	f.lazy.bytes += bytes
	f.changes++
	if !f.looping || f.resting || f.lazy.bytes >= lazyBytes {
		f.kick()
	}
}
