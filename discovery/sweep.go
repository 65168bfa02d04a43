package discovery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/namespace"
	"github.com/libp2p/go-libp2p-kad-dht/provider"
	"github.com/libp2p/go-libp2p-kad-dht/provider/keystore"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	mh "github.com/multiformats/go-multihash"
)

// pruneAfter is the age of a sweep at which keys of former runs that nobody
// announced again are dropped: an application has opened its feeds by then.
const pruneAfter = time.Minute

// pruneChunk keys are dropped at a time: what is announced meanwhile waits.
const pruneChunk = 1000

// reprovideDelay is how late the provider may send a region again, its default.
const reprovideDelay = time.Hour

var (
	dirtyKey  = ds.NewKey("/dirty")
	closedKey = ds.NewKey("/closed")
)

// newKeystore makes the store of announced keys; tests replace it.
var newKeystore = func(store ds.Batching) (keystore.Keystore, error) { return keystore.NewKeystore(store) }

// addr is short for the type of addresses.
type addr = ma.Multiaddr

// sweep announces through kad-dht's sweeping provider, whose keys and
// progress are stored.
type sweep struct {
	o    *overlay
	prov *provider.SweepingProvider
	keys keystore.Keystore

	offline atomic.Bool // the provider gave up its queue; set by its callback
	pruner  *time.Timer
	pruning sync.WaitGroup

	// adding is held while topics are added, which Discovery knows to be
	// announced by then, and wholly while those that are not are dropped.
	adding sync.RWMutex
}

func newSweep(o *overlay) (*sweep, error) {
	s := &sweep{o: o}
	// A run that ended without close may have had announcements under way
	// that only its memory knew of: then everything is announced again.
	dirty, err := o.store.Has(o.ctx, dirtyKey)
	if err != nil {
		return nil, fmt.Errorf("reading the state of announcements: %w", err)
	}
	if err := o.store.Put(o.ctx, dirtyKey, []byte{1}); err != nil {
		return nil, fmt.Errorf("writing the state of announcements: %w", err)
	}
	if s.keys, err = newKeystore(namespace.Wrap(o.store, ds.NewKey("/keystore"))); err != nil {
		return nil, fmt.Errorf("opening the store of announced keys: %w", err)
	}
	interval, validity := ownReprovide, ownValidity
	if o.name == NetworkAmino || !o.ours {
		interval, validity = aminoReprovide, aminoValidity
	}
	s.prov, err = provider.New(
		provider.WithHost(o.d.host),
		provider.WithRouter(router{o}),
		provider.WithMessageSender(counter{o.kad.MessageSender(), o}),
		provider.WithSelfAddrs(o.addrs),
		provider.WithKeystore(s.keys),
		provider.WithDatastore(namespace.Wrap(o.store, ds.NewKey("/provider"))),
		provider.WithAddLocalRecord(s.local),
		provider.WithReprovideInterval(interval),
		provider.WithResumeCycle(!dirty),
		provider.WithSkipBootstrapReprovide(!dirty && s.short(validity-2*interval-reprovideDelay)),
		provider.WithLoggerName("hypercore/discovery/sweep"),
		provider.WithConnectivityCallbacks(s.online, nil, func() { s.offline.Store(true) }),
	)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting the sweeping provider: %w", err), s.keys.Close())
	}
	s.pruning.Add(1)
	s.pruner = time.AfterFunc(pruneAfter, func() { defer s.pruning.Done(); s.prune() })
	return s, nil
}

// short tells whether the last run ended, with everything sent, less than
// limit ago. The provider itself remembers only what its cycles sent, not the
// first announcements, and would send these again. Records were up to one
// interval old when the run ended and may have to last another one until the
// cycle comes by.
func (s *sweep) short(limit time.Duration) bool {
	v, err := s.o.store.Get(s.o.ctx, closedKey)
	if err != nil {
		return false
	}
	var at time.Time
	if at.UnmarshalText(v) != nil {
		return false
	}
	since := time.Since(at)
	return since >= 0 && since < limit
}

func (s *sweep) add(force bool, ts []Topic) error {
	s.adding.RLock()
	defer s.adding.RUnlock()
	return s.prov.StartProviding(force, hashes(ts)...)
}

func (s *sweep) drop(ts []Topic) error { return s.prov.StopProviding(hashes(ts)...) }

func (s *sweep) settled(ctx context.Context) bool {
	st, err := s.prov.Stats(ctx)
	return err == nil && st.Connectivity.Status == "online" && st.Schedule.AvgPrefixLength >= 0
}

func (s *sweep) busy(ctx context.Context) bool {
	st, err := s.prov.Stats(ctx)
	if err != nil {
		return false
	}
	return st.Queues.PendingKeyProvides+st.Queues.PendingRegionReprovides > 0 ||
		st.Operations.Ongoing.RegionProvides+st.Operations.Ongoing.RegionReprovides > 0
}

// local stores a record in this host's own part of the DHT, for those who
// ask it as a server.
func (s *sweep) local(m mh.Multihash) error {
	t, ok := topicOf(m)
	if !ok {
		return fmt.Errorf("discovery: not a topic: %x", []byte(m))
	}
	return s.o.kad.Provide(s.o.ctx, t.CID(), false)
}

// online is called when the provider reaches the network. After a long
// absence its queue is gone: everything is announced again.
func (s *sweep) online() {
	if s.offline.Swap(false) {
		s.o.forceAll()
	}
}

// prune drops stored keys that are not announced by this run.
func (s *sweep) prune() {
	all, err := s.keys.Get(s.o.ctx, "")
	if err != nil {
		return
	}
	n := 0
	for some := range slices.Chunk(all, pruneChunk) {
		old, err := s.dropOld(some)
		if n += old; err != nil {
			if s.o.ctx.Err() == nil {
				log.Warnw("keys of former runs not dropped", "network", s.o.name, "error", err)
			}
			return
		}
	}
	if n > 0 {
		log.Infow("keys of former runs are no longer announced", "network", s.o.name, "keys", n)
	}
}

// dropOld drops those of some keys that are not announced, and counts them.
func (s *sweep) dropOld(some []mh.Multihash) (int, error) {
	s.adding.Lock()
	defer s.adding.Unlock()
	var old []mh.Multihash
	for _, m := range some {
		if t, ok := topicOf(m); !ok || !s.o.d.isAnnounced(t) {
			old = append(old, m)
		}
	}
	if len(old) == 0 {
		return 0, nil
	}
	return len(old), s.prov.StopProviding(old...)
}

func (s *sweep) close() error {
	if s.pruner.Stop() {
		s.pruning.Done()
	}
	s.pruning.Wait()
	idle := !s.busy(context.Background())
	err := errors.Join(s.prov.Close(), s.keys.Close())
	if err == nil && idle {
		err = s.markClean()
	}
	if err != nil {
		return fmt.Errorf("discovery: closing the announcements on %s: %w", s.o.name, err)
	}
	return nil
}

// markClean notes that everything was sent.
func (s *sweep) markClean() error {
	now, err := time.Now().MarshalText()
	if err != nil {
		return err
	}
	if err := s.o.store.Put(context.Background(), closedKey, now); err != nil {
		return err
	}
	return s.o.store.Delete(context.Background(), dirtyKey)
}

func hashes(ts []Topic) []mh.Multihash {
	ms := make([]mh.Multihash, len(ts))
	for i, t := range ts {
		ms[i] = t.Multihash()
	}
	return ms
}

// router is what the provider asks for the servers closest to a key. It
// waits until the overlay has peers and this host has addresses: the provider
// takes an answer for being online, and announces nothing, silently, when it
// has no address.
type router struct{ o *overlay }

func (r router) GetClosestPeers(ctx context.Context, key string) ([]peer.ID, error) {
	if r.o.pass(ctx) != nil {
		return nil, nil // closing: an error would be retried after a second's sleep
	}
	ps, err := r.o.kad.GetClosestPeers(ctx, key)
	if ctx.Err() != nil {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if len(ps) == 0 {
		return nil, errors.New("discovery: no server answered")
	}
	return ps, nil
}
