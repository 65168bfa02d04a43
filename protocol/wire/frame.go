package wire

import (
	"math/bits"
	"strconv"
)

const (
	// MaxFrame is the largest n of a frame: header and body together, in bytes. hypercore 6
	// destroys a stream that announces more.
	MaxFrame = 8388608
	// MaxFrameLen is the number of bytes of the largest frame with its length in front.
	MaxFrameLen = MaxFrame + 4
	// MaxChannels bounds channel numbers: 0 to MaxChannels-1, as in hypercore 6.
	MaxChannels = 256
	// MaxNativeChannels bounds them in the native dialect, where one stream carries all feeds that two
	// peers share.
	MaxNativeChannels = 4096
	// MaxInt is the largest integer of any field: JavaScript reads them into doubles.
	MaxInt = 1<<53 - 1
	// MaxBlocks bounds block numbers and ends of ranges: the node of a block is 2*block, which must
	// be an integer too.
	MaxBlocks = MaxInt / 2
)

// Type is the kind of a message: the low four bits of the header of its frame.
type Type byte

// The messages. 0 to 9 and 15 are hypercore 6's, 10 to 12 belong to the native dialect (hypercore
// 6 ignores them), 13 and 14 are free and ignored.
const (
	TypeFeed         Type = 0
	TypeHandshake    Type = 1
	TypeInfo         Type = 2
	TypeHave         Type = 3
	TypeUnhave       Type = 4
	TypeWant         Type = 5
	TypeUnwant       Type = 6
	TypeRequest      Type = 7
	TypeCancel       Type = 8
	TypeData         Type = 9
	TypeRequestRange Type = 10
	TypeDataRange    Type = 11
	TypeNoData       Type = 12
	TypeExtension    Type = 15
	// TypeNone stands in an Error for the frame itself. It is never on the wire.
	TypeNone Type = 255
)

var typeNames = [16]string{
	"Feed", "Handshake", "Info", "Have", "Unhave", "Want", "Unwant", "Request", "Cancel", "Data",
	"RequestRange", "DataRange", "NoData", "type 13", "type 14", "Extension",
}

// String returns the name of the message.
func (t Type) String() string {
	switch {
	case t == TypeNone:
		return "frame"
	case int(t) < len(typeNames):
		return typeNames[t]
	}
	return "type " + strconv.Itoa(int(t))
}

// AppendKeepAlive appends the frame that says nothing: one zero byte.
func AppendKeepAlive(dst []byte) []byte { return append(dst, 0) }

// AppendVarint appends v in base 128, low group first.
func AppendVarint(dst []byte, v uint64) []byte {
	for v >= 0x80 {
		dst = append(dst, byte(v)|0x80)
		v >>= 7
	}
	return append(dst, byte(v))
}

// varintLen is the number of bytes of AppendVarint.
func varintLen(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

// header is the first varint of a frame's payload.
func header(channel uint64, t Type) uint64 { return channel<<4 | uint64(t) }

// appendHeader appends the length and the header of a frame whose body has n bytes.
func appendHeader(dst []byte, channel uint64, t Type, n int) []byte {
	h := header(channel, t)
	dst = AppendVarint(dst, uint64(varintLen(h)+n))
	return AppendVarint(dst, h)
}

// openSmall begins a frame whose payload has less than 128 bytes, so that its length is one byte
// which closeSmall fills in.
func openSmall(dst []byte, channel uint64, t Type) (_ []byte, at int) {
	at = len(dst)
	return AppendVarint(append(dst, 0), header(channel, t)), at
}

func closeSmall(dst []byte, at int) []byte {
	dst[at] = byte(len(dst) - at - 1)
	return dst
}

// appendField appends a one-byte tag and an integer.
func appendField(dst []byte, tag byte, v uint64) []byte {
	return AppendVarint(append(dst, tag), v)
}

func appendBool(dst []byte, tag byte, v bool) []byte {
	b := byte(0)
	if v {
		b = 1
	}
	return append(dst, tag, b)
}

func appendBytes(dst []byte, tag byte, v []byte) []byte {
	return append(appendField(dst, tag, uint64(len(v))), v...)
}

// bytesLen is the number of bytes of a field of n bytes with a one-byte tag.
func bytesLen(n int) int { return 1 + varintLen(uint64(n)) + n }
