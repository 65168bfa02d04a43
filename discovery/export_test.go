package discovery

import (
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
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
