package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node"
	"github.com/go-hypercore/hypercore/node/control"
)

const recoverHelp = `
Make a feed of yours writable again after its directory was restored from a backup or
copied from another machine. Such a directory may lack blocks that readers have seen;
appending to it would make two histories of one feed, and readers stop at that for good.

recover asks the peers of the feed for the newest length that is signed, downloads what
is missing here, and then allows appending in this home. If the feed is still written
somewhere else, end that first: two writers fork a feed.

  hypercore recover notes
  hypercore recover ./restored --network mynet --bootstrap $ADDR --timeout 5m

If nobody has ever read the feed, or nobody has more than is here, there is nobody to
ask: --i-know-no-peer-has-more allows appending without a network. If it is wrong, the
feed is forked.

--json: lines of clone --json, then {event:"recovered", key, directory, length, blocks}:
blocks is how many were downloaded`

func newRecover(a *app) *cobra.Command {
	var nf netFlags
	var o recoverOptions
	cmd := &cobra.Command{
		Use:   "recover FEED [NET]",
		Short: "Go on with a restored or copied feed of yours",
		Long:  text(recoverHelp),
		Args:  args(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, cancel := withTimeout(c.Context(), o.timeout)
			defer cancel()
			return a.recover(ctx, c, args[0], &o, &nf)
		},
	}
	cmd.Flags().BoolVar(&o.force, "i-know-no-peer-has-more", false, "allow appending without asking anybody")
	timeoutFlag(cmd, &o.timeout, "give up after this time, such as 5m (default: never)")
	nf.register(cmd)
	nf.registerTCP(cmd)
	return cmd
}

type recoverOptions struct {
	force   bool
	timeout time.Duration
}

func (a *app) recover(ctx context.Context, c *cobra.Command, arg string, o *recoverOptions, nf *netFlags) (err error) {
	h, err := a.home()
	if err != nil {
		return err
	}
	ref, err := a.resolveDir(h, arg)
	if err != nil {
		return err
	}
	fo, err := guarded(h, ref.Dir, feed.Options{MustExist: true, Sparse: true})
	if err != nil {
		return err
	}
	if o.force {
		f, err := a.openHere(ctx, h, ref.Dir, fo)
		if err != nil {
			return openFailed(c.Name(), ref.Dir, err)
		}
		return errors.Join(a.takeOver(ctx, h, f, &ref, true), f.Close())
	}
	cfg, err := nf.config(c)
	if err != nil {
		return err
	}
	n, err := a.startNode(ctx, control.RoleVisit, c.Name(), cfg, nf)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	f, err := n.openToFetch(ctx, ref.Dir, fo)
	if err != nil {
		return openFailed(c.Name(), ref.Dir, err)
	}
	if err := a.ask(ctx, n, f, &ref, o.timeout); err != nil {
		return err
	}
	return a.takeOver(ctx, h, f, &ref, false)
}

// ask downloads what peers have of the feed.
func (a *app) ask(ctx context.Context, n *running, f *feed.Feed, ref *control.Ref, timeout time.Duration) error {
	if err := a.recoverable(f, ref); err != nil {
		return err
	}
	refused := f.Stats().Err
	if refused != nil {
		a.say("%s", message(refused))
	} else {
		a.say("nothing here says that this directory is behind; asking peers for more")
	}
	known, err := n.home.Guard().Announced(f.DiscoveryKey())
	if err != nil {
		return err
	}
	cl := &cloning{a: a, o: &cloneOptions{key: f.Key(), timeout: timeout}, n: n, f: f, dir: ref.Dir, name: ref.Arg, start: time.Now(), terse: true, known: known}
	cl.o.wanted = []feed.Range{{}} // everything, and what turns out to be there
	err = cl.fetch(ctx, node.JoinOptions{Lookup: true})
	switch {
	case err == nil || !errors.Is(err, errTimeout):
	case refused == nil:
		err = hint(fmt.Errorf("%w; nothing keeps this home from appending", err), "go on, unless others may have more: %s", a.command("append", ref.Arg, "FILE"))
	default:
		err = hint(fmt.Errorf("%w; appending stays refused", err), "is somebody seeding it? If no peer has more than is here: %s", a.command("recover", ref.Arg, "--i-know-no-peer-has-more"))
	}
	return err
}

// recoverable says why a feed cannot be recovered.
func (a *app) recoverable(f *feed.Feed, ref *control.Ref) error {
	switch err := f.Stats().Err; {
	case !f.Writable():
		return hint(fmt.Errorf("the secret key of %v is not in %s: %w", f.Key(), ref.Dir, feed.ErrNotWritable), "restore secret_key from a backup; a copy to read: %s", a.command("clone", f.Key().String()))
	case errors.Is(err, feed.ErrFrozen):
		return err
	case err != nil && !errors.Is(err, feed.ErrBehind) && !errors.Is(err, feed.ErrOtherWriter):
		return err
	}
	return nil
}

// takeOver allows appending.
func (a *app) takeOver(ctx context.Context, h *control.Home, f *feed.Feed, ref *control.Ref, force bool) error {
	if err := a.recoverable(f, ref); err != nil {
		return err
	}
	known, err := h.Guard().Announced(f.DiscoveryKey())
	if err != nil {
		return err
	}
	before := max(f.Stats().Announced, known)
	if err := f.TakeOver(ctx, force); err != nil {
		if errors.Is(err, feed.ErrBehind) {
			err = hint(err, "nobody who was reached has the rest; wait for a peer that has it, or, if there is none: %s", a.command("recover", ref.Arg, "--i-know-no-peer-has-more"))
		}
		return err
	}
	s := f.Stats()
	if err := h.Guard().SetAnnounced(f.DiscoveryKey(), s.Length); err != nil {
		return err
	}
	if a.json {
		return a.emit(event{Event: "recovered", Key: f.Key().String(), Directory: ref.Dir, Length: &s.Length, Blocks: &s.DownloadedBlocks})
	}
	if before > s.Length {
		a.warn("given up: blocks %d to %d, which were announced once; who has them will see a fork when you append", s.Length, before-1)
	}
	a.say("recovered: the feed has %s, %s downloaded now; this home may append to it, and no other", plural(s.Length, "block"), countText(s.DownloadedBlocks))
	a.say("next: %s", a.command("append", ref.Arg, "FILE"))
	return nil
}
