package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node"
	"github.com/go-hypercore/hypercore/node/control"
	"github.com/go-hypercore/hypercore/store"
)

const demoHelp = `
The whole story on this machine, in one process and on loopback only: three nodes make a
private DHT; a writer puts a file (or generated text) into a feed and announces it; two
readers, who know nothing but the public key and the DHT, find it, fetch it and check
every block; then they follow it live while the writer appends. At the end stands a
table with the SHA-256 of the input and of what each reader holds. Exit code 2 if they
differ. Needs free space in the temporary directory of three times the input; nothing
stays there.

  hypercore demo
  hypercore demo --file archive.tar
  hypercore demo --file /var/log/syslog --lines

--json: {input: {name, bytes, sha256}, key, blocks, writer: {seconds, bytes}, readers:
[{sha256, same, bytes, received, seconds, found}], live: {lines, inOrder, p50ms, p99ms,
maxms}}`

// Sizes of the demo when nothing is said: enough to see a rate, done in seconds.
const (
	demoText     = 32 << 20 // bytes of generated text
	demoReaders  = 2
	demoServers  = 3
	demoLines    = 50
	demoInterval = 20 * time.Millisecond
)

func newDemo(a *app) *cobra.Command {
	o := demoOptions{chunk: control.DefaultChunk}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See it all on this machine: DHT, writer, readers, live tail",
		Long:  text(demoHelp),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := oneOf(c, "lines", "chunk"); err != nil {
				return err
			}
			if o.chunk < 1 || o.chunk > control.MaxBlock {
				return usagef("--chunk %d: a block has from 1 to %d bytes", int64(o.chunk), control.MaxBlock)
			}
			return a.demo(c.Context(), o)
		},
	}
	cmd.Flags().StringVar(&o.file, "file", "", "what to share (default: generated text)")
	cmd.Flags().BoolVar(&o.lines, "lines", false, "one block per line")
	cmd.Flags().Var(&o.chunk, "chunk", "blocks of this many bytes")
	cmd.Flags().IntVar(&o.live, "live-lines", demoLines, "how many lines to append live")
	return cmd
}

type demoOptions struct {
	file  string
	lines bool
	chunk size
	live  int
}

// demo is the demo at work.
type demo struct {
	a       *app
	o       demoOptions
	in      demoInput
	dir     string
	network string
	servers []*node.Node
	writer  *node.Node
	feed    *feed.Feed // the writer's
	readers []*reader
	res     demoResult
}

// reader is one that knows the key and the network.
type reader struct {
	name string
	n    *node.Node
	f    *feed.Feed
	join *node.Join
	res  *readerResult
}

type demoResult struct {
	Input   inputResult     `json:"input"`
	Key     string          `json:"key"`
	Blocks  uint64          `json:"blocks"`
	Writer  writerResult    `json:"writer"`
	Readers []*readerResult `json:"readers"`
	Live    liveResult      `json:"live"`
}

type inputResult struct {
	Name   string `json:"name"`
	Bytes  uint64 `json:"bytes"`
	SHA256 string `json:"sha256"`
}

type writerResult struct {
	Seconds float64 `json:"seconds"` // to read, hash, sign and sync
	Bytes   uint64  `json:"bytes"`
}

type readerResult struct {
	SHA256   string  `json:"sha256"`
	Same     bool    `json:"same"`
	Bytes    uint64  `json:"bytes"`
	Received uint64  `json:"received"` // on the wire
	Seconds  float64 `json:"seconds"`  // from knowing the key to having everything
	Found    string  `json:"found"`
}

func (a *app) demo(ctx context.Context, o demoOptions) (err error) {
	quietLogs()
	d := &demo{a: a, o: o}
	if d.in, err = d.input(); err != nil {
		return err
	}
	defer d.in.close()
	if d.dir, err = os.MkdirTemp("", "hypercore-demo-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	for _, step := range []func(context.Context) error{d.startNetwork, d.write, d.read, d.tail} {
		if err := step(ctx); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return err
		}
	}
	return d.report()
}

// close ends all nodes and removes what they kept.
func (d *demo) close() error {
	var errs []error
	nodes := d.servers
	if d.writer != nil {
		nodes = append(nodes, d.writer)
	}
	for _, r := range d.readers {
		if r.n != nil {
			nodes = append(nodes, r.n)
		}
	}
	for i := len(nodes) - 1; i >= 0; i-- {
		errs = append(errs, nodes[i].Close())
	}
	return errors.Join(append(errs, os.RemoveAll(d.dir))...)
}

// startNetwork makes the private DHT.
func (d *demo) startNetwork(ctx context.Context) error {
	d.network = "demo-" + filepath.Base(d.dir)[len("hypercore-demo-"):]
	for range demoServers {
		cfg := d.config("")
		cfg.Server = true
		n, err := node.New(ctx, cfg)
		if err != nil {
			return fmt.Errorf("start a DHT node: %w", err)
		}
		d.servers = append(d.servers, n)
	}
	d.a.say("1 network   %d nodes serve the DHT of the private network %q, on loopback only", demoServers, d.network)
	return nil
}

// config is what all nodes of the demo have: loopback, the network, and the
// addresses of the servers that there are.
func (d *demo) config(dir string) node.Config {
	cfg := node.Config{Network: d.network, Listen: node.Loopback(), MDNS: node.Off}
	if dir != "" {
		cfg.Dir = filepath.Join(d.dir, dir)
	}
	for _, s := range d.servers {
		cfg.Bootstrap = append(cfg.Bootstrap, addrInfo(s))
	}
	return cfg
}

// write puts the input into a feed and announces it.
func (d *demo) write(ctx context.Context) (err error) {
	in := d.in
	if d.writer, err = node.New(ctx, d.config("writer")); err != nil {
		return fmt.Errorf("start the writer: %w", err)
	}
	if d.feed, err = d.writer.Open(ctx, store.Dir(filepath.Join(d.dir, "writer", "feed")), feed.Options{}); err != nil {
		return err
	}
	d.res.Key = d.feed.Key().String()
	start := time.Now()
	sum := sha256.New()
	var read atomic.Uint64
	p := d.a.progress("writer", bytesUnit, func() (uint64, uint64, string) { return read.Load(), uint64(max(in.size, 0)), "" })
	ap, err := control.NewLocal(control.OpenFeed{Feed: d.feed}, nil).Append(ctx, counted{io.TeeReader(in.r, sum), &read}, in.cut)
	p.end()
	if err != nil {
		return fmt.Errorf("%s: %w", in.name, err)
	}
	took := time.Since(start)
	d.res.Input = inputResult{in.name, ap.Bytes, hex.EncodeToString(sum.Sum(nil))}
	d.res.Blocks = ap.Length
	d.res.Writer = writerResult{took.Seconds(), ap.Bytes}
	d.a.say("2 writer    put %s into a feed of %s in %s (%s/s)", bytesText(ap.Bytes), plural(ap.Length, "block"), durationText(took), rateOf(ap.Bytes, took))
	d.a.say("            public key %s", d.res.Key)
	j, err := d.writer.Share(ctx, d.feed, node.JoinOptions{Announce: true})
	if err != nil {
		return err
	}
	holders, err := waitAnnounced(ctx, j)
	if err != nil {
		return err
	}
	d.a.say("            announced its discovery key on %s", plural(uint64(holders), "DHT node"))
	return nil
}

func rateOf(n uint64, d time.Duration) string {
	return bytesText(uint64(float64(n) / max(d.Seconds(), 1e-6)))
}

// read lets the readers find, fetch and check the feed, all at once.
func (d *demo) read(ctx context.Context) error {
	for i := range demoReaders {
		r := &reader{name: fmt.Sprintf("reader %d", i+1), res: &readerResult{}}
		d.readers = append(d.readers, r)
		d.res.Readers = append(d.res.Readers, r.res)
		var err error
		if r.n, err = node.New(ctx, d.config(fmt.Sprintf("reader%d", i+1))); err != nil {
			return fmt.Errorf("start %s: %w", r.name, err)
		}
		if r.f, err = r.n.Open(ctx, store.Dir(filepath.Join(d.dir, fmt.Sprintf("reader%d", i+1), "feed")), feed.Options{Key: d.feed.Key()}); err != nil {
			return err
		}
	}
	d.a.say("3 readers   %d nodes know the key and the network, and look for it", demoReaders)
	p := d.a.progress("readers", bytesUnit, func() (uint64, uint64, string) {
		var done uint64
		for _, r := range d.readers {
			done += r.f.Stats().DownloadedBytes
		}
		return done, demoReaders * d.res.Input.Bytes, ""
	})
	defer p.end()
	errs := make(chan error, demoReaders)
	for _, r := range d.readers {
		go func() { errs <- d.fetch(ctx, r) }()
	}
	var err error
	for range d.readers {
		if e := <-errs; err == nil {
			err = e
		}
	}
	p.end()
	if err != nil {
		return err
	}
	for _, r := range d.readers {
		took := time.Duration(r.res.Seconds * float64(time.Second))
		d.a.say("            %s has all of it after %s (%s/s), found by %s", r.name, durationText(took), rateOf(d.res.Input.Bytes, took), r.res.Found)
	}
	return nil
}

// fetch downloads everything to one reader.
func (d *demo) fetch(ctx context.Context, r *reader) error {
	start := time.Now()
	var err error
	if r.join, err = r.n.Share(ctx, r.f, node.JoinOptions{Announce: true, Lookup: true}); err != nil {
		return err
	}
	length := d.feed.Len()
	if length > 0 {
		if err := r.f.Download(feed.Range{Start: 0, End: length}).Wait(ctx); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	r.res.Seconds = time.Since(start).Seconds()
	r.res.Received, _ = r.n.Traffic()
	r.res.Found = foundHow(r.join)
	return nil
}
