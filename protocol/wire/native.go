package wire

const (
	// MaxRunBlocks bounds the blocks of one RequestRange, DataRange or NoData: a receiver hashes and
	// answers for that many before anything else gets its turn (4096 small leaves: about 1 ms).
	MaxRunBlocks = 4096
	// MaxRunBytes bounds the values of one DataRange, in bytes, so that a run is small against the
	// buffers of both sides. A block larger than this travels in a Data.
	MaxRunBytes = 1 << 20
	// MaxRunNodes bounds the nodes of one DataRange: siblings on both sides of the run, at most 52
	// each, and at most 52 other roots, rounded up.
	MaxRunNodes = 160
)

// RequestRange asks for adjacent blocks (native dialect, type 10).
type RequestRange struct {
	Start  uint64 // first block
	Length uint64 // blocks, 1 to MaxRunBlocks
	Nodes  uint64 // digest of the first block, as in Request
	Last   uint64 // digest of the last block; not used when Length is 1
	Bytes  uint64 // if not 0: answer with about that many bytes of values, at least one block, and NoData(ReasonLater) for the rest
}

// AppendRequestRange appends a RequestRange frame; Last and Bytes are left out when 0.
func AppendRequestRange(dst []byte, channel uint64, m RequestRange) []byte {
	dst, at := openSmall(dst, channel, TypeRequestRange)
	dst = appendField(dst, 0x08, m.Start)
	dst = appendField(dst, 0x10, m.Length)
	dst = appendField(dst, 0x18, m.Nodes)
	if m.Last != 0 {
		dst = appendField(dst, 0x20, m.Last)
	}
	if m.Bytes != 0 {
		dst = appendField(dst, 0x28, m.Bytes)
	}
	return closeSmall(dst, at)
}

// ParseRequestRange reads the body of a RequestRange frame.
func ParseRequestRange(body []byte, m *RequestRange) error {
	*m = RequestRange{}
	d := decoder{b: body}
	var start, length bool
	for d.next() {
		switch d.num {
		case 1:
			m.Start, start = d.block("start"), true
		case 2:
			m.Length, length = d.block("length"), true
		case 3:
			m.Nodes = d.int("nodes")
		case 4:
			m.Last = d.int("last")
		case 5:
			m.Bytes = d.int("bytes")
		default:
			d.skip()
		}
	}
	d.need(start, "start")
	d.need(length, "length")
	d.run(m.Start, m.Length)
	return d.done(TypeRequestRange)
}

// run fails unless there are 1 to MaxRunBlocks blocks from start within MaxBlocks.
func (d *decoder) run(start, length uint64) {
	switch {
	case d.err != nil:
	case length == 0:
		d.fail("length", ErrRange)
	case length > MaxRunBlocks:
		d.fail("length", ErrTooMany)
	default:
		d.span(start, length)
	}
}

// DataRange carries adjacent blocks with one proof (native dialect, type 11).
type DataRange = DataRangeOf[Node]

// DataRangeOf is DataRange with another type for its nodes.
type DataRangeOf[N AnyNode] struct {
	Start     uint64   // first block
	Sizes     []uint64 // bytes of each block, 1 to MaxRunBlocks of them
	Values    []byte   // the blocks one after the other: as long as the sum of Sizes, at most MaxRunBytes
	Nodes     []N      // at most MaxRunNodes
	Signature []byte   // SignatureLen bytes or nil, as in Data
}

// DataRangePayloadLen is the n of a DataRange frame: it must not be larger than MaxFrame. tailLen
// is DataTailLen of its nodes and signature.
func DataRangePayloadLen(channel, start uint64, sizes []uint64, tailLen int) int {
	packed, values := sizesLen(sizes)
	return varintLen(header(channel, TypeDataRange)) + 1 + varintLen(start) + bytesLen(packed) + bytesLen(values) + tailLen
}

// sizesLen is the length of the packed sizes and their sum.
func sizesLen(sizes []uint64) (packed, sum int) {
	for _, s := range sizes {
		packed += varintLen(s)
		sum += int(s)
	}
	return packed, sum
}

// AppendDataRangeHeader appends the begin of a DataRange frame, up to its values. The caller
// appends the values, exactly as many bytes as the sum of sizes, and then AppendDataTail with
// nodes and signature of tailLen = DataTailLen bytes.
func AppendDataRangeHeader(dst []byte, channel, start uint64, sizes []uint64, tailLen int) []byte {
	packed, values := sizesLen(sizes)
	n := 1 + varintLen(start) + bytesLen(packed) + bytesLen(values) + tailLen
	dst = appendHeader(dst, channel, TypeDataRange, n)
	dst = appendField(dst, 0x08, start)
	dst = appendField(dst, 0x2a, uint64(packed))
	for _, s := range sizes {
		dst = AppendVarint(dst, s)
	}
	return appendField(dst, 0x12, uint64(values))
}

// AppendDataRange appends a DataRange frame.
func AppendDataRange[N AnyNode](dst []byte, channel uint64, m DataRangeOf[N]) []byte {
	dst = AppendDataRangeHeader(dst, channel, m.Start, m.Sizes, DataTailLen(m.Nodes, m.Signature))
	return AppendDataTail(append(dst, m.Values...), m.Nodes, m.Signature)
}

// ParseDataRange reads the body of a DataRange frame. Values and Signature alias it; sizes and
// nodes are written over m.Sizes[:0] and m.Nodes[:0], which grow when they are too short.
func ParseDataRange[N AnyNode](body []byte, m *DataRangeOf[N]) error {
	*m = DataRangeOf[N]{Sizes: m.Sizes[:0], Nodes: m.Nodes[:0]}
	d := decoder{b: body}
	var start, values bool
	for d.next() {
		switch d.num {
		case 1:
			m.Start, start = d.block("start"), true
		case 2:
			if m.Values = d.bytes("values"); len(m.Values) > MaxRunBytes {
				d.fail("values", ErrTooMany)
			}
			values = true
		case 3:
			m.Nodes = appendNode(m.Nodes, &d, MaxRunNodes)
		case 4:
			m.Signature = d.fixed("signature", SignatureLen)
		case 5:
			m.Sizes = appendSizes(m.Sizes[:0], &d)
		default:
			d.skip()
		}
	}
	d.need(start, "start")
	d.need(values, "values")
	d.run(m.Start, uint64(len(m.Sizes)))
	sum := uint64(0)
	for _, s := range m.Sizes {
		sum += s // at most MaxRunBlocks * MaxRunBytes
	}
	if sum != uint64(len(m.Values)) && d.err == nil {
		d.fail("sizes", ErrLength)
	}
	return d.done(TypeDataRange)
}

// appendSizes reads the packed sizes of d.
func appendSizes(sizes []uint64, d *decoder) []uint64 {
	b := d.bytes("sizes")
	for len(b) > 0 {
		s, n := readVarint(b)
		switch {
		case n == 0:
			d.fail("sizes", ErrTruncated)
			return sizes
		case n < 0 || s > MaxRunBytes || len(sizes) == MaxRunBlocks:
			d.fail("sizes", ErrTooMany)
			return sizes
		}
		sizes = append(sizes, s)
		b = b[n:]
	}
	return sizes
}

// Reason says why there is no Data for a request.
type Reason uint64

// The reasons of NoData. A receiver treats others as ReasonNone.
const (
	ReasonNone      Reason = 0 // not said
	ReasonNotHere   Reason = 1 // the block is not here, any more or yet: ask again after a Have
	ReasonLater     Reason = 2 // here, but too much is asked already: ask again
	ReasonRefused   Reason = 3 // here, but the sender does not upload
	ReasonCancelled Reason = 4 // the request was taken back in time
	ReasonFailed    Reason = 5 // the sender could not read it
)

var reasonNames = [...]string{"no reason given", "not here", "later", "refused", "cancelled", "failed"}

// String says the reason in words.
func (r Reason) String() string {
	if r < Reason(len(reasonNames)) {
		return reasonNames[r]
	}
	return reasonNames[ReasonNone]
}

// NoData answers a Request or (a part of) a RequestRange in place of Data (native dialect, type 12).
type NoData struct {
	Index  uint64 // first block
	Length uint64 // blocks, 1 if absent
	Reason Reason
	Bytes  uint64 // as in the Request
	Hash   bool   // as in the Request
}

// AppendNoData appends a NoData frame; Bytes and Hash are left out when 0 and false.
func AppendNoData(dst []byte, channel uint64, m NoData) []byte {
	dst, at := openSmall(dst, channel, TypeNoData)
	dst = appendField(dst, 0x08, m.Index)
	dst = appendField(dst, 0x10, m.Length)
	dst = appendField(dst, 0x18, uint64(m.Reason))
	if m.Bytes != 0 {
		dst = appendField(dst, 0x20, m.Bytes)
	}
	if m.Hash {
		dst = appendBool(dst, 0x28, true)
	}
	return closeSmall(dst, at)
}

// ParseNoData reads the body of a NoData frame.
func ParseNoData(body []byte, m *NoData) error {
	*m = NoData{Length: 1}
	d := decoder{b: body}
	seen := false
	for d.next() {
		switch d.num {
		case 1:
			m.Index, seen = d.block("index"), true
		case 2:
			m.Length = d.block("length")
		case 3:
			m.Reason = Reason(d.int("reason"))
		case 4:
			m.Bytes = d.int("bytes")
		case 5:
			m.Hash = d.bool("hash")
		default:
			d.skip()
		}
	}
	d.need(seen, "index")
	d.run(m.Index, m.Length)
	return d.done(TypeNoData)
}
