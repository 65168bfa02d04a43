package feed

import (
	"cmp"
	"context"
	"fmt"

	"github.com/go-hypercore/hypercore/feed/merkle"
)

// Proof is a block with what proves it, or only what proves it: a Data message
// of hypercore 6.
type Proof struct {
	// Index is the block.
	Index uint64
	// Value is the block's data. Nil: none, then Nodes starts with the leaf. An
	// empty block is not nil.
	Value []byte
	// Sizes, if not nil, makes it a proof of a run: Value holds len(Sizes) blocks
	// from Index on, one after the other, of these sizes, and Nodes prove them
	// together (merkle.ProveRun). At most merkle.MaxRun blocks.
	Sizes []uint64
	// Nodes are the siblings on the way up, then the roots, see merkle.Prove.
	Nodes []merkle.Node
	// Signature is nil or 64 bytes.
	Signature []byte
}

// ProofRequest is what a peer asks for: a Request message of hypercore 6.
type ProofRequest struct {
	// Index is the block.
	Index uint64
	// Bytes, if not 0, asks for the block that holds this byte of the feed instead;
	// Index counts if there is none.
	Bytes uint64
	// Digest says which nodes the peer has, see merkle.Digest.
	Digest uint64
	// Hash asks for the leaf instead of the block.
	Hash bool
}

// Prove answers a request. It fills p.Index, p.Nodes and p.Signature, reusing
// their memory; the value, if req.Hash is not set, is there for ReadBlock. remote
// is what this peer was heard to have since the connection began, nil if that is
// not kept.
//
// It fails with ErrNotLocal when the block (with req.Hash: the leaf) is not here
// or not durable yet.
func (f *Feed) Prove(req ProofRequest, remote merkle.MutableBits, p *Proof) error {
	if err := f.enter(); err != nil {
		return err
	}
	defer f.leave()
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.usable(); err != nil {
		return err
	}
	index, digest := req.Index, req.Digest
	if req.Bytes > 0 {
		if i, _, ok := f.find(req.Bytes); ok {
			index, digest = i, 0
		} else if err := f.tree.takeErr(); err != nil {
			return f.nodeError(err)
		}
	}
	if index >= f.limit() || !req.Hash && (!f.image.Data.Get(index) || f.hidden.has(index)) {
		return errAbsent(index)
	}
	return f.prove(index, digest, req.Hash, f.limit(), remote, p)
}

// prove is Prove for a block that may be shown. mu held.
func (f *Feed) prove(index, digest uint64, hash bool, limit uint64, remote merkle.MutableBits, p *Proof) error {
	var buf [merkle.MaxProofNodes]uint64
	list, verifiedBy, err := merkle.Prove(shown{&f.tree, limit}, remote, index, digest, hash, buf[:0])
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotLocal, err)
	}
	p.Sizes = nil
	return f.fillProof(index, list, verifiedBy, p)
}

// fillProof reads the nodes of a proof, and the signature if it has one. mu held.
func (f *Feed) fillProof(index uint64, list []uint64, verifiedBy uint64, p *Proof) error {
	p.Index, p.Nodes, p.Signature = index, p.Nodes[:0], p.Signature[:0]
	for _, n := range list {
		node, ok := f.tree.get(n)
		if !ok {
			if err := f.tree.takeErr(); err != nil {
				return f.nodeError(err)
			}
			return fmt.Errorf("%w: node %d", ErrNotLocal, n)
		}
		p.Nodes = append(p.Nodes, node)
	}
	if verifiedBy == 0 || f.static {
		p.Signature = nil
		return nil
	}
	sig, ok, err := f.signatureAt(verifiedBy / 2)
	if err != nil || !ok {
		p.Signature = nil
		return err
	}
	p.Signature = append(p.Signature, sig[:]...)
	return nil
}

// signatureAt returns the signature of a length that was verified, once. mu held.
func (f *Feed) signatureAt(length uint64) (sig [sigSize]byte, ok bool, err error) {
	sig, ok, checked, err := f.sigs.at(length)
	if err != nil {
		return sig, false, f.fileError("read", signaturesName, err)
	}
	if !ok || checked {
		return sig, ok, nil
	}
	roots, err := f.rootsAt(length)
	if err != nil {
		return sig, false, err
	}
	hash := merkle.TreeHash(roots)
	if !verifySignature(f.key, hash, length, sig[:]) {
		return sig, false, nil
	}
	f.sigs.last = sigRecord{length: length, hash: hash, sig: sig, signed: true}
	return sig, true, nil
}

// nodeError turns a failure to read a node into one that names the place.
func (f *Feed) nodeError(err error) error {
	if b, ok := err.(errBadNode); ok {
		return f.corrupt(treeName, nodeOffset(b.n), "node %d %s", b.n, b.why)
	}
	return f.fileError("read", treeName, err)
}

// Digest returns what a request for block i tells of the nodes that are here. It
// claims nothing that a fork could take back.
func (f *Feed) Digest(i uint64) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i >= MaxLength {
		return 0
	}
	top := 2 * max(i+1, f.acc.Len())
	if len(f.links) > 0 {
		return merkle.Digest(linked{f}, i, top)
	}
	return merkle.Digest(&f.image.Tree, i, top)
}

// Proof returns block i, if it is here, with the full proof for a reader who has
// nothing; of a block that is not here the leaf with its proof. It fails with
// ErrNotLocal.
func (f *Feed) Proof(ctx context.Context, i uint64) (Proof, error) {
	if err := ctx.Err(); err != nil {
		return Proof{}, err
	}
	if err := f.signed(ctx); err != nil {
		return Proof{}, err
	}
	if err := f.enter(); err != nil {
		return Proof{}, err
	}
	defer f.leave()
	var p Proof
	err := func() error {
		f.mu.Lock()
		defer f.mu.Unlock()
		if err := f.usable(); err != nil {
			return err
		}
		return f.prove(i, 0, !f.image.Data.Get(i), MaxLength, nil, &p)
	}()
	if err != nil {
		return Proof{}, err
	}
	if len(p.Nodes) == 0 || p.Nodes[0].Index != 2*i {
		if p.Value, err = f.Local(i); err != nil {
			return Proof{}, err
		}
	}
	return p, nil
}

// signed waits until every signature is made that an append has to make: they
// are made with the commit.
func (f *Feed) signed(ctx context.Context) error {
	f.mu.Lock()
	open := len(f.sigs.recs) > 0 && f.failed == nil
	f.mu.Unlock()
	if !open {
		return nil
	}
	return f.Sync(ctx)
}

// Put adds a block with its proof, as Proof returns it.
func (f *Feed) Put(ctx context.Context, p Proof) error {
	_, err := f.Apply(ctx, []Proof{p})
	return err
}

// Signature returns the first signature that covers block i. It fails with
// ErrNotLocal if there is none here.
func (f *Feed) Signature(ctx context.Context, i uint64) (Signature, error) {
	if err := f.signed(ctx); err != nil {
		return Signature{}, err
	}
	if err := f.enter(); err != nil {
		return Signature{}, err
	}
	defer f.leave()
	f.mu.Lock()
	length, file := f.acc.Len(), f.sigs.file
	f.mu.Unlock()
	var buf [64 * sigSize]byte
	for n := i + 1; i < length && n <= length; {
		m, err := readFull(file, buf[:], sigOffset(n))
		if err != nil {
			return Signature{}, cmp.Or(f.usableNow(), f.fileError("read", signaturesName, err))
		}
		if m < sigSize {
			break
		}
		for off := 0; off+sigSize <= m; off += sigSize {
			if r := buf[off : off+sigSize]; !isZero(r) {
				return Signature{Index: n - 1, Bytes: [sigSize]byte(r)}, nil
			}
			n++
		}
		if err := ctx.Err(); err != nil {
			return Signature{}, err
		}
	}
	return Signature{}, cmp.Or(f.usableNow(), fmt.Errorf("%w: a signature for block %d", ErrNotLocal, i))
}

// Roots returns the roots the feed had, or has, at a length. It fails with
// ErrOutOfBounds beyond the length and with ErrNotLocal if one is not here.
func (f *Feed) Roots(length uint64) ([]merkle.Node, error) {
	if err := f.enter(); err != nil {
		return nil, err
	}
	defer f.leave()
	f.mu.Lock()
	defer f.mu.Unlock()
	if length > f.acc.Len() {
		return nil, cmp.Or(f.usable(), fmt.Errorf("%w: roots of length %d of %d", ErrOutOfBounds, length, f.acc.Len()))
	}
	// A Replicator may ask for them while Close announces the last blocks.
	roots, err := f.rootsAt(length)
	if err != nil {
		return nil, cmp.Or(f.usable(), err)
	}
	return roots, nil
}

// rootsAt reads the roots of a length. mu held.
func (f *Feed) rootsAt(length uint64) ([]merkle.Node, error) {
	var buf [merkle.MaxRoots]uint64
	var roots []merkle.Node
	for _, n := range merkle.Roots(buf[:0], length) {
		node, ok := f.tree.get(n)
		if !ok {
			if err := f.tree.takeErr(); err != nil {
				return nil, f.nodeError(err)
			}
			return nil, fmt.Errorf("%w: node %d", ErrNotLocal, n)
		}
		roots = append(roots, node)
	}
	return roots, nil
}

// Verify checks that sig signs the feed up to and including block i. It fails
// with ErrInvalidProof if it does not, with ErrNotLocal or ErrOutOfBounds if the roots
// are not here.
func (f *Feed) Verify(i uint64, sig []byte) error {
	if i >= MaxLength {
		return fmt.Errorf("%w: block %d", ErrOutOfBounds, i)
	}
	roots, err := f.Roots(i + 1)
	if err != nil {
		return err
	}
	if !verifySignature(f.Key(), merkle.TreeHash(roots), i+1, sig) {
		return &ProofError{Index: i, Reason: "the signature is not the writer's for this length"}
	}
	return nil
}
