package feed

import "github.com/go-hypercore/hypercore/feed/merkle"

// even is the first blocks of a feed, all of one size: in a feed of records, or of a
// file in pieces, most of it or all. Where one of them begins is a product, and nothing
// of the tree is read for it, however long the feed is. The journal keeps it; its tree
// hash covers the sizes. It is not known of what JavaScript wrote, nor of a download
// from the first block on that came out of turn: there the groups find out, of which
// this is a part (groups.go).
type even struct {
	blocks uint64 // 0 if nothing is known
	size   uint64 // of each, in bytes
}

// add takes the verified leaves of neighbouring blocks into account.
func (e *even) add(leaves []merkle.Node) {
	for i := range leaves {
		n := &leaves[i]
		switch block := n.Index / 2; {
		case block < e.blocks:
			continue
		case block > e.blocks, block > 0 && n.Size != e.size:
			return
		}
		e.blocks, e.size = e.blocks+1, n.Size
	}
}

// holds reports whether a feed of so many blocks and bytes can begin like this.
func (e *even) holds(length, bytes uint64) bool {
	switch {
	case e.blocks == 0:
		return e.size == 0
	case e.blocks > length, e.size > maxValue:
		return false
	}
	total := e.blocks * e.size
	return total == bytes || total < bytes && e.blocks < length
}
