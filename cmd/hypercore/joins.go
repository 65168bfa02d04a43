package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node"
)

// joinReasons says in one line why nobody was found, or nothing is announced.
func joinReasons(j *node.Join) string {
	st := j.Status()
	var parts []string
	for _, o := range st.Discovery.Overlays {
		if o.Name != "lan" {
			parts = append(parts, fmt.Sprintf("network %s, %s", o.Name, plural(uint64(o.Peers), "DHT peer")))
		}
	}
	if st.Discovery.Wanted {
		parts = append(parts, fmt.Sprintf("%s found in %s", plural(uint64(st.Discovery.Found), "provider"), plural(uint64(st.Discovery.Looks), "look")))
	}
	parts = append(parts, st.Reasons...)
	if len(parts) == 0 {
		return "no reason is known"
	}
	return strings.Join(parts, "; ")
}

// foundHow says how the peers of a join were found.
func foundHow(j *node.Join) string {
	how := map[string]string{"dht": "DHT", "mdns": "mDNS", "fixed": "fixed address", "incoming": "called by it"}
	var out []string
	for _, p := range j.Status().Peers {
		if t := how[p.How]; p.Connected && !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	if len(out) == 0 {
		return "?"
	}
	return strings.Join(out, ", ")
}

// joinTCP talks to peers without libp2p, as --tcp-listen and --tcp say, until the node is
// closed: why a command stops at the end of ctx is judged by what became of the calls.
func (a *app) joinTCP(ctx context.Context, n *running, nf *netFlags, feeds []*seeded) error {
	if nf.tcpListen != "" {
		l, err := n.ListenTCP(nf.tcpListen, node.TCPOptions{})
		if err != nil {
			return fmt.Errorf("--tcp-listen: %w", err)
		}
		a.say("listening for JavaScript peers on %s", l.Addr())
	}
	for _, addr := range split(nf.tcp) {
		for _, s := range feeds {
			go func() {
				if err := n.DialTCP(context.WithoutCancel(ctx), addr, s.f.Key(), node.TCPOptions{}); err != nil && ctx.Err() == nil && !errors.Is(err, node.ErrClosed) {
					a.warn("--tcp %s: %s", addr, message(err))
				}
			}()
		}
	}
	return nil
}

// announcedOn is how many nodes of the DHT were sent the announcement.
func announcedOn(j *node.Join) int {
	n := 0
	for _, o := range j.Status().Discovery.Overlays {
		if !o.Announced.IsZero() {
			n = max(n, o.Holders, 1)
		}
	}
	return n
}

// announcedNow is how many nodes of the DHT have the announcement, as far as is known: those
// of a network of which nobody is there any more have it no longer, and each forgets it.
func announcedNow(j *node.Join, now time.Time) int {
	n := 0
	for _, o := range j.Status().Discovery.Overlays {
		if !o.Announced.IsZero() && o.Peers > 0 && now.Before(o.Expires) {
			n = max(n, o.Holders, 1)
		}
	}
	return n
}

// waitAnnounced waits until a feed is announced.
func waitAnnounced(ctx context.Context, j *node.Join) (holders int, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 30*time.Second, errTimeout)
	defer cancel()
	for {
		if n := announcedOn(j); n > 0 {
			return n, nil
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("announce: %w: %s", context.Cause(ctx), joinReasons(j))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// addrInfo is how others reach a node.
func addrInfo(n *node.Node) peer.AddrInfo { return peer.AddrInfo{ID: n.ID(), Addrs: n.Host().Addrs()} }

// hashBlocks hashes the first n blocks of a feed in order.
func hashBlocks(f *feed.Feed, n uint64) (sum string, bytes uint64, err error) {
	h := sha256.New()
	if n > 0 {
		for b, err := range f.Blocks(context.Background(), feed.ReadOptions{End: n}) {
			if err != nil {
				return "", bytes, err
			}
			h.Write(b.Data)
			bytes += uint64(len(b.Data))
		}
	}
	return hex.EncodeToString(h.Sum(nil)), bytes, nil
}
