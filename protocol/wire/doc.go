// Package wire is the byte format of a replication stream: frames, messages, the run-length code of
// bitfields and the XSalsa20 stream of hypercore 6 (hypercore-protocol 6.12), and what the native
// dialect adds to them. Bytes in, values out: it knows no feeds, no peers and no connections, and
// keeps nothing from one message to the next.
//
// # Frames
//
// Each direction of a stream is a row of frames:
//
//	┌────────────┬──────────────────────────────┬──────────────────────┐
//	│ n          │ header = channel << 4 | type │ body                 │
//	│ varint,    │ varint                       │ protobuf 2 message,  │
//	│ ≤ 4 bytes  │                              │ or id and payload    │
//	└────────────┴──────────────────────────────┴──────────────────────┘
//	             └────────────── n bytes, n ≤ 8388608 ────────────────┘
//
// A varint has seven bits in each byte, the lowest group first; the high bit says that another byte
// follows. n = 0 is a keep-alive. n = 1 is passed over, so a message of hypercore 6 never has an
// empty body. Channels are 0 to 255 (native: 4095), numbered by the sender in its direction; a Feed
// message binds one to a feed, and a second one on the same channel ends the first.
//
//	type  message       fields; ! must be there, = value if absent
//	 0    Feed          1 discoveryKey! 32 bytes, 2 nonce 24 bytes; native: 3 capability 32 bytes,
//	                    4 answers (nonce of a Feed, or empty)
//	 1    Handshake     1 id, 2 live = false, 3 userData, 4 extensions (strings), 5 ack = false
//	 2    Info          1 uploading = false, 2 downloading = false
//	 3    Have          1 start!, 2 length = 1, 3 bitfield (run-length coded), 4 ack = false
//	 4    Unhave        1 start!, 2 length = 1
//	 5    Want          1 start!, 2 length = 0
//	 6    Unwant        1 start!, 2 length = 0
//	 7    Request       1 index!, 2 bytes = 0, 3 hash = false, 4 nodes = 0; native: 5 wait = false
//	 8    Cancel        1 index!, 2 bytes = 0, 3 hash = false; native: 4 length = 1
//	 9    Data          1 index!, 2 value, 3 nodes {1 index!, 2 hash! 32 bytes, 3 size!}, 4 signature 64 bytes
//	10    RequestRange  native: 1 start!, 2 length!, 3 nodes = 0, 4 last = 0, 5 bytes = 0
//	11    DataRange     native: 1 start!, 2 values!, 3 nodes as in Data, 4 signature 64 bytes, 5 sizes! (packed varints)
//	12    NoData        native: 1 index!, 2 length = 1, 3 reason = 0, 4 bytes = 0, 5 hash = false
//	15    Extension     no protobuf: varint id, then the payload
//
// The Append functions write what hypercore 6 writes, byte for byte: fields in the order of their
// numbers and with the fields hypercore 6 sets, also where they are zero. DataRange alone has its
// sizes before its values, so that values can be read from disk to where they are sent from.
//
// # What is understood and what is refused
//
// As in hypercore 6: fields of unknown numbers are passed over, of a field that comes twice the last
// one counts, and the wire type of a known field is not looked at. Otherwise a message is read whole
// or refused with an *Error, which is always the remote's fault:
//
//   - integers: at most ten bytes and 2^53-1; block numbers and ends of ranges at most MaxBlocks, so
//     that twice the number is an integer too; start + length must stay within it;
//   - bool: one byte below 0x80;
//   - bytes must end inside the message (hypercore 6 takes what is there), and keys, nonces, hashes
//     and signatures have exactly their length;
//   - counts are bounded by MaxNodes, MaxExtensions, MaxRunBlocks and the other constants here;
//   - a Have with a bitfield starts at a multiple of 8.
//
// A caller must still see to it that a Data has a value or nodes, and that sums of node sizes stay
// within MaxInt: these are faults of a proof and not of the format. hypercore 6 drops a message it
// cannot read, except a Feed, which ends the stream. Types without a message are ignored.
//
// # Encryption
//
// In hypercore 6 the first Feed frame of each direction is clear and carries the nonce of its sender.
// Every byte after it, lengths and keep-alives included, is XORed with one continuous XSalsa20 key
// stream that begins there: key = public key of the first feed, nonce = the sender's. It has no
// authentication. See Cipher, Reader.SetCipher and Writer.SetCipher.
//
// # Bitfields
//
// Bit i of a bitfield is 0x80 >> (i mod 8) of byte i/8. On the wire it is a row of
//
//	varint x, x odd:  x>>2 bytes, all ff if x&2, else all 00
//	varint x, x even: x/2 bytes follow as they are
//
// and zeros follow the last. The encoder drops trailing zeros and turns a run into a literal where
// that is not longer; EncodeRLE has it exactly.
//
// # The native dialect
//
// Between peers that both speak it, RequestRange asks for a run of adjacent blocks at once, and
// every request gets an answer. Blocks of a RequestRange are answered in ascending order, each
// once: by a DataRange, by a Data (one block, of any size), or by a NoData that says why not. The
// answer may be cut into any number of these. A proof may count on what the digests of the requests
// claim and on the blocks that earlier answers on the channel brought, not on the nodes that came
// with them, unless the digests of the request are 0. A Cancel with a length takes
// blocks of a RequestRange back; blocks not yet answered may then be answered by
// NoData(ReasonCancelled) or still by Data.
//
// A Request with wait for a block that the other side does not serve yet is kept there until it
// does: the block then comes as a Data at the moment at which a Have would have announced it, and no
// Have does. Its proof is that of a Request made then with the same digest. A Cancel ends the waiting,
// answered by NoData(ReasonCancelled) unless the Data is on its way, and so does the end of the
// channel. A side keeps at least one such request per channel; those beyond what it keeps are
// answered by NoData at once, as is every one by a side that does not know wait: the sender of
// the request then makes no more of them on that channel. With bytes or hash there is no waiting.
//
// A Feed opens one half of a channel, that of its sender; an Info with neither uploading nor
// downloading ends it, also when the other side has never sent its own Feed. A side that had its half
// open then ends it in the same way. The number is free then. Answers is the nonce of the Feed that a
// Feed answers, empty if it is an offer. A Feed that answers one whose half has ended opens nothing:
// its sender will end it. Of two offers of a feed that cross, that of the side with the greater ID
// (as bytes) stands; the other side ends its own and answers.
//
// Another Handshake whose list of extensions begins with that of the one before adds those that
// follow; the ids of the others stay.
//
// # The proof of a run
//
// A DataRange carries values and sizes, so the receiver computes the leaves itself, and every node
// above that has both children in the run. Nodes are needed only along the two edges. Let (d, l) to
// (d, r) be the computed nodes of depth d, named by their offsets, beginning with the blocks
// themselves at d = 0. At each depth, the left edge first:
//
//	left edge, l odd:    its sibling (d, l-1) is needed, unless the receiver has (d, l)
//	right edge, r even:  its sibling (d, r+1) is needed, unless the receiver has (d, r),
//	                     or the sender has no (d, r+1): then (d, r) is a root
//
// An edge node that the receiver has, and a root, is left out of the next depth: l+1, or r-1. The
// others go on as their parents: l>>1, r>>1, until none is left. Nodes holds the needed siblings in
// the order they were met, without those the receiver has. If there was a root, the other roots of
// the signed length follow from left to right, without those the receiver has, and Signature is
// the one of that length; without a root there is no signature.
//
// The receiver walks the same way. Where a sibling is needed it takes the next node of the message
// if that is it; else, if it has the edge node, compares and leaves it out; else takes the sibling
// it has; else, at the right edge only, the edge node is a root. Of an edge that it left out the
// sender may not have known: siblings on the way up from the first block on the left, and from the
// last block on the right, are then passed over. At the end every other node of the message must be
// used, and the roots must hash to what the signature covers, exactly as with Data; if every way
// ended at a node the receiver has, what is left of the message does not matter. A run that begins
// and ends where a subtree does that the receiver knows the top of needs no node at all.
//
// What the receiver has, the sender knows from the digests of the RequestRange, Nodes of the first
// block and Last of the last one, in the form of Request.nodes. Held nodes below the lowest one
// above the whole run do not end the first digest: it goes on to an ancestor of the run, with the
// siblings on the left of the way. The last digest has the siblings on the right of its way, up to
// that same node, and ends early only at a node whose right sibling is not held. Shorter claims are
// allowed. If both digests are 0, nothing is left out, whatever was claimed or sent before: a
// receiver that could not use an answer asks in this way, and can always use what it gets.
//
// # Buffers
//
// A Reader reads large pieces into pooled slabs and gives frames out where they lie; whoever holds
// the slab may use them in another goroutine while the Reader goes on. Memory follows the bytes that
// came, never the length that was announced. A Writer gathers frames and writes them in large
// pieces; AppendDataHeader and AppendDataTail leave the place between them for a value that is read
// from disk. Nothing here allocates per message.
package wire
