package feed

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"

	"github.com/go-hypercore/hypercore/feed/bitfield"
	"github.com/go-hypercore/hypercore/feed/merkle"
)

// bitfield decodes the bits.
func (i *inspector) bitfield() error {
	f, b := i.f, &i.r.Bitfield
	whole, err := f.loadBitfield(i.s)
	var ce *CorruptError
	if errors.As(err, &ce) {
		i.problem(bitfieldName, ce.Offset, "%s", ce.Reason)
		f.image = bitfield.NewFile(bitfield.PageSize)
	} else if err != nil {
		return err
	}
	b.Whole, b.PageSize, b.Pages, b.StaleIndex = whole, f.image.PageSize(), f.image.Pages(), f.image.Dirty()
	b.Blocks, b.Nodes = i.bits(&f.image.Data), i.bits(&f.image.Tree)
	if !whole && i.s.sizes[bitfieldName] > headerSize {
		i.problem(bitfieldName, i.s.sizes[bitfieldName], "it ends within a page, or has no valid header")
	}
	if n := f.image.Tree.Len(); n > 0 {
		i.r.Lengths.Bitfield = merkle.Blocks(&f.image.Tree, n-1)
	}
	// A block is only read if its leaf is there.
	var bad, first uint64
	for start, ok := f.image.Data.NextSet(0); ok; start, ok = f.image.Data.NextSet(start) {
		end := f.image.Data.NextClear(start)
		for ; start < end; start++ {
			if !f.image.Tree.Get(2 * start) {
				if bad++; bad == 1 {
					first = start
				}
			}
		}
	}
	if bad > 0 {
		i.problem(bitfieldName, bitOffset(first, b.PageSize), "blocks that are marked without their leaves: %d; the first is block %d", bad, first)
	}
	return i.ctx.Err()
}

// bitOffset is where in the bitfield file the byte with the bit of a block is.
func bitOffset(block uint64, pageSize int) int64 {
	return headerSize + int64(block/bitfield.PageBlocks)*int64(pageSize) + int64(block%bitfield.PageBlocks)/8
}

// nodeBitOffset is where the byte with the bit of a node is.
func nodeBitOffset(n uint64, pageSize int) int64 {
	return headerSize + int64(n/(2*bitfield.PageBlocks))*int64(pageSize) + bitfield.TreeOffset + int64(n%(2*bitfield.PageBlocks))/8
}

func (i *inspector) bits(b *bitfield.Bits) InspectedBits {
	x := InspectedBits{End: b.Len(), Ranges: []Span{}}
	x.Count = b.Count(0, x.End)
	for start, ok := b.NextSet(0); ok && len(x.Ranges) < i.o.MaxRanges; {
		end := b.NextClear(start)
		x.Ranges = append(x.Ranges, Span{start, end})
		start, ok = b.NextSet(end)
	}
	return x
}

// inspectChunk is how much of a file is read at once.
const inspectChunk = 4096 // entries

// tree reads all nodes in order. In that order a parent comes after its left half
// and before its right half, so one node a depth is enough to compare each with
// its children.
func (i *inspector) tree() error {
	f, t := i.f, &i.r.Tree
	total := max(0, i.s.sizes[treeName]-headerSize)
	t.Entries = uint64(total) / nodeSize
	if total%nodeSize != 0 {
		i.problem(treeName, headerSize+total/nodeSize*nodeSize, "it ends within a node")
	}
	var seen [64]merkle.Node // by depth, the last one that is not blank
	var have [64]bool
	var blank, wrong uint64 // the first of each
	buf := make([]byte, min(inspectChunk, t.Entries)*nodeSize)
	for start := uint64(0); start < t.Entries; start += inspectChunk {
		if err := i.ctx.Err(); err != nil {
			return err
		}
		b := buf[:min(inspectChunk, t.Entries-start)*nodeSize]
		if _, err := readFull(f.files.tree, b, nodeOffset(start)); err != nil {
			return f.fileError("read", treeName, err)
		}
		for n := start; len(b) > 0; n, b = n+1, b[nodeSize:] {
			marked := f.image.Tree.Get(n)
			if isZero(b[:nodeSize]) {
				if marked {
					if t.Blank++; t.Blank == 1 {
						blank = n
					}
				}
				continue
			}
			node := getNode(n, b)
			d := merkle.Depth(n)
			t.Present++
			if !marked {
				t.Unmarked++
			}
			show := i.o.Node != nil && n >= i.o.NodeStart && n < i.o.NodeEnd
			if show || t.First == nil {
				x := i.shown(&node, d, marked)
				if t.First == nil {
					t.First = &x
				}
				if show {
					i.o.Node(x)
				}
			}
			t.Last = &InspectedNode{Index: n}
			if left, parent := merkle.Sibling(n), merkle.Parent(n); left < n && have[d] && seen[d].Index == left && have[d+1] && seen[d+1].Index == parent {
				if p, err := merkle.Join(seen[d], node); err == nil && p == seen[d+1] {
					t.Joined++
				} else if t.Unjoined++; t.Unjoined == 1 {
					wrong = parent
				}
			}
			seen[d], have[d] = node, true
		}
	}
	if t.Last != nil {
		node, _, err := f.rawNode(t.Last.Index)
		if err != nil {
			return err
		}
		x := i.shown(&node, merkle.Depth(node.Index), f.image.Tree.Get(node.Index))
		t.Last = &x
		i.r.Lengths.Tree = merkle.RightSpan(x.Index)/2 + 1
	}
	if top := f.image.Tree.Len(); top > t.Entries { // marked, and the file is shorter
		first, _ := f.image.Tree.NextSet(t.Entries)
		n := f.image.Tree.Count(t.Entries, top)
		if t.Blank += n; t.Blank == n {
			blank = first
		}
	}
	if t.Blank > 0 {
		i.problem(bitfieldName, nodeBitOffset(blank, f.image.PageSize()), "nodes that are marked, but blank in %s: %d; the first is node %d", treeName, t.Blank, blank)
	}
	if t.Unjoined > 0 {
		i.problem(treeName, nodeOffset(wrong), "parents that are not those of their children: %d; the first is node %d", t.Unjoined, wrong)
	}
	return nil
}

func (i *inspector) shown(n *merkle.Node, depth uint, marked bool) InspectedNode {
	return InspectedNode{Index: n.Index, Depth: depth, Hash: hex.EncodeToString(n.Hash[:]), Size: n.Size, Marked: marked}
}

// signatures reads all records and checks some.
func (i *inspector) signatures() error {
	f, s := i.f, &i.r.Signatures
	s.Lengths = []Span{}
	total := max(0, i.s.sizes[signaturesName]-headerSize)
	s.Records = uint64(total) / sigSize
	if total%sigSize != 0 {
		i.problem(signaturesName, headerSize+total/sigSize*sigSize, "it ends within a signature")
	}
	var wrong uint64 // the first
	var open *Span
	last := 0 // of the file, to know whether a range goes on
	buf := make([]byte, min(inspectChunk, s.Records)*sigSize)
	for start := uint64(1); start <= s.Records; start += inspectChunk {
		if err := i.ctx.Err(); err != nil {
			return err
		}
		b := buf[:min(inspectChunk, s.Records-start+1)*sigSize]
		if _, err := readFull(f.files.signatures, b, sigOffset(start)); err != nil {
			return f.fileError("read", signaturesName, err)
		}
		for l := start; len(b) > 0; l, b = l+1, b[sigSize:] {
			sig := b[:sigSize]
			if isZero(sig) {
				continue
			}
			s.Present++
			switch {
			case open != nil && open.End == l:
				open.End++
			case last < i.o.MaxRanges:
				s.Lengths = append(s.Lengths, Span{l, l + 1})
				open = &s.Lengths[last]
				last++
			default:
				open = nil
			}
			i.r.Lengths.Signatures = l
			show := i.o.Signature != nil && l >= i.o.SignatureStart && l < i.o.SignatureEnd
			if i.o.Signature != nil && !show && s.First != nil && l != s.Records || i.o.Signature == nil && l > CheckedSignatures && l+CheckedSignatures <= s.Records {
				continue
			}
			x, err := i.signature(l, sig)
			if err != nil {
				return err
			}
			if x.Form == FormInvalid && s.Invalid == 1 {
				wrong = l
			}
			if s.First == nil {
				s.First = &x
			}
			s.Last = &x
			if show {
				i.o.Signature(x)
			}
		}
	}
	if s.Invalid > 0 {
		i.problem(signaturesName, sigOffset(wrong), "signatures that are not the writer's for what is in %s: %d; the first is that of length %d", treeName, s.Invalid, wrong)
	}
	return nil
}

// signature checks one and counts its form.
func (i *inspector) signature(length uint64, sig []byte) (InspectedSignature, error) {
	s, key := &i.r.Signatures, i.f.key
	x := InspectedSignature{Length: length, Signature: hex.EncodeToString(sig)}
	c, err := i.roots(length)
	if err != nil {
		return x, err
	}
	s.Checked++
	s9 := merkle.Signable9(c.hash, length)
	switch {
	case c.state == rootsMissing:
		x.Form = FormRootsGone
		s.Unknown++
	case ed25519.Verify(key[:], c.hash[:], sig):
		x.Form = FormTreeHash
		s.TreeHash++
	case ed25519.Verify(key[:], s9[:], sig):
		x.Form = FormLength
		s.Length++
	default:
		x.Form = FormInvalid
		s.Invalid++
	}
	return x, nil
}

// compare looks for what the files say differently.
func (i *inspector) compare() error {
	f, l := i.f, &i.r.Lengths
	if i.s.key == nil && i.s.content() && !f.draft {
		i.problem(keyName, 0, "it is missing, blank or short, but there are blocks")
	}
	for _, name := range []string{treeName, bitfieldName} {
		if i.s.sizes[name] == 0 && i.s.content() {
			i.problem(name, 0, "it is missing or empty, but there are blocks")
		}
	}
	length := l.Bitfield
	if l.Journal != nil {
		length = *l.Journal
		c, err := i.roots(length)
		switch j := &i.s.journal; {
		case err != nil:
			return err
		case c.state == rootsMissing:
			i.problem(treeName, 0, "not all roots of length %d are there, which %s says is durable", length, journalName)
		case c.hash != j.hash:
			i.problem(journalName, 88, "its tree hash is not that of the roots of length %d in %s", length, treeName)
		case c.acc.ByteLen() != j.byteLen:
			i.problem(journalName, 32, "it says %d bytes, the roots of length %d say %d", j.byteLen, length, c.acc.ByteLen())
		}
		if l.Bitfield < length {
			i.problem(bitfieldName, 0, "it leads to length %d, %s says %d", l.Bitfield, journalName, length)
		}
	}
	c, err := i.roots(length)
	if err != nil || c.state == rootsMissing {
		if err == nil && l.Journal == nil {
			i.problem(treeName, 0, "not all roots of length %d are there, to which %s leads", length, bitfieldName)
		}
		return err
	}
	i.r.Static = length > 0 && c.hash == merkle.Hash(f.key)
	if length > 0 && !i.r.Static && !f.draft {
		if _, ok, err := readSig(f.files.signatures, length); err != nil {
			return f.fileError("read", signaturesName, err)
		} else if !ok {
			i.problem(signaturesName, sigOffset(length), "the signature of length %d is missing", length)
		}
	}
	// The last block that is here must be in the data.
	end := f.image.Data.Len()
	if end > max(length, i.promised) {
		i.problem(bitfieldName, bitOffset(end-1, f.image.PageSize()), "block %d is marked, beyond the length %d", end-1, length)
		return nil
	}
	if c, err = i.roots(end); err == nil && c.state != rootsMissing && int64(c.acc.ByteLen()) > i.s.sizes[dataName] {
		i.problem(dataName, i.s.sizes[dataName], "it ends here; block %d, which is marked, ends at byte %d", end-1, c.acc.ByteLen())
	}
	return err
}
