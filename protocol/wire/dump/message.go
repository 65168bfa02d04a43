package dump

import (
	"encoding/hex"
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"github.com/go-hypercore/hypercore/protocol/wire"
)

// maxRanges is how many ranges of a bitfield, nodes of a proof and sizes of a run are shown unless
// all is asked for.
const maxRanges = 8

// decoder keeps what later messages refer to.
type decoder struct {
	whole      bool
	extensions []string // of the first Handshake
	shaken     bool
	fields     []Field
}

// entry reads one frame.
func (d *decoder) entry(f wire.Frame) Entry {
	d.fields = nil
	err := d.message(f)
	return Entry{Channel: f.Channel, Message: f.Type.String(), Fields: d.fields, Err: err}
}

func (d *decoder) add(name, value string)      { d.fields = append(d.fields, Field{name, value}) }
func (d *decoder) uint(name string, v uint64)  { d.add(name, strconv.FormatUint(v, 10)) }
func (d *decoder) bool(name string, v bool)    { d.add(name, strconv.FormatBool(v)) }
func (d *decoder) bytes(name string, v []byte) { d.add(name, d.hex(v)) }

// message reads the body of a frame into fields.
func (d *decoder) message(f wire.Frame) error {
	switch f.Type {
	case wire.TypeFeed:
		return d.feed(f.Body)
	case wire.TypeHandshake:
		return d.handshake(f.Body)
	case wire.TypeInfo:
		var m wire.Info
		err := wire.ParseInfo(f.Body, &m)
		d.bool("uploading", m.Uploading)
		d.bool("downloading", m.Downloading)
		return err
	case wire.TypeHave:
		return d.have(f.Body)
	case wire.TypeUnhave:
		var m wire.Unhave
		err := wire.ParseUnhave(f.Body, &m)
		d.span(m.Start, m.Length)
		return err
	case wire.TypeWant:
		var m wire.Want
		err := wire.ParseWant(f.Body, &m)
		d.span(m.Start, m.Length)
		return err
	case wire.TypeUnwant:
		var m wire.Unwant
		err := wire.ParseUnwant(f.Body, &m)
		d.span(m.Start, m.Length)
		return err
	case wire.TypeRequest:
		var m wire.Request
		err := wire.ParseRequest(f.Body, &m)
		d.request(m.Index, m.Bytes, m.Hash)
		d.add("nodes", digest(m.Nodes))
		if m.Wait {
			d.bool("wait", true)
		}
		return err
	case wire.TypeCancel:
		var m wire.Cancel
		err := wire.ParseCancel(f.Body, &m)
		d.request(m.Index, m.Bytes, m.Hash)
		if m.Length != 1 {
			d.uint("length", m.Length)
		}
		return err
	case wire.TypeData:
		return d.data(f.Body)
	case wire.TypeRequestRange, wire.TypeDataRange, wire.TypeNoData:
		return d.native(f)
	case wire.TypeExtension:
		id, payload, err := wire.ParseExtension(f.Body)
		name := strconv.FormatUint(id, 10)
		if id < uint64(len(d.extensions)) {
			name += ":" + strconv.Quote(d.extensions[id])
		}
		d.add("id", name)
		d.add("payload", d.value(payload))
		return err
	}
	d.add("body", d.value(f.Body))
	return nil
}

func (d *decoder) feed(body []byte) error {
	var m wire.Feed
	err := wire.ParseFeed(body, &m)
	d.bytes("discoveryKey", m.DiscoveryKey[:])
	if m.Nonce != nil {
		d.bytes("nonce", m.Nonce)
	}
	if m.Capability != nil {
		d.bytes("capability", m.Capability)
	}
	if m.Answers != nil {
		d.bytes("answers", m.Answers)
	}
	return err
}

func (d *decoder) handshake(body []byte) error {
	var m wire.Handshake
	err := wire.ParseHandshake(body, &m)
	if m.ID != nil {
		d.bytes("id", m.ID)
	}
	d.bool("live", m.Live)
	if m.UserData != nil {
		d.add("userData", d.value(m.UserData))
	}
	d.add("extensions", fmt.Sprintf("%q", m.Extensions))
	d.bool("ack", m.Ack)
	if err == nil && !d.shaken {
		d.shaken, d.extensions = true, m.Extensions
	}
	return err
}

func (d *decoder) have(body []byte) error {
	var m wire.Have
	err := wire.ParseHave(body, &m)
	d.span(m.Start, m.Length)
	if m.HasBitfield && err == nil {
		var ranges string
		ranges, err = d.ranges(m.Start, m.Bitfield)
		d.add("bitfield", ranges)
	}
	if m.Ack {
		d.bool("ack", true)
	}
	return err
}

func (d *decoder) data(body []byte) error {
	var m wire.Data
	err := wire.ParseData(body, &m)
	d.uint("index", m.Index)
	if m.HasValue {
		d.add("value", d.value(m.Value))
	}
	d.proof(m.Nodes, m.Signature)
	return err
}

func (d *decoder) native(f wire.Frame) (err error) {
	switch f.Type {
	case wire.TypeRequestRange:
		var m wire.RequestRange
		err = wire.ParseRequestRange(f.Body, &m)
		d.span(m.Start, m.Length)
		d.add("nodes", digest(m.Nodes))
		d.add("last", digest(m.Last))
		if m.Bytes != 0 {
			d.uint("bytes", m.Bytes)
		}
	case wire.TypeDataRange:
		var m wire.DataRange
		err = wire.ParseDataRange(f.Body, &m)
		d.span(m.Start, uint64(len(m.Sizes)))
		d.add("sizes", d.list(len(m.Sizes), func(i int) string { return strconv.FormatUint(m.Sizes[i], 10) }))
		d.add("values", d.value(m.Values))
		d.proof(m.Nodes, m.Signature)
	case wire.TypeNoData:
		var m wire.NoData
		err = wire.ParseNoData(f.Body, &m)
		d.span(m.Index, m.Length)
		d.add("reason", strconv.Quote(m.Reason.String()))
		if m.Bytes != 0 {
			d.uint("bytes", m.Bytes)
		}
		if m.Hash {
			d.bool("hash", true)
		}
	}
	return err
}

func (d *decoder) span(start, length uint64) {
	d.uint("start", start)
	d.uint("length", length)
}

func (d *decoder) request(index, bytes uint64, hash bool) {
	d.uint("index", index)
	d.uint("bytes", bytes)
	d.bool("hash", hash)
}

// proof adds nodes as index:size:hash.
func (d *decoder) proof(nodes []wire.Node, signature []byte) {
	d.add("nodes", d.list(len(nodes), func(i int) string {
		n := &nodes[i]
		return fmt.Sprintf("%d:%d:%s", n.Index, n.Size, d.hex(n.Hash[:]))
	}))
	if signature != nil {
		d.bytes("signature", signature)
	}
}

// list joins n items, or the first of them.
func (d *decoder) list(n int, item func(int) string) string {
	var parts []string
	for i := range n {
		if i == maxRanges && !d.whole {
			parts = append(parts, fmt.Sprintf("… %d in all", n))
			break
		}
		parts = append(parts, item(i))
	}
	return "[" + strings.Join(parts, " ") + "]"
}

// hex shows bytes, or their begin and end.
func (d *decoder) hex(v []byte) string {
	if d.whole || len(v) <= 8 {
		return hex.EncodeToString(v)
	}
	return hex.EncodeToString(v[:2]) + "…" + hex.EncodeToString(v[len(v)-2:])
}

// value shows how long a value is, and its begin.
func (d *decoder) value(v []byte) string {
	const begin = 16
	s := strconv.Itoa(len(v)) + ":"
	if d.whole || len(v) <= begin {
		return s + hex.EncodeToString(v)
	}
	return s + hex.EncodeToString(v[:begin]) + "…"
}

// digest shows which bits of Request.nodes are set, the lowest last.
func digest(v uint64) string {
	if v == 0 {
		return "0"
	}
	return strconv.FormatUint(v, 2) + "b"
}

// ranges shows the blocks of a bitfield as first-last.
func (d *decoder) ranges(start uint64, code []byte) (string, error) {
	var b strings.Builder
	n := 0
	from, open := uint64(0), false
	edge := func(at uint64, set bool) {
		if set == open {
			return
		}
		if open = set; set {
			from = at
			return
		}
		if n++; n <= maxRanges || d.whole {
			if n > 1 {
				b.WriteByte(' ')
			}
			fmt.Fprintf(&b, "%d-%d", from, at-1)
		}
	}
	at := start
	r := wire.NewRuns(code, maxBitfield)
	for r.Next() {
		run := r.Run()
		if run.Literal == nil {
			edge(at, run.Fill != 0)
			at += 8 * uint64(run.Len)
			continue
		}
		for _, c := range run.Literal {
			for rest := 8; rest > 0; {
				set := c&0x80 != 0
				edge(at, set)
				same := bits.LeadingZeros8(c)
				if set {
					same = bits.LeadingZeros8(^c)
				}
				same = min(same, rest)
				c <<= same
				at += uint64(same)
				rest -= same
			}
		}
	}
	edge(at, false)
	if n > maxRanges && !d.whole {
		fmt.Fprintf(&b, " … %d in all", n)
	}
	return "[" + b.String() + "]", r.Err()
}

// maxBitfield bounds the bytes of a bitfield that is shown. It is far more than a region has: runs
// are shown without being decoded.
const maxBitfield = 1<<31 - 1
