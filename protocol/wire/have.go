package wire

// Have announces blocks (hypercore 6, type 3): the range, or the bits of a bitfield over it.
type Have struct {
	Start       uint64 // first block; a multiple of 8 with a bitfield
	Length      uint64 // blocks, 1 if absent; with a bitfield 0 or 1 means that the bitfield describes everything
	Bitfield    []byte // run-length coded bits from Start (see DecodeRLE), in place of the range
	HasBitfield bool   // an empty Bitfield is sent: there is nothing in the range
	Ack         bool   // answer to a Data, for a peer whose Handshake asks for it
}

// AppendHave appends a Have frame. As hypercore 6 does it leaves out a Length of 1 when there is
// neither bitfield nor ack, and a false Ack.
func AppendHave(dst []byte, channel uint64, m Have) []byte {
	if !m.HasBitfield {
		dst, at := openSmall(dst, channel, TypeHave)
		dst = appendField(dst, 0x08, m.Start)
		if m.Length != 1 || m.Ack {
			dst = appendField(dst, 0x10, m.Length)
		}
		if m.Ack {
			dst = appendBool(dst, 0x20, true)
		}
		return closeSmall(dst, at)
	}
	n := 1 + varintLen(m.Start) + 1 + varintLen(m.Length) + bytesLen(len(m.Bitfield))
	if m.Ack {
		n += 2
	}
	dst = appendHeader(dst, channel, TypeHave, n)
	dst = appendField(dst, 0x08, m.Start)
	dst = appendField(dst, 0x10, m.Length)
	dst = appendBytes(dst, 0x1a, m.Bitfield)
	if m.Ack {
		dst = appendBool(dst, 0x20, true)
	}
	return dst
}

// ParseHave reads the body of a Have frame. Bitfield aliases it.
func ParseHave(body []byte, m *Have) error {
	*m = Have{Length: 1}
	d := decoder{b: body}
	seen := false
	for d.next() {
		switch d.num {
		case 1:
			m.Start, seen = d.block("start"), true
		case 2:
			m.Length = d.block("length")
		case 3:
			m.Bitfield, m.HasBitfield = d.bytes("bitfield"), true
		case 4:
			m.Ack = d.bool("ack")
		default:
			d.skip()
		}
	}
	d.need(seen, "start")
	d.span(m.Start, m.Length)
	if m.HasBitfield && m.Start%8 != 0 && d.err == nil {
		d.fail("bitfield", ErrRange)
	}
	return d.done(TypeHave)
}

// Unhave takes back what Have announced (hypercore 6, type 4).
type Unhave struct {
	Start  uint64 // first block
	Length uint64 // blocks, 1 if absent
}

// AppendUnhave appends an Unhave frame with both fields.
func AppendUnhave(dst []byte, channel uint64, m Unhave) []byte {
	dst, at := openSmall(dst, channel, TypeUnhave)
	return closeSmall(appendField(appendField(dst, 0x08, m.Start), 0x10, m.Length), at)
}

// ParseUnhave reads the body of an Unhave frame.
func ParseUnhave(body []byte, m *Unhave) error {
	var err error
	m.Start, m.Length, err = parseSpan(body, TypeUnhave, 1)
	return err
}

// Want asks for what the remote has in a range, now and later (hypercore 6, type 5).
type Want struct {
	Start  uint64 // first block
	Length uint64 // blocks, 0 if absent: everything, as peers up to 6.22 ask
}

// AppendWant appends a Want frame. A Length of 0 is left out.
func AppendWant(dst []byte, channel uint64, m Want) []byte {
	return appendWant(dst, channel, TypeWant, m.Start, m.Length)
}

// ParseWant reads the body of a Want frame.
func ParseWant(body []byte, m *Want) error {
	var err error
	m.Start, m.Length, err = parseSpan(body, TypeWant, 0)
	return err
}

// Unwant ends a Want (hypercore 6, type 6). hypercore 6 neither sends nor obeys it.
type Unwant struct {
	Start  uint64 // first block
	Length uint64 // blocks, 0 if absent: everything
}

// AppendUnwant appends an Unwant frame. A Length of 0 is left out.
func AppendUnwant(dst []byte, channel uint64, m Unwant) []byte {
	return appendWant(dst, channel, TypeUnwant, m.Start, m.Length)
}

// ParseUnwant reads the body of an Unwant frame.
func ParseUnwant(body []byte, m *Unwant) error {
	var err error
	m.Start, m.Length, err = parseSpan(body, TypeUnwant, 0)
	return err
}

func appendWant(dst []byte, channel uint64, t Type, start, length uint64) []byte {
	dst, at := openSmall(dst, channel, t)
	dst = appendField(dst, 0x08, start)
	if length != 0 {
		dst = appendField(dst, 0x10, length)
	}
	return closeSmall(dst, at)
}

// parseSpan reads the two fields Unhave, Want and Unwant have.
func parseSpan(body []byte, t Type, absent uint64) (start, length uint64, err error) {
	length = absent
	d := decoder{b: body}
	seen := false
	for d.next() {
		switch d.num {
		case 1:
			start, seen = d.block("start"), true
		case 2:
			length = d.block("length")
		default:
			d.skip()
		}
	}
	d.need(seen, "start")
	d.span(start, length)
	return start, length, d.done(t)
}
