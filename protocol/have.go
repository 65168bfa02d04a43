package protocol

import (
	"slices"
	"time"

	"github.com/go-hypercore/hypercore/protocol/schedule"
	"github.com/go-hypercore/hypercore/protocol/wire"
)

// begin starts asking on a channel: it is open on both sides and the remote's
// Handshake has come.
func (sw *swarm) begin(c *channel) {
	sw.mu.Lock()
	if c.begun || !c.open.Load() {
		sw.mu.Unlock()
		return
	}
	c.begun = true
	if c.peer != nil {
		// hypercore 6: the first region is always asked for.
		c.noWant = sw.now()
		c.regions = append(c.regions, region{n: 0})
		c.unwanted++
		c.send(func(b []byte) []byte { return wire.AppendWant(b, c.local, wire.Want{Length: regionBlocks}) })
	}
	sw.endings()
	sw.mu.Unlock()
	sw.kick()
}

// wantMore asks for further regions of the remote's map, as far as something in
// them is wanted and known to exist. mu held.
func (sw *swarm) wantMore(c *channel) {
	if c.whole || c.unwanted >= maxWants {
		return
	}
	last := (max(c.length, 1) - 1) / regionBlocks
	if last == 0 {
		return
	}
	for _, b := range sw.demand.Blocks {
		if n := b / regionBlocks; n <= last && !sw.wantRegion(c, n) {
			return
		}
	}
	if sw.demand.MinLen > sw.length || len(sw.demand.Seeks) > 0 {
		if !sw.wantRegion(c, last) {
			return
		}
	}
	for _, r := range sw.demand.Ranges {
		end := last
		if r.End > 0 {
			end = min(end, (r.End-1)/regionBlocks)
		}
		for n := r.Start / regionBlocks; n <= end; {
			missing := sw.f.NextMissing(max(r.Start, n*regionBlocks))
			if m := missing / regionBlocks; m > n {
				n = m
				continue
			}
			if !sw.wantRegion(c, n) {
				return
			}
			n++
		}
	}
}

// wantRegion asks for one region unless it was asked for; false if that is all
// for now. mu held.
func (sw *swarm) wantRegion(c *channel, n uint64) bool {
	if slices.ContainsFunc(c.regions, func(r region) bool { return r.n == n }) {
		return true
	}
	if c.unwanted >= maxWants {
		return false
	}
	if len(c.regions) >= maxRegions && !sw.forgetRegion(c) {
		return false
	}
	c.regions = append(c.regions, region{n: n})
	c.unwanted++
	sw.asks = append(sw.asks, ask{c: c, want: true, from: int(n)})
	return true
}

// forgetRegion drops the map of a region that we have altogether. mu held.
func (sw *swarm) forgetRegion(c *channel) bool {
	for i, r := range c.regions {
		start := r.n * regionBlocks
		if r.answered && sw.f.NextMissing(start) >= start+regionBlocks {
			c.peer.Forget(start, start+regionBlocks)
			c.refund(&c.regions[i])
			c.regions = slices.Delete(c.regions, i, i+1)
			return true
		}
	}
	return false
}

// onHave takes an announcement. What was not asked for only raises the length.
func (c *channel) onHave(body []byte) error {
	var m wire.Have
	if err := wire.ParseHave(body, &m); err != nil {
		return c.s.garbled("have", err)
	}
	sw := c.sw
	sw.mu.Lock()
	if c.peer == nil {
		sw.mu.Unlock()
		return nil
	}
	var err error
	switch {
	case !m.HasBitfield:
		c.announced(m.Start, m.Start+m.Length)
	case m.Length <= 1:
		// The whole map at once: peers before 6.23.
		c.whole = true
		for i := range c.regions {
			c.refund(&c.regions[i])
		}
		c.regions = c.regions[:0]
		for n := range uint64(maxRegions) {
			c.regions = append(c.regions, region{n: n, answered: true})
		}
		c.unwanted = 0
		err = c.setBits(m.Start, maxRegions*regionBlocks-min(m.Start, maxRegions*regionBlocks), m.Bitfield)
	case m.Length > regionBlocks:
		err = wire.ErrRange
	default:
		err = c.setBits(m.Start, m.Length, m.Bitfield)
		for i := range c.regions {
			if r := &c.regions[i]; r.n*regionBlocks == m.Start && m.Length == regionBlocks && !r.answered {
				r.answered = true
				c.unwanted--
				if r.n == 0 && c.noWant > 0 && c.peer != nil {
					c.peer.SetRTT(sw.now() - c.noWant)
					c.noWant = 0
				}
			}
		}
	}
	if m.HasBitfield {
		c.haveKnown = true
	}
	sw.mu.Unlock()
	if err != nil {
		return c.s.blame("have", err)
	}
	sw.kick()
	return nil
}

// announced notes that the remote has blocks start to end-1. sw.mu held.
func (c *channel) announced(start, end uint64) {
	c.setLength(end)
	c.eachRegion(start, end, func(r *region, start, end uint64) {
		// It costs something where nothing was announced nearby.
		page := start &^ (pageBlocks - 1)
		_, near := c.peer.HasBetween(page, page+pageBlocks)
		if near || c.pay(r, pageCost) {
			c.peer.Have(start, end)
		}
	})
}

// eachRegion calls fn for the parts of a range that lie in regions asked for.
// sw.mu held.
func (c *channel) eachRegion(start, end uint64, fn func(r *region, start, end uint64)) {
	for i := range c.regions {
		r := &c.regions[i]
		lo := r.n * regionBlocks
		if a, b := max(start, lo), min(end, lo+regionBlocks); a < b {
			fn(r, a, b)
		}
	}
}

const (
	// pageBlocks is how many blocks a page of a map has, see package bitfield. A
	// page that is all ones or zeros takes no memory, another one pageCost.
	pageBlocks = 8192
	pageBytes  = pageBlocks / 8
	pageCost   = 1280
)

// pay accounts for bytes of a map; false if the remote's maps are too large
// already. sw.mu held.
func (c *channel) pay(r *region, bytes int) bool {
	if r.cost+bytes > r.checked+16*pageCost {
		// Pages may have become whole: look.
		start, mixed := r.n*regionBlocks, 0
		for p := start; p < start+regionBlocks; p += pageBlocks {
			if n := c.peer.Count(p, p+pageBlocks); n > 0 && n < pageBlocks {
				mixed++
			}
		}
		if mixed *= pageCost; mixed < r.cost {
			c.credit(r.cost - mixed)
			r.cost = mixed
		}
		r.checked = r.cost
	}
	bytes = min(bytes, max(0, regionMost-r.cost))
	if bytes == 0 {
		return true
	}
	if c.s.maps.Add(int64(bytes)) > maxMaps || c.s.mem.take(bytes) != nil {
		c.s.maps.Add(-int64(bytes))
		return false
	}
	r.cost += bytes
	return true
}

// credit takes bytes off the account of the remote's maps.
func (c *channel) credit(bytes int) {
	c.s.maps.Add(-int64(bytes))
	c.s.mem.give(bytes)
}

// refund ends the account of a region. sw.mu held.
func (c *channel) refund(r *region) {
	c.credit(r.cost)
	r.cost = 0
}

// onUnhave takes back what was announced. Requests for it will not be answered.
func (c *channel) onUnhave(body []byte) error {
	var m wire.Unhave
	if err := wire.ParseUnhave(body, &m); err != nil {
		return c.s.garbled("unhave", err)
	}
	sw := c.sw
	sw.mu.Lock()
	if c.peer != nil {
		c.peer.Unhave(m.Start, m.Start+m.Length)
		c.unclaim(m.Start, m.Start+m.Length)
	}
	sw.mu.Unlock()
	sw.kick()
	return nil
}

// onNoData takes the answer that there is no block.
func (c *channel) onNoData(body []byte) error {
	var m wire.NoData
	if err := wire.ParseNoData(body, &m); err != nil {
		return c.s.garbled("no data", err)
	}
	if m.Hash || m.Bytes > 0 {
		refused := false
		c.sw.mu.Lock()
		if c.peer != nil {
			refused = c.refuseSpecial(&m)
		} else if m.Bytes == 0 {
			c.sw.deeper(c, m.Index)
		}
		c.sw.mu.Unlock()
		if refused {
			c.sw.kick() // another one is asked
		}
		return nil
	}
	sw := c.sw
	sw.mu.Lock()
	if c.peer != nil && m.Reason == wire.ReasonNotHere {
		c.unclaim(m.Index, m.Index+m.Length)
	}
	silent := c.peer != nil && !c.awaitRefused(&m) && c.refused(&m)
	sw.mu.Unlock()
	if silent {
		return c.s.blame("request", ErrSilent)
	}
	sw.kick()
	return nil
}

// refused tells the table of a refusal. True: the remote has refused for so long
// that it is as one that says nothing. sw.mu held.
func (c *channel) refused(m *wire.NoData) bool {
	why := schedule.NotHere
	switch m.Reason {
	case wire.ReasonLater:
		why = schedule.NotNow
	case wire.ReasonCancelled:
		why = schedule.TakenBack
	}
	c.peer.Refused(m.Index, m.Index+m.Length, why, c.sw.now())
	return why == schedule.NotNow && c.peer.Stalls() >= maxStalls
}

// onWant answers a request for our map.
func (c *channel) onWant(body []byte) error {
	var m wire.Want
	if err := wire.ParseWant(body, &m); err != nil {
		return c.s.garbled("want", err)
	}
	if m.Start%wantGrain != 0 || m.Length%wantGrain != 0 || !c.sw.uploads(c.s) {
		return nil // as hypercore 6
	}
	if m.Length > regionBlocks {
		return c.s.blame("want", wire.ErrRange)
	}
	if !c.wanted.Swap(true) {
		c.sw.kick()
	}
	return c.s.push(job{c: c, kind: jobWant, index: m.Start, n: m.Length})
}

// showMap sends our map of a region, and returns the work that was. Serving
// goroutine.
func (c *channel) showMap(start, length uint64, buf []byte) ([]byte, time.Duration, error) {
	f := c.sw.f
	total := f.Len()
	first := !c.hasShown
	if first {
		// The bitfield does not always tell the length.
		c.hasShown = true
		if total > 0 {
			last := total - 1
			bits := f.Bitmap(buf[:0], last&^7, 8)
			if bits[0]<<(last&7)&0x80 != 0 {
				c.send(func(b []byte) []byte { return wire.AppendHave(b, c.local, wire.Have{Start: last, Length: 1}) })
			}
		}
	}
	n := length
	if n == 0 {
		n = maxRegions * regionBlocks
	}
	blocks := uint64(0)
	if start < total {
		blocks = (min(n, total-start) + 7) &^ 7
	}
	// The map, its code, and the message.
	size := int(3 * blocks / 8)
	if err := c.s.mem.await(size); err != nil {
		return buf, 0, c.s.short("map", err)
	}
	defer c.s.mem.give(size)
	if first {
		// Nothing is announced before it, or a remote that is not live takes that for
		// all there will be, and all that comes after it is.
		c.sw.mu.Lock()
		defer c.sw.mu.Unlock()
		c.introduced = true
	}
	buf = f.Bitmap(buf[:0], start, blocks)
	code := wire.EncodeRLE([]byte{}, buf)
	c.send(func(b []byte) []byte {
		return wire.AppendHave(b, c.local, wire.Have{Start: start, Length: length, Bitfield: code, HasBitfield: true})
	})
	return buf, time.Duration(len(buf)/1024)*workLook + time.Duration(len(code))*workShow, nil
}
