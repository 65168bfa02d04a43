package wire

const (
	// HashLen is the length of a node's hash, in bytes.
	HashLen = 32
	// SignatureLen is the length of a signature, in bytes.
	SignatureLen = 64
	// MaxNodes bounds the nodes of one Data: a path of at most 52 siblings, at most 52 other roots,
	// and the leaf itself in the answer to a hash request, rounded up.
	MaxNodes = 128
)

// Node is a node of the Merkle tree as Data carries it.
type Node struct {
	Index uint64
	Size  uint64 // bytes of data below it
	Hash  [HashLen]byte
}

// AnyNode is Node under any name, so that a tree's own node type needs no copy on its way to and
// from the wire.
type AnyNode interface {
	~struct {
		Index uint64
		Size  uint64
		Hash  [HashLen]byte
	}
}

// Data carries a block, or its hash, with the proof (hypercore 6, type 9).
type Data = DataOf[Node]

// DataOf is Data with another type for its nodes.
type DataOf[N AnyNode] struct {
	Index     uint64 // the block
	Value     []byte // its bytes
	HasValue  bool   // false: no value, only nodes; an empty block has a value of length 0
	Nodes     []N    // at most MaxNodes, lowest first, then the roots from left to right
	Signature []byte // SignatureLen bytes, or nil if the nodes lead to one the receiver has, or the feed is static
}

// DataTailLen is the number of bytes that AppendDataTail appends.
func DataTailLen[N AnyNode](nodes []N, signature []byte) int {
	n := 0
	for i := range nodes {
		n += 2 + nodeLen(Node(nodes[i]))
	}
	if signature != nil {
		n += bytesLen(len(signature))
	}
	return n
}

func nodeLen(n Node) int { return 1 + varintLen(n.Index) + 2 + HashLen + 1 + varintLen(n.Size) }

// DataPayloadLen is the n of a Data frame: it must not be larger than MaxFrame. valueLen is -1 for
// no value.
func DataPayloadLen(channel, index uint64, valueLen, tailLen int) int {
	n := varintLen(header(channel, TypeData)) + 1 + varintLen(index) + tailLen
	if valueLen >= 0 {
		n += bytesLen(valueLen)
	}
	return n
}

// AppendDataHeader appends the begin of a Data frame, up to its value. The caller appends exactly
// valueLen bytes of value (-1: no value at all), for instance by reading them from disk into dst,
// and then AppendDataTail with nodes and signature of tailLen = DataTailLen bytes.
func AppendDataHeader(dst []byte, channel, index uint64, valueLen, tailLen int) []byte {
	dst = AppendVarint(dst, uint64(DataPayloadLen(channel, index, valueLen, tailLen)))
	dst = AppendVarint(dst, header(channel, TypeData))
	dst = appendField(dst, 0x08, index)
	if valueLen >= 0 {
		dst = appendField(dst, 0x12, uint64(valueLen))
	}
	return dst
}

// AppendDataTail appends the end of a Data or DataRange frame: nodes and signature (nil for none).
func AppendDataTail[N AnyNode](dst []byte, nodes []N, signature []byte) []byte {
	for i := range nodes {
		n := Node(nodes[i])
		dst = append(dst, 0x1a, byte(nodeLen(n)))
		dst = appendField(dst, 0x08, n.Index)
		dst = append(append(dst, 0x12, HashLen), n.Hash[:]...)
		dst = appendField(dst, 0x18, n.Size)
	}
	if signature != nil {
		dst = appendBytes(dst, 0x22, signature)
	}
	return dst
}

// AppendData appends a Data frame.
func AppendData[N AnyNode](dst []byte, channel uint64, m DataOf[N]) []byte {
	valueLen := -1
	if m.HasValue {
		valueLen = len(m.Value)
	}
	dst = AppendDataHeader(dst, channel, m.Index, valueLen, DataTailLen(m.Nodes, m.Signature))
	if m.HasValue {
		dst = append(dst, m.Value...)
	}
	return AppendDataTail(dst, m.Nodes, m.Signature)
}

// ParseData reads the body of a Data frame. Value and Signature alias it; the nodes are written
// over m.Nodes[:0], which grows when it is too short.
func ParseData[N AnyNode](body []byte, m *DataOf[N]) error {
	*m = DataOf[N]{Nodes: m.Nodes[:0]}
	d := decoder{b: body}
	seen := false
	for d.next() {
		switch d.num {
		case 1:
			m.Index, seen = d.block("index"), true
		case 2:
			m.Value, m.HasValue = d.bytes("value"), true
		case 3:
			m.Nodes = appendNode(m.Nodes, &d, MaxNodes)
		case 4:
			m.Signature = d.fixed("signature", SignatureLen)
		default:
			d.skip()
		}
	}
	d.need(seen, "index")
	return d.done(TypeData)
}

// appendNode reads one node of d, at most max in all.
func appendNode[N AnyNode](nodes []N, d *decoder, max int) []N {
	b := d.bytes("nodes")
	if d.err != nil {
		return nodes
	}
	if len(nodes) == max {
		d.fail("nodes", ErrTooMany)
		return nodes
	}
	var n Node
	if field, err := parseNode(b, &n); err != nil {
		d.fail(field, err)
		return nodes
	}
	return append(nodes, N(n))
}

// parseNode reads a node: at once if its fields come in order, as everybody writes them.
func parseNode(b []byte, n *Node) (string, error) {
	if parseOrdered(b, n) {
		return "", nil
	}
	d := decoder{b: b}
	var index, hash, size bool
	for d.next() {
		switch d.num {
		case 1:
			n.Index, index = d.int("nodes.index"), true
		case 2:
			copy(n.Hash[:], d.fixed("nodes.hash", HashLen))
			hash = true
		case 3:
			n.Size, size = d.int("nodes.size"), true
		default:
			d.skip()
		}
	}
	d.need(index, "nodes.index")
	d.need(hash, "nodes.hash")
	d.need(size, "nodes.size")
	return d.field, d.err
}

// parseOrdered reads a node whose fields come in order, each once. It is false for all others,
// also for faulty ones.
func parseOrdered(b []byte, n *Node) bool {
	const hash = 2 + HashLen // tag, length, hash
	if len(b) < 2+hash+2 || b[0] != 0x08 {
		return false
	}
	index, k := readVarint(b[1:])
	if b = b[1+max(k, 0):]; k <= 0 || len(b) < hash+2 || b[0] != 0x12 || b[1] != HashLen || b[hash] != 0x18 {
		return false
	}
	size, k := readVarint(b[hash+1:])
	if k != len(b)-hash-1 || index > MaxInt || size > MaxInt {
		return false
	}
	n.Index, n.Size, n.Hash = index, size, [HashLen]byte(b[2:hash])
	return true
}
