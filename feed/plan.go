package feed

import (
	"context"

	"github.com/go-hypercore/hypercore/feed/bitfield"
	"github.com/go-hypercore/hypercore/feed/merkle"
)

// planJournal plans the open of a directory with a journal.
func (f *Feed) planJournal(s *found, p *plan) error {
	j := &s.journal
	p.tail = f.secret != nil || f.draft
	entries, err := f.readEntries(j)
	if err != nil && !f.opts.ReadOnly && !f.opts.Repair {
		return err
	}
	if p.lacks = err; err == nil {
		p.lacks = s.lacks
	}
	if p.byBits <= entriesEnd(j, entries) {
		p.byBits = min(p.byBits, j.length) // those of the entries are set again
	}
	if p.byBits > j.length {
		// Bits are written after the journal, so it was not us. Take it if it is
		// signed.
		c, err := f.check(p.byBits)
		if err != nil {
			return err
		}
		if c.state == sigValid {
			p.take, p.from, p.foreign = c, p.byBits, true
			return nil
		}
	}
	c, err := f.check(j.length)
	if err != nil {
		return err
	}
	if c.state == rootsMissing || c.hash != j.hash {
		if c, err = f.mend(c, j.byteLen, func(h merkle.Hash) bool { return h == j.hash }); err != nil {
			return err
		}
	}
	right := c.state != rootsMissing && (c.hash == j.hash || c.state == sigValid && !f.draft)
	switch {
	case right && c.state == sigValid:
	case right && f.secret != nil:
		// The roots are those that were signed; the same signature can be made
		// again, Ed25519 has only one.
		c.state, p.sign = sigValid, !f.opts.ReadOnly
	case right:
		c.state = sigMissing
	default:
		return f.planBehind(s, p)
	}
	p.take, p.entries = c, entries
	p.cut = true
	p.from = min(j.bits, j.length)
	// A bitfield that is not there, is cut, or marks other nodes than it should up
	// to the length at which it was synced, is made anew.
	p.rebuild = f.pagesMissing(p.from) ||
		p.byBits != j.length && (!p.whole && j.length > 0 || p.byBits > j.length || p.byBits < p.from && !f.rootBits(p.from))
	return nil
}

// pagesMissing reports whether the bitfield of a writer has fewer pages than this
// length has touched. A reader may never have touched the last ones.
func (f *Feed) pagesMissing(length uint64) bool {
	return (f.secret != nil || f.draft) && f.image.Pages() < (length+bitfield.PageBlocks-1)/bitfield.PageBlocks
}

// rootBits reports whether the bitfield has the roots of a length.
func (f *Feed) rootBits(length uint64) bool {
	var buf [merkle.MaxRoots]uint64
	for _, n := range merkle.Roots(buf[:0], length) {
		if !f.image.Tree.Get(n) {
			return false
		}
	}
	return true
}

// mend looks for one root that is missing or wrong and can be computed from what
// is below it, so that right says that these are the roots. bytes is the length
// in bytes.
func (f *Feed) mend(c candidate, bytes uint64, right func(merkle.Hash) bool) (candidate, error) {
	if f.opts.ReadOnly || c.length > MaxLength {
		return c, nil
	}
	var buf [merkle.MaxRoots]uint64
	var roots []merkle.Node
	for _, n := range merkle.Roots(buf[:0], c.length) {
		r, _, err := f.rawNode(n)
		if err != nil {
			return c, err
		}
		r.Index = n
		roots = append(roots, r)
	}
	w := walker{f: f}
	var off uint64
	for i, r := range roots {
		// Only the last root can be a leaf: its block goes to the end.
		n, ok, err := w.compute(r.Index, off, bytes-min(bytes, off))
		if err != nil {
			return c, err
		}
		if off += r.Size; !ok {
			continue
		}
		roots[i] = n
		if right(merkle.TreeHash(roots)) {
			var b [nodeSize]byte
			putNode(b[:], &n)
			if err := f.writeAt(treeName, f.files.tree, b[:], nodeOffset(n.Index)); err != nil {
				return c, err
			}
			f.repair.Nodes++
			f.touched.tree = true
			return f.check(c.length)
		}
		roots[i] = r
	}
	return c, nil
}

// planBehind plans the open of a directory whose journal promises more than is
// there: an old copy of some of the files. What is there can be read.
func (f *Feed) planBehind(s *found, p *plan) error {
	c, err := f.check(p.byBits)
	if err != nil {
		return err
	}
	if c.state != sigValid || p.byBits > s.journal.length {
		if c, err = f.searchDown(); err != nil {
			return err
		}
	}
	// A reader without a tree fetches everything again.
	lost := s.sizes[treeName] > headerSize || (f.secret != nil || f.draft) && s.sizes[dataName] > 0
	if c.length == 0 && !f.opts.ReadOnly && lost {
		return f.corrupt(treeName, headerSize, "the journal says %d blocks, but no length is signed by the key and has its roots here", s.journal.length)
	}
	if f.opts.ReadOnly {
		p.damage = f.corrupt(treeName, headerSize, "the roots of length %d, which the journal says, are not there or not signed", s.journal.length)
	}
	p.take, p.tail = c, false
	p.rebuild = c.length > 0
	f.announced = max(f.announced, s.journal.length)
	return nil
}

// maxSearch bounds the signatures that are tried to find a length.
const maxSearch = 1 << 14

// searchDown returns the greatest length whose signature verifies.
func (f *Feed) searchDown() (candidate, error) {
	end, err := size(f.files.signatures)
	if err != nil {
		return candidate{}, f.fileError("size of", signaturesName, err)
	}
	const block = 512
	var buf [block * sigSize]byte
	tries := 0
	for top := uint64(max(0, end-headerSize)) / sigSize; top > 0 && tries < maxSearch; {
		first := top - min(top, block) // records first to top-1
		n, err := readFull(f.files.signatures, buf[:(top-first)*sigSize], sigOffset(first+1))
		if err != nil {
			return candidate{}, f.fileError("read", signaturesName, err)
		}
		for k := n/sigSize - 1; k >= 0; k-- {
			if isZero(buf[k*sigSize : (k+1)*sigSize]) {
				continue
			}
			if tries++; tries > maxSearch {
				break
			}
			c, err := f.check(first + uint64(k) + 1)
			if err != nil || c.state == sigValid {
				return c, err
			}
		}
		top = first
	}
	return f.check(0)
}

// maxLinkSearch bounds the signatures file that is searched for links, in bytes.
const maxLinkSearch = 64 << 20

// findLinks looks for lengths that other software has taken from peers without
// asking whether they are part of the longest one (see link.go).
func (f *Feed) findLinks(ctx context.Context) error {
	length := f.acc.Len()
	if f.secret != nil || f.static || f.image.Data.Count(0, length) == length || sigOffset(length) > maxLinkSearch {
		return nil
	}
	for at := uint64(0); len(f.links) < maxLinks; {
		n, sig, err := f.nextSignature(at)
		if err != nil || n == 0 || n >= length {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		at = n
		if f.allLinked(n) || !f.rootBits(n) {
			continue
		}
		c, err := f.check(n)
		if err != nil {
			return err
		}
		if c.state == sigValid && sig != [sigSize]byte{} {
			f.links = append(f.links, n)
		}
	}
	return nil
}

// planBits plans the open of a directory without a journal: it was made by other
// software, or the journal was lost. Then the bitfield is all that says how much
// is promised, and if it is damaged the feed is not opened: npm hypercore 6 would
// go on at a lower length and fork it.
func (f *Feed) planBits(s *found, p *plan) error {
	content := s.sizes[treeName] > headerSize || s.sizes[signaturesName] > headerSize || s.sizes[dataName] > 0
	p.tail = f.secret != nil || f.draft
	var problem error
	switch {
	case !content && s.sizes[bitfieldName] <= headerSize:
		c, err := f.check(0)
		p.take = c
		return err
	case s.sizes[bitfieldName] < headerSize:
		problem = f.corrupt(bitfieldName, 0, "it is missing or shorter than its header, but there are blocks")
	case f.image.Pages() == 0 && !p.whole:
		problem = f.corrupt(bitfieldName, 0, "its header is damaged")
	case p.byBits == 0:
		problem = f.corrupt(bitfieldName, headerSize, "it is blank, but there are blocks")
	case f.pagesMissing(p.byBits):
		problem = f.corrupt(bitfieldName, s.sizes[bitfieldName], "its last pages are missing: it was cut")
	case !p.whole && s.sizes[signaturesName] > sigOffset(p.byBits)+sigSize:
		// A short last page alone is nothing: hypercore 6.22 leaves one when it opens
		// a directory with larger pages.
		problem = f.corrupt(bitfieldName, s.sizes[bitfieldName], "it ends within a page, at %d blocks, and more are signed: it was cut", p.byBits)
	}
	if problem != nil {
		return f.planRepair(s, p, problem)
	}
	c, err := f.check(p.byBits)
	if err != nil {
		return err
	}
	switch c.state {
	case sigInvalid:
		problem = f.corrupt(signaturesName, sigOffset(c.length), "the signature of length %d is not the writer's for the roots in the tree: one of key, tree and signatures is damaged", c.length)
	case rootsMissing:
		problem = f.corrupt(treeName, nodeOffset(2*(p.byBits-1)), "a root of length %d is missing", p.byBits)
	case sigMissing:
		// Hypercore 6 opens it, but nobody can verify it. If a greater length is
		// signed, the bitfield was cut at the end of a page.
		if s.sizes[signaturesName] > sigOffset(c.length)+sigSize {
			problem = f.corrupt(bitfieldName, s.sizes[bitfieldName], "it says %d blocks, which are not signed; more are", c.length)
		}
	}
	if problem != nil {
		return f.planRepair(s, p, problem)
	}
	p.take, p.from = c, c.length
	return nil
}

// planRepair goes on after a problem if that was asked for: with the greatest
// length that is signed.
func (f *Feed) planRepair(s *found, p *plan, problem error) error {
	if !f.opts.Repair && !f.opts.ReadOnly {
		return problem
	}
	c, err := f.mendLast(s)
	if err != nil {
		return err
	}
	if c.length == 0 {
		c, err = f.searchDown()
	}
	if err != nil {
		return err
	}
	if c.length == 0 {
		if c, err = f.check(p.byBits); err != nil {
			return err
		}
		if f.opts.Repair && c.state != sigValid || c.state == rootsMissing {
			if c, err = f.searchStatic(s); err != nil {
				return err
			}
			if c.length == 0 {
				return problem
			}
		}
	}
	if f.opts.ReadOnly {
		p.damage = problem
	}
	p.take, p.rebuild = c, true
	return nil
}

// mendLast tries to put in order the roots of the last signature there is; the
// length is 0 if that fails.
func (f *Feed) mendLast(s *found) (candidate, error) {
	n := uint64(max(0, s.sizes[signaturesName]-headerSize)) / sigSize
	sig, ok, err := readSig(f.files.signatures, n)
	if err != nil {
		return candidate{}, f.fileError("read", signaturesName, err)
	}
	if !ok || n > MaxLength {
		return candidate{}, nil
	}
	c, err := f.check(n)
	if err != nil || c.state == sigValid {
		return c, err
	}
	c, err = f.mend(c, uint64(s.sizes[dataName]), func(h merkle.Hash) bool { return verifySignature(f.key, h, n, sig[:]) })
	if err != nil || c.state == sigValid {
		return c, err
	}
	return candidate{acc: new(merkle.Accumulator)}, nil
}

// searchStatic returns the length at which the tree has the key as its hash,
// starting with the one its file has.
func (f *Feed) searchStatic(s *found) (candidate, error) {
	top := uint64(max(0, s.sizes[treeName]-headerSize)/nodeSize+1) / 2
	for n := top; n > 0 && n+64 > top; n-- {
		c, err := f.check(n)
		if err != nil || c.static {
			return c, err
		}
	}
	return f.check(0)
}
