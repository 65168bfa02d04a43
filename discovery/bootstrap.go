package discovery

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	ds "github.com/ipfs/go-datastore"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	// bootTimeout bounds a first attempt to reach a bootstrap peer, doubling
	// up to bootTimeoutMax: a node that is just restarting refuses TCP at once
	// but lets QUIC hang, and shall be tried again before that gives up.
	bootTimeout    = 2 * time.Second
	bootTimeoutMax = 5 * time.Second
	// bootFirst is the wait after a first failure; it doubles from there.
	bootFirst = 250 * time.Millisecond
	// bootEager bounds the wait while a node has nobody and began to look
	// less than bootPatience ago, so that a bootstrap node that starts last
	// or is restarted is found within seconds.
	bootEager    = 2 * time.Second
	bootPatience = time.Minute
	// bootLazy bounds the wait later, or while others are connected.
	bootLazy = 30 * time.Second
	// bootSteady is how long a connection must have lasted for its peer to be
	// dialled again at once when it is lost: one that refuses this host may
	// take the connection first.
	bootSteady = 5 * time.Second
	// bootIdle is how often it is checked that nothing is to be done.
	bootIdle = 10 * time.Second
	// aminoEnough is the size of the routing table from which the public
	// bootstrap peers are left alone, and aminoParallel how many of them are
	// dialled at a time.
	aminoEnough   = 4
	aminoParallel = 2
	// maxSaved is how many peers of the network are remembered for the next
	// start, and spareAfter how long the bootstrap peers are tried alone.
	maxSaved   = 16
	spareAfter = 2 * time.Second
	saveEvery  = 5 * time.Minute
)

var savedKey = ds.NewKey("/peers")

// bootstrapper keeps this host connected to the bootstrap peers of an
// overlay: to all of them on a network of one's own, to a few of the public
// ones while the routing table is small. When they cannot be reached it tries
// peers remembered from the last run.
type bootstrapper struct {
	o     *overlay
	began time.Time
	amino bool
	wake  chan struct{}

	// mu guards the fields below.
	mu    sync.Mutex
	peers []*bootPeer
}

type bootPeer struct {
	info  peer.AddrInfo
	spare bool // remembered, not configured
	busy  bool
	fails int
	brief int       // connections in a row that did not last, the newest one included
	since time.Time // when it was connected last
	tried time.Time
	next  time.Time
	err   error
}

func newBootstrapper(o *overlay, infos []peer.AddrInfo) *bootstrapper {
	b := &bootstrapper{o: o, began: time.Now(), amino: o.name == NetworkAmino, wake: make(chan struct{}, 1)}
	have := map[peer.ID]*bootPeer{}
	add := func(infos []peer.AddrInfo, spare bool, from time.Time) {
		for _, info := range infos {
			switch p := have[info.ID]; {
			case info.ID == o.d.host.ID():
			case p == nil:
				p = &bootPeer{info: info, spare: spare, next: from}
				have[info.ID] = p
				b.peers = append(b.peers, p)
			case !spare: // named twice, with different addresses
				p.info.Addrs = slices.Concat(p.info.Addrs, info.Addrs)
			}
		}
	}
	add(infos, false, b.began)
	add(b.load(), true, b.began.Add(spareAfter))
	if b.amino {
		rand.Shuffle(len(b.peers), func(i, j int) { b.peers[i], b.peers[j] = b.peers[j], b.peers[i] })
	}
	return b
}

// run dials what is due until the overlay closes.
func (b *bootstrapper) run() {
	if !b.amino {
		for _, p := range b.peers {
			if !p.spare {
				b.o.d.host.ConnManager().Protect(p.info.ID, "hypercore-bootstrap")
				b.o.d.host.Peerstore().AddAddrs(p.info.ID, p.info.Addrs, peerstore.PermanentAddrTTL)
			}
		}
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	saved := time.Now()
	for {
		select {
		case <-b.o.ctx.Done():
			return
		case <-b.wake:
		case <-timer.C:
		}
		due, wait := b.due(time.Now())
		for _, p := range due {
			wg.Go(func() { b.try(p) })
		}
		if time.Since(saved) > saveEvery {
			saved = time.Now()
			b.save()
		}
		timer.Reset(wait)
	}
}

// due marks and returns the peers to dial now, and says how long to wait for
// the next one.
func (b *bootstrapper) due(now time.Time) (due []*bootPeer, wait time.Duration) {
	size := b.o.size()
	wait = bootIdle
	b.mu.Lock()
	defer b.mu.Unlock()
	busy := 0
	for _, p := range b.peers {
		if p.busy {
			busy++
		}
	}
	for _, p := range b.peers {
		if p.busy || connected(b.o.d.host, p.info.ID) {
			continue
		}
		if p.spare && size > 0 || b.amino && (size >= aminoEnough || busy >= aminoParallel) {
			continue
		}
		if left := p.next.Sub(now); left > 0 {
			wait = min(wait, left)
			continue
		}
		p.busy, p.tried = true, now
		busy++
		due = append(due, p)
	}
	return due, wait
}

// try dials p once.
func (b *bootstrapper) try(p *bootPeer) {
	b.mu.Lock()
	limit := min(bootTimeout<<min(p.fails, 10), bootTimeoutMax)
	b.mu.Unlock()
	clearBackoff(b.o.d.host, p.info.ID)
	ctx, cancel := context.WithTimeout(b.o.ctx, limit)
	err := b.o.d.host.Connect(ctx, p.info)
	cancel()
	if b.o.ctx.Err() != nil {
		return
	}
	size := b.o.size()
	b.mu.Lock()
	defer b.mu.Unlock()
	p.busy, p.err = false, err
	defer signal(b.wake)
	if err == nil {
		p.fails = 0
		p.brief++
		p.next = time.Now().Add(b.backoff(p.brief, size))
		return
	}
	log.Debugw("bootstrap peer not reached", "network", b.o.name, "peer", p.info.ID, "error", err)
	p.fails++
	p.next = time.Now().Add(b.backoff(p.fails, size))
}

// backoff is the wait after n failures, with size peers in the routing table.
// b.mu is held.
func (b *bootstrapper) backoff(n, size int) time.Duration {
	longest := bootLazy
	if size == 0 && time.Since(b.began) < bootPatience {
		longest = bootEager
	}
	return jitter(min(bootFirst<<min(n-1, 10), longest))
}

// met is told of each peer that was connected.
func (b *bootstrapper) met(id peer.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.peers {
		if p.info.ID == id {
			p.since = time.Now()
		}
	}
}

// lost is told of each peer that was disconnected. One whose connection did not
// last keeps the wait that began with it.
func (b *bootstrapper) lost(id peer.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.peers {
		if p.info.ID != id {
			continue
		}
		if time.Since(p.since) >= bootSteady {
			p.fails, p.brief, p.next = 0, 0, time.Now().Add(50*time.Millisecond)
			b.began = time.Now()
		}
		signal(b.wake)
	}
}

// hurry lets every peer be tried again now: the network of this host changed.
func (b *bootstrapper) hurry() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.began = time.Now()
	for _, p := range b.peers {
		if p.fails > 0 || p.brief > 0 {
			p.fails, p.brief, p.next = 0, 0, time.Now()
		}
	}
	signal(b.wake)
}

// BootstrapStatus tells how it stands with one bootstrap peer.
type BootstrapStatus struct {
	ID        peer.ID
	Addrs     []ma.Multiaddr // as configured
	Connected bool
	Tried     time.Time // of the last attempt; zero before the first
	Fails     int       // attempts in a row that failed
	Err       error     // of the last attempt
	// Serves: it is connected and answers as a DHT server of the network.
	Serves bool
	// Networks are the networks it says it serves, while it is connected:
	// names that are not ours tell of a mistyped name, none of a node that is
	// no DHT server at all. At most maxNetworks.
	Networks []string
}

// maxNetworks bounds BootstrapStatus.Networks: the names come from the peer.
const maxNetworks = 8

// status describes the configured peers.
func (b *bootstrapper) status() []BootstrapStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []BootstrapStatus
	for _, p := range b.peers {
		if !p.spare {
			s := BootstrapStatus{ID: p.info.ID, Addrs: p.info.Addrs, Connected: connected(b.o.d.host, p.info.ID), Tried: p.tried, Fails: p.fails, Err: p.err}
			if s.Connected {
				s.Networks, s.Serves = b.o.served(p.info.ID)
			}
			out = append(out, s)
		}
	}
	return out
}

// remembered counts the peers of the last run that are tried.
func (b *bootstrapper) remembered() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.peers {
		if p.spare {
			n++
		}
	}
	return n
}

// served tells which networks a connected peer says it serves, and whether
// that of the overlay is among them.
func (o *overlay) served(id peer.ID) (names []string, ours bool) {
	protos, err := o.d.host.Peerstore().GetProtocols(id)
	if err != nil {
		return nil, false
	}
	for _, p := range protos {
		if p == o.proto {
			ours = true
		}
		name, ok := networkOf(p)
		if ok && len(names) < maxNetworks && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, ours
}

// load returns the peers remembered by save.
func (b *bootstrapper) load() []peer.AddrInfo {
	v, err := b.o.store.Get(b.o.ctx, savedKey)
	if err != nil {
		return nil
	}
	var infos []peer.AddrInfo
	if err := json.Unmarshal(v, &infos); err != nil {
		return nil // written by another version: the network is entered without it
	}
	return infos[:min(len(infos), maxSaved)]
}

// save remembers some members of the routing table that are connected now.
// With none it keeps what was saved.
func (b *bootstrapper) save() {
	if b.o.kad == nil {
		return
	}
	var infos []peer.AddrInfo
	for _, id := range b.o.kad.RoutingTable().ListPeers() {
		if len(infos) == maxSaved {
			break
		}
		if info := b.o.d.host.Peerstore().PeerInfo(id); len(info.Addrs) > 0 && connected(b.o.d.host, id) {
			infos = append(infos, info)
		}
	}
	if len(infos) == 0 {
		return
	}
	v, err := json.Marshal(infos)
	if err == nil {
		err = b.o.store.Put(context.Background(), savedKey, v)
	}
	if err != nil {
		log.Warnw("peers of the network not saved", "network", b.o.name, "error", err)
	}
}

// connected tells whether there is a connection to p, relayed or not.
func connected(h host.Host, p peer.ID) bool {
	c := h.Network().Connectedness(p)
	return c == network.Connected || c == network.Limited
}

// clearBackoff lets the host dial p although a dial failed just before: the
// back-off of the swarm begins at five seconds, ours is kept by the caller.
func clearBackoff(h host.Host, p peer.ID) {
	if s, ok := h.Network().(interface{ Backoff() *swarm.DialBackoff }); ok {
		s.Backoff().Clear(p)
	}
}

// jitter returns d or up to a quarter more or less.
func jitter(d time.Duration) time.Duration {
	if d < 4 {
		return d
	}
	return d - d/4 + rand.N(d/2)
}
