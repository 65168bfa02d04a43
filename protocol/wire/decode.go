package wire

// decoder walks over the fields of one protobuf message. The first fault stops it and is kept.
type decoder struct {
	b     []byte // what is left
	num   uint64 // number of the field next found
	kind  byte   // its wire type
	field string // where the fault is
	err   error  // which fault, nil if none
}

// fail records a fault and ends the walk.
func (d *decoder) fail(field string, err error) {
	if d.err == nil {
		d.field, d.err = field, err
	}
	d.b = nil
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
	if len(d.b) == 0 {
		return false
	}
	tag := uint64(d.b[0])
	if tag < 0x80 {
		d.b = d.b[1:]
	} else if tag = d.varint("tag"); tag > 1<<32-1 {
		d.fail("tag", ErrInteger)
	}
	d.num, d.kind = tag>>3, byte(tag&7)
	return d.err == nil
}

// varint reads an integer of up to ten bytes.
func (d *decoder) varint(field string) uint64 {
	if len(d.b) > 0 && d.b[0] < 0x80 {
		v := uint64(d.b[0])
		d.b = d.b[1:]
		return v
	}
	v, n := readVarint(d.b)
	if n <= 0 {
		if n == 0 {
			d.fail(field, ErrTruncated)
		} else {
			d.fail(field, ErrInteger)
		}
		return 0
	}
	d.b = d.b[n:]
	return v
}

// readVarint reads an integer of up to ten bytes. n is 0 if b ends inside it, -1 if it passes 64 bits.
func readVarint(b []byte) (v uint64, n int) {
	for i, c := range b {
		if i == 9 && c > 1 {
			return 0, -1
		}
		v |= uint64(c&0x7f) << (7 * uint(i))
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
	if len(d.b) == 0 {
		d.fail(field, ErrTruncated)
		return false
	}
	v := d.b[0]
	if v >= 0x80 {
		d.fail(field, ErrBool)
		return false
	}
	d.b = d.b[1:]
	return v != 0
}

// bytes reads a length and that many bytes, which stay where they are. Never nil unless it failed.
func (d *decoder) bytes(field string) []byte {
	n := d.varint(field)
	if n > uint64(len(d.b)) {
		d.fail(field, ErrTruncated)
	}
	if d.err != nil {
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
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
	n := 0
	switch d.kind {
	case 0:
		d.varint("unknown field")
	case 1:
		n = 8
	case 2:
		d.bytes("unknown field")
	case 5:
		n = 4
	default:
		d.fail("unknown field", ErrWireType)
	}
	if n > len(d.b) {
		d.fail("unknown field", ErrTruncated)
	} else {
		d.b = d.b[n:]
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
