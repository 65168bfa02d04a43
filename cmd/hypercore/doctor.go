package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node"
	"github.com/go-hypercore/hypercore/node/control"
	"github.com/go-hypercore/hypercore/node/diagnosis"
	"github.com/go-hypercore/hypercore/store"
)

const doctorHelp = `
Say how it stands with this machine on the network and, with FEED, with a feed: what
works, what does not, and what can be done. It walks the chain in order: listening,
reachable from outside, NAT, port mapping, relay, bootstrap nodes, DHT, LAN; where the
feed is announced; who has it, how they were dialled, what they speak and have; blocks
that nobody has. It ends in a verdict.

A running node that seeds or clones the feed (without FEED: any running node) is asked.
Otherwise, or with flags of NET, a node is started for the check, which takes some
seconds: it looks for the feed as a reader does. It announces nothing and fetches no
block. FEED may be a key that is not here.

  hypercore doctor
  hypercore doctor notes
  hypercore doctor 9718a1ff... --network mynet --bootstrap $ADDR

Exit code 1 when something is broken.

--json: {verdict: {state, text, do, steps: [{name, state, text, do}]}, facts: {at, node,
networks, feed}}; state is "ok", "note" (it works, within limits), "wait" (not known yet)
or "bad". The facts are those of package node/diagnosis.`

func newDoctor(a *app) *cobra.Command {
	var nf netFlags
	timeout := 20 * time.Second
	cmd := &cobra.Command{
		Use:   "doctor [FEED] [NET]",
		Short: "Say what keeps a node or a feed from being reached",
		Long:  text(doctorHelp),
		Args:  args(0, 1),
		RunE: func(c *cobra.Command, args []string) error {
			arg := ""
			if len(args) > 0 {
				arg = args[0]
			}
			return a.doctor(c, arg, timeout, &nf)
		},
	}
	timeoutFlag(cmd, &timeout, "how long a node that is started for the check looks around")
	nf.register(cmd)
	return cmd
}

// patient is the feed that is asked about.
type patient struct {
	arg string
	key feed.Key // zero: the node alone
	dir string   // empty: it is not on this machine
}

func (a *app) doctor(c *cobra.Command, arg string, timeout time.Duration, nf *netFlags) error {
	ctx := c.Context()
	cfg, err := nf.config(c)
	if err != nil {
		return err
	}
	h, err := a.home()
	if err != nil {
		return err
	}
	p, err := a.patient(ctx, h, arg)
	if err != nil {
		return err
	}
	f, err := askRunning(ctx, h, p)
	if errors.Is(err, control.ErrNoNode) || err == nil && nf.given(c) {
		f, err = a.examine(ctx, c, h, p, cfg, nf, timeout)
	}
	if err != nil {
		return err
	}
	if f.Feed != nil {
		f.Feed.Name, f.Feed.Arg, f.Feed.Error = p.arg, a.arguments(p.arg), plainText(f.Feed.Error)
	}
	return a.tell(f)
}

// patient finds out what FEED is. Its directory is not opened: a node may
// have it.
func (a *app) patient(ctx context.Context, h *control.Home, arg string) (p patient, err error) {
	if arg == "" {
		return p, nil
	}
	ref, err := a.resolve(h, arg)
	if err != nil {
		return p, err
	}
	p = patient{arg: arg, key: ref.Key, dir: ref.Dir}
	if p.key.IsZero() {
		if p.key, err = keyIn(ref.Dir); err != nil && halfMade(ctx, ref.Dir) {
			err = fmt.Errorf("%w: %s", feed.ErrNotFound, ref.Dir)
		}
	}
	return p, err
}

// askPatience bounds the question to a running node, which asks the DHT.
const askPatience = 15 * time.Second

// askRunning asks the running node that holds the feed, or any node without
// a feed. control.ErrNoNode: there is none.
func askRunning(ctx context.Context, h *control.Home, p patient) (diagnosis.Facts, error) {
	if !p.key.IsZero() {
		c, k, err := h.Find(ctx, "", p.key)
		if err != nil {
			return diagnosis.Facts{}, err
		}
		defer c.Close()
		ctx, cancel := context.WithTimeoutCause(ctx, askPatience, errTimeout)
		defer cancel()
		return c.Facts(ctx, k)
	}
	for _, s := range h.Slots() {
		c := control.NewClient(s.Socket)
		cctx, cancel := context.WithTimeout(ctx, askPatience)
		f, err := c.Facts(cctx, feed.Key{})
		cancel()
		c.Close()
		if err == nil || ctx.Err() != nil {
			return f, err
		}
	}
	return diagnosis.Facts{}, control.ErrNoNode
}

// examine starts a node and lets it look around until what it finds no longer
// changes.
func (a *app) examine(ctx context.Context, c *cobra.Command, h *control.Home, p patient, cfg node.Config, nf *netFlags, timeout time.Duration) (f diagnosis.Facts, err error) {
	n, err := a.startNode(ctx, control.RoleVisit, c.Name(), cfg, nf)
	if err != nil {
		return f, err
	}
	defer func() {
		if cerr := n.Close(); err == nil {
			err = cerr
		}
	}()
	var own ownFeed
	if !p.key.IsZero() {
		if own, err = lookAt(ctx, h, p); err != nil {
			return f, err
		}
		// Not the directory: the check changes nothing there.
		x, err := n.Open(ctx, store.Memory(), feed.Options{Key: p.key, Sparse: true})
		if err != nil {
			return f, err
		}
		if _, err := n.Share(ctx, x, node.JoinOptions{Lookup: true}); err != nil {
			return f, err
		}
		n.fetching(p.key, own.missing)
	}
	a.say("looking around ...")
	look := func() diagnosis.Facts {
		f := n.facts(ctx, p.key, false)
		f.Node.Command, f.Node.PID = "", 0
		if f.Feed != nil {
			own.into(f.Feed)
		}
		return f
	}
	limit := time.NewTimer(timeout)
	defer limit.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var s settling
	for {
		f = look()
		if s.over(f, diagnosis.Judge(f), time.Now()) {
			return f, nil
		}
		select {
		case <-ctx.Done():
			return f, context.Cause(ctx)
		case <-limit.C:
			return look(), nil
		case <-tick.C:
		}
	}
}

// settling tells when a check has found out what it can: nothing has changed
// for a while, the longer the worse it looks.
type settling struct {
	said  string
	since time.Time
}

const (
	settleGood = 700 * time.Millisecond
	settleBad  = 4 * time.Second
	// What others must tell comes late or not at all: it is waited for until
	// the node is so old.
	settleOutside = 10.0 // seconds
)

func (s *settling) over(f diagnosis.Facts, v diagnosis.Verdict, now time.Time) bool {
	said := withoutDigits(v.Text)
	wait := v.State == diagnosis.Wait
	for _, st := range v.Steps {
		said += string(st.State)
		late := st.Name == "outside" || st.Name == "nat" || st.Name == "relay" || st.Name == "port map"
		if st.State == diagnosis.Wait && (!late || f.Node.Seconds < settleOutside) {
			wait = true
		}
	}
	if said != s.said || wait {
		s.said, s.since = said, now
	}
	after := settleGood
	if v.State == diagnosis.Bad {
		after = settleBad
	}
	return now.Sub(s.since) >= after
}

// ownFeed is what this machine has of a feed that the node of the check does not hold.
type ownFeed struct {
	here             bool
	served           bool // by another node of this home
	writable, static bool
	length, blocks   uint64
	missing          []feed.Range // what is not here; nil: everything
}

// lookAt finds out what is here of a feed, changing nothing: who holds it is asked, else its
// directory is read.
func lookAt(ctx context.Context, h *control.Home, p patient) (o ownFeed, err error) {
	if c, k, err := h.Find(ctx, p.dir, p.key); err == nil {
		defer c.Close()
		i, err := c.Feed(k).Info(ctx)
		if err != nil {
			return o, err
		}
		o = ownFeed{here: true, served: i.Networked, writable: i.Writable, static: i.Static, length: i.Length, blocks: i.Downloaded}
		o.gaps(i.Runs)
		return o, nil
	}
	if p.dir == "" {
		return o, nil
	}
	f, err := feed.Open(ctx, store.Dir(p.dir), feed.Options{ReadOnly: true})
	if errors.Is(err, feed.ErrLocked) {
		return o, lockedError(p.dir, err)
	}
	if err != nil {
		return o, fmt.Errorf("open %s: %w", p.dir, err)
	}
	defer f.Close()
	i, err := control.NewLocal(control.OpenFeed{Feed: f}, nil).Info(ctx)
	if err != nil {
		return o, err
	}
	o = ownFeed{here: true, writable: hasSecretKey(p.dir), static: i.Static, length: i.Length, blocks: i.Downloaded}
	o.gaps(i.Runs)
	return o, nil
}

// gaps notes what is missing of a feed of which runs are here, all if there are none. What
// comes after the last of control.MaxRuns counts as one gap.
func (o *ownFeed) gaps(runs []feed.Span) {
	var at uint64
	if o.blocks == o.length {
		at = o.length
	}
	for _, r := range runs {
		if r.Start > at {
			o.missing = append(o.missing, feed.Range{Start: at, End: r.Start})
		}
		at = r.End
	}
	o.missing = append(o.missing, feed.Range{Start: at}) // and what came since
}

// into completes the facts of the node, which keeps nothing itself.
func (o ownFeed) into(x *diagnosis.Feed) {
	x.Held, x.Here, x.Elsewhere, x.Seeking = false, o.here, o.served, true
	x.Writable, x.Static, x.Error = o.writable, o.static, ""
	x.Length, x.Blocks = max(x.Length, o.length), o.blocks
}

// tell prints facts and verdict.
func (a *app) tell(f diagnosis.Facts) error {
	v := diagnosis.Judge(f)
	var failed error
	if v.State == diagnosis.Bad {
		failed = errTold
	}
	if a.json {
		if err := a.emit(struct {
			Verdict diagnosis.Verdict `json:"verdict"`
			Facts   diagnosis.Facts   `json:"facts"`
		}{v, f}); err != nil {
			return err
		}
		return failed
	}
	who := "a node started for this check"
	if f.Node.Command != "" {
		who = fmt.Sprintf("the node that runs hypercore %s (process %d) was asked", f.Node.Command, f.Node.PID)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "      %-10s %s\n", "node", who)
	for _, s := range v.Steps {
		fmt.Fprintf(&b, "%-5s %-10s %s\n", mark(s.State), s.Name, s.Text)
		if s.Do != "" && s.State != diagnosis.OK {
			fmt.Fprintf(&b, "%17s→ %s\n", "", s.Do)
		}
	}
	fmt.Fprintf(&b, "\n%s\n", v.Text)
	if v.Do != "" {
		fmt.Fprintf(&b, "  → %s\n", v.Do)
	}
	if err := a.print("%s", strings.TrimSuffix(b.String(), "\n")); err != nil {
		return err
	}
	return failed
}

// mark is a state at the edge of a line.
func mark(s diagnosis.State) string {
	if s == diagnosis.Bad {
		return "BAD"
	}
	return string(s)
}
