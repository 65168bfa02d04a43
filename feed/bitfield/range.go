package bitfield

import "math/bits"

// mask returns a word with the bits lo to hi-1 set, 0 <= lo < hi <= 64.
func mask(lo, hi uint64) uint64 { return ^uint64(0) >> lo & (^uint64(0) << (64 - hi)) }

// words calls f for each word of a page that bits lo to hi-1 touch, with the
// mask of those bits.
func words(lo, hi uint64, f func(w int, m uint64)) {
	for lo < hi {
		end := min(hi, lo&^63+64)
		f(int(lo>>6), mask(lo&63, end-lo&^63))
		lo = end
	}
}

// SetRange sets the bits start to end-1 to v and returns how many changed. It
// costs as little for a huge range as for a small one.
func (b *Bits) SetRange(start, end uint64, v bool) (changed uint64) {
	end = min(end, Limit)
	if !v && b.level > 0 {
		end = min(end, 1<<span(b.level))
	}
	if start >= end || !v && b.level == 0 {
		return 0
	}
	if v {
		b.grow(end - 1)
	}
	b.root, changed = setRange(b.root, b.level, start, end, v)
	if b.root == nil {
		b.level = 0
	}
	return changed
}

// setRange sets the bits lo to hi-1 below n, counted from its first one.
func setRange(n *node, level int, lo, hi uint64, v bool) (_ *node, changed uint64) {
	size := uint64(1) << span(level)
	var total uint64
	if n != nil {
		total = n.total
	}
	switch {
	case v && total == size, !v && total == 0:
		return n, 0
	case lo == 0 && hi == size && v:
		return fullNodes[level], size - total
	case lo == 0 && hi == size:
		return nil, total
	}
	n = own(n, level)
	sub := span(level - 1)
	if level == 1 {
		n.reach(int((hi - 1) >> sub))
	}
	for lo < hi {
		k := lo >> sub
		base := k << sub
		end := min(hi, base+1<<sub)
		var c uint64
		if level > 1 {
			n.nodes[k], c = setRange(n.nodes[k], level-1, lo-base, end-base, v)
		} else {
			n.pages[k], c = setPage(n.pages[k], uint64(n.counts[k]), lo-base, end-base, v)
			if v {
				n.counts[k] += uint16(c)
			} else {
				n.counts[k] -= uint16(c)
			}
		}
		changed += c
		lo = end
	}
	if v {
		n.total += changed
	} else {
		n.total -= changed
	}
	return shared(n, level), changed
}

func setPage(p *page, count, lo, hi uint64, v bool) (_ *page, changed uint64) {
	switch {
	case v && count == pageBits, !v && count == 0:
		return p, 0
	case lo == 0 && hi == pageBits && v:
		return fullPage, pageBits - count
	case lo == 0 && hi == pageBits:
		return nil, count
	}
	switch p {
	case nil:
		p = new(page)
	case fullPage:
		c := *p
		p = &c
	}
	words(lo, hi, func(w int, m uint64) {
		if v {
			changed += uint64(bits.OnesCount64(m &^ p[w]))
			p[w] |= m
		} else {
			changed += uint64(bits.OnesCount64(m & p[w]))
			p[w] &^= m
		}
	})
	switch {
	case v && count+changed == pageBits:
		p = fullPage
	case !v && count == changed:
		p = nil
	}
	return p, changed
}

// Count returns the number of set bits among start to end-1.
func (b *Bits) Count(start, end uint64) uint64 {
	if b.level == 0 {
		return 0
	}
	if end = min(end, 1<<span(b.level)); start >= end {
		return 0
	}
	return count(b.root, b.level, start, end)
}

func count(n *node, level int, lo, hi uint64) (c uint64) {
	switch {
	case n == nil:
		return 0
	case n == fullNodes[level]:
		return hi - lo
	case lo == 0 && hi == 1<<span(level):
		return n.total
	}
	sub := span(level - 1)
	for lo < hi {
		k := lo >> sub
		base := k << sub
		end := min(hi, base+1<<sub)
		switch {
		case level > 1:
			c += count(n.nodes[k], level-1, lo-base, end-base)
		case n.page(int(k)) == nil:
		case end-lo == pageBits:
			c += uint64(n.counts[k])
		default:
			p := n.pages[k]
			words(lo-base, end-base, func(w int, m uint64) { c += uint64(bits.OnesCount64(p[w] & m)) })
		}
		lo = end
	}
	return c
}

// NextSet returns the first set bit at from or after it.
func (b *Bits) NextSet(from uint64) (uint64, bool) {
	if b.level == 0 || from>>span(b.level) != 0 {
		return 0, false
	}
	return nextSet(b.root, b.level, from)
}

func nextSet(n *node, level int, from uint64) (uint64, bool) {
	if n == nil {
		return 0, false
	}
	if n == fullNodes[level] {
		return from, true
	}
	sub := span(level - 1)
	for k := from >> sub; k < fan; k++ {
		base := k << sub
		lo := max(from, base) - base
		if level > 1 {
			if i, ok := nextSet(n.nodes[k], level-1, lo); ok {
				return base + i, true
			}
			continue
		}
		p := n.page(int(k))
		if p == nil {
			continue
		}
		m := ^uint64(0) >> (lo & 63)
		for w := lo >> 6; w < pageWords; w++ {
			if x := p[w] & m; x != 0 {
				return base + w*64 + uint64(bits.LeadingZeros64(x)), true
			}
			m = ^uint64(0)
		}
	}
	return 0, false
}

// PrevSet returns the last set bit before end.
func (b *Bits) PrevSet(end uint64) (uint64, bool) {
	if b.level == 0 {
		return 0, false
	}
	return prevSet(b.root, b.level, min(end, 1<<span(b.level)))
}

func prevSet(n *node, level int, end uint64) (uint64, bool) {
	if n == nil || end == 0 {
		return 0, false
	}
	if n == fullNodes[level] {
		return end - 1, true
	}
	sub := span(level - 1)
	for k := int((end - 1) >> sub); k >= 0; k-- {
		base := uint64(k) << sub
		hi := min(end-base, 1<<sub)
		if level > 1 {
			if i, ok := prevSet(n.nodes[k], level-1, hi); ok {
				return base + i, true
			}
			continue
		}
		p := n.page(k)
		if p == nil {
			continue
		}
		m := ^uint64(0) << (-hi & 63)
		for w := int((hi - 1) >> 6); w >= 0; w-- {
			if x := p[w] & m; x != 0 {
				return base + uint64(w)*64 + 63 - uint64(bits.TrailingZeros64(x)), true
			}
			m = ^uint64(0)
		}
	}
	return 0, false
}

// NextClear returns the first clear bit at from or after it.
func (b *Bits) NextClear(from uint64) uint64 { return b.RunEnd(from, ^uint64(0)) }

// RunEnd returns the first clear bit at from or after it, at most end: from, if from
// is clear or not below end. It looks no further than end, which NextClear may do by
// millions of bits.
func (b *Bits) RunEnd(from, end uint64) uint64 {
	if b.level == 0 || from>>span(b.level) != 0 || from >= end {
		return from
	}
	return min(end, nextClear(b.root, b.level, from, end))
}

// nextClear returns the first clear bit below n at from or after it; if there is
// none, or none below end, something from end or the number of bits below n on.
func nextClear(n *node, level int, from, end uint64) uint64 {
	if n == nil {
		return from
	}
	if n == fullNodes[level] {
		return 1 << span(level)
	}
	sub := span(level - 1)
	for k := from >> sub; k < fan && k<<sub < end; k++ {
		base := k << sub
		lo := max(from, base) - base
		if level > 1 {
			if i := nextClear(n.nodes[k], level-1, lo, end-base); i < 1<<sub {
				return base + i
			}
			continue
		}
		p := n.page(int(k))
		if p == nil {
			return base + lo
		}
		if p == fullPage {
			continue
		}
		m := ^uint64(0) >> (lo & 63)
		for w := lo >> 6; w < pageWords; w++ {
			if x := ^p[w] & m; x != 0 {
				return base + w*64 + uint64(bits.LeadingZeros64(x))
			}
			m = ^uint64(0)
		}
	}
	return 1 << span(level)
}

// NextSetNotIn returns the first bit at from or after it that is set here and
// clear in other: the next block a peer has and we lack.
func (b *Bits) NextSetNotIn(other *Bits, from uint64) (uint64, bool) {
	for {
		i, ok := b.NextSet(from)
		if !ok {
			return 0, false
		}
		p, q := b.page(i), other.page(i)
		if q == nil {
			return i, true
		}
		if q != fullPage {
			m := ^uint64(0) >> (i & 63)
			for w := i >> 6 & (pageWords - 1); w < pageWords; w++ {
				if x := p[w] &^ q[w] & m; x != 0 {
					return i&^(pageBits-1) + w*64 + uint64(bits.LeadingZeros64(x)), true
				}
				m = ^uint64(0)
			}
		}
		from = other.NextClear(i&^(pageBits-1) + pageBits)
	}
}
