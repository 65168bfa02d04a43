package main

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node"
	"github.com/go-hypercore/hypercore/node/control"
)

const seedHelp = `
Serve feeds and announce them, until Ctrl-C. The addresses of the node and the command
that clones each feed are printed. What append adds meanwhile is served at once. A copy
of somebody else's feed can be seeded too, whole or in part: readers get from it what it
has. (It fetches nothing by itself; hypercore clone --live follows the writer.) Ctrl-C,
SIGTERM and SIGHUP end it, exit code 0; a second Ctrl-C or SIGTERM waits for nothing.
Under nohup, where SIGHUP is ignored, it goes on without the terminal.

A feed of your own that takes no appends here, because it was restored or is on read-only
media, say, is served as it is, and seed says why. While another process has a feed, seed
names it and ends. A feed that is damaged or cannot be read is named and left out. Of many
feeds, 40 have their files open at a time, five each; --open-feeds sets another number.

A stream of npm hypercore 6 or 7 proves that its peer knows the key of the first feed on
it, and gets no other one. With --together it gets all that this node has, by discovery
key: for programs that put several feeds on one stream.

  hypercore seed notes
  hypercore seed notes ./photos --network mynet --bootstrap $ADDR

--json: one event per line: {"event":"listening", id, network, addrs}, {"event":"feed",
key, discoveryKey, directory, length} (and text and do, why it takes no appends though it
is yours, and what can be done), {"event":"unserved", key, directory, text, do} for one
that is left out, {"event":"announced", key}, {"event":"unannounced", key, text, do} when
nobody has the announcement any more, {"event":"peers", key, peers}, {"event":"trouble",
key, text, do} when the feed takes nothing any more (a fork, damage, a full disk),
{"event":"well", key} when it does again, {"event":"lost", key, blocks, text, do} when
blocks are not what was signed any more, {"event":"sent", key, blocks, bytes} every few
seconds while there is traffic, and at the end: the blocks that went to readers since the
last one, and their bytes`

// How often seed looks at what there is to tell, and tells about traffic. Where a look
// at thousands of feeds takes long, it rests lookRests times as long.
const (
	seedEvery    = 200 * time.Millisecond
	lookRests    = 200
	trafficEvery = 5 * time.Second
	stallAfter   = 5 * time.Second // nothing moved for so long: explain
)

func newSeed(a *app) *cobra.Command {
	var nf netFlags
	var open int
	cmd := &cobra.Command{
		Use:   "seed FEED... [NET]",
		Short: "Serve and announce feeds until interrupted",
		Long:  text(seedHelp),
		Args:  args(1, -1),
		RunE: func(c *cobra.Command, args []string) error {
			if open < 1 {
				return usagef("--open-feeds %d: at least one", open)
			}
			return untilInterrupted(c.Context(), a.seed(c, args, &nf, open))
		},
	}
	cmd.Flags().IntVar(&open, "open-feeds", feed.DefaultOpenFeeds, "feeds with open files at a time")
	nf.register(cmd)
	nf.registerTCP(cmd)
	cmd.Flags().BoolVar(&nf.together, "together", false, "who knows one feed served here may have the others on a stream of npm hypercore")
	return cmd
}

// seeded is a feed that is being served.
type seeded struct {
	arg  string
	f    *feed.Feed
	dk   feed.DiscoveryKey
	join *node.Join

	announced bool
	lost      time.Time // since when nobody has the announcement; zero: somebody has
	lostTold  bool      // and that was said
	peers     int
	blocks    uint64 // sent, as last told
	bytes     uint64 // of those
	trouble   string // why it takes nothing, as last told
	rotten    uint64 // blocks that were given up, as last told
}

func (a *app) seed(c *cobra.Command, args []string, nf *netFlags, open int) (err error) {
	ctx := c.Context()
	cfg, err := nf.config(c)
	if err != nil {
		return err
	}
	cfg.Lot = feed.NewLot(feed.LotOptions{Open: open})
	if nf.together {
		cfg.Kin = func(_, _ feed.DiscoveryKey) bool { return true }
	}
	h, err := a.home()
	if err != nil {
		return err
	}
	var refs []control.Ref
	for _, arg := range args {
		ref, err := a.resolveDir(h, arg)
		if err != nil {
			return err
		}
		refs = append(refs, ref)
	}
	n, err := a.startNode(ctx, roleNode, c.Name(), cfg, nf)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := n.Close(); err == nil {
			err = cerr
		}
	}()
	if err := a.listening(n, false); err != nil {
		return err
	}
	var feeds []*seeded
	var left []unserved
	seen := map[string]bool{}
	for i, ref := range refs {
		dir := control.Canonical(ref.Dir)
		if seen[dir] { // named twice, maybe by two names
			continue
		}
		seen[dir] = true
		a.feed = args[i]
		f, err := n.open(ctx, ref.Dir, feed.Options{MustExist: true, Sparse: true})
		if errors.Is(err, syscall.EROFS) { // nothing changes there, so no lock is needed either
			f, err = n.open(ctx, ref.Dir, feed.Options{ReadOnly: true})
		}
		if err != nil {
			err = fmt.Errorf("seed %s: %w", args[i], err)
			if errors.Is(err, feed.ErrLocked) || errors.Is(err, node.ErrClosed) || ctx.Err() != nil {
				return err
			}
			left = append(left, unserved{arg: args[i], ref: ref, err: err})
			continue
		}
		j, err := n.Share(ctx, f, node.JoinOptions{Announce: true, Lookup: !f.Writable()})
		if err != nil {
			return fmt.Errorf("seed %s: %w", args[i], err)
		}
		s := &seeded{arg: args[i], f: f, dk: f.DiscoveryKey(), join: j}
		feeds = append(feeds, s)
		if err := a.tellSeeded(n, ref, s); err != nil {
			return err
		}
	}
	var last error // when nothing is served: the last reason is why seed ends
	if len(feeds) == 0 {
		u := left[len(left)-1]
		last, left = u.err, left[:len(left)-1]
		if do := a.hintOf(last, u.arg); do != "" {
			last = hint(last, "%s", do)
		}
	}
	for _, u := range left {
		if err := a.tellUnserved(u); err != nil {
			return err
		}
	}
	if last != nil {
		return last
	}
	if err := a.joinTCP(ctx, n, nf, feeds); err != nil {
		return err
	}
	a.say("serving; Ctrl-C ends")
	return a.watchSeeds(ctx, n, feeds)
}

// unserved is a feed that cannot be served, which keeps no other from being.
type unserved struct {
	arg string
	ref control.Ref
	err error
}

// tellUnserved says that a feed is not served, why, and what can be done.
func (a *app) tellUnserved(u unserved) error {
	do := a.hintOf(u.err, u.arg)
	if a.json {
		e := event{Event: "unserved", Directory: u.ref.Dir, Text: message(u.err), Do: do}
		if k, err := keyIn(u.ref.Dir); err == nil {
			e.Key = k.String()
		}
		return a.emit(e)
	}
	a.warn("%s is not served: %s", u.arg, strings.TrimPrefix(message(u.err), "seed "+u.arg+": "))
	if do != "" {
		a.warn("  → %s", do)
	}
	return nil
}

// tellSeeded says what is served, and what the other side has to type.
func (a *app) tellSeeded(n *running, ref control.Ref, s *seeded) error {
	f := s.f
	why, do := a.takesNothing(ref, f)
	if f.Writable() {
		s.trouble = why
	}
	if a.json {
		length := f.Len()
		return a.emit(event{Event: "feed", Key: f.Key().String(), DiscoveryKey: f.DiscoveryKey().String(), Directory: ref.Dir, Length: &length, Text: why, Do: do})
	}
	args := append([]string{f.Key().String()}, n.flags.again()...)
	if n.needsPeer() {
		if addrs := n.addrs(); len(addrs) > 0 {
			args = append(args, "--peer", best(addrs))
		}
	}
	if f.Len() == 0 && !f.Static() && !hasSecretKey(ref.Dir) {
		a.say("%s: nothing was received yet, so there is nothing to serve; %s fetches it", ref.Arg, a.command("clone", f.Key().String(), ref.Dir))
	} else {
		a.say("%s: %s, %s", ref.Arg, plural(f.Len(), "block"), bytesText(f.ByteLen()))
	}
	if why != "" {
		a.warn("%s is served as it is, but nothing can be appended to it here: %s", ref.Arg, why)
		if do != "" {
			a.warn("  → %s", do)
		}
	}
	return a.print("%s", elsewhere("clone", args...))
}

// takesNothing says why nothing can be appended to a feed whose secret key is here, and
// what can be done; nothing if it can, or if the writer is elsewhere.
func (a *app) takesNothing(ref control.Ref, f *feed.Feed) (why, do string) {
	st := f.Stats()
	switch {
	case st.Static:
		return "", ""
	case !st.Writable && hasSecretKey(ref.Dir):
		return unwritable, moveAway
	case !st.Writable:
		return cutKey(ref.Dir)
	case st.Err == nil:
		return "", ""
	}
	return message(st.Err), a.hintFor(st.Err, ref.Arg)
}

// best chooses the address that most readers can use: not loopback if there
// is another, TCP before the rest.
func best(addrs []string) string {
	score := func(s string) (n int) {
		if !strings.HasPrefix(s, "/ip4/127.") && !strings.HasPrefix(s, "/ip6/::1/") {
			n += 4
		}
		if strings.HasPrefix(s, "/ip4/") {
			n += 2
		}
		if strings.Contains(s, "/tcp/") && !strings.Contains(s, "/ws") {
			n++
		}
		return n
	}
	b := addrs[0]
	for _, s := range addrs[1:] {
		if score(s) > score(b) {
			b = s
		}
	}
	return b
}
