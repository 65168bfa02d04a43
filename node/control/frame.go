package control

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// appendFrame appends a block as it travels: uvarint index | uvarint length | bytes.
func appendFrame(dst []byte, index uint64, data []byte) []byte {
	dst = binary.AppendUvarint(dst, index)
	dst = binary.AppendUvarint(dst, uint64(len(data)))
	return append(dst, data...)
}

// maxFrameValue bounds what a client allocates for one block: the node is of
// the same user, but may be of another version. Blocks that were appended by
// another program may be larger than MaxBlock, so this is generous.
const maxFrameValue = 1 << 30

// readFrame reads a block into buf, which grows as needed. At the end of the
// stream it returns io.EOF, in the middle of a block io.ErrUnexpectedEOF.
func readFrame(r *bufio.Reader, buf []byte) (index uint64, data []byte, err error) {
	if index, err = binary.ReadUvarint(r); err != nil {
		return 0, buf, err
	}
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return 0, buf, noEOF(err)
	}
	if n > maxFrameValue {
		return 0, buf, fmt.Errorf("control: a block of %d bytes", n)
	}
	// What is only said costs no memory: the buffer grows as bytes come.
	for buf = buf[:0]; uint64(len(buf)) < n; {
		at := len(buf)
		step := int(min(n-uint64(at), uint64(max(cap(buf)-at, frameStep))))
		buf = slices.Grow(buf, step)[:at+step]
		if _, err = io.ReadFull(r, buf[at:]); err != nil {
			return index, buf[:at], noEOF(err)
		}
	}
	return index, buf, nil
}

// frameStep is how much is allocated ahead of what has come.
const frameStep = 64 << 10

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
