package feed

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Codec turns values into blocks and back, what hypercore calls a value
// encoding. Implementations must be safe for concurrent use.
type Codec[T any] interface {
	// Encode appends v's bytes to dst.
	Encode(dst []byte, v T) ([]byte, error)
	// Decode reads a whole block. It may keep b.
	Decode(b []byte) (T, error)
}

// JSON is the codec that hypercore 6 calls json: each block is one line of JSON
// with its newline, so that the data file reads as ndjson. For the types both
// know, the bytes are those of JSON.stringify, but that the members of a map
// come sorted.
func JSON[T any]() Codec[T] { return jsonCodec[T]{} }

type jsonCodec[T any] struct{}

func (jsonCodec[T]) Encode(dst []byte, v T) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return dst, fmt.Errorf("feed: encode JSON: %w", err)
	}
	return appendUnescaped(dst, b.Bytes()), nil
}

func (jsonCodec[T]) Decode(b []byte) (v T, err error) {
	if err := json.Unmarshal(b, &v); err != nil {
		return v, fmt.Errorf("feed: decode JSON: %w", err)
	}
	return v, nil
}

// appendUnescaped appends JSON as JSON.stringify writes it: encoding/json
// escapes the line separators U+2028 and U+2029, JavaScript does not.
func appendUnescaped(dst, src []byte) []byte {
	for {
		i := bytes.IndexByte(src, '\\')
		if i < 0 || i+1 >= len(src) {
			return append(dst, src...)
		}
		dst = append(dst, src[:i]...)
		switch esc := src[i:]; {
		case bytes.HasPrefix(esc, []byte(`\u2028`)):
			dst, src = append(dst, "\u2028"...), esc[6:]
		case bytes.HasPrefix(esc, []byte(`\u2029`)):
			dst, src = append(dst, "\u2029"...), esc[6:]
		default: // an escape of two bytes, or the first two of a longer one
			dst, src = append(dst, esc[:2]...), esc[2:]
		}
	}
}

// Text is the codec that hypercore calls utf-8: the bytes of a string.
var Text Codec[string] = textCodec{}

type textCodec struct{}

func (textCodec) Encode(dst []byte, v string) ([]byte, error) { return append(dst, v...), nil }
func (textCodec) Decode(b []byte) (string, error)             { return string(b), nil }

// Binary is the codec that changes nothing.
var Binary Codec[[]byte] = binaryCodec{}

type binaryCodec struct{}

func (binaryCodec) Encode(dst []byte, v []byte) ([]byte, error) { return append(dst, v...), nil }
func (binaryCodec) Decode(b []byte) ([]byte, error)             { return b, nil }
