// Package bitfield keeps which blocks and which tree nodes are here.
//
// [Bits] is a bit set in memory for indexes up to 2^61: sparse, growable, and
// cheap when whole regions are set or clear, which is what feeds look like. It
// is a radix tree over pages:
//
//	root  node of level 2: 256 children of 2^21 bits each
//	        |     |      \
//	      nil   node     the shared full node of level 1
//	          level 1: 256 children of 2^13 bits each
//	            |    |     \
//	          page  nil    the shared full page
//	          128 words
//
// A child without a set bit is nil, a child with every bit set is the shared
// full one: neither costs memory, and setting a range touches only the pages at
// its two ends. The tree grows a level at a time, so the memory follows the
// number of mixed pages, not the highest index: a peer that announces block
// 2^52 costs a few kilobytes.
//
// Bit i is the mask 0x80 >> (i mod 8) of byte i/8 in files and on the wire
// (hypercore 6). Words hold 64 bits in the same order, the first in the highest
// place, so that bytes are copied and not turned.
package bitfield
