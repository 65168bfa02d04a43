package feed

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/go-hypercore/hypercore/feed/merkle"
)

// ForkSide is one of two histories that the writer signed.
type ForkSide struct {
	// Length is the signed length in blocks.
	Length uint64
	// Roots are the roots of that length, Signature is the writer's over them.
	Roots     []merkle.Node
	Signature []byte
	// Node is a node of this history, Path are the siblings from it up to one of
	// the roots; empty if it is a root.
	Node merkle.Node
	Path []merkle.Node
}

// ForkEvidence proves that the holder of a secret key signed two histories: both
// sides lead from a node of the same number to a signed root, and the nodes are
// different. Anyone can check it with Verify.
type ForkEvidence struct {
	Key    Key
	Ours   ForkSide // what was here first
	Theirs ForkSide
}

// ForkError is the error of a feed that is frozen because its writer forked it.
type ForkError struct {
	// Evidence is empty if it was found earlier, and the file fork cannot be read.
	Evidence ForkEvidence
	unread   error // why it cannot

	keeping sync.Mutex // held while the file is written
	kept    bool       // it is; guarded by keeping
}

func (e *ForkError) Error() string {
	if e.unread != nil {
		return fmt.Sprintf("feed: frozen by the file %s, the evidence of a second history, which cannot be read (%v); without the file the feed goes on until it meets that history again", forkName, e.unread)
	}
	ev := &e.Evidence
	return fmt.Sprintf("feed: %v has two histories signed by its key: they differ in the %d blocks under node %d, "+
		"one is of length %d, the other of length %d; the feed is frozen, the evidence is in the file %s",
		ev.Key, merkle.RightSpan(ev.Ours.Node.Index)/2-merkle.LeftSpan(ev.Ours.Node.Index)/2+1,
		ev.Ours.Node.Index, ev.Ours.Length, ev.Theirs.Length, forkName)
}

// Is makes errors.Is(err, ErrFork) true, and ErrFrozen too.
func (e *ForkError) Is(target error) bool { return target == ErrFork || target == ErrFrozen }

// again returns the error for calls after the one that found the fork.
func (e *ForkError) again() error { return e }

// errEvidence is wrapped by Verify's errors.
var errEvidence = errors.New("feed: not the evidence of a fork")

// Verify checks the evidence: nil means that the key's holder signed two
// histories.
func (e *ForkEvidence) Verify() error {
	if e.Ours.Node.Index != e.Theirs.Node.Index {
		return fmt.Errorf("%w: nodes %d and %d", errEvidence, e.Ours.Node.Index, e.Theirs.Node.Index)
	}
	if e.Ours.Node.Hash == e.Theirs.Node.Hash {
		return fmt.Errorf("%w: node %d is the same", errEvidence, e.Ours.Node.Index)
	}
	if err := e.Ours.verify(e.Key); err != nil {
		return fmt.Errorf("first side: %w", err)
	}
	if err := e.Theirs.verify(e.Key); err != nil {
		return fmt.Errorf("second side: %w", err)
	}
	return nil
}

func (s *ForkSide) verify(key Key) error {
	acc, err := merkle.NewAccumulator(s.Roots)
	if err != nil || acc.Len() != s.Length {
		return fmt.Errorf("%w: its roots are not those of length %d", errEvidence, s.Length)
	}
	if !verifySignature(key, acc.TreeHash(), s.Length, s.Signature) {
		return fmt.Errorf("%w: the signature of length %d is not the writer's", errEvidence, s.Length)
	}
	top := s.Node
	for _, n := range s.Path {
		if top, err = merkle.Join(top, n); err != nil {
			return fmt.Errorf("%w: %w", errEvidence, err)
		}
	}
	for _, r := range s.Roots {
		if r == top {
			return nil
		}
	}
	return fmt.Errorf("%w: node %d does not lead to a root", errEvidence, s.Node.Index)
}

// Fork returns the evidence if the feed is frozen and it can be read, else nil.
func (f *Feed) Fork() *ForkEvidence {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.frozen == nil || f.frozen.unread != nil {
		return nil
	}
	e := f.frozen.Evidence
	return &e
}

// forked is called with a signed proof that contradicts a held node. Either what
// is here is signed as well, and the writer forked the feed, or what is here is
// damaged; then a proof of the length and the roots that are here (known) mends
// it. mu held.
func (f *Feed) forked(p *Proof, res *merkle.Result, known bool) error {
	ours, err := f.ourSide(res.Conflict.Held)
	if err != nil && known {
		return nil
	}
	if err != nil {
		f.damage = err
		f.emit(Failed{Err: err, Final: true})
		f.finish()
		return err
	}
	get := f.given(p, res)
	theirs := ForkSide{Length: res.Length, Roots: slices.Clone(res.Roots), Signature: slices.Clone(p.Signature), Node: res.Conflict.Given}
	theirs.Path = climb(theirs.Node.Index, res.Roots, get)
	return f.freeze(p, ours, theirs)
}

// contradicted is called with a proof that contradicts a held node and agrees
// with one further up. Either the lower one belongs to a length that is not linked
// to the longest one, and the writer forked the feed, or it is damaged; then the
// proof mends it. mu held.
func (f *Feed) contradicted(p *Proof, res *merkle.Result) error {
	ours, err := f.ourSide(res.Conflict.Held)
	if err != nil {
		return nil
	}
	get := f.given(p, res)
	cur := res.Conflict.Given
	for range merkle.MaxRoots { // to the node that is held and agrees
		sib, ok := get(merkle.Sibling(cur.Index))
		if !ok {
			return nil
		}
		if cur, err = merkle.Join(cur, sib); err != nil {
			return nil
		}
		if held, ok := f.tree.get(cur.Index); ok && held == cur {
			break
		}
	}
	top, err := f.ourSide(cur)
	if err != nil {
		return nil
	}
	top.Node = res.Conflict.Given
	top.Path = climb(top.Node.Index, top.Roots, get)
	return f.freeze(p, ours, top)
}

// given looks for nodes in a proof, then among those held. mu held.
func (f *Feed) given(p *Proof, res *merkle.Result) func(uint64) (merkle.Node, bool) {
	given := make(map[uint64]merkle.Node, len(p.Nodes)+len(res.Store))
	for _, list := range [][]merkle.Node{p.Nodes, res.Store} {
		for _, s := range list {
			given[s.Index] = s
		}
	}
	return func(i uint64) (merkle.Node, bool) {
		if s, ok := given[i]; ok {
			return s, true
		}
		return f.tree.get(i)
	}
}

// freeze keeps the evidence and stops the feed. mu held.
func (f *Feed) freeze(p *Proof, ours, theirs ForkSide) error {
	e := &ForkError{Evidence: ForkEvidence{Key: f.key, Ours: ours, Theirs: theirs}}
	if err := e.Evidence.Verify(); err != nil {
		// It cannot be shown to others, so nothing is concluded from it.
		return &ProofError{Index: p.Index, Reason: "it contradicts what is here", Err: err}
	}
	f.frozen = e
	f.emit(Forked{Evidence: e.Evidence})
	f.finish()
	return e
}

// ourSide returns the way from a held node to signed roots. It fails if it does
// not verify: then a file is damaged. mu held.
func (f *Feed) ourSide(held merkle.Node) (ForkSide, error) {
	n := held.Index
	length := merkle.VerifiedBy(&f.tree, n) / 2
	roots, err := f.rootsAt(length)
	if err != nil {
		return ForkSide{}, err
	}
	sig, ok, _, err := f.sigs.at(length)
	if err != nil {
		return ForkSide{}, f.fileError("read", signaturesName, err)
	}
	if !ok && f.secret != nil { // ours, on its way to the file
		r := sigRecord{hash: merkle.TreeHash(roots)}
		r.make(f.secret)
		sig = r.sig
	}
	s := ForkSide{Length: length, Roots: roots, Signature: sig[:], Node: held, Path: climb(n, roots, f.tree.get)}
	if err := s.verify(f.key); err != nil {
		return ForkSide{}, f.corrupt(treeName, nodeOffset(n), "node %d does not agree with the signature of length %d: %v", n, length, err)
	}
	return s, nil
}

// climb returns the siblings from n up to one of the roots, as far as get has
// them.
func climb(n uint64, roots []merkle.Node, get func(uint64) (merkle.Node, bool)) (path []merkle.Node) {
	for range merkle.MaxRoots {
		for _, r := range roots {
			if r.Index == n {
				return path
			}
		}
		s, ok := get(merkle.Sibling(n))
		if !ok {
			return path
		}
		path = append(path, s)
		n = merkle.Parent(n)
	}
	return path
}

// keepFork writes the evidence to the file fork, where the next Open finds it. If that
// fails the next commit tries it again. wmu is held.
func (f *Feed) keepFork(e *ForkError) {
	if err := e.keep(f); err != nil {
		f.mu.Lock()
		f.changes++
		f.mu.Unlock()
		f.fail(err, true)
	}
}

// keepFrozen is keepFork for a commit.
func (f *Feed) keepFrozen() error {
	f.mu.Lock()
	e := f.frozen
	f.mu.Unlock()
	if e == nil {
		return nil
	}
	if err := e.keep(f); err != nil {
		return f.fail(err, true)
	}
	return nil
}

// keep writes the evidence, once. What could not be written as a whole is taken back.
func (e *ForkError) keep(f *Feed) error {
	e.keeping.Lock()
	defer e.keeping.Unlock()
	if e.kept {
		return nil
	}
	err := func() error {
		b, err := json.MarshalIndent(&e.Evidence, "", "\t")
		if err != nil {
			return err
		}
		file, err := f.st.Open(forkName, true)
		if err != nil {
			return err
		}
		defer file.Close()
		if err := file.Truncate(0); err != nil {
			return err
		}
		if _, err := file.WriteAt(append(b, '\n'), 0); err != nil {
			file.Truncate(0) // if this fails as well, see readFork
			return err
		}
		if f.opts.Durability == NoSync {
			return nil
		}
		if err := file.Sync(); err != nil {
			return err
		}
		return f.st.Sync()
	}()
	if err != nil {
		return f.fileError("write", forkName, err)
	}
	e.kept = true
	return nil
}

// maxForkFile bounds what is read of the file fork: two sides of at most 160
// nodes of about 200 bytes.
const maxForkFile = 1 << 20

// readFork returns the evidence that is kept, nil if there is none. A part of it, which
// a crash or a full disk may leave, still tells that there was a fork: the feed is
// frozen, and can be read.
func (f *Feed) readFork() (*ForkError, error) {
	b, err := readSmall(f.st, forkName, maxForkFile)
	if err != nil {
		return nil, f.fileError("read", forkName, err)
	}
	if isZero(b) {
		return nil, nil
	}
	e := &ForkError{kept: true}
	if err = json.Unmarshal(b, &e.Evidence); err == nil {
		err = e.Evidence.Verify()
	}
	if err != nil {
		return &ForkError{kept: true, unread: err}, nil
	}
	if e.Evidence.Key != f.key {
		return nil, f.corrupt(forkName, 0, "it is the evidence of a fork of the feed %v; remove it to go on", e.Evidence.Key)
	}
	return e, nil
}

// The evidence as a file: JSON, hashes and signatures in hex, so that it can be
// mailed and read.
type sideJSON struct {
	Length    uint64     `json:"length"`
	Roots     []nodeJSON `json:"roots"`
	Signature string     `json:"signature"`
	Node      nodeJSON   `json:"node"`
	Path      []nodeJSON `json:"path"`
}

type nodeJSON struct {
	Index uint64 `json:"index"`
	Size  uint64 `json:"size"`
	Hash  string `json:"hash"`
}

// MarshalJSON implements json.Marshaler.
func (s ForkSide) MarshalJSON() ([]byte, error) {
	return json.Marshal(sideJSON{s.Length, nodesJSON(s.Roots), hex.EncodeToString(s.Signature), nodesJSON([]merkle.Node{s.Node})[0], nodesJSON(s.Path)})
}

func nodesJSON(list []merkle.Node) []nodeJSON {
	out := make([]nodeJSON, len(list))
	for i, n := range list {
		out[i] = nodeJSON{n.Index, n.Size, hex.EncodeToString(n.Hash[:])}
	}
	return out
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *ForkSide) UnmarshalJSON(b []byte) error {
	var j sideJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	if len(j.Roots) > merkle.MaxRoots || len(j.Path) > merkle.MaxRoots {
		return fmt.Errorf("%w: %d roots, %d nodes on the way", errEvidence, len(j.Roots), len(j.Path))
	}
	sig, err := hex.DecodeString(j.Signature)
	if err != nil {
		return err
	}
	*s = ForkSide{Length: j.Length, Signature: sig}
	if s.Node, err = j.Node.node(); err != nil {
		return err
	}
	for _, n := range j.Roots {
		node, err := n.node()
		if err != nil {
			return err
		}
		s.Roots = append(s.Roots, node)
	}
	for _, n := range j.Path {
		node, err := n.node()
		if err != nil {
			return err
		}
		s.Path = append(s.Path, node)
	}
	return nil
}

func (n nodeJSON) node() (merkle.Node, error) {
	var h merkle.Hash
	if len(n.Hash) != hex.EncodedLen(len(h)) {
		return merkle.Node{}, fmt.Errorf("%w: a hash of %d characters", errEvidence, len(n.Hash))
	}
	if _, err := hex.Decode(h[:], []byte(n.Hash)); err != nil {
		return merkle.Node{}, err
	}
	if n.Index > merkle.MaxInt || n.Size > merkle.MaxInt {
		return merkle.Node{}, fmt.Errorf("%w: node %d of %d bytes", errEvidence, n.Index, n.Size)
	}
	return merkle.Node{Index: n.Index, Size: n.Size, Hash: h}, nil
}
