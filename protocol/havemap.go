package protocol

import "github.com/go-hypercore/hypercore/protocol/wire"

// setBits replaces the remote's map from start on, length blocks, by a run-length
// coded bitfield. Its cost is that of the code, and of the pages it touches: runs
// can be as short as a byte, so those that share a page are put together first.
//
// sw.mu is held before and after, not meanwhile: a large map comes in page by page
// between what others do. The channel may have left its swarm then.
func (c *channel) setBits(start, length uint64, code []byte) error {
	c.eachRegion(start, start+length, func(r *region, a, b uint64) {
		if b-a == regionBlocks {
			c.refund(r)
		}
	})
	c.sw.mu.Unlock()
	at, err := c.readMap(start, length, code)
	c.sw.mu.Lock()
	if err != nil || c.peer == nil {
		return err
	}
	c.eachRegion(at, start+length, func(_ *region, a, b uint64) { c.peer.Forget(a, b) })
	c.setLength(c.peer.Announced())
	return nil
}

// readMap is setBits for as far as the code goes; it returns where that is.
func (c *channel) readMap(start, length uint64, code []byte) (at uint64, err error) {
	at = start
	var buf [pageBytes]byte
	page := buf[:0] // what has come of a page that no run covers; it ends at at
	pages := 0      // that were not paid for by the bytes of the code
	runs := wire.NewRuns(code, int(length/8))
	for runs.Next() {
		r := runs.Run()
		for r.Len > 0 {
			left := int(pageBlocks-at%pageBlocks) / 8 // of the page
			if r.Len < left {
				page = r.Append(page)
				at += 8 * uint64(r.Len)
				break
			}
			n := left
			if n == pageBytes {
				n = r.Len &^ (pageBytes - 1) // this page and whole ones after it
			}
			part := wire.Run{Len: n, Fill: r.Fill}
			if r.Len -= n; r.Literal != nil {
				part.Literal, r.Literal = r.Literal[:n], r.Literal[n:]
			}
			if left < pageBytes {
				page = part.Append(page)
				part = wire.Run{Len: len(page), Literal: page}
				page = buf[:0]
			}
			at += 8 * uint64(n)
			c.note(at-8*uint64(part.Len), part)
			if left < pageBytes || part.Literal == nil {
				pages++
			}
		}
	}
	if len(page) > 0 && runs.Err() == nil {
		c.note(at-8*uint64(len(page)), wire.Run{Len: len(page), Literal: page})
		pages++
	}
	c.s.late.Add(int64(pages) * int64(workNote))
	return at, runs.Err()
}

// note notes what a run says of the blocks from at on.
func (c *channel) note(at uint64, r wire.Run) {
	c.sw.mu.Lock()
	defer c.sw.mu.Unlock()
	if c.peer == nil {
		return
	}
	c.eachRegion(at, at+8*uint64(r.Len), func(reg *region, a, b uint64) {
		cost := pageCost
		if r.Len > pageBytes && r.Literal != nil {
			cost += int(b-a) / 8
		}
		switch {
		case r.Literal == nil && r.Fill == 0:
			c.peer.Forget(a, b)
		case !c.pay(reg, cost):
			c.peer.Forget(a, b) // what was there is paid for no longer
		case r.Literal != nil:
			c.peer.HaveBits(a, r.Literal[(a-at)/8:(b-at)/8])
		default:
			c.peer.Have(a, b)
		}
	})
}
