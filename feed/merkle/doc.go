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
// # Runs
//
// Adjacent blocks need one proof between them ([ProveRun], [DigestRun],
// [Verifier.VerifyRun]; not in hypercore 6). Every node that has all its blocks in
// the run is computed from them, so only the two edges need siblings. Blocks 3 to 8
// of 13, computed nodes in brackets, nodes sent with a plus:
//
//	depth 3                    [7]
//	depth 2            [3]            [11]            [19]
//	depth 1        1+      [5]     [9]    [13]     [17]    21+
//	depth 0              4+ [6]  [8][10] [12][14] [16] 18+        24+
//	block                 2  3    4  5    6   7    8    9         12
//
// From depth 0 upwards, d being the depth and l to r the offsets of the nodes that
// are computed, first on the left and then on the right:
//
//	l odd:   node (d, l-1) is needed, unless the receiver has (d, l)
//	r even:  node (d, r+1) is needed, unless the receiver has (d, r), or the
//	         sender has no (d, r+1): then (d, r) is a root
//
// What the receiver has and what is a root is left out of the next depth, where l
// to r are the parents of the others. Needed nodes that the receiver has are not
// sent. If there was a root, the other roots follow, left to right, and the
// signature. Above: 4, 18, 1, 21, then 24, the only root that is not computed. A
// run of one block gives the proof of that block.
//
// The receiver walks the same way. Each way ends at a held node or at a root. Where
// it holds a node that the sender did not know of, it passes over the siblings that
// the sender goes on with above; a node that is held but differs is a [Conflict],
// at the edges and inside. If every way ended at a held node the run is trusted; if
// one did not, the signature decides for all of it.
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
