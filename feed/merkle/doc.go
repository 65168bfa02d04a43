// Package merkle is the arithmetic of a hypercore log: how blocks and the
// hashes above them are numbered, hashed, proven and verified. It is pure: no
// files, no clock, no goroutines, no knowledge of networks. Byte for byte it is
// what npm hypercore 6 to 9 compute.
//
// # Numbering
//
// The log is a list of perfect binary trees, numbered in order, so that a
// number never changes while the log grows. Block i is the leaf 2i; the nodes
// above have odd numbers:
//
//	depth 3         7
//	            /       \
//	depth 2    3         11
//	         /   \     /    \
//	depth 1 1     5   9      13
//	       / \   / \ / \    /  \
//	depth 0 0 2 4  6 8 10  12  14
//	block   0 1 2  3 4  5   6   7
//
//	depth(n)  = number of trailing one bits of n
//	offset(n) = ((n+1)/2^depth - 1)/2, counted from the left among its depth
//	index     = (1 + 2*offset)*2^depth - 1
//	parent    = index(depth+1, offset/2)     sibling = index(depth, offset xor 1)
//	leftSpan  = leftmost leaf below n        rightSpan = rightmost leaf below n
//
// The roots of a log of length n blocks are the perfect trees n splits into,
// largest first: 5 blocks have the roots 3 and 8, 7 blocks 3, 9 and 12.
//
// # Hashes
//
// All are unkeyed BLAKE2b-256; u64be is 8 bytes, big endian:
//
//	leaf   = H(00 | u64be(len) | data)
//	parent = H(01 | u64be(size left + size right) | hash left | hash right)
//	tree   = H(02 | for each root, left to right: hash | u64be(index) | u64be(size))
//
// A node's size is the number of bytes of data below it. The writer signs the
// tree hash (hypercore 6 to 8) or the tree hash and the length (hypercore 9,
// [Signable9]).
//
// # Proofs
//
// A proof for a block is the list of nodes from which, with the block, the
// reader can compute a node it already holds, or all roots of a length the
// writer signed: first the siblings on the way up, then the other roots from
// left to right. [Prove] lists them exactly as hypercore 6 replies; [Digest]
// says in a request what may be left out; [Verifier] is the receiving side.
//
// # What sizes are worth
//
// A parent's hash covers the sum of its children's sizes, not each of them.
// With the block itself in hand its size is certain and with it, going up, that
// of every sibling. Without the block (a reply to a hash request) the sizes of
// the leaf and of its sibling are the peer's word, only their sum is proven.
// Verifier keeps such a pair apart ([Result].Hints) from what may be stored.
//
// # Bounds
//
// JavaScript peers compute with doubles, so every index, size and sum is at
// most [MaxInt]; the largest log has [MaxLength] blocks. Numbers beyond are
// refused, never wrapped. Functions on node numbers are total: beyond MaxInt
// they return meaningless numbers but neither panic nor loop.
package merkle
