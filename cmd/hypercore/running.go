package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	logging "github.com/ipfs/go-log/v2"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/gologshim"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/go-hypercore/hypercore/discovery"
	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node"
	"github.com/go-hypercore/hypercore/node/control"
	"github.com/go-hypercore/hypercore/node/diagnosis"
	"github.com/go-hypercore/hypercore/node/guard"
	"github.com/go-hypercore/hypercore/store"
)

// running is a node that a command runs: on a slot of the home, answering
// other commands there.
type running struct {
	*node.Node
	a     *app
	home  *control.Home
	slot  *control.Slot
	hold  *holder
	kept  *guard.Keeper
	flags *netFlags

	mu     sync.Mutex                // guards wanted
	wanted map[feed.Key][]feed.Range // of feeds that are being fetched; nil ranges: everything
}

// startNode starts a node for a command.
func (a *app) startNode(ctx context.Context, role, command string, cfg node.Config, flags *netFlags) (*running, error) {
	quietLogs()
	h, err := a.home()
	if err != nil {
		return nil, err
	}
	slot, err := h.Claim(role)
	if err != nil {
		return nil, err
	}
	cfg.Dir = slot.Dir()
	if cfg.Rules, err = homeRules(h); err != nil {
		slot.Close()
		return nil, err
	}
	n, err := node.New(ctx, cfg)
	if err != nil {
		slot.Close()
		return nil, fmt.Errorf("start a node: %w", err)
	}
	if st := n.Status(); st.Network != discovery.NetworkAmino && st.Network != discovery.NetworkNone && len(cfg.Bootstrap)+len(cfg.Peers) == 0 && !cfg.Server {
		a.say("note: without --bootstrap, %s", entered(n, st))
	}
	r := &running{Node: n, a: a, home: h, slot: slot, hold: newHolder(command), kept: guard.NewKeeper(h.Guard()), flags: flags}
	if err := r.hold.serveNode(slot, r); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// entered says how a node without a bootstrap node gets into its network.
func entered(n *node.Node, st node.Status) string {
	known := 0
	for _, o := range n.Discovery().Status(discovery.Topic{}).Overlays {
		if o.Name == st.Network {
			known = o.Remembered
		}
	}
	switch {
	case known > 0:
		return fmt.Sprintf("network %s is entered through %s of the last time", st.Network, plural(uint64(known), "node"))
	case !st.MDNS:
		return fmt.Sprintf("nothing leads into network %s: no node of it is known, and there is no mDNS", st.Network)
	}
	return fmt.Sprintf("network %s is only found in the LAN", st.Network)
}

// quietLogs keeps the logs of the libraries off the terminal; what a user must
// know is said in this program's own words. $GOLOG_LOG_LEVEL brings them back.
func quietLogs() {
	if os.Getenv("GOLOG_LOG_LEVEL") == "" {
		logging.SetAllLoggers(logging.LevelFatal)
		gologshim.SetDefaultHandler(slog.DiscardHandler) // libp2p's own
	}
}

func (r *running) info() control.NodeInfo {
	return control.NodeInfo{ID: r.ID().String(), Addrs: r.addrs(), Network: r.flags.network}
}

// fetching notes that the blocks of ranges are wanted of a feed, nil for all.
func (r *running) fetching(k feed.Key, ranges []feed.Range) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.wanted == nil {
		r.wanted = map[feed.Key][]feed.Range{}
	}
	r.wanted[k] = ranges
}

// fetched ends that.
func (r *running) fetched(k feed.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.wanted, k)
}

// facts tells how it stands with this node, and with a feed unless k is zero.
func (r *running) facts(ctx context.Context, k feed.Key, ask bool) diagnosis.Facts {
	r.mu.Lock()
	w, seeking := r.wanted[k]
	r.mu.Unlock()
	f := r.Facts(ctx, node.FactsOptions{Key: k, Wanted: w, Ask: ask})
	f.Node.Command, f.Node.PID = r.hold.command, os.Getpid()
	if f.Feed != nil {
		f.Feed.Seeking = seeking
	}
	return f
}

// judge says how it stands with the feed that the user calls arg.
func (r *running) judge(ctx context.Context, k feed.Key, arg string) diagnosis.Verdict {
	f := r.facts(ctx, k, false)
	if f.Feed != nil {
		f.Feed.Arg, f.Feed.Error = r.a.arguments(arg), plainText(f.Feed.Error)
	}
	return diagnosis.Judge(f)
}

// needsPeer tells whether others must be given this node's address, because
// no DHT is there that would lead them to it.
func (r *running) needsPeer() bool {
	st := r.Status()
	return st.Network == discovery.NetworkNone || len(r.flags.bootstrap) == 0 && (st.Loopback || st.Network != discovery.NetworkAmino)
}

// addrs are the addresses that others can be given, as text.
func (r *running) addrs() []string {
	var out []string
	for _, a := range r.Addrs() {
		out = append(out, a.String())
	}
	return out
}

// Close ends the node and gives its slot back.
func (r *running) Close() error {
	err := r.hold.Close()
	r.kept.Close()
	return errors.Join(err, r.Node.Close(), r.slot.Close())
}

// open opens a feed for this node. A feed that somebody else holds is an error
// that says who.
func (r *running) open(ctx context.Context, dir string, o feed.Options) (*feed.Feed, error) {
	return r.openBy(ctx, dir, o, r.Open)
}

// openToFetch is open for a feed whose blocks are to be fetched, though it is writable.
func (r *running) openToFetch(ctx context.Context, dir string, o feed.Options) (*feed.Feed, error) {
	return r.openBy(ctx, dir, o, r.OpenToFetch)
}

func (r *running) openBy(ctx context.Context, dir string, o feed.Options, by func(context.Context, store.Storage, feed.Options) (*feed.Feed, error)) (*feed.Feed, error) {
	deadline := time.Now().Add(lockPatience)
	for {
		var f *feed.Feed
		c, _, err := r.home.FindOther(ctx, dir, r.slot)
		if err == nil { // also one that does not hold the lock at this moment
			c.Close()
			err = fmt.Errorf("%s: %w", dir, feed.ErrLocked)
		} else {
			var fo feed.Options
			if fo, err = guarded(r.home, dir, o); err == nil {
				f, err = by(ctx, store.Dir(dir), fo)
			}
		}
		if err == nil {
			if r.hold.command != "recover" {
				r.kept.Keep(f)
			}
			r.hold.add(control.OpenFeed{Feed: f, Dir: control.Canonical(dir), Networked: true, Peers: func() []control.PeerInfo { return r.peerInfos(f) }})
			return f, nil
		}
		if !errors.Is(err, feed.ErrLocked) {
			return nil, err
		}
		if time.Now().After(deadline) {
			return nil, r.lockedBy(ctx, dir, err)
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(lockRetry):
		}
	}
}

// lockedBy says which node holds a feed.
func (r *running) lockedBy(ctx context.Context, dir string, err error) error {
	c, _, ferr := r.home.Find(ctx, dir, feed.Key{})
	if ferr != nil {
		return lockedError(dir, err)
	}
	defer c.Close()
	n, ferr := c.Node(ctx)
	if ferr != nil {
		return lockedError(dir, err)
	}
	err = inUse(err, dir, n)
	switch {
	case r.hold.command != "seed":
		return hint(err, "end it first: kill %d", n.PID)
	case n.Role == "seed" || n.Role == "clone":
		return hint(err, "that process serves it already; to serve it from here end that one first: kill %d", n.PID)
	case n.ID != "": // a node for a while, such as recover
		return hint(err, "nothing is served while it has the feed: wait for it, or end it: kill %d", n.PID)
	}
	return hint(err, "nothing is served while it has the feed: wait for it, or end it: kill %d. Started after hypercore seed, %s goes through that", n.PID, n.Role)
}

// peerInfos describes the peers of a feed.
func (r *running) peerInfos(f *feed.Feed) []control.PeerInfo {
	var out []control.PeerInfo
	for _, p := range r.Engine().Peers(f.DiscoveryKey()) {
		info := control.PeerInfo{ID: p.Label, Protocol: p.Dialect.String(), Length: p.Length, Downloaded: p.DownloadedBytes, Uploaded: p.UploadedBytes}
		if len(p.ID) > 0 {
			id := peer.ID(p.ID)
			info.ID = id.String()
			if addr := r.StreamAddr(id); addr != nil {
				info.Addr = addr.String()
				_, err := addr.ValueForProtocol(ma.P_CIRCUIT)
				info.Relayed = err == nil
			}
		}
		out = append(out, info)
	}
	return out
}
