package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/store"
)

func init() { register("hypercore", func() system { return &hypercoreSide{} }) }

// hypercoreSide is this project: a node at each end, over libp2p on loopback
// with TCP, TLS and yamux. Options: dialect (native, v6), durability (announce,
// append, none), feeds (among which the data set is divided; 1), callers (of
// append at once; 1).
type hypercoreSide struct {
	node  *node.Node
	feeds []*feed.Feed
	order []uint64 // where callers' appends put each block of the data set
}

func (h *hypercoreSide) options(r *request) feed.Options {
	o := feed.Options{}
	switch r.Options["durability"] {
	case "append":
		o.Durability = feed.AppendDurable
	case "none":
		o.Durability = feed.NoSync
	}
	return o
}

// split is the number of feeds and of the blocks in each.
func (h *hypercoreSide) split(r *request) (feeds, each int) {
	feeds = r.option("feeds", 1)
	return feeds, r.Data.Count / feeds
}

func (h *hypercoreSide) dir(r *request, i int) store.Storage {
	return store.Dir(filepath.Join(r.Dir, fmt.Sprintf("feed-%d", i)))
}

// Prepare writes the data set into one feed, or one part of it after the other
// into many.
func (h *hypercoreSide) Prepare(ctx context.Context, r *request) error {
	feeds, each := h.split(r)
	var f *feed.Feed
	made, left := 0, 0
	o := h.options(r)
	if feeds > 1 {
		o.Durability = feed.NoSync // thousands of feeds would take minutes
	}
	err := r.Data.eachBatch(128, func(blocks [][]byte) (err error) {
		for len(blocks) > 0 {
			if left == 0 {
				if f != nil {
					if err := f.Close(); err != nil {
						return err
					}
				}
				if f, err = feed.Open(ctx, h.dir(r, made), o); err != nil {
					return err
				}
				made, left = made+1, each
			}
			n := min(left, len(blocks))
			if _, err := f.Append(ctx, blocks[:n]...); err != nil {
				return err
			}
			left, blocks = left-n, blocks[n:]
		}
		return nil
	})
	if f != nil {
		err = errors.Join(err, f.Close())
	}
	return err
}

// start makes a node that knows one peer, or none.
func (h *hypercoreSide) start(ctx context.Context, offer string) (err error) {
	c := node.Config{
		Network: "none", MDNS: node.Off, PortMap: node.Off,
		Listen: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")},
	}
	if offer != "" {
		if c.Peers, err = node.ParsePeers(offer); err != nil {
			return err
		}
	}
	h.node, err = node.New(ctx, c)
	return err
}

// open opens the feeds of r, on all cores; keys may be nil.
func (h *hypercoreSide) open(ctx context.Context, r *request, keys []string) error {
	feeds, _ := h.split(r)
	h.feeds = make([]*feed.Feed, feeds)
	errs := make([]error, 4*runtime.GOMAXPROCS(0)) // the disk is waited for, too
	var wg sync.WaitGroup
	for w := range errs {
		wg.Go(func() {
			for i := w; i < feeds && errs[w] == nil; i += len(errs) {
				h.feeds[i], errs[w] = h.openOne(ctx, r, i, keys)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		h.feeds = nil // the node closes those that are open
		return err
	}
	return nil
}

func (h *hypercoreSide) openOne(ctx context.Context, r *request, i int, keys []string) (*feed.Feed, error) {
	o := h.options(r)
	if keys != nil {
		var err error
		if o.Key, err = feed.ParseKey(keys[i]); err != nil {
			return nil, err
		}
	}
	return h.node.Open(ctx, h.dir(r, i), o)
}

// share shares the feeds that are open.
func (h *hypercoreSide) share(ctx context.Context, announce bool) error {
	for _, f := range h.feeds {
		if _, err := h.node.Share(ctx, f, node.JoinOptions{Announce: announce}); err != nil {
			return err
		}
	}
	return nil
}

// Serve offers the node's address and the feeds' keys.
func (h *hypercoreSide) Serve(ctx context.Context, r *request) (string, error) {
	if err := h.start(ctx, ""); err != nil {
		return "", err
	}
	if err := errors.Join(h.open(ctx, r, nil), h.share(ctx, true)); err != nil {
		return "", err
	}
	if r.Options["dialect"] == "v6" {
		h.node.Host().RemoveStreamHandler(protocol.NativeID)
	}
	addrs := h.node.Addrs()
	if len(addrs) == 0 {
		return "", errors.New("the node listens nowhere")
	}
	var keys []string
	for _, f := range h.feeds {
		keys = append(keys, f.Key().String())
	}
	return addrs[0].String() + " " + strings.Join(keys, ","), nil
}

// join starts the receiving node; it dials as soon as a feed is shared.
func (h *hypercoreSide) join(ctx context.Context, r *request) error {
	addr, keys, _ := strings.Cut(r.Offer, " ")
	if err := h.start(ctx, addr); err != nil {
		return err
	}
	return h.open(ctx, r, strings.Split(keys, ","))
}

// Fetch counts from before the receiving node dials.
func (h *hypercoreSide) Fetch(ctx context.Context, r *request) (figures, error) {
	_, each := h.split(r)
	if err := h.join(ctx, r); err != nil {
		return nil, err
	}
	start := time.Now()
	if err := h.share(ctx, false); err != nil {
		return nil, err
	}
	for _, f := range h.feeds {
		if err := f.Download(feed.Range{End: uint64(each)}).Wait(ctx); err != nil {
			return nil, err
		}
	}
	took := time.Since(start).Seconds()
	for _, f := range h.feeds {
		if err := f.Sync(ctx); err != nil {
			return nil, err
		}
	}
	out := figures{
		"seconds": took, "blocks": float64(r.Data.Count), "bytes": float64(r.Data.bytes()),
		"feeds_per_second": float64(len(h.feeds)) / took, "streams": h.streams(),
	}
	if r.Options["durability"] != "none" {
		out["synced"] = time.Since(start).Seconds()
	}
	return out, h.checkDialect(r)
}

// streams is the number of replication streams that are open.
func (h *hypercoreSide) streams() float64 {
	n := 0
	for _, c := range h.node.Host().Network().Conns() {
		for _, s := range c.GetStreams() {
			if p := s.Protocol(); p == protocol.NativeID || p == protocol.V6ID {
				n++
			}
		}
	}
	return float64(n)
}

// checkDialect makes sure that what is measured is what the side is called.
func (h *hypercoreSide) checkDialect(r *request) error {
	want := protocol.Native
	if r.Options["dialect"] == "v6" {
		want = protocol.V6
	}
	for _, p := range h.node.Engine().Peers(h.feeds[0].DiscoveryKey()) {
		if p.Dialect != want {
			return fmt.Errorf("spoke dialect %v, wanted %v", p.Dialect, want)
		}
	}
	return nil
}

// Check opens the directories anew and reads every block, verifying each
// against the tree.
func (h *hypercoreSide) Check(ctx context.Context, r *request) (string, error) {
	if err := h.Close(); err != nil {
		return "", err
	}
	feeds, each := h.split(r)
	sum := sha256.New()
	for i := range feeds {
		f, err := feed.Open(ctx, h.dir(r, i), feed.Options{MustExist: true, VerifyReads: true})
		if err != nil {
			return "", err
		}
		err = h.sum(f, each, sum.Write)
		if err := errors.Join(err, f.Close()); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func (h *hypercoreSide) sum(f *feed.Feed, blocks int, write func([]byte) (int, error)) error {
	if f.Len() != uint64(blocks) {
		return fmt.Errorf("length %d, expected %d", f.Len(), blocks)
	}
	var buf []byte
	for i := range blocks {
		at := uint64(i)
		if h.order != nil {
			at = h.order[i]
		}
		var err error
		if buf, err = f.ReadBlock(buf[:0], at); err != nil {
			return err
		}
		write(buf)
	}
	return nil
}

func (h *hypercoreSide) Close() error {
	var errs []error
	if h.node != nil {
		errs = append(errs, h.node.Close())
	} else {
		for _, f := range h.feeds {
			errs = append(errs, f.Close())
		}
	}
	h.node, h.feeds = nil, nil
	return errors.Join(errs...)
}
