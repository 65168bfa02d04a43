package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node"
	"github.com/go-hypercore/hypercore/node/control"
)

const cloneHelp = `
Find the feed with this key, fetch it, check it, and keep it in DIR (or in the home). A
clone that was interrupted goes on where it stopped. It ends when everything that the
peers found know of is here; with --live it goes on with what the writer appends, and
serves others, until Ctrl-C.

  hypercore clone 9718a1ff... ./copy
  hypercore clone 9718a1ff... ./part --range 1000-1010 --range 2000-2010
  hypercore clone 9718a1ff... --live

When nothing moves for five seconds it says why, and what can be done: nobody found yet,
found but not reachable, or blocks that nobody has; with --live also when everything was
here and nobody is connected any more. hypercore doctor KEY, beside it or alone, says all
that is known. --timeout ends it then with exit code 4.

--json: one event per line: {"event":"listening", id, network, addrs},
{"event":"progress", key, length, blocks, bytes, received, peers} once a second,
{"event":"waiting", key, text, do}, {"event":"relayed", key, text} when all peers are
reached only through a relay, {"event":"direct", key, text} when one no longer is, and
{"event":"complete", key, directory, length, blocks, bytes, received, sent, seconds,
peers}. blocks and bytes are those that are here (blocks: of the ranges, if there are
some), received and sent what went over the wire, proofs included.`

func newClone(a *app) *cobra.Command {
	var nf netFlags
	var o cloneOptions
	cmd := &cobra.Command{
		Use:   "clone KEY [DIR] [NET]",
		Short: "Find a feed by its key and fetch it",
		Long:  text(cloneHelp),
		Args:  args(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			var err error
			if o.key, err = control.ParseKey(args[0]); err != nil {
				return err
			}
			if len(args) > 1 {
				o.dir = args[1]
			}
			if o.wanted, err = parseRanges(o.ranges); err != nil {
				return err
			}
			ctx, cancel := withTimeout(c.Context(), o.timeout)
			defer cancel()
			err = a.clone(ctx, c, &o, &nf)
			if o.live {
				err = untilInterrupted(ctx, err)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&o.live, "live", false, "go on with what is appended, until interrupted")
	cmd.Flags().StringArrayVar(&o.ranges, "range", nil, "only blocks A-B, both included; repeat for more")
	timeoutFlag(cmd, &o.timeout, "give up after this time, such as 30s (default: never)")
	nf.register(cmd)
	nf.registerTCP(cmd)
	return cmd
}

type cloneOptions struct {
	key     feed.Key
	dir     string // as given; empty: in the home
	live    bool
	ranges  []string // as given
	wanted  []feed.Range
	timeout time.Duration
}

// cloneDir says where the clone goes, and what name the user knows it by.
func (o *cloneOptions) cloneDir(h *control.Home) (dir, name string, err error) {
	if o.dir == "" {
		ref, err := h.Resolve(o.key.String())
		if err != nil {
			return "", "", err
		}
		if ref.Dir != "" {
			return ref.Dir, ref.Name, nil
		}
		return h.FeedDir(o.key.String()), o.key.String(), nil
	}
	arg := directoryArg(o.dir)
	ref, err := h.ResolveNew(arg)
	return ref.Dir, arg, err
}

// cloning is a clone at work.
type cloning struct {
	a    *app
	o    *cloneOptions
	n    *running
	f    *feed.Feed
	join *node.Join
	dir  string
	name string // FEED of the clone for other commands

	start  time.Time
	bytes  uint64    // what was there at the start
	known  uint64    // length that was announced from here once, as far as the home knows
	brief  bool      // it is not announced so far
	terse  bool      // what comes next is said by the one who asked for it
	said   string    // the last explanation
	saidAt time.Time // when
	path   path

	finished bool       // complete was told
	newest   cloneState // as it was then
}

func (a *app) clone(ctx context.Context, c *cobra.Command, o *cloneOptions, nf *netFlags) (err error) {
	cfg, err := nf.config(c)
	if err != nil {
		return err
	}
	h, err := a.home()
	if err != nil {
		return err
	}
	cl := &cloning{a: a, o: o, start: time.Now()}
	if cl.dir, cl.name, err = o.cloneDir(h); err != nil {
		return err
	}
	a.feed = cl.name
	if err := ownDirectory(cl.dir); err != nil {
		return err
	}
	if err := cl.refuseOwn(ctx); err != nil {
		return err
	}
	role := control.RoleVisit
	if o.live { // it goes on serving, and may be somebody's --peer
		role = roleNode
	}
	cl.brief = !o.live
	_, serr := os.Stat(cl.dir)
	made := errors.Is(serr, fs.ErrNotExist)
	if cl.n, err = a.startNode(ctx, role, c.Name(), cfg, nf); err != nil {
		return err
	}
	defer func() {
		nothing := cl.f != nil && cl.f.Len() == 0
		cerr := cl.n.Close()
		if made && nothing && err != nil { // else it looks like a feed that is empty
			removeEmpty(cl.dir)
		}
		if err == nil {
			err = cerr
		}
	}()
	if fi, serr := os.Stat(cl.dir); serr == nil && !fi.IsDir() {
		return fmt.Errorf("%s is a file; a clone needs a directory", cl.dir)
	}
	if cl.f, err = cl.n.open(ctx, cl.dir, feed.Options{Key: o.key, Sparse: len(o.wanted) > 0}); err != nil {
		return fmt.Errorf("clone into %s: %w", cl.dir, err)
	}
	if a.json {
		if err := a.listening(cl.n, false); err != nil {
			return err
		}
	} else {
		a.say("cloning into %s", cl.dir)
	}
	return cl.fetch(ctx, node.JoinOptions{Announce: o.live, Lookup: true})
}

// announceAfter is how long a clone that ends by itself is not announced: the announcement
// outlives it by a day. One that takes longer has something for others meanwhile.
const announceAfter = time.Minute

// announce tells others that this node has the feed, once the clone takes a while.
func (cl *cloning) announce(ctx context.Context, now time.Time) error {
	if !cl.brief || now.Sub(cl.start) < announceAfter {
		return nil
	}
	cl.brief = false
	_, err := cl.n.Share(ctx, cl.f, node.JoinOptions{Announce: true})
	return err
}

// removeEmpty removes the directory of a copy of which nothing was received. Whatever else
// is in it stays, and so does a copy that another process has begun to fill.
func removeEmpty(dir string) {
	if fi, err := os.Stat(filepath.Join(dir, "data")); err != nil || fi.Size() > 0 {
		return
	}
	for _, name := range []string{"bitfield", "data", "journal", "key", "signatures", "tree"} {
		_ = os.Remove(filepath.Join(dir, name)) // or the directory stays
	}
	_ = os.Remove(dir)
}

// refuseOwn is the error of who clones a feed of their own where it is written: what there
// is to do instead. A node that serves it tells how it stands.
func (cl *cloning) refuseOwn(ctx context.Context) error {
	if k, err := keyIn(cl.dir); !hasSecretKey(cl.dir) || err == nil && k != cl.o.key {
		return nil
	}
	a := cl.a
	f, _, err := a.openToRead(ctx, cl.name, "clone")
	if err != nil {
		return fmt.Errorf("clone into %s: %w", cl.dir, err)
	}
	defer f.Close()
	i, err := f.Info(ctx)
	if err != nil {
		return err
	}
	own := "this feed is your own, in " + cl.dir
	switch cause := i.ReadOnly(); {
	case errors.Is(cause, feed.ErrBehind), errors.Is(cause, feed.ErrOtherWriter):
		return hint(fmt.Errorf("%s, and takes nothing: %s", own, message(cause)), "%s", a.hintFor(cause, cl.name))
	case i.Downloaded < i.Length:
		return hint(fmt.Errorf("%s; %s of %s are here", own, countText(i.Downloaded), plural(i.Length, "block")), "%s fetches what others have of it", a.command("recover", cl.name))
	}
	do := a.command("cat", cl.name) + " reads it, " + a.command("verify", cl.name) + " checks it"
	if i.Networked {
		do += "; a running node serves it already"
	} else {
		do += ", " + a.command("seed", cl.name) + " serves it"
	}
	return hint(fmt.Errorf("%s, and complete: there is nothing to clone", own), "%s", do)
}

// fetch shares the feed and gets from peers what is wanted of it.
func (cl *cloning) fetch(ctx context.Context, o node.JoinOptions) error {
	before, err := control.NewLocal(control.OpenFeed{Feed: cl.f}, nil).Info(ctx)
	if err != nil {
		return err
	}
	cl.bytes = before.DownloadedBytes
	if cl.join, err = cl.n.Share(ctx, cl.f, o); err != nil {
		return err
	}
	if err := cl.a.joinTCP(ctx, cl.n, cl.n.flags, []*seeded{{arg: cl.name, f: cl.f, join: cl.join}}); err != nil {
		return err
	}
	return cl.run(ctx)
}

// How often a clone looks whether it is complete, and how long it stays so
// before it believes it: a second peer may know of more.
const (
	cloneEvery  = 20 * time.Millisecond
	cloneSettle = 200 * time.Millisecond
	sayAgain    = 30 * time.Second // the same explanation
	sayRarely   = 10 * time.Minute // to who has everything and follows
)

func (cl *cloning) run(ctx context.Context) error {
	cl.n.fetching(cl.o.key, cl.o.wanted)
	for _, r := range cl.o.wanted {
		d := cl.f.Download(r)
		defer d.Cancel()
	}
	p := cl.progress()
	defer func() { p.end() }()
	tick := time.NewTicker(cloneEvery)
	defer tick.Stop()
	var (
		moved   = time.Now() // when something arrived last
		last    cloneState
		settled time.Time // complete since
		told    = time.Now()
	)
	for {
		s := cl.look()
		now := time.Now()
		if s.have != last.have || s.length != last.length || s.peers != last.peers {
			moved = now
			if s.have != last.have {
				settled = time.Time{}
			}
		}
		if err := s.stats.Err; err != nil && ctx.Err() == nil && !errors.Is(err, feed.ErrBehind) && !errors.Is(err, feed.ErrOtherWriter) {
			// The disk, or a fork: no peer can help.
			return err
		}
		if err := cl.announce(ctx, now); err != nil {
			return err
		}
		if err := cl.sayPath(now); err != nil {
			return err
		}
		if cl.a.json && now.Sub(told) >= time.Second && s != last {
			told = now
			if err := cl.emit("progress", s); err != nil {
				return err
			}
		}
		if !s.complete() {
			settled = time.Time{}
			cl.finished = cl.finished && cl.o.live
		} else if settled.IsZero() {
			settled = now
		} else if !cl.finished && now.Sub(settled) >= cloneSettle {
			cl.finished = true
			p.end()
			if !cl.o.live { // else what comes is wanted still
				cl.n.fetched(cl.o.key)
				return cl.complete(ctx, s)
			}
			if err := cl.complete(ctx, s); err != nil {
				return err
			}
			cl.newest = s
			p = cl.following()
		}
		again := sayAgain
		if cl.finished {
			again = sayRarely
		}
		if cl.finished && s.peers > 0 {
			cl.said = "" // it is news when they are gone
		} else if now.Sub(moved) >= stallAfter {
			moved = now
			if err := cl.explain(ctx, s, again); err != nil {
				return err
			}
		}
		last = s
		select {
		case <-ctx.Done():
			return cl.stopped(ctx, s)
		case <-tick.C:
		}
	}
}

// progress shows bytes when the whole feed is wanted, else blocks.
func (cl *cloning) progress() *progress {
	u := bytesUnit
	if len(cl.o.wanted) > 0 {
		u = blocksUnit
	}
	return cl.a.progress(cl.n.hold.command, u, func() (uint64, uint64, string) {
		s := cl.look()
		note := plural(uint64(s.peers), "peer")
		if s.peers == 0 {
			note = "looking for somebody who has it, " + durationText(time.Since(cl.start).Truncate(time.Second))
		}
		if u == blocksUnit {
			return s.have, s.total, note
		}
		return s.bytes, s.stats.ByteLength, note
	})
}

// following shows on a terminal what has come since a clone was complete; elsewhere lines
// would come for hours.
func (cl *cloning) following() *progress {
	if _, tty := cl.a.terminal(); !tty {
		return &progress{stop: make(chan struct{})}
	}
	return cl.a.progress(cl.n.hold.command, blocksUnit, func() (uint64, uint64, string) {
		s := cl.look()
		return 0, 0, fmt.Sprintf("%s, %s new, %s", plural(s.stats.Length, "block"), countText(s.have-min(s.have, cl.newest.have)), plural(uint64(s.peers), "peer"))
	})
}
