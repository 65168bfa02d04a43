package discovery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	ds "github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	logging "github.com/ipfs/go-log/v2"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/routing"
)

var log = logging.Logger("hypercore/discovery")

// Discovery announces and looks up topics for one host. Its methods may be
// called from any goroutine.
type Discovery struct {
	// Constant after New.
	host     host.Host
	cfg      Config
	store    ds.Batching
	overlays []*overlay // that of Config.Network first, that of the LAN last
	lan      *lan       // nil without MDNS
	ctx      context.Context
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	wake     chan struct{} // tells the scheduler that the queue changed

	// mu guards the fields below.
	mu      sync.Mutex
	closed  bool
	topics  map[Topic]*topic
	queue   lookQueue
	running int // looks under way
}

// topic is what is known about one topic; Discovery.mu guards it.
type topic struct {
	id       Topic
	announce bool
	searches map[*Search]struct{}
	look     look
}

// New joins the network of cfg with h, which must outlive the Discovery. It
// returns at once; bootstrap peers are dialled in the background.
func New(h host.Host, cfg Config) (*Discovery, error) {
	if err := CheckNetwork(cfg.Network); err != nil {
		return nil, err
	}
	if cfg.Network == "" {
		cfg.Network = NetworkAmino
	}
	d := &Discovery{
		host:   h,
		cfg:    cfg,
		store:  cfg.Store,
		topics: map[Topic]*topic{},
		wake:   make(chan struct{}, 1),
	}
	if d.store == nil {
		d.store = dssync.MutexWrap(ds.NewMapDatastore())
	}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	if err := d.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("discovery: joining network %q: %w", cfg.Network, err), d.Close())
	}
	d.wg.Go(d.schedule)
	if cfg.Server && cfg.Store != nil {
		d.loadBook()
		d.wg.Go(d.keepBook)
	}
	return d, nil
}

// open builds the overlays that cfg asks for.
func (d *Discovery) open() error {
	cfg := d.cfg
	switch {
	case cfg.Routing != nil:
		o, err := d.mountRouting(cfg.Routing)
		if err != nil {
			return err
		}
		d.overlays = append(d.overlays, o)
	case cfg.Network != NetworkNone:
		boot := cfg.Bootstrap
		if cfg.Network == NetworkAmino && boot == nil && !cfg.Local {
			boot = dht.GetDefaultBootstrapPeerAddrInfos()
		}
		o, err := d.newOverlay(d.host, cfg.Network, prefix(cfg.Network), boot, mainOptions(d.host, cfg))
		if err != nil {
			return err
		}
		d.overlays = append(d.overlays, o)
	}
	if !cfg.MDNS || cfg.Local {
		return nil
	}
	o, err := d.newOverlay(lanHost{d.host}, "lan", lanPrefix(cfg.Network), nil, lanOptions())
	if err != nil {
		return err
	}
	d.overlays = append(d.overlays, o)
	d.lan = newLAN(d)
	return nil
}

// Close stops every search and every announcement and leaves the network.
// What was announced stays known to others until it expires. Close may be
// called twice; it does not close the host, Config.Store nor Config.Routing.
func (d *Discovery) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	d.mu.Unlock()

	d.cancel()
	if d.lan != nil {
		d.lan.close()
	}
	var wg sync.WaitGroup
	errs := make([]error, len(d.overlays))
	for i, o := range d.overlays {
		wg.Go(func() { errs[i] = o.close() })
	}
	wg.Wait()
	d.wg.Wait()
	return errors.Join(errs...)
}

// Announce makes this host a peer of t for others, on every overlay, until
// Unannounce. It returns once the wish is stored; sending happens as soon as
// there are addresses and peers (see Status).
func (d *Discovery) Announce(t Topic) error { return d.AnnounceAll(t) }

// AnnounceAll announces many topics at once, which is much cheaper than one
// after the other.
func (d *Discovery) AnnounceAll(ts ...Topic) error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return ErrClosed
	}
	for _, t := range ts {
		d.get(t).announce = true
	}
	d.mu.Unlock()
	var errs []error
	for _, o := range d.overlays {
		if err := o.announce(ts...); err != nil {
			errs = append(errs, fmt.Errorf("discovery: announcing %d topics on %s: %w", len(ts), o.name, err))
		}
	}
	return errors.Join(errs...)
}

// Unannounce stops announcing t. There is no way to take a record back: peers
// may find this host under t until the last one expires.
func (d *Discovery) Unannounce(t Topic) {
	d.mu.Lock()
	if e := d.topics[t]; e != nil {
		e.announce = false
		d.forget(e)
	}
	d.mu.Unlock()
	for _, o := range d.overlays {
		o.unannounce(t)
	}
}

// get returns the entry of t, made if there is none. d.mu is held.
func (d *Discovery) get(t Topic) *topic {
	e := d.topics[t]
	if e == nil {
		e = &topic{id: t, look: look{index: -1}}
		d.topics[t] = e
	}
	return e
}

// forget drops an entry nobody uses. d.mu is held.
func (d *Discovery) forget(e *topic) {
	if !e.announce && len(e.searches) == 0 && !e.look.running {
		d.queue.remove(e)
		delete(d.topics, e.id)
	}
}

// announced returns every topic announced now.
func (d *Discovery) announced() []Topic {
	d.mu.Lock()
	defer d.mu.Unlock()
	ts := make([]Topic, 0, len(d.topics))
	for t, e := range d.topics {
		if e.announce {
			ts = append(ts, t)
		}
	}
	return ts
}

// isAnnounced tells whether t is announced now.
func (d *Discovery) isAnnounced(t Topic) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.topics[t]
	return e != nil && e.announce
}

// FindPeer asks the overlays for the addresses of a peer, so that a
// Discovery can be the routing of a host.
func (d *Discovery) FindPeer(ctx context.Context, p peer.ID) (peer.AddrInfo, error) {
	err := error(routing.ErrNotFound)
	for _, o := range d.overlays {
		if o.peerRouting == nil {
			continue
		}
		var info peer.AddrInfo
		if info, err = o.peerRouting.FindPeer(ctx, p); err == nil {
			return info, nil
		}
	}
	return peer.AddrInfo{}, err
}

// Servers delivers up to n peers of the network that may serve as relays:
// connected bootstrap peers first, then members of the routing table. The
// channel is closed when there are no more.
func (d *Discovery) Servers(ctx context.Context, n int) <-chan peer.AddrInfo {
	out := make(chan peer.AddrInfo, max(n, 0))
	defer close(out)
	if len(d.overlays) == 0 || d.overlays[0].name == "lan" {
		return out
	}
	o := d.overlays[0]
	var ids []peer.ID
	for _, b := range o.boot.status() {
		if b.Connected {
			ids = append(ids, b.ID)
		}
	}
	if o.kad != nil {
		ids = append(ids, o.kad.RoutingTable().ListPeers()...)
	}
	for i, id := range ids {
		if len(out) == n || ctx.Err() != nil {
			break
		}
		if slices.Contains(ids[:i], id) {
			continue
		}
		if info := d.host.Peerstore().PeerInfo(id); len(info.Addrs) > 0 {
			out <- info
		}
	}
	return out
}

// sleep waits for t or the end of ctx; it tells whether the time passed.
func sleep(ctx context.Context, t time.Duration) bool {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// signal puts a token into a channel of capacity one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
