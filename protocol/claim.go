package protocol

import "time"

// A length above ours that a remote has announced is a claim. It counts as known
// (swarm.known): downloads are not complete before it is here, Head waits for it.
// So it must not count for as long as a remote likes. It goes down when the remote
// takes back the blocks at its end. And while something is wanted of the blocks it
// tells of, and the remote does not prove it by a block or otherwise, it is asked for
// the proof of any of them without the block; when it has not proven it for
// claimTimeout it is doubted: nothing that it announces counts, until what it
// claimed first has been proven after all. It is asked for blocks as before.
//
// Only what is claimed can become less. The feed's own length is proven by a
// signature and does not, whoever clears the blocks at its end.

// claim is what a remote has not proven. Guarded by swarm.mu.
type claim struct {
	length  uint64        // what it announced first of what was not proven then; 0: nothing
	running bool          // something of it is wanted, and time counts
	open    time.Duration // for how long in all
	looked  time.Duration // when that was counted last
	heard   uint64        // bytes that it had carried until then
	doubted bool
}

// doubt looks at what the remotes claim, asks for proof, and reports whether
// something counts that did not, or the other way round. mu held.
func (sw *swarm) doubt(length uint64, now time.Duration) (changed bool) {
	for _, c := range sw.channels {
		k := &c.claim
		if length >= k.length {
			changed = changed || k.doubted
			k.length, k.open, k.doubted = 0, 0, false
		}
		was := k.running
		k.running = !k.doubted && c.length > length && c.peer != nil && c.begun && sw.wantsOf(c, length, now)
		switch {
		case !k.running:
			continue
		case !was:
			k.looked, k.heard = now, c.s.r.Carried()
		case now-k.looked >= claimStep:
			step, heard := claimStep, c.s.r.Carried()
			if heard-k.heard >= progressBytes {
				step /= claimBusy
			}
			k.open += step
			k.looked, k.heard = now, heard
		}
		if k.length == 0 {
			k.length = c.length
		}
		if k.open >= claimTimeout {
			k.doubted, k.running, changed = true, false, true
		} else if k.open >= claimPause && c.probe == nil && c.asked(&special{index: length, beyond: true}) == nil {
			index, rank := c.first(length)
			if rank < 0 {
				index = c.length - 1
			}
			sw.addSpecial(c, special{index: index, beyond: true, at: now})
		}
	}
	if changed {
		sw.raise()
	}
	return changed
}

// wantsOf reports whether something is wanted, and asked for, of what a remote
// announces beyond the length. mu held.
func (sw *swarm) wantsOf(c *channel, length uint64, now time.Duration) bool {
	d := &sw.demand
	if sw.halted || now < sw.resume || len(d.Links) > 0 && now-sw.linked < linkPause {
		return false
	}
	if sw.head || sw.far || d.MinLen > length && d.MinLen <= c.length {
		return true
	}
	for _, r := range d.Ranges {
		if r.Start < c.length && (r.End == 0 || r.End > length) {
			return true
		}
	}
	return false
}

// claimant is who has claimed something: a remote by the ID that the transport has
// proven, or a stream.
type claimant struct {
	id string
	s  *Stream // where there is no ID
}

func (c *channel) claimant() claimant {
	if id := c.s.o.RemoteID; len(id) > 0 {
		return claimant{id: string(id)}
	}
	return claimant{s: c.s}
}

// keptClaim is a claim of a remote that does not have the feed open.
type keptClaim struct {
	claim
	at time.Duration // when it has left
}

const (
	// maxClaims of one feed are kept, claimKept long.
	maxClaims = 256
	claimKept = 10 * time.Minute
)

// keepClaim notes what a channel leaves unproven: the remote may open it again at
// once, on this stream or the next one. mu held.
func (sw *swarm) keepClaim(c *channel) {
	now, who := sw.now(), c.claimant()
	var oldest claimant
	for o, k := range sw.claims {
		if o == who || o.s != nil && o.s.over() || now-k.at > claimKept {
			delete(sw.claims, o)
		} else if first, ok := sw.claims[oldest]; !ok || k.at < first.at {
			oldest = o
		}
	}
	k := c.claim
	if k.running {
		k.open += min(now-k.looked, claimStep)
		k.running = false
	}
	if k.length == 0 || who.s != nil && who.s.over() {
		return
	}
	if sw.claims == nil {
		sw.claims = map[claimant]keptClaim{}
	}
	if len(sw.claims) >= maxClaims {
		delete(sw.claims, oldest)
	}
	sw.claims[who] = keptClaim{k, now}
}

// over reports whether the stream has ended.
func (s *Stream) over() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// believed is the length that a remote has announced, as far as it counts. sw.mu
// held.
func (c *channel) believed() uint64 {
	if c.claim.doubted {
		return 0
	}
	return c.length
}

// setLength notes that the remote has blocks up to n. sw.mu held.
func (c *channel) setLength(n uint64) {
	if n > c.length {
		c.length = n
		if n = c.believed(); n > c.sw.known.Load() {
			c.sw.known.Store(n)
			c.sw.front = c
		}
	}
}

// unclaim notes that the remote has blocks start to end-1 no more. Where they are
// its last ones, it has announced nothing from start on. sw.mu held.
func (c *channel) unclaim(start, end uint64) {
	if start < c.length && c.length <= end {
		c.length = start
		c.sw.raise()
	}
}
