package wire

// Request asks for one block (hypercore 6, type 7).
type Request struct {
	Index uint64 // the block
	Bytes uint64 // if not 0: instead of Index the block that holds this byte of the feed
	Hash  bool   // only the hash of the block, not its value
	Nodes uint64 // digest: which nodes on the way up the sender has
	Wait  bool   // if the block is not there, the answer waits until it is; native dialect only
}

// AppendRequest appends a Request frame with all four fields, as hypercore 6 does, and Wait if it
// is true.
func AppendRequest(dst []byte, channel uint64, m Request) []byte {
	dst, at := openSmall(dst, channel, TypeRequest)
	dst = appendField(dst, 0x08, m.Index)
	dst = appendField(dst, 0x10, m.Bytes)
	dst = appendBool(dst, 0x18, m.Hash)
	dst = appendField(dst, 0x20, m.Nodes)
	if m.Wait {
		dst = appendBool(dst, 0x28, true)
	}
	return closeSmall(dst, at)
}

// ParseRequest reads the body of a Request frame.
func ParseRequest(body []byte, m *Request) error {
	*m = Request{}
	d := decoder{b: body}
	seen := false
	for d.next() {
		switch d.num {
		case 1:
			m.Index, seen = d.block("index"), true
		case 2:
			m.Bytes = d.int("bytes")
		case 3:
			m.Hash = d.bool("hash")
		case 4:
			m.Nodes = d.int("nodes")
		case 5:
			m.Wait = d.bool("wait")
		default:
			d.skip()
		}
	}
	d.need(seen, "index")
	return d.done(TypeRequest)
}

// Cancel takes a Request back (hypercore 6, type 8; hypercore 6 neither sends nor obeys it).
type Cancel struct {
	Index  uint64 // the block
	Bytes  uint64 // as in the Request
	Hash   bool   // as in the Request
	Length uint64 // blocks, 1 if absent or 0; native dialect only
}

// AppendCancel appends a Cancel frame. A Length of 0 or 1 is left out: the frame of hypercore 6.
func AppendCancel(dst []byte, channel uint64, m Cancel) []byte {
	dst, at := openSmall(dst, channel, TypeCancel)
	dst = appendField(dst, 0x08, m.Index)
	dst = appendField(dst, 0x10, m.Bytes)
	dst = appendBool(dst, 0x18, m.Hash)
	if m.Length > 1 {
		dst = appendField(dst, 0x20, m.Length)
	}
	return closeSmall(dst, at)
}

// ParseCancel reads the body of a Cancel frame.
func ParseCancel(body []byte, m *Cancel) error {
	*m = Cancel{Length: 1}
	d := decoder{b: body}
	seen := false
	for d.next() {
		switch d.num {
		case 1:
			m.Index, seen = d.block("index"), true
		case 2:
			m.Bytes = d.int("bytes")
		case 3:
			m.Hash = d.bool("hash")
		case 4:
			m.Length = max(d.block("length"), 1)
		default:
			d.skip()
		}
	}
	d.need(seen, "index")
	d.span(m.Index, m.Length)
	return d.done(TypeCancel)
}
