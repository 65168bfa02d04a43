package bitfield

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// Bytes appends to dst the n bits from start on in wire order: bit i is the mask
// 0x80 >> (i mod 8). start and n are multiples of 8; start is rounded down and n
// up if they are not.
func (b *Bits) Bytes(dst []byte, start, n uint64) []byte {
	at, left := start/8, (n+7)/8 // in bytes
	dst = slices.Grow(dst, int(left))
	for left > 0 {
		i := at * 8
		p := b.page(i)
		k := i & (pageBits - 1) / 8 // byte within the page
		c := min(left, pageBits/8-k)
		at, left = at+c, left-c
		if p == nil || p == fullPage {
			m := len(dst)
			dst = dst[:m+int(c)]
			if p == nil {
				clear(dst[m:])
			} else {
				fill(dst[m:])
			}
			continue
		}
		for c > 0 {
			w := p[k/8]
			if k%8 == 0 && c >= 8 {
				dst = binary.BigEndian.AppendUint64(dst, w)
				k, c = k+8, c-8
				continue
			}
			dst = append(dst, byte(w>>(56-8*(k%8))))
			k, c = k+1, c-1
		}
	}
	return dst
}

func fill(p []byte) {
	for i := range p {
		p[i] = 0xff
	}
}

// SetBytes replaces the len(p)*8 bits from start on, a multiple of 8 (else it is
// rounded down), by p in wire order.
func (b *Bits) SetBytes(start uint64, p []byte) {
	i := start &^ 7
	for len(p) > 0 && i < Limit {
		// Up to the end of the page, as runs of equal bytes and single words.
		c := min(uint64(len(p)), (pageBits-i&(pageBits-1))/8)
		b.setBytes(i, p[:c])
		i, p = i+8*c, p[c:]
	}
}

// setBytes is SetBytes within one page.
func (b *Bits) setBytes(i uint64, p []byte) {
	end := i + 8*uint64(len(p))
	if uniform(p) && (p[0] == 0 || p[0] == 0xff) {
		b.SetRange(i, end, p[0] == 0xff)
		return
	}
	if len(p) == pageBits/8 {
		b.setPage(i, p)
		return
	}
	// Into the image of the page: at most 1024 bytes.
	var buf [pageBits / 8]byte
	first := i &^ (pageBits - 1)
	img := b.Bytes(buf[:0], first, pageBits)
	copy(img[(i-first)/8:], p)
	b.setPage(first, img)
}

func uniform(p []byte) bool {
	for _, x := range p {
		if x != p[0] {
			return false
		}
	}
	return true
}

// setPage replaces the page from bit first on.
func (b *Bits) setPage(first uint64, img []byte) {
	if uniform(img) && (img[0] == 0 || img[0] == 0xff) {
		b.SetRange(first, first+pageBits, img[0] == 0xff)
		return
	}
	p := b.page(first)
	if p == nil || p == fullPage {
		b.SetRange(first, first+pageBits, false)
		b.Set(first, true) // makes the page
		p = b.page(first)
	}
	var delta uint64
	for w := range p {
		x := binary.BigEndian.Uint64(img[8*w:])
		delta += uint64(bits.OnesCount64(x)) - uint64(bits.OnesCount64(p[w]))
		p[w] = x
	}
	b.add(first, delta)
}

// add adds delta to the counts on the way to the page of bit i, which is mixed
// before and after.
func (b *Bits) add(i, delta uint64) {
	n := b.root
	n.total += delta
	for l := b.level; l > 1; l-- {
		n = n.nodes[slot(i, l)]
		n.total += delta
	}
	n.counts[slot(i, 1)] += uint16(delta)
}
