package discovery

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"slices"
	"time"

	ds "github.com/ipfs/go-datastore"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p-kbucket/keyspace"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	// settleTime is how long addresses must have been still before
	// everything is announced again with them: they come in bursts.
	settleTime = 300 * time.Millisecond
	// Between two announcements of everything is at least forceFirst, which
	// doubles up to forceMax while they follow each other and starts over
	// after calmAfter without any: a host that moves is found at once, and one
	// whose addresses flap does not flood the network.
	forceFirst = 2 * time.Second
	forceMax   = time.Minute
	calmAfter  = 5 * time.Minute
	// roundGap separates two rounds of announcements of one topic, for
	// counting its holders.
	roundGap = 5 * time.Minute
	// maxHolders bounds the holders counted per topic.
	maxHolders = 2 * smallNetwork
	// recheckDelay lets announcements under way reach a server before it is
	// asked whether it has them, recheckTimeout bounds each question, and
	// recheckEvery is the least time between two questions to one server.
	recheckDelay   = 400 * time.Millisecond
	recheckTimeout = 10 * time.Second
	recheckEvery   = 5 * time.Second
	// recheckProbes is how many records it is asked for.
	recheckProbes = 3
)

var addrsKey = ds.NewKey("/addrs")

// announcer sends provider records and sends them again before they expire.
type announcer interface {
	// add begins to announce ts; with force also those known already.
	add(force bool, ts []Topic) error
	// drop stops announcing ts.
	drop(ts []Topic) error
	// settled tells whether add with force would be acted upon now.
	settled(ctx context.Context) bool
	// busy tells whether records are being sent.
	busy(ctx context.Context) bool
	close() error
}

// record is what is known about the announcements of one topic; overlay.mu
// guards it.
type record struct {
	last    time.Time
	holders []uint64 // hashes of the servers that were sent it in this round
}

// sendStats counts provider records sent.
type sendStats struct {
	sent, failed uint64
	lastErr      error
}

var holderSeed = maphash.MakeSeed()

func (o *overlay) announce(ts ...Topic) error {
	o.mu.Lock()
	for _, t := range ts {
		if o.records[t] == nil {
			o.records[t] = &record{}
		}
	}
	o.mu.Unlock()
	return o.announcer.add(false, ts)
}

func (o *overlay) unannounce(ts ...Topic) {
	o.mu.Lock()
	for _, t := range ts {
		delete(o.records, t)
	}
	o.mu.Unlock()
	if err := o.announcer.drop(ts); err != nil && o.ctx.Err() == nil {
		log.Warnw("keys still announced", "network", o.name, "keys", len(ts), "error", err)
	}
}

// announceLoop announces everything again when an address is new, or when
// asked to.
func (o *overlay) announceLoop() {
	var last time.Time
	gap := forceFirst
	for {
		select {
		case <-o.ctx.Done():
			return
		case <-o.wake:
		}
		if time.Since(last) > calmAfter {
			gap = forceFirst
		}
		// Wait for the addresses to settle, for peers, for the announcer to
		// listen, and for its turn.
		if !sleep(o.ctx, settleTime) || o.pass(o.ctx) != nil || !o.newAddrs() {
			continue
		}
		if !last.IsZero() {
			if !sleep(o.ctx, gap-time.Since(last)) {
				return
			}
			gap = min(2*gap, forceMax)
		}
		for !o.announcer.settled(o.ctx) {
			if !sleep(o.ctx, 200*time.Millisecond) {
				return
			}
		}
		o.keepAddrs()
		last = time.Now()
		ts := o.d.announced()
		if len(ts) == 0 {
			continue
		}
		log.Infow("announcing again with new addresses", "network", o.name, "topics", len(ts))
		if err := o.announcer.add(true, ts); err != nil && o.ctx.Err() == nil {
			log.Warnw("announcing again failed", "network", o.name, "error", err)
		}
	}
}

// forceAll makes announceLoop announce everything again.
func (o *overlay) forceAll() {
	o.mu.Lock()
	o.force = true
	o.mu.Unlock()
	signal(o.wake)
}

// newAddrs tells whether others must be told of an address of this host.
func (o *overlay) newAddrs() bool {
	addrs := o.addrs()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(addrs) == 0 {
		return false
	}
	if o.known == nil { // the first start: what is announced from now on has them
		o.known = map[string]bool{}
		for _, a := range addrs {
			o.known[stable(a)] = true
		}
		o.storeKnown()
	}
	return o.force || slices.ContainsFunc(addrs, func(a addr) bool { return !o.known[stable(a)] })
}

// keepAddrs notes that the addresses of now are the announced ones.
func (o *overlay) keepAddrs() {
	addrs := o.addrs()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.force = false
	o.known = make(map[string]bool, len(addrs))
	for _, a := range addrs {
		o.known[stable(a)] = true
	}
	o.storeKnown()
}

// stable is an address without the hashes of certificates, which are new at
// each start or from time to time; all else about the address being the same,
// that is no reason to announce everything again.
func stable(a addr) string {
	head, _ := ma.SplitFunc(a, func(c ma.Component) bool { return c.Protocol().Code == ma.P_CERTHASH })
	return head.String()
}

// storeKnown stores o.known. o.mu is held.
func (o *overlay) storeKnown() {
	list := make([]string, 0, len(o.known))
	for a := range o.known {
		list = append(list, a)
	}
	slices.Sort(list)
	v, err := json.Marshal(list)
	if err == nil {
		err = o.store.Put(o.ctx, addrsKey, v)
	}
	if err != nil && o.ctx.Err() == nil {
		log.Warnw("announced addresses not stored", "network", o.name, "error", err)
	}
}

// loadKnown reads the addresses announced by the last run, if any.
func (o *overlay) loadKnown() {
	v, err := o.store.Get(o.ctx, addrsKey)
	if err != nil {
		return
	}
	var list []string
	if json.Unmarshal(v, &list) != nil {
		return
	}
	o.known = make(map[string]bool, len(list))
	for _, a := range list {
		o.known[a] = true
	}
}

// sent notes the outcome of sending a record of key to p.
func (o *overlay) sent(key []byte, p peer.ID, err error) {
	t, ok := topicOf(key)
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil {
		o.sends.failed++
		o.sends.lastErr = fmt.Errorf("sending to %s: %w", short(p), err)
		return
	}
	o.sends.sent++
	if r := o.records[t]; ok && r != nil {
		r.hold(p, time.Now())
	}
}

func (r *record) hold(p peer.ID, now time.Time) {
	if now.Sub(r.last) > roundGap {
		r.holders = r.holders[:0]
	}
	r.last = now
	if h := maphash.String(holderSeed, string(p)); len(r.holders) < maxHolders && !slices.Contains(r.holders, h) {
		r.holders = append(r.holders, h)
	}
}

// counter is the DHT's message sender; it lets the overlay see which
// provider records were sent.
type counter struct {
	pb.MessageSender
	o *overlay
}

func (c counter) SendMessage(ctx context.Context, p peer.ID, m *pb.Message) error {
	err := c.MessageSender.SendMessage(ctx, p, m)
	if m.GetType() == pb.Message_ADD_PROVIDER && c.o.ctx.Err() == nil {
		c.o.sent(m.GetKey(), p, err)
	}
	return err
}

// recheckLoop serves o.checks: see number 3 of the package comment.
func (o *overlay) recheckLoop() {
	if o.kad == nil {
		return
	}
	msgs, err := pb.NewProtocolMessenger(counter{o.kad.MessageSender(), o})
	if err != nil {
		return // only for invalid options, and there are none
	}
	last := map[peer.ID]time.Time{}
	for {
		var p peer.ID
		select {
		case <-o.ctx.Done():
			return
		case p = <-o.checks:
		}
		if o.size() > smallNetwork || time.Since(last[p]) < recheckEvery {
			continue
		}
		if len(last) > 4*smallNetwork {
			clear(last)
		}
		last[p] = time.Now()
		for ok := true; ok && (o.announcer.busy(o.ctx) || time.Since(last[p]) < recheckDelay); {
			ok = sleep(o.ctx, recheckDelay/4)
		}
		if o.pass(o.ctx) != nil {
			return
		}
		if o.size() > smallNetwork {
			continue // it has only come to be known as a larger one
		}
		if n, err := o.recheck(msgs, p); err != nil {
			log.Debugw("server not checked", "network", o.name, "peer", p, "error", err)
		} else if n > 0 {
			log.Infow("server had no record of this host and was sent all", "network", o.name, "peer", p, "records", n)
		}
	}
}

// recheck asks p for records it should have. When it has none of them, p is
// sent all; their number is returned. In a network a little larger than a
// bucket each server rightly lacks some, so it is asked for those nearest to it.
func (o *overlay) recheck(msgs *pb.ProtocolMessenger, p peer.ID) (int, error) {
	ts := o.d.announced()
	if len(ts) == 0 {
		return 0, nil
	}
	for _, probe := range nearest(ts, p, recheckProbes) {
		if has, err := o.holds(msgs, p, probe); has || err != nil {
			return 0, err
		}
	}
	me := peer.AddrInfo{ID: o.d.host.ID(), Addrs: o.addrs()}
	if len(me.Addrs) == 0 {
		return 0, nil
	}
	slices.SortFunc(ts, func(a, b Topic) int { return bytes.Compare(a[:], b[:]) })
	for i, t := range ts {
		ctx, cancel := context.WithTimeout(o.ctx, recheckTimeout)
		err := msgs.PutProviderAddrs(ctx, p, t.Multihash(), me)
		cancel()
		if err != nil {
			return i, err
		}
	}
	return len(ts), nil
}

// nearest returns the n topics with the least distance to p on the DHT, the nearest
// first.
func nearest(ts []Topic, p peer.ID, n int) []Topic {
	space := keyspace.XORKeySpace
	keys := make([]keyspace.Key, len(ts))
	for i, t := range ts {
		keys[i] = space.Key(t.Multihash())
	}
	near := make([]Topic, min(n, len(ts)))
	for i, k := range keyspace.SortByDistance(space, space.Key([]byte(p)), keys)[:len(near)] {
		near[i], _ = topicOf(k.Original)
	}
	return near
}

// holds asks p whether it has this host's record of a topic.
func (o *overlay) holds(msgs *pb.ProtocolMessenger, p peer.ID, t Topic) (bool, error) {
	ctx, cancel := context.WithTimeout(o.ctx, recheckTimeout)
	defer cancel()
	provs, _, err := msgs.GetProviders(ctx, p, t.Multihash())
	if err != nil {
		return false, err
	}
	self := o.d.host.ID()
	for _, info := range provs {
		if info.ID == self && len(info.Addrs) > 0 {
			o.sent(t.Multihash(), p, nil)
			return true, nil
		}
	}
	return false, nil
}
