package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	ds "github.com/ipfs/go-datastore"
	leveldb "github.com/ipfs/go-ds-leveldb"
	logging "github.com/ipfs/go-log/v2"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	routed "github.com/libp2p/go-libp2p/p2p/host/routed"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/go-hypercore/hypercore/discovery"
	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node/guard"
	"github.com/go-hypercore/hypercore/protocol"
)

var log = logging.Logger("hypercore/node")

// stateDir is the directory of discovery's state in Config.Dir.
const stateDir = "dht"

// guardDir is the directory of what is known of the feeds written here, in Config.Dir.
const guardDir = "writer"

// Node is a running node. Its methods may be called from any goroutine.
type Node struct {
	// Constant after New.
	cfg     Config
	hosting *hosting
	host    host.Host
	public  host.Host // what Host returns
	disc    *discovery.Discovery
	mounted bool // the host handles the node's protocols
	mdns    bool // peers are looked for in the LAN
	engine  *protocol.Engine
	store   ds.Batching   // nil without Config.Dir
	guard   *guard.Keeper // nil without Config.Dir
	born    time.Time
	peers   *peers
	rules   ruleBook
	routes  routes
	asking  asking
	notes   network.Notifiee
	events  hub
	tcp     tcpCalls
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	in, out atomic.Uint64 // bytes of all replication streams
	done    chan struct{} // closed when Close is through

	closedFeeds closedFeeds

	adding sync.Mutex // held while a feed is added or taken out, one at a time; before mu

	// mu guards the fields below.
	mu        sync.Mutex
	closed    bool
	closeErr  error
	feeds     map[feed.DiscoveryKey]*openFeed
	topics    map[feed.DiscoveryKey]*topic
	listeners map[*TCPListener]struct{}
	net       netState
}

// New starts a node. ctx bounds the start only.
func New(ctx context.Context, cfg Config) (_ *Node, err error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	n := &Node{
		cfg:       cfg,
		born:      time.Now(),
		done:      make(chan struct{}),
		feeds:     map[feed.DiscoveryKey]*openFeed{},
		topics:    map[feed.DiscoveryKey]*topic{},
		listeners: map[*TCPListener]struct{}{},
	}
	if n.cfg.Lot == nil {
		n.cfg.Lot = feed.NewLot(feed.LotOptions{})
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.events.init()
	defer func() {
		if err != nil {
			err = errors.Join(err, n.release())
		}
	}()
	if err := n.rules.set(cfg.Rules); err != nil {
		return nil, err
	}
	key := cfg.Identity
	if key == nil && cfg.Host == nil {
		if key, err = identity(cfg.Dir); err != nil {
			return nil, err
		}
	}
	if cfg.Dir != "" {
		if n.store, err = openState(cfg.Dir); err != nil {
			return nil, err
		}
		n.guard = guard.NewKeeper(guard.At(filepath.Join(cfg.Dir, guardDir)))
	}
	if n.hosting, err = newHost(cfg, key, &n.rules); err != nil {
		return nil, err
	}
	n.host = n.hosting.host
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	n.closedFeeds.wake = make(chan struct{}, 1)
	n.engine = protocol.New(protocol.Config{OnRemove: n.closedFeeds.add})
	n.peers = newPeers(n)
	if err := n.mount(); err != nil {
		return nil, err
	}
	if err := n.discover(); err != nil {
		return nil, err
	}
	sub, err := n.subscribe()
	if err != nil {
		return nil, err
	}
	n.public = n.host
	if n.hosting.ours {
		n.public = routed.Wrap(n.host, n.disc)
	}
	n.notes = n.peers.notifiee()
	n.host.Network().Notify(n.notes)
	n.wg.Go(func() { n.watchHost(sub) })
	n.hosting.node.Store(n)
	n.wg.Go(n.tidy)
	fixed := cfg.Peers
	if n.hosting.loopback {
		fixed = onlyLoopback(fixed)
	}
	for _, info := range fixed {
		_ = n.peers.addFixed(info) // nobody else has the node yet
	}
	return n, nil
}

// mounting is held while a node looks whether a host is free and takes it.
var mounting sync.Mutex

// mount takes the host. One that another node is on is left as it is: handlers set by
// the second, or its discovery, would take the place of those of the first.
func (n *Node) mount() error {
	mounting.Lock()
	defer mounting.Unlock()
	for _, id := range n.host.Mux().Protocols() {
		if slices.Contains(protocolIDs(), id) {
			return fmt.Errorf("%w: %s", ErrHostInUse, n.host.ID())
		}
	}
	for _, id := range protocolIDs() {
		n.host.SetStreamHandler(id, n.peers.handle)
	}
	n.mounted = true
	return nil
}

// openState opens the database of discovery, which also locks the directory.
func openState(dir string) (ds.Batching, error) {
	path := filepath.Join(dir, stateDir)
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	// What a crash may take is announced again: no fsync per write.
	s, err := leveldb.NewDatastore(path, &leveldb.Options{NoSync: true})
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("%w: %s", ErrDirInUse, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("node: opening %s: %w", path, err)
	}
	return s, nil
}

// discover starts discovery.
func (n *Node) discover() (err error) {
	cfg := n.cfg
	boot := cfg.Bootstrap
	if n.hosting.loopback {
		boot = onlyLoopback(boot)
	}
	n.mdns = (cfg.MDNS == On || cfg.MDNS == Auto && n.hosting.ours && !attached().public4) && !n.hosting.loopback
	n.disc, err = discovery.New(n.host, discovery.Config{
		Network: cfg.Network, Bootstrap: boot, Server: cfg.Server,
		MDNS: n.mdns, Local: n.hosting.loopback,
		Store: n.store, Routing: cfg.Routing, OnLAN: n.peers.foundLAN,
	})
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	n.hosting.disc.Store(n.disc)
	return nil
}

// tidy does what is due from time to time, and what others must not wait for.
func (n *Node) tidy() {
	sweep, listen := time.NewTicker(sweepEvery), time.NewTicker(probeEvery)
	defer sweep.Stop()
	defer listen.Stop()
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-sweep.C:
			n.peers.sweep()
		case <-n.closedFeeds.wake:
			n.forgetClosed()
		case now := <-listen.C:
			n.peers.listen(now)
			n.reroute()
		}
	}
}

// subscribe listens to what the host finds out about itself.
func (n *Node) subscribe() (event.Subscription, error) {
	sub, err := n.host.EventBus().Subscribe([]any{
		new(event.EvtLocalAddressesUpdated), new(event.EvtLocalReachabilityChanged),
		new(event.EvtHostReachableAddrsChanged), new(event.EvtNATDeviceTypeChanged),
		new(event.EvtPeerIdentificationCompleted),
	}, eventbus.BufSize(64), eventbus.Name("hypercore/node"))
	if err != nil {
		return nil, fmt.Errorf("node: subscribing to host events: %w", err)
	}
	return sub, nil
}

func (n *Node) watchHost(sub event.Subscription) {
	defer sub.Close()
	for {
		select {
		case <-n.ctx.Done():
			return
		case e, ok := <-sub.Out():
			if !ok {
				return
			}
			n.mu.Lock()
			n.net.learn(e)
			n.mu.Unlock()
			switch e := e.(type) {
			case event.EvtLocalAddressesUpdated:
				n.peers.moved()
				n.emit(Event{Type: AddrsChanged})
			case event.EvtLocalReachabilityChanged:
				n.emit(Event{Type: ReachabilityChanged, Text: e.Reachability.String()})
			case event.EvtHostReachableAddrsChanged:
				n.emit(Event{Type: ReachabilityChanged, Text: fmt.Sprintf("%d addresses reachable", len(e.Reachable))})
				n.hosting.confirmed(e.Reachable)
			}
		}
	}
}

// ID returns the node's peer ID.
func (n *Node) ID() peer.ID { return n.host.ID() }

// Host returns the libp2p host: that of Config, or the node's own, which
// looks up in the DHT the addresses of peers it is to connect to by ID only.
// Closing it is the node's affair, or the application's if it passed it in.
func (n *Node) Host() host.Host { return n.public }

// Engine returns the protocol engine, which knows who serves what.
func (n *Node) Engine() *protocol.Engine { return n.engine }

// Discovery returns the node's discovery.
func (n *Node) Discovery() *discovery.Discovery { return n.disc }

// Addrs returns the addresses others can be given, each with /p2p/ID.
func (n *Node) Addrs() []ma.Multiaddr {
	as, err := peer.AddrInfoToP2pAddrs(&peer.AddrInfo{ID: n.host.ID(), Addrs: n.host.Addrs()})
	if err != nil {
		return nil // only for an invalid ID
	}
	return as
}

// Traffic returns the bytes received and sent over all replication streams
// since the start.
func (n *Node) Traffic() (in, out uint64) { return n.in.Load(), n.out.Load() }

// Loopback returns listen addresses on this machine only, with free ports:
// for tests, demos and local work.
func Loopback() []ma.Multiaddr {
	return []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0"), ma.StringCast("/ip4/127.0.0.1/udp/0/quic-v1")}
}

// Close ends every stream, closes the feeds that Open opened, leaves the
// network and closes the host unless it was passed in. No goroutine of the
// node is left. It may be called twice; the second call waits for the first.
func (n *Node) Close() error {
	n.mu.Lock()
	first := !n.closed
	n.closed = true
	n.mu.Unlock()
	if first {
		n.closeErr = n.release()
		close(n.done)
	}
	<-n.done
	return n.closeErr
}

// usable returns ErrClosed after Close.
func (n *Node) usable() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return ErrClosed
	}
	return nil
}

// release undoes New, as far as it came.
func (n *Node) release() error {
	var errs []error
	n.cancel()
	if n.hosting != nil {
		n.hosting.noMoreDials()
	}
	if n.mounted {
		for _, id := range protocolIDs() {
			n.host.RemoveStreamHandler(id)
		}
	}
	if n.notes != nil {
		n.host.Network().StopNotify(n.notes)
	}
	if n.peers != nil {
		n.peers.close()
	}
	n.mu.Lock()
	listeners := make([]*TCPListener, 0, len(n.listeners))
	for l := range n.listeners {
		listeners = append(listeners, l)
	}
	feeds := make([]*openFeed, 0, len(n.feeds))
	for _, f := range n.feeds {
		feeds = append(feeds, f)
	}
	topics := make([]*topic, 0, len(n.topics))
	for _, t := range n.topics {
		topics = append(topics, t)
	}
	n.mu.Unlock()
	for _, l := range listeners {
		errs = append(errs, l.Close())
	}
	for _, t := range topics {
		t.end()
	}
	if n.engine != nil {
		errs = append(errs, n.engine.Close())
	}
	if n.disc != nil {
		errs = append(errs, n.disc.Close())
	}
	n.wg.Wait()
	if n.guard != nil { // nothing is announced any more
		n.guard.Close()
	}
	for _, f := range feeds {
		if f.ours {
			errs = append(errs, f.feed.Close())
		}
	}
	if n.hosting != nil && n.hosting.ours {
		disconnect(n.host)
		errs = append(errs, n.host.Close())
	}
	if n.store != nil {
		errs = append(errs, n.store.Close())
	}
	return errors.Join(errs...)
}
