package wire

// Frame is one message as it came.
type Frame struct {
	Channel uint64 // below the number of channels allowed
	Type    Type
	Body    []byte // where it came to lie; nil for a frame to pass over, never nil for others
}

// Split looks at the frame at the begin of b, in a stream with that many channels (MaxChannels, or
// MaxNativeChannels). n is the length of the frame in all, with its length in front, also if it is
// one to pass over: a keep-alive or a frame of one byte. If n is larger than len(b) the frame has
// not come as a whole, and n is what is known of its length: the whole of it as soon as the length
// is there. An *Error says that no frame is there, and never will be.
func Split(b []byte, channels uint64) (f Frame, n int, err error) {
	size, k := 0, 0
	for i := 0; ; i++ {
		if i == 4 {
			return f, 0, &Error{Type: TypeNone, Field: "length", Err: ErrFrameTooLarge}
		}
		if i == len(b) {
			return f, i + 1, nil
		}
		size |= int(b[i]&0x7f) << (7 * i)
		if b[i] < 0x80 {
			k = i + 1
			break
		}
	}
	if size > MaxFrame {
		return f, 0, &Error{Type: TypeNone, Field: "length", Err: ErrFrameTooLarge}
	}
	n = k + size
	if n > len(b) || size < 2 {
		return f, n, nil
	}
	b = b[k:n:n]
	h, k := readVarint(b)
	switch {
	case k == 0:
		return f, 0, &Error{Type: TypeNone, Field: "header", Err: ErrTruncated}
	case k < 0 || h>>4 >= channels:
		return f, 0, &Error{Type: TypeNone, Field: "header", Err: ErrChannel}
	}
	return Frame{Channel: h >> 4, Type: Type(h & 15), Body: b[k:]}, n, nil
}
