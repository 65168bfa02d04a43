package wire

import "errors"

// What can be wrong with bytes from the remote. Each is wrapped in an *Error that says where.
var (
	// ErrFrameTooLarge: a frame longer than MaxFrame, or a length of more than four bytes.
	ErrFrameTooLarge = errors.New("frame larger than 8 MiB")
	// ErrChannel: a channel number of MaxChannels (MaxNativeChannels) or more.
	ErrChannel = errors.New("channel number too large")
	// ErrTruncated: the message ends inside a field.
	ErrTruncated = errors.New("ends inside the field")
	// ErrInteger: a varint of more than ten bytes, or a value above MaxInt (MaxBlocks for block numbers).
	ErrInteger = errors.New("integer too large")
	// ErrBool: a bool that is not one byte below 0x80.
	ErrBool = errors.New("not a bool")
	// ErrMissing: a required field is absent.
	ErrMissing = errors.New("required field missing")
	// ErrLength: a field of fixed length (keys, nonces, hashes, signatures) has another length.
	ErrLength = errors.New("wrong length")
	// ErrRange: start+length passes MaxBlocks, or a bitfield does not start at a whole byte.
	ErrRange = errors.New("range out of bounds")
	// ErrTooMany: more nodes, extensions or blocks than the named bound, or a longer name than it.
	ErrTooMany = errors.New("bound exceeded")
	// ErrWireType: an unknown field of a protobuf wire type that cannot be skipped (groups, 6, 7).
	ErrWireType = errors.New("unknown protobuf wire type")
	// ErrRLE: a bitfield that ends inside a run, or decodes to more bytes than allowed.
	ErrRLE = errors.New("invalid run-length code")
)

// Error is a fault of the remote: bytes this format does not allow. Errors of the connection
// itself are never of this type.
type Error struct {
	Type  Type   // the message, TypeNone if the fault is in the frame around it
	Field string // which field, empty if none
	Err   error  // one of the sentinels of this package
}

// Error says which field of which message is wrong, and how.
func (e *Error) Error() string {
	s := "wire: " + e.Type.String() + ": "
	if e.Field != "" {
		s += e.Field + ": "
	}
	return s + e.Err.Error()
}

// Unwrap returns the sentinel.
func (e *Error) Unwrap() error { return e.Err }
