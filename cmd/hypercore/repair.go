package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node"
	"github.com/go-hypercore/hypercore/node/control"
	"github.com/go-hypercore/hypercore/store"
)

const repairHelp = `
Bring a damaged feed in order and say exactly what was done. The bitfield is made anew
from the tree and the data, nodes of the tree from the nodes and blocks below them, the
key from the secret key. A block that is not what the writer signed is marked missing;
nothing that verifies is given up. Afterwards everything is checked once more; exit code
2 if something is wrong that cannot be rebuilt.

With NET the blocks that were given up are fetched again from peers.

  hypercore repair ./broken
  hypercore repair ./broken --network amino --timeout 5m

Keep a copy of the directory before. A feed that a program holds open is locked: end that
program first.

--json: {directory, key, length, repaired: {bitfield, key, signature, found, lost, nodes,
recovered, dropped}, lost: [{start, end}], fetched, missing, report}. found are blocks
that were here but not marked, lost those that were marked and did not verify, recovered
blocks of an append that had been interrupted, dropped bytes of one that was not
complete. report is what verify --json says. With NET, lines of clone --json come first`

func newRepair(a *app) *cobra.Command {
	var nf netFlags
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "repair FEED [NET]",
		Short: "Rebuild what can be rebuilt of a damaged feed",
		Long:  text(repairHelp),
		Args:  args(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, cancel := withTimeout(c.Context(), timeout)
			defer cancel()
			return a.repair(ctx, c, args[0], timeout, &nf)
		},
	}
	timeoutFlag(cmd, &timeout, "stop fetching after this time, such as 5m (default: never)")
	nf.register(cmd)
	nf.registerTCP(cmd)
	return cmd
}

// repairJSON is the result of repair.
type repairJSON struct {
	Directory string         `json:"directory"`
	Key       string         `json:"key"`
	Length    uint64         `json:"length"`
	Repaired  repairedJSON   `json:"repaired"`
	Lost      []feed.Span    `json:"lost"`
	Fetched   uint64         `json:"fetched"`
	Missing   uint64         `json:"missing"`
	Report    control.Report `json:"report"`
}

// repairedJSON is a feed.RepairReport.
type repairedJSON struct {
	Bitfield  bool   `json:"bitfield"`
	Key       bool   `json:"key"`
	Signature bool   `json:"signature"`
	Found     uint64 `json:"found"`
	Lost      uint64 `json:"lost"`
	Nodes     uint64 `json:"nodes"`
	Recovered uint64 `json:"recovered"`
	Dropped   uint64 `json:"dropped"`
}

// maxLost is how many ranges of lost blocks are told apart: what comes after is
// one range.
const maxLost = 1024

func (a *app) repair(ctx context.Context, c *cobra.Command, arg string, timeout time.Duration, nf *netFlags) (err error) {
	h, err := a.home()
	if err != nil {
		return err
	}
	ref, err := a.resolveDir(h, arg)
	if err != nil {
		return err
	}
	// What is marked now: the report tells which of it was given up.
	before, err := feed.Inspect(ctx, store.Dir(ref.Dir), feed.InspectOptions{MaxRanges: 1 << 20, NodeEnd: 0})
	if err != nil {
		return err
	}
	o := feed.Options{MustExist: true, Repair: true, Sparse: true, Key: ref.Key}
	var n *running
	var f *feed.Feed
	if nf.given(c) {
		cfg, err := nf.config(c)
		if err != nil {
			return err
		}
		if n, err = a.startNode(ctx, control.RoleVisit, c.Name(), cfg, nf); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, n.Close()) }()
		f, err = n.openToFetch(ctx, ref.Dir, o)
		if err != nil {
			return openFailed(c.Name(), ref.Dir, err)
		}
	} else {
		if f, err = a.openHere(ctx, h, ref.Dir, o); err != nil {
			return openFailed(c.Name(), ref.Dir, err)
		}
		defer func() { err = errors.Join(err, f.Close()) }()
	}
	if err := f.Sync(ctx); err != nil {
		return err
	}
	r := f.Repaired()
	j := repairJSON{Directory: ref.Dir, Key: f.Key().String(), Length: f.Len(), Repaired: repairedJSON(r), Lost: lostBlocks(f, before.Bitfield.Blocks.Ranges)}
	if !a.json {
		a.tellRepaired(ref.Dir, r, j.Lost)
	}
	if n != nil && len(j.Lost) > 0 {
		if j.Fetched, err = a.refetch(ctx, n, f, &ref, j.Lost, timeout); err != nil {
			return err
		}
	}
	return a.repaired(ctx, f, &j, arg, n == nil)
}

// lostBlocks are the blocks that were marked and are not here now.
func lostBlocks(f *feed.Feed, marked []feed.Span) []feed.Span {
	lost := []feed.Span{}
	for _, s := range marked {
		end := min(s.End, f.Len())
		for i := s.Start; i < end; i++ {
			if i = f.NextMissing(i); i >= end {
				break
			}
			last := len(lost) - 1
			switch {
			case last >= 0 && (lost[last].End == i || len(lost) >= maxLost):
				lost[last].End = i + 1
			default:
				lost = append(lost, feed.Span{Start: i, End: i + 1})
			}
		}
	}
	return lost
}

// tellRepaired says what Open did.
func (a *app) tellRepaired(dir string, r feed.RepairReport, lost []feed.Span) {
	a.say("repaired %s:", dir)
	if r.Key {
		a.say("  the file key was written anew")
	}
	if r.Signature {
		a.say("  the signature of the last append was made again")
	}
	if r.Nodes > 0 {
		a.say("  %s of the tree computed again", plural(r.Nodes, "node"))
	}
	if r.Bitfield {
		a.say("  the bitfield was made anew from the tree and the data")
	}
	if r.Found > 0 {
		a.say("  %s, here but not marked, found", plural(r.Found, "block"))
	}
	if r.Recovered > 0 {
		a.say("  %s of an interrupted append taken over", plural(r.Recovered, "block"))
	}
	if r.Dropped > 0 {
		a.say("  %s of an incomplete append cut off", plural(r.Dropped, "byte"))
	}
	if r.Lost > 0 {
		a.say("  %s did not verify and marked missing: %s", plural(r.Lost, "block"), spansText(lost, r.Lost))
	} else {
		a.say("  no block was given up")
	}
}

// refetch fetches blocks from peers.
func (a *app) refetch(ctx context.Context, n *running, f *feed.Feed, ref *control.Ref, lost []feed.Span, timeout time.Duration) (uint64, error) {
	o := &cloneOptions{key: f.Key(), timeout: timeout}
	for _, s := range lost {
		o.wanted = append(o.wanted, feed.Range{Start: s.Start, End: s.End})
	}
	cl := &cloning{a: a, o: o, n: n, f: f, dir: ref.Dir, name: ref.Arg, start: time.Now(), terse: true}
	if err := cl.fetch(ctx, node.JoinOptions{Lookup: true}); err != nil {
		return 0, err
	}
	return f.Stats().DownloadedBlocks, nil
}

// repaired checks what there is now and reports.
func (a *app) repaired(ctx context.Context, f *feed.Feed, j *repairJSON, arg string, local bool) error {
	var done, total atomic.Uint64
	p := a.progress("verify", blocksUnit, func() (uint64, uint64, string) { return done.Load(), total.Load(), "" })
	report, err := control.NewLocal(control.OpenFeed{Feed: f}, nil).Verify(ctx, func(d, t uint64) {
		done.Store(d)
		total.Store(t)
	})
	p.end()
	if err != nil {
		return err
	}
	j.Report, j.Missing, j.Length = report, report.Missing, report.Length
	if a.json {
		err = a.emit(j)
	} else {
		err = a.printReport(report)
	}
	switch {
	case err != nil:
		return err
	case !report.OK():
		return fmt.Errorf("%s: not everything could be rebuilt: %w", arg, errInvalid)
	case local && len(j.Lost) > 0:
		if f.Writable() {
			a.say("next: %s     (fetches what others have of it)", a.command("recover", arg))
		} else {
			a.say("next: %s     (fetches what is missing from peers)", a.command("clone", j.Key, j.Directory))
		}
	}
	return nil
}
