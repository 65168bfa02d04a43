package discovery

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	ds "github.com/ipfs/go-datastore"
	"github.com/libp2p/go-libp2p-kad-dht/provider/keystore"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
	mh "github.com/multiformats/go-multihash"
)

// FakeMDNS replaces multicast DNS: peers are then found by FoundByMDNS.
func FakeMDNS() (restore func()) {
	was := newMDNS
	newMDNS = func(host.Host, mdns.Notifee) mdns.Service { return noService{} }
	return func() { newMDNS = was }
}

type noService struct{}

func (noService) Start() error { return nil }
func (noService) Close() error { return nil }

func (d *Discovery) FoundByMDNS(info peer.AddrInfo) { d.lan.HandlePeerFound(info) }

// ShortLives makes provider records live for two hours instead of a day.
func ShortLives() (restore func()) {
	v, r := ownValidity, ownReprovide
	ownValidity, ownReprovide = 2*time.Hour, 50*time.Minute
	return func() { ownValidity, ownReprovide = v, r }
}

// Sent returns how many provider records were sent on the first overlay.
func (d *Discovery) Sent() uint64 {
	o := d.overlays[0]
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sends.sent
}

// Idle tells whether the first overlay has found its place in the network and
// sends nothing.
func (d *Discovery) Idle() bool {
	a := d.overlays[0].announcer
	return a.settled(d.ctx) && !a.busy(d.ctx)
}

// OwnWait is the time between two looks on a network of one's own.
func OwnWait(n int, enough bool) time.Duration { return ownPace.wait(n, enough) }

var IsLAN = isLAN

var Nearest = nearest

const PruneAfter = pruneAfter

// NewRecordStore makes a store of provider records with limits of its own.
func NewRecordStore(self peer.ID, below ds.Batching, perPeer, perKey, total int) (*recordStore, error) {
	return newRecordStore(context.Background(), self, below, recordLimits{peer: perPeer, key: perKey, total: total})
}

// Counts returns how many records there are of each peer, and an error if the
// store contradicts itself.
func (s *recordStore) Counts() (map[string]int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	byPeer, total := map[string]int{}, 0
	for key, rs := range s.keys {
		for _, r := range rs {
			if r.key != key || s.peers[r.by.peer] != r.by {
				return nil, fmt.Errorf("record of %s by %s is at %s", r.key, r.by.peer, key)
			}
			byPeer[r.by.peer]++
			if !r.by.own {
				total++
			}
		}
	}
	if total != s.total || len(byPeer) != len(s.peers) {
		return nil, fmt.Errorf("%d records of %d peers, counted %d of %d", total, len(byPeer), s.total, len(s.peers))
	}
	for id, a := range s.peers {
		n := 0
		for r := a.ring.next; r != &a.ring; r = r.next {
			n++
		}
		if n != a.n || n != byPeer[id] || !a.own && (s.most[a.index] != a || s.most[0].n < n) {
			return nil, fmt.Errorf("peer %s has %d records, counted %d and %d", id, byPeer[id], a.n, n)
		}
	}
	return byPeer, nil
}

var NoCache = noCache{}

var HeldPerPeer = heldRecords.peer

// Prune drops the keys of former runs on the first overlay now.
func (d *Discovery) Prune() { d.overlays[0].announcer.(*sweep).prune() }

// BeforeDrop makes the stores of announced keys call f before they drop keys.
func BeforeDrop(f func()) (restore func()) {
	was := newKeystore
	newKeystore = func(store ds.Batching) (keystore.Keystore, error) {
		k, err := was(store)
		return slowKeystore{k, f}, err
	}
	return func() { newKeystore = was }
}

type slowKeystore struct {
	keystore.Keystore
	before func()
}

func (k slowKeystore) Delete(ctx context.Context, keys ...mh.Multihash) error {
	k.before()
	return k.Keystore.Delete(ctx, keys...)
}

// Stored tells which topics the first overlay announces from time to time.
func (d *Discovery) Stored() (map[Topic]bool, error) {
	all, err := d.overlays[0].announcer.(*sweep).keys.Get(d.ctx, "")
	stored := map[Topic]bool{}
	for _, m := range all {
		if t, ok := topicOf(m); ok {
			stored[t] = true
		}
	}
	return stored, err
}

// Suspender lets the time of day go on alone, as on a machine that is suspended.
func Suspender() (suspend func(time.Duration), restore func()) {
	var ahead atomic.Int64
	was := wallClock
	wallClock = func() time.Time { return was().Add(time.Duration(ahead.Load())) }
	return func(d time.Duration) { ahead.Add(int64(d)) }, func() { wallClock = was }
}
