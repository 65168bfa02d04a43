package discovery

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/namespace"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p-kad-dht/amino"
	"github.com/libp2p/go-libp2p-kad-dht/records"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/routing"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

const (
	// smallNetwork is the number of servers up to which each of them holds
	// every record: the replication of Kademlia, k.
	smallNetwork = amino.DefaultBucketSize
	// freshFor is how long a peer that was just identified is watched for
	// entering the routing table, which follows one round trip later.
	freshFor = 3 * time.Second
	// maxFresh bounds the peers watched at a time.
	maxFresh = 64
	// pollShut and pollOpen are how often the routing table and the addresses
	// are read without an event to do so, before and after there are both.
	pollShut = time.Second
	pollOpen = 10 * time.Second
	// sleptLittle is the least time without this process running that counts as
	// a suspended machine, and sleptMuch how much of it, in all, makes everything
	// be announced again: the records of others do not stand still meanwhile, and
	// outlive the time until they are sent again by some hours.
	sleptLittle = time.Minute
	sleptMuch   = time.Hour
)

// wallClock tells the time of day; tests replace it.
var wallClock = func() time.Time { return time.Now().Round(0) }

// overlay is one DHT this host takes part in, or the content routing of the
// application.
type overlay struct {
	// Constant after the constructor.
	d           *Discovery
	name        string      // "amino", NAME, "lan" or "own routing"
	proto       protocol.ID // of the DHT; empty when it was passed in
	kad         *dht.IpfsDHT
	ours        bool // kad is closed with the overlay
	finder      routing.ContentRouting
	peerRouting routing.PeerRouting // may be nil
	store       ds.Batching
	boot        *bootstrapper
	announcer   announcer
	ctx         context.Context
	cancel      context.CancelFunc
	wg          sync.WaitGroup
	checks      chan peer.ID  // servers that appeared, for the recheck goroutine
	wake        chan struct{} // tells the announce goroutine to look again

	// mu guards the fields below.
	mu      sync.Mutex
	peers   int           // size of the routing table
	open    bool          // there are peers and addresses
	gate    chan struct{} // closed while open
	known   map[string]bool
	force   bool // announce everything again
	records map[Topic]*record
	sends   sendStats
}

// mainOptions are the DHT options of the network of cfg.
func mainOptions(h host.Host, cfg Config) []dht.Option {
	if cfg.Network != NetworkAmino {
		mode := dht.ModeAutoServer
		if cfg.Server || cfg.Local {
			mode = dht.ModeServer
		}
		return append(ownOptions(), dht.Mode(mode), dht.AddressFilter(publishable))
	}
	mode := dht.ModeClient
	if cfg.Server {
		mode = dht.ModeServer
	}
	opts := []dht.Option{dht.Mode(mode), dht.ProviderManagerOpts(records.Cache(noCache{}))}
	if cfg.Local {
		return opts
	}
	// The conventions of the public DHT: public addresses only, and no more
	// than a few servers of one IP group in the routing table.
	return append(opts,
		dht.QueryFilter(dht.PublicQueryFilter),
		dht.RoutingTableFilter(dht.PublicRoutingTableFilter),
		dht.RoutingTablePeerDiversityFilter(dht.NewRTPeerDiversityFilter(h, amino.DefaultMaxPeersPerIPGroupPerCpl, amino.DefaultMaxPeersPerIPGroup)),
		dht.AddressFilter(func(as []ma.Multiaddr) []ma.Multiaddr { return ma.FilterAddrs(as, manet.IsPublicAddr) }))
}

// ownOptions are common to the networks that are not Amino.
func ownOptions() []dht.Option {
	return []dht.Option{
		dht.DisableValues(),
		dht.ProviderManagerOpts(records.ProvideValidity(ownValidity), records.ProviderAddrTTL(ownValidity), records.Cache(noCache{})),
	}
}

// publishable drops the addresses nobody else can use, unless there are no
// others: loopback and IPv6 link-local ones.
func publishable(as []ma.Multiaddr) []ma.Multiaddr {
	out := ma.FilterAddrs(as, func(a ma.Multiaddr) bool { return !manet.IsIPLoopback(a) && !manet.IsIP6LinkLocal(a) })
	if len(out) == 0 {
		return as
	}
	return out
}

// newOverlay starts a DHT of our own on h, which is the host or a part of it.
func (d *Discovery) newOverlay(h host.Host, name string, pre protocol.ID, boot []peer.AddrInfo, opts []dht.Option) (*overlay, error) {
	o := d.emptyOverlay(name, string(pre))
	o.proto = pre + "/kad/1.0.0"
	state := namespace.Wrap(o.store, ds.NewKey("/dht"))
	var below ds.Batching
	if d.cfg.Store != nil {
		below = state
	}
	held, err := newRecordStore(o.ctx, d.host.ID(), below, heldRecords)
	if err != nil {
		return nil, fmt.Errorf("starting the DHT %s: %w", o.proto, err)
	}
	opts = append(opts, dht.ProtocolPrefix(pre), dht.Datastore(state), dht.ProviderDatastore(held))
	kad, err := dht.New(h, opts...)
	if err != nil {
		return nil, fmt.Errorf("starting the DHT %s: %w", o.proto, err)
	}
	o.kad, o.ours, o.finder, o.peerRouting = kad, true, kad, kad
	return o, o.start(boot)
}

// mountRouting makes an overlay of the application's routing.
func (d *Discovery) mountRouting(r routing.ContentRouting) (*overlay, error) {
	o := d.emptyOverlay("own routing", "/own")
	o.finder = r
	o.peerRouting, _ = r.(routing.PeerRouting)
	o.kad, _ = r.(*dht.IpfsDHT)
	return o, o.start(nil)
}

func (d *Discovery) emptyOverlay(name, key string) *overlay {
	o := &overlay{
		d:       d,
		name:    name,
		store:   namespace.Wrap(d.store, ds.NewKey(key)),
		checks:  make(chan peer.ID, maxFresh),
		wake:    make(chan struct{}, 1),
		gate:    make(chan struct{}),
		records: map[Topic]*record{},
	}
	o.ctx, o.cancel = context.WithCancel(d.ctx)
	return o
}

// start runs the goroutines of an overlay whose routing is set. What it
// started is closed again when it fails.
func (o *overlay) start(boot []peer.AddrInfo) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, o.close())
		}
	}()
	o.boot = newBootstrapper(o, boot)
	o.loadKnown()
	sub, err := o.d.host.EventBus().Subscribe([]any{
		new(event.EvtPeerIdentificationCompleted),
		new(event.EvtPeerProtocolsUpdated),
		new(event.EvtPeerConnectednessChanged),
		new(event.EvtLocalAddressesUpdated),
		new(event.EvtLocalReachabilityChanged),
	}, eventbus.BufSize(256), eventbus.Name("hypercore/discovery"))
	if err != nil {
		return fmt.Errorf("subscribing to host events: %w", err)
	}
	if o.kad != nil {
		s, err := newSweep(o)
		if err != nil {
			sub.Close()
			return err
		}
		o.announcer = s
	} else {
		o.announcer = newRepeater(o)
	}
	o.wg.Go(func() { o.watch(sub) })
	o.wg.Go(o.announceLoop)
	o.wg.Go(o.recheckLoop)
	o.wg.Go(o.boot.run)
	return nil
}

func (o *overlay) close() error {
	o.cancel()
	o.wg.Wait()
	var errs []error
	if o.boot != nil {
		o.boot.save()
	}
	if o.announcer != nil {
		errs = append(errs, o.announcer.close())
	}
	if o.kad != nil && o.ours {
		errs = append(errs, o.kad.Close())
	}
	return errors.Join(errs...)
}

// addrs returns the addresses this host announces here.
func (o *overlay) addrs() []ma.Multiaddr {
	if o.kad != nil {
		return o.kad.FilteredAddrs()
	}
	return o.d.host.Addrs()
}

// suspension notices that the machine was suspended: the clock that timers run
// on stands still then, the time of day does not.
type suspension struct {
	wall, timers time.Time
	total        time.Duration // since everything was announced last
}

// slept returns for how long the machine stood still since the last call, zero
// if that was nothing to speak of.
func (s *suspension) slept() time.Duration {
	wall, timers := wallClock(), time.Now()
	d := wall.Sub(s.wall) - timers.Sub(s.timers)
	s.wall, s.timers = wall, timers
	if d < sleptLittle {
		return 0
	}
	return d
}

// woke makes up for a time during which the machine was suspended.
func (o *overlay) woke(s *suspension, slept time.Duration) {
	log.Infow("the machine was suspended", "network", o.name, "for", slept)
	o.boot.hurry()
	o.d.hurryAll(true)
	if s.total += slept; s.total >= sleptMuch {
		s.total = 0
		o.forceAll()
	}
}

// watch follows the host's events: peers entering the routing table,
// bootstrap peers lost, addresses changed; and notices a machine that was
// suspended.
func (o *overlay) watch(sub event.Subscription) {
	defer sub.Close()
	fresh := map[peer.ID]time.Time{}
	poll := time.NewTimer(0)
	defer poll.Stop()
	wait := pollShut
	var still suspension
	still.slept() // from now on
	for {
		select {
		case <-o.ctx.Done():
			return
		case e, ok := <-sub.Out():
			if !ok {
				return
			}
			switch e := e.(type) {
			case event.EvtPeerIdentificationCompleted:
				o.seen(e.Peer, fresh)
			case event.EvtPeerProtocolsUpdated:
				o.seen(e.Peer, fresh)
			case event.EvtPeerConnectednessChanged:
				if e.Connectedness == network.NotConnected {
					o.boot.lost(e.Peer)
				} else {
					o.boot.met(e.Peer)
				}
			case event.EvtLocalAddressesUpdated:
				o.boot.hurry()
				o.d.hurryAll(true)
				signal(o.wake)
			}
			if len(fresh) > 0 {
				wait = 5 * time.Millisecond
			}
		case <-poll.C:
			wait *= 2
		}
		if slept := still.slept(); slept > 0 {
			o.woke(&still, slept)
		}
		o.measure(fresh)
		if wait = min(wait, pollShut); len(fresh) == 0 {
			wait = o.pollEvery()
		}
		poll.Reset(wait)
	}
}

// seen begins to watch a peer that may enter the routing table.
func (o *overlay) seen(p peer.ID, fresh map[peer.ID]time.Time) {
	if o.kad == nil || len(fresh) >= maxFresh {
		return
	}
	if o.proto != "" {
		if got, err := o.d.host.Peerstore().SupportsProtocols(p, o.proto); err != nil || len(got) == 0 {
			return
		}
	}
	fresh[p] = time.Now()
}

// measure reads the routing table and the addresses, opens or shuts the gate,
// and passes on the peers of fresh that became members.
func (o *overlay) measure(fresh map[peer.ID]time.Time) {
	n := 1 // routing passed in, whose size is not known
	if o.kad != nil {
		n = o.kad.RoutingTable().Size()
	}
	for p, since := range fresh {
		switch {
		case o.kad.RoutingTable().Find(p) != "":
			delete(fresh, p)
			select {
			case o.checks <- p:
			default: // full: the sweep reaches it in time
			}
		case time.Since(since) > freshFor:
			delete(fresh, p)
		}
	}
	addrs := len(o.addrs()) > 0

	o.mu.Lock()
	was, before := o.open, o.peers
	o.peers, o.open = n, n > 0 && addrs
	switch {
	case o.open && !was:
		close(o.gate)
	case !o.open && was:
		o.gate = make(chan struct{})
	}
	opened := o.open && !was
	o.mu.Unlock()
	if opened {
		signal(o.wake)
	}
	if n > before && before < smallNetwork {
		o.d.hurryAll(before == 0)
	}
}

func (o *overlay) pollEvery() time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.open {
		return pollOpen
	}
	return pollShut
}

// pass waits until there are peers and addresses.
func (o *overlay) pass(ctx context.Context) error {
	o.mu.Lock()
	gate := o.gate
	o.mu.Unlock()
	select {
	case <-gate:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-o.ctx.Done():
		return ErrClosed
	}
}

// size returns the number of peers in the routing table.
func (o *overlay) size() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.peers
}
