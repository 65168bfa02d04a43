package wire

// decoder walks over the fields of one protobuf message. The first fault stops it and is kept.
type decoder struct {
	b     []byte
	i     int    // b[i:] is left
	num   int    // number of the field next found
	kind  byte   // its wire type
	field string // where the fault is
	err   error  // which fault, nil if none
}

// fail records a fault and ends the walk.
func (d *decoder) fail(field string, err error) {
	if d.err == nil {
		d.field, d.err = field, err
	}
	d.i = len(d.b)
}

// done returns the fault, if any, as an *Error of message t.
func (d *decoder) done(t Type) error {
	if d.err == nil {
		return nil
	}
	return &Error{Type: t, Field: d.field, Err: d.err}
}

// next reads the tag of the next field. It is false at the end and after a fault.
func (d *decoder) next() bool {
	if d.i >= len(d.b) {
		return false
	}
	tag := d.b[d.i]
	if tag >= 0x80 {
		return d.nextLong()
	}
	d.i++
	d.num, d.kind = int(tag>>3), tag&7
	return true
}

// nextLong reads a tag of more than one byte.
func (d *decoder) nextLong() bool {
	tag := d.varintLong("tag")
	if tag > 1<<32-1 {
		d.fail("tag", ErrInteger)
	}
	d.num, d.kind = int(tag>>3), byte(tag&7)
	return d.err == nil
}

// varint reads an integer of up to ten bytes.
func (d *decoder) varint(field string) uint64 {
	if d.i < len(d.b) && d.b[d.i] < 0x80 {
		d.i++
		return uint64(d.b[d.i-1])
	}
	return d.varintLong(field)
}

func (d *decoder) varintLong(field string) uint64 {
	v, n := readVarint(d.b[d.i:])
	switch {
	case n == 0:
		d.fail(field, ErrTruncated)
		return 0
	case n < 0:
		d.fail(field, ErrInteger)
		return 0
	}
	d.i += n
	return v
}

// readVarint reads an integer of up to ten bytes. n is 0 if b ends inside it, -1 if it passes 64 bits.
func readVarint(b []byte) (v uint64, n int) {
	for i, c := range b {
		if i == 9 && c > 1 {
			return 0, -1
		}
		v |= uint64(c&0x7f) << (7 * uint(i) & 63)
		if c < 0x80 {
			return v, i + 1
		}
	}
	return 0, 0
}

// int reads an integer up to MaxInt.
func (d *decoder) int(field string) uint64 {
	v := d.varint(field)
	if v > MaxInt {
		d.fail(field, ErrInteger)
	}
	return v
}

// block reads a block number: its node 2*v is an integer too.
func (d *decoder) block(field string) uint64 {
	v := d.varint(field)
	if v > MaxBlocks {
		d.fail(field, ErrInteger)
	}
	return v
}

// bool reads one byte, as hypercore 6 does.
func (d *decoder) bool(field string) bool {
	if d.i < len(d.b) && d.b[d.i] < 0x80 {
		d.i++
		return d.b[d.i-1] != 0
	}
	if d.i < len(d.b) {
		d.fail(field, ErrBool)
	} else {
		d.fail(field, ErrTruncated)
	}
	return false
}

// bytes reads a length and that many bytes, which stay where they are. Never nil unless it failed.
func (d *decoder) bytes(field string) []byte {
	n := d.varint(field)
	if n > uint64(len(d.b)-d.i) {
		d.fail(field, ErrTruncated)
	}
	if d.err != nil {
		return nil
	}
	i := d.i
	d.i += int(n)
	return d.b[i:d.i:d.i]
}

// fixed reads bytes that must be n long.
func (d *decoder) fixed(field string, n int) []byte {
	v := d.bytes(field)
	if len(v) != n && d.err == nil {
		d.fail(field, ErrLength)
		return nil
	}
	return v
}

// skip passes over a field of unknown number.
func (d *decoder) skip() {
	const field = "unknown field"
	n := 0
	switch d.kind {
	case 0:
		d.varint(field)
	case 1:
		n = 8
	case 2:
		d.bytes(field)
	case 5:
		n = 4
	default:
		d.fail(field, ErrWireType)
	}
	if d.i += n; d.i > len(d.b) {
		d.fail(field, ErrTruncated)
	}
}

// need fails unless a required field was seen.
func (d *decoder) need(seen bool, field string) {
	if !seen && d.err == nil {
		d.fail(field, ErrMissing)
	}
}

// span fails unless start+length stays within MaxBlocks.
func (d *decoder) span(start, length uint64) {
	if d.err == nil && length > MaxBlocks-start {
		d.fail("length", ErrRange)
	}
}
