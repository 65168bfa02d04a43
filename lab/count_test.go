//go:build linux

package lab

import (
	"encoding/binary"
	"maps"
	"net/netip"
	"sync"
	"time"
)

// counter counts the frames of a segment where they enter it.
type counter struct {
	cmu *sync.Mutex
	c   counts
}

// counts is what was seen on a segment.
type counts struct {
	bytes  map[pair]uint64 // of IP packets
	dials  []dial          // TCP connections begun: SYN without ACK
	flows  map[flow]time.Time
	frames uint64
}

// pair is who sent to whom.
type pair struct{ from, to netip.Addr }

// dial is one attempt to open a TCP connection, or one repetition of it.
type dial struct {
	at   time.Time
	from netip.AddrPort
	to   netip.AddrPort
}

// flow is a UDP conversation, as seen from the side that sent first.
type flow struct{ from, to netip.AddrPort }

func newCounter() counter {
	return counter{cmu: new(sync.Mutex), c: counts{bytes: map[pair]uint64{}, flows: map[flow]time.Time{}}}
}

// seen returns what was counted so far.
func (c *counter) seen() counts {
	c.cmu.Lock()
	defer c.cmu.Unlock()
	return counts{bytes: maps.Clone(c.c.bytes), dials: c.c.dials[:len(c.c.dials):len(c.c.dials)], flows: maps.Clone(c.c.flows), frames: c.c.frames}
}

const (
	protoTCP = 6
	protoUDP = 17
)

// count takes a look at a frame.
func (c *counter) count(data []byte) {
	if len(data) < 14 {
		return
	}
	now := time.Now()
	c.cmu.Lock()
	defer c.cmu.Unlock()
	c.c.frames++
	p, proto, body, ok := parseIP(binary.BigEndian.Uint16(data[12:]), data[14:])
	if !ok {
		return
	}
	c.c.bytes[p] += uint64(len(data) - 14)
	if len(body) < 4 {
		return
	}
	from := netip.AddrPortFrom(p.from, binary.BigEndian.Uint16(body))
	to := netip.AddrPortFrom(p.to, binary.BigEndian.Uint16(body[2:]))
	switch {
	case proto == protoTCP && len(body) >= 14 && body[13]&0x12 == 0x02:
		c.c.dials = append(c.c.dials, dial{now, from, to})
	case proto == protoUDP:
		f := flow{from, to}
		if _, ok := c.c.flows[flow{to, from}]; ok {
			return
		}
		if _, ok := c.c.flows[f]; !ok {
			c.c.flows[f] = now
		}
	}
}

// parseIP reads the header of an IP packet without extension headers.
func parseIP(etherType uint16, b []byte) (p pair, proto byte, body []byte, ok bool) {
	switch {
	case etherType == 0x0800 && len(b) >= 20:
		n := int(b[0]&15) * 4
		if n < 20 || len(b) < n {
			return p, 0, nil, false
		}
		p.from, _ = netip.AddrFromSlice(b[12:16])
		p.to, _ = netip.AddrFromSlice(b[16:20])
		return p, b[9], b[n:], true
	case etherType == 0x86dd && len(b) >= 40:
		p.from, _ = netip.AddrFromSlice(b[8:24])
		p.to, _ = netip.AddrFromSlice(b[24:40])
		return p, b[6], b[40:], true
	}
	return p, 0, nil, false
}
