package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node"
	"github.com/go-hypercore/hypercore/protocol"
	"github.com/go-hypercore/hypercore/store"
)

func init() { register("hypercore", func() system { return &hypercoreSide{} }) }

// hypercoreSide is this project: a node with the feed at each end, over libp2p
// on loopback with TCP, TLS and yamux. Options: dialect (native, v6),
// durability (announce, append, none), callers (of append at once).
type hypercoreSide struct {
	node  *node.Node
	feed  *feed.Feed
	order []uint64 // where append put each block of the data set
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

func (h *hypercoreSide) dir(r *request) store.Storage {
	return store.Dir(filepath.Join(r.Dir, "feed"))
}

func (h *hypercoreSide) Prepare(ctx context.Context, r *request) error {
	f, err := feed.Open(ctx, h.dir(r), feed.Options{})
	if err != nil {
		return err
	}
	err = r.Data.eachBatch(128, func(blocks [][]byte) error {
		_, err := f.Append(ctx, blocks...)
		return err
	})
	return errors.Join(err, f.Close())
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

// offer is the node's address and the feed's key.
func (h *hypercoreSide) offer(r *request) (string, error) {
	addrs := h.node.Addrs()
	if len(addrs) == 0 {
		return "", errors.New("the node listens nowhere")
	}
	if r.Options["dialect"] == "v6" {
		h.node.Host().RemoveStreamHandler(protocol.NativeID)
	}
	return addrs[0].String() + " " + h.feed.Key().String(), nil
}

func (h *hypercoreSide) Serve(ctx context.Context, r *request) (string, error) {
	if err := h.start(ctx, ""); err != nil {
		return "", err
	}
	var err error
	if h.feed, err = h.node.Open(ctx, h.dir(r), h.options(r)); err != nil {
		return "", err
	}
	if _, err := h.node.Share(ctx, h.feed, node.JoinOptions{}); err != nil {
		return "", err
	}
	return h.offer(r)
}

// join starts the receiving node; it dials as soon as it has the feed.
func (h *hypercoreSide) join(ctx context.Context, r *request) error {
	addr, key, _ := strings.Cut(r.Offer, " ")
	o := h.options(r)
	var err error
	if o.Key, err = feed.ParseKey(key); err != nil {
		return err
	}
	if err = h.start(ctx, addr); err != nil {
		return err
	}
	if h.feed, err = h.node.Open(ctx, h.dir(r), o); err != nil {
		return err
	}
	_, err = h.node.Share(ctx, h.feed, node.JoinOptions{})
	return err
}

// Fetch counts from before the receiving node starts.
func (h *hypercoreSide) Fetch(ctx context.Context, r *request) (figures, error) {
	start := time.Now()
	if err := h.join(ctx, r); err != nil {
		return nil, err
	}
	if err := h.feed.Download(feed.Range{End: uint64(r.Data.Count)}).Wait(ctx); err != nil {
		return nil, err
	}
	took := time.Since(start)
	if err := h.feed.Sync(ctx); err != nil {
		return nil, err
	}
	synced := time.Since(start)
	if err := h.checkDialect(r); err != nil {
		return nil, err
	}
	return figures{
		"seconds": took.Seconds(), "synced": synced.Seconds(),
		"blocks": float64(r.Data.Count), "bytes": float64(r.Data.bytes()),
	}, nil
}

// checkDialect makes sure that what is measured is what the side is called.
func (h *hypercoreSide) checkDialect(r *request) error {
	want := protocol.Native
	if r.Options["dialect"] == "v6" {
		want = protocol.V6
	}
	for _, p := range h.node.Engine().Peers(h.feed.DiscoveryKey()) {
		if p.Dialect != want {
			return fmt.Errorf("spoke dialect %v, wanted %v", p.Dialect, want)
		}
	}
	return nil
}

// Check opens the directory anew and reads every block, verifying each against
// the tree.
func (h *hypercoreSide) Check(ctx context.Context, r *request) (string, error) {
	if err := h.Close(); err != nil {
		return "", err
	}
	f, err := feed.Open(ctx, h.dir(r), feed.Options{MustExist: true, VerifyReads: true})
	if err != nil {
		return "", err
	}
	defer f.Close()
	if f.Len() != uint64(r.Data.Count) {
		return "", fmt.Errorf("length %d, expected %d", f.Len(), r.Data.Count)
	}
	sum := sha256.New()
	for i := range r.Data.Count {
		at := uint64(i)
		if h.order != nil {
			at = h.order[i]
		}
		b, err := f.Local(at)
		if err != nil {
			return "", err
		}
		sum.Write(b)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func (h *hypercoreSide) Close() error {
	var errs []error
	if h.node != nil {
		errs = append(errs, h.node.Close())
	} else if h.feed != nil {
		errs = append(errs, h.feed.Close())
	}
	h.node, h.feed = nil, nil
	return errors.Join(errs...)
}

func (h *hypercoreSide) LiveServe(ctx context.Context, r *request) (string, error) {
	return h.Serve(ctx, r)
}

func (h *hypercoreSide) LiveJoin(ctx context.Context, r *request) error {
	if err := h.join(ctx, r); err != nil {
		return err
	}
	for len(h.node.Engine().Peers(h.feed.DiscoveryKey())) == 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}

func (h *hypercoreSide) LiveWrite(ctx context.Context, r *request) error {
	start := time.Now()
	for i := range r.Data.Count {
		time.Sleep(time.Until(start.Add(time.Duration(i) * time.Second / time.Duration(r.Rate))))
		if _, err := h.feed.Append(ctx, stamp(r.Data.Block)); err != nil {
			return err
		}
	}
	return nil
}

func (h *hypercoreSide) LiveRead(ctx context.Context, r *request) ([]float64, error) {
	late := make([]float64, r.Data.Count)
	for i := range late {
		b, err := h.feed.Get(ctx, uint64(i))
		if err != nil {
			return nil, err
		}
		late[i] = age(b)
	}
	return late, nil
}
