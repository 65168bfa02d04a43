package bitfield

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// The bitfield file of a feed directory (hypercore 6): a header of 32 bytes,
// then pages.
//
//	header   05 02 57 | 00 (type) | 00 (version) | u16be page size | zeros
//	page p   1024 bytes   data bits: blocks 8192p to 8192p+8191
//	         2048 bytes   tree bits: nodes 16384p to 16384p+16383
//	         the rest     index: 512 bytes, 256 in files of hypercore 6.22 and older
//
// There are as many pages as the highest one that was touched asks for; pages
// before it that were never touched are zeros.
//
// The index is one flat tree of bytes over the index sections of all pages laid
// end to end: with sections of I bytes, byte x is in page x/I. Its leaf 2k
// describes the data bytes 4k to 4k+3, two bits each, the first in the highest
// place: 11 the byte is ff, 00 it is 00, 01 it is mixed. Any other byte has two
// bits for each nibble of its two children, the left child's high nibble first:
// 11 the nibble is f, 00 it is 0, 01 otherwise. A child past the end counts as 00.
//
// JavaScript skips what the index calls all ones, so an index that claims too
// little is slow and one that claims too much hides missing blocks. It is never
// read here except to find claims that must be taken back.
const (
	HeaderSize = 32

	// PageSize is the size of a page in files made here and by hypercore 6.26, 7 and 9.
	PageSize = 3584
	// OldPageSize is the size of a page in files of hypercore 6.22 and older. It
	// is kept in files that have it.
	OldPageSize = 3328

	// PageBlocks is the number of blocks a page describes. The nodes of page p
	// are 2*PageBlocks*p and following.
	PageBlocks = 8192

	// TreeOffset is where in a page the tree bits are, TreeBytes how many bytes.
	TreeOffset = dataBytes
	TreeBytes  = treeBytes

	dataBytes  = PageBlocks / 8
	treeBytes  = 2 * dataBytes
	groupBytes = dataBytes / 2 // bytes of the index tree that belong to one page's data, the last being above it
)

// ErrHeader is returned for a header that is no bitfield's.
var ErrHeader = errors.New("bitfield: not the header of a bitfield file")

// Header returns the header of a file with this page size.
func Header(pageSize int) (h [HeaderSize]byte) {
	h[0], h[1], h[2] = 5, 2, 0x57
	h[5], h[6] = byte(pageSize>>8), byte(pageSize)
	return h
}

// ParseHeader returns the page size of a file. It fails with ErrHeader for
// anything but the two sizes that exist.
func ParseHeader(b []byte) (pageSize int, err error) {
	if len(b) < HeaderSize {
		return 0, fmt.Errorf("%w: %d bytes", ErrHeader, len(b))
	}
	pageSize = int(b[5])<<8 | int(b[6])
	if [5]byte(b) != [5]byte{5, 2, 0x57} || pageSize != PageSize && pageSize != OldPageSize {
		return 0, fmt.Errorf("%w: % x", ErrHeader, b[:7])
	}
	return pageSize, nil
}

// File is the image of a bitfield file: it makes pages of the bits of blocks and
// nodes and keeps account of those that have to be written. It does no I/O. It
// is not safe for concurrent use, nor while Data or Tree change.
type File struct {
	Data Bits // blocks that are here
	Tree Bits // nodes that are here

	pageSize int
	pages    uint64
	tops     []byte // by page: the index byte over all data of the page
	upper    []byte // by m: index byte 512m+511, which is above pages
	dirty    marks  // pages whose image has changed
	written  marks  // pages that were in the file, or are now
}

// NewFile returns the image of an empty file.
func NewFile(pageSize int) *File { return &File{pageSize: pageSize} }

// PageSize returns the size of a page in bytes.
func (f *File) PageSize() int { return f.pageSize }

// Pages returns the number of pages.
func (f *File) Pages() uint64 { return f.pages }

// Dirty reports whether any page has to be written.
func (f *File) Dirty() bool { return f.dirty.next(0) < f.pages }

// Load takes over page p as read from the file; a short one is padded with
// zeros. Pages are loaded in order, before anything else is done. Those that were never
// written may be left out, but for the last one, which may be empty.
func (f *File) Load(p uint64, page []byte) {
	f.grow(p + 1)
	if len(page) == 0 {
		return
	}
	f.written.set(p)
	if blank(page) {
		return
	}
	f.Data.SetBytes(p*PageBlocks, page[:min(len(page), dataBytes)])
	if len(page) > dataBytes {
		f.Tree.SetBytes(2*p*PageBlocks, page[dataBytes:min(len(page), dataBytes+treeBytes)])
	}
}

// Loaded ends loading: it computes the index. section returns the index bytes that the
// file has in a page, nil if it has none that are not zero; pages whose index claims ones
// that are not there become dirty. A nil section skips this check.
func (f *File) Loaded(section func(p uint64) []byte) {
	clear(f.dirty)
	for g := range f.pages {
		f.update(g, false)
	}
	if section == nil {
		return
	}
	var group [groupBytes]byte
	at := ^uint64(0) // the group that is there
	for p := range f.pages {
		if f.section() == groupBytes && f.upper[p] == 0xff && f.Data.Count(p*PageBlocks, (p+1)*PageBlocks) == PageBlocks {
			continue // nothing can be claimed in excess
		}
		for k, claim := range section(p) {
			x := p*uint64(f.section()) + uint64(k)
			if g := x / groupBytes; g != at {
				at = g
				f.group(g, &group)
			}
			if ones(claim)&^ones(group[x%groupBytes]) != 0 {
				f.dirty.set(p)
				break
			}
		}
	}
}

// blank reports whether there is nothing but zeros.
func blank(b []byte) bool {
	for ; len(b) >= 8; b = b[8:] {
		if binary.NativeEndian.Uint64(b) != 0 {
			return false
		}
	}
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

// ones marks the pairs of b that are 11.
func ones(b byte) byte { return b & (b >> 1) & 0x55 }

// SetData sets the bits of blocks start to end-1 and returns how many changed.
func (f *File) SetData(start, end uint64, v bool) (changed uint64) {
	if start >= end {
		return 0
	}
	if end == start+1 {
		if !f.Data.Set(start, v) {
			return 0
		}
		f.touch(start / PageBlocks)
		return 1
	}
	if changed = f.Data.SetRange(start, end, v); changed > 0 {
		for p := start / PageBlocks; p <= (end-1)/PageBlocks; p++ {
			f.touch(p)
		}
	}
	return changed
}

// SetTree sets the bit of node n and reports whether it changed.
func (f *File) SetTree(n uint64, v bool) bool {
	if !f.Tree.Set(n, v) {
		return false
	}
	f.touch(n / (2 * PageBlocks))
	return true
}

// touch marks page p as changed.
func (f *File) touch(p uint64) {
	if p >= f.pages {
		f.grow(p + 1)
	}
	f.dirty.set(p)
}

// TouchAll marks every page as changed, so that the whole file is written anew, but for
// those that are zeros and were never written: a feed of which little is here can be long.
func (f *File) TouchAll() {
	for p := range f.pages {
		if p == f.pages-1 || f.written.has(p) || !f.empty(p) {
			f.dirty.set(p)
		}
	}
}

// empty reports whether page p is all zeros, as the file should have it.
func (f *File) empty(p uint64) bool {
	return f.section() == groupBytes && f.upper[p] == 0 &&
		f.Data.Count(p*PageBlocks, (p+1)*PageBlocks) == 0 && f.Tree.Count(2*p*PageBlocks, 2*(p+1)*PageBlocks) == 0
}

func (f *File) grow(pages uint64) {
	if pages <= f.pages {
		return
	}
	// With old pages the index of the last group may end in the middle: what is
	// above it changes when the file grows.
	old := f.pages
	more := make([]byte, pages-f.pages)
	f.tops = append(f.tops, more...)
	f.upper = append(f.upper, more...)
	f.dirty = append(f.dirty, make(marks, (pages+63)/64-uint64(len(f.dirty)))...)
	f.written = append(f.written, make(marks, (pages+63)/64-uint64(len(f.written)))...)
	f.pages = pages
	if s := uint64(f.section()); s < groupBytes {
		for g := old * s / groupBytes; g < min(old, pages*s/groupBytes+1); g++ {
			f.dirty.set(g)
		}
	}
}

// section returns the number of index bytes in a page.
func (f *File) section() int { return f.pageSize - dataBytes - treeBytes }

// Take calls emit with the number of every page that has changed since the last
// Take, in order. What Page makes of it then is as the file should have it.
func (f *File) Take(emit func(p uint64)) {
	for g := f.dirty.next(0); g < f.pages; g = f.dirty.next(g + 1) {
		f.update(g, true)
	}
	for p := f.dirty.next(0); p < f.pages; p = f.dirty.next(p + 1) {
		f.written.set(p)
		emit(p)
	}
	clear(f.dirty)
}

// Page appends page p, as the file should have it, to dst.
func (f *File) Page(p uint64, dst []byte) []byte {
	dst = f.Data.Bytes(dst, p*PageBlocks, PageBlocks)
	dst = f.Tree.Bytes(dst, 2*p*PageBlocks, 2*PageBlocks)
	section := f.section()
	x := p * uint64(section)
	var group [groupBytes]byte
	f.group(x/groupBytes, &group)
	k := int(x % groupBytes)
	return append(dst, group[k:k+section]...)
}

// update recomputes what is above the data of page g in the index. With mark,
// pages in whose sections something changed become dirty.
func (f *File) update(g uint64, mark bool) {
	end := f.pages * uint64(f.section()) // of the index
	if mark && f.section() < groupBytes {
		for p := 2 * g; p <= 2*g+1 && p < f.pages; p++ {
			f.dirty.set(p)
		}
	}
	top := f.top(g, end)
	if f.tops[g] == top && mark {
		return
	}
	f.tops[g] = top
	for m, d := g&^1, uint(0); m*groupBytes+groupBytes-1 < end; d++ {
		v := f.above(m, d)
		if f.upper[m] == v && mark {
			return
		}
		f.upper[m] = v
		if mark {
			f.dirty.set((m*groupBytes + groupBytes - 1) / uint64(f.section()))
		}
		m = (m>>(d+2)<<1+1)<<(d+1) - 1 // the parent in the flat tree
	}
}

// above computes index byte 512m+511 at depth d over the pages.
func (f *File) above(m uint64, d uint) byte {
	var left, right byte
	if d == 0 {
		left = f.tops[m]
		if m+1 < f.pages {
			right = f.tops[m+1]
		}
		return join(left, right)
	}
	h := uint64(1) << (d - 1)
	left = f.upper[m-h]
	if m+h < uint64(len(f.upper)) {
		right = f.upper[m+h]
	}
	return join(left, right)
}

// top computes the index byte over all data of page g; end bounds the index.
func (f *File) top(g, end uint64) byte {
	if (g+1)*groupBytes <= end {
		switch f.Data.Count(g*PageBlocks, (g+1)*PageBlocks) {
		case 0:
			return 0
		case PageBlocks:
			return 0xff
		}
	}
	if g*groupBytes+groupBytes/2-1 >= end {
		return 0
	}
	var group [groupBytes]byte
	f.group(g, &group)
	return group[groupBytes/2-1]
}

// group computes the index bytes 512g to 512g+511: the tree over the data of
// page g and, last, the byte above it.
func (f *File) group(g uint64, dst *[groupBytes]byte) {
	end := f.pages * uint64(f.section())
	first := g * groupBytes
	*dst = [groupBytes]byte{}
	whole := first+groupBytes <= end
	switch count := f.Data.Count(g*PageBlocks, (g+1)*PageBlocks); {
	case count == 0:
	case count == PageBlocks && whole:
		fill(dst[:])
	default:
		f.fold(g, first, end, dst)
	}
	if whole {
		dst[groupBytes-1] = f.upper[g]
	}
}

// fold computes the tree over the data of page g, as far as it is before end.
func (f *File) fold(g, first, end uint64, dst *[groupBytes]byte) {
	for k := 0; k < groupBytes && first+uint64(k) < end; k += 2 {
		// Four data bytes are half of a word, or the other half.
		w := f.Data.Word(g*PageBlocks + uint64(k)*16)
		dst[k] = leaf(uint32(w >> 32)) // bytes 4j to 4j+3
		if k%4 == 2 {
			dst[k] = leaf(uint32(w))
		}
	}
	for d := 1; d < bits.Len(groupBytes)-1; d++ {
		for k := 1<<d - 1; k < groupBytes; k += 2 << d {
			if first+uint64(k) >= end {
				break
			}
			h := 1 << (d - 1)
			dst[k] = join(dst[k-h], dst[k+h])
		}
	}
}

// marks is a small set of page numbers.
type marks []uint64

func (m marks) set(p uint64) { m[p/64] |= 1 << (p % 64) }

func (m marks) has(p uint64) bool { return m[p/64]>>(p%64)&1 != 0 }

// next returns the first marked page at from or after it, or a number that is
// larger than any page.
func (m marks) next(from uint64) uint64 {
	for w := from / 64; w < uint64(len(m)); w++ {
		x := m[w]
		if w == from/64 {
			x = x >> (from % 64) << (from % 64)
		}
		if x != 0 {
			return w*64 + uint64(bits.TrailingZeros64(x))
		}
	}
	return ^uint64(0)
}

// leaf describes four data bytes, two bits each.
func leaf(w uint32) byte {
	switch w {
	case 0:
		return 0
	case ^uint32(0):
		return 0xff
	}
	return ends[byte(w>>24)]<<6 | ends[byte(w>>16)]<<4 | ends[byte(w>>8)]<<2 | ends[byte(w)]
}

// join describes the nibbles of two index bytes, two bits each.
func join(left, right byte) byte { return nibbles[left]<<4 | nibbles[right] }

var (
	ends    [256]byte // 3 for ff, 0 for 00, else 1
	nibbles [256]byte // the same for each nibble, the high one first
)

func init() {
	pair := func(v, all int) byte {
		switch v {
		case 0:
			return 0
		case all:
			return 3
		}
		return 1
	}
	for b := range 256 {
		ends[b] = pair(b, 0xff)
		nibbles[b] = pair(b>>4, 15)<<2 | pair(b&15, 15)
	}
}
