package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node/control"
	"github.com/go-hypercore/hypercore/node/guard"
	"github.com/go-hypercore/hypercore/store"
)

// lockPatience is how long a command waits for a feed that somebody holds who
// cannot be asked: another command is mostly done by then, and a node that is
// just starting listens by then.
const (
	lockPatience = 1500 * time.Millisecond
	lockRetry    = 20 * time.Millisecond
)

// serveAfter is how long a command holds a feed before it offers it to others
// on a control socket: commands that are done at once save themselves the
// trouble, and those that follow or append for hours do not lock others out.
const serveAfter = 300 * time.Millisecond

// resolve finds what FEED refers to, and says what the user should know about the choice.
// Without Ref.Dir no directory of the home has the key; a running node may.
func (a *app) resolve(h *control.Home, arg string) (control.Ref, error) {
	a.feed = arg
	ref, err := h.Resolve(arg)
	if err == nil && ref.Note != "" {
		a.say("note: %s", ref.Note)
	}
	return ref, err
}

// lookUp is resolve in the home that was named.
func (a *app) lookUp(arg string) (*control.Home, control.Ref, error) {
	h, err := a.home()
	if err != nil {
		return nil, control.Ref{}, err
	}
	ref, err := a.resolve(h, arg)
	return h, ref, err
}

// resolveDir is resolve for commands that use the directory of the feed, also while a
// node holds it.
func (a *app) resolveDir(h *control.Home, arg string) (control.Ref, error) {
	ref, err := a.resolve(h, arg)
	if err == nil && ref.Dir == "" {
		err = a.unknownKey(h, ref, "")
	}
	return ref, err
}

// unknownKey says that no feed here has the key that was given.
func (a *app) unknownKey(h *control.Home, ref control.Ref, more string) error {
	return hint(&control.UnknownFeedError{Arg: ref.Arg, Why: "no feed in " + h.Dir() + " has this key" + more},
		"%s fetches it; if it is in a directory elsewhere, name that", a.command("clone", ref.Key.String()))
}

// feedFirst is err about arg in the place of FEED, or that FEED is one of the arguments
// behind it.
func (a *app) feedFirst(err error, command, arg string, rest []string) error {
	h, herr := a.home()
	if herr != nil || errors.Is(err, fs.ErrPermission) { // then it may be one
		return err
	}
	for i, other := range rest {
		if ref, rerr := h.Resolve(other); rerr != nil || ref.Dir == "" || isFile(other) && !isFile(arg) {
			continue
		}
		in := append([]string{other, arg}, slices.Delete(slices.Clone(rest), i, i+1)...)
		return hint(usagef("%s is a feed: FEED comes first", other), "%s", a.command(command, in...))
	}
	return err
}

// isFile tells whether name is something to read.
func isFile(name string) bool {
	fi, err := os.Stat(name)
	return name == "-" || err == nil && !fi.IsDir()
}

// fetchText says how blocks that are missing of the feed that is called arg get here.
func (a *app) fetchText(arg string) string {
	args := []string{"KEY"}
	h, err := a.home()
	if err == nil {
		if ref, rerr := h.Resolve(arg); rerr == nil && ref.Dir != "" {
			if hasSecretKey(ref.Dir) {
				return a.command("recover", arg) + " fetches what others have of it"
			}
			if k, kerr := keyIn(ref.Dir); kerr == nil {
				args[0] = k.String()
			}
			if ref.Name == "" { // else it would go to the home
				args = append(args, directoryArg(arg))
			}
		} else if rerr == nil {
			args[0] = ref.Key.String()
		}
	}
	return "fetch it with: " + a.command("clone", args...) + ", or read while hypercore seed or clone runs"
}

// directoryArg is an argument that means a directory as one that means nothing else.
func directoryArg(arg string) string {
	if !strings.ContainsAny(arg, `/\`) && arg != "." && arg != ".." {
		arg = "./" + arg
	}
	return arg
}

// openToRead is openFeedWith for commands that change nothing: where the directory cannot
// be written, on read-only media or because it is somebody else's, it is only read.
func (a *app) openToRead(ctx context.Context, arg, command string) (control.Feed, control.Ref, error) {
	h, ref, err := a.lookUp(arg)
	if err != nil {
		return nil, ref, err
	}
	f, err := a.openRef(ctx, h, ref, command, feed.Options{MustExist: true})
	if err != nil && ref.Dir != "" && (errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)) {
		if f, rerr := a.openRef(ctx, h, ref, command, feed.Options{ReadOnly: true}); rerr == nil {
			return f, ref, nil
		}
	}
	return f, ref, err
}

// openFeedWith opens what FEED refers to: through the running node that holds it,
// or here. The caller closes it.
func (a *app) openFeedWith(ctx context.Context, arg, command string, o feed.Options) (control.Feed, control.Ref, error) {
	h, ref, err := a.lookUp(arg)
	if err != nil {
		return nil, ref, err
	}
	f, err := a.openRef(ctx, h, ref, command, o)
	return f, ref, err
}

// openRef is openFeedWith for what FEED was found to be.
func (a *app) openRef(ctx context.Context, h *control.Home, ref control.Ref, command string, o feed.Options) (control.Feed, error) {
	if ref.Dir == "" {
		c, k, err := h.Find(ctx, "", ref.Key)
		if errors.Is(err, control.ErrNoNode) {
			err = a.unknownKey(h, ref, ", and no running node either")
		}
		if err != nil {
			return nil, err
		}
		return c.Feed(k), nil
	}
	// A node with many feeds does not hold the lock of each all the time.
	if c, k, err := h.Find(ctx, ref.Dir, feed.Key{}); err == nil {
		return c.Feed(k), nil
	}
	deadline := time.Now().Add(lockPatience)
	for {
		fo, err := guarded(h, ref.Dir, o)
		if err != nil && command == "append" {
			return nil, err
		}
		f, err := feed.Open(ctx, store.Dir(ref.Dir), fo)
		if err == nil {
			return a.local(h, f, ref.Dir, command), nil
		}
		if !errors.Is(err, feed.ErrLocked) {
			return nil, fmt.Errorf("open %s: %w", ref.Dir, err)
		}
		c, k, ferr := h.Find(ctx, ref.Dir, feed.Key{})
		if ferr == nil {
			return c.Feed(k), nil
		}
		if time.Now().After(deadline) {
			return nil, lockedError(ref.Dir, err)
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(lockRetry):
		}
	}
}

// openHere opens the feed in dir in this process, without a node. A feed that somebody
// else holds is an error that says who.
func (a *app) openHere(ctx context.Context, h *control.Home, dir string, o feed.Options) (*feed.Feed, error) {
	deadline := time.Now().Add(lockPatience)
	for {
		f, err := feed.Open(ctx, store.Dir(dir), o)
		if !errors.Is(err, feed.ErrLocked) {
			return f, err
		}
		if c, _, ferr := h.Find(ctx, dir, feed.Key{}); ferr == nil {
			n, ferr := c.Node(ctx)
			c.Close()
			if ferr == nil {
				return nil, hint(inUse(err, dir, n), "end it first: kill %d", n.PID)
			}
		}
		if time.Now().After(deadline) {
			return nil, lockedError(dir, err)
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(lockRetry):
		}
	}
}

// inUse says which process has the feed in dir.
func inUse(err error, dir string, n control.NodeInfo) error {
	return reword(err, "the feed in %s is in use by hypercore %s (process %d)", dir, n.Role, n.PID)
}

// openFailed says what a command could not open; who has it locked is told already.
func openFailed(command, dir string, err error) error {
	if errors.Is(err, feed.ErrLocked) {
		return err
	}
	return fmt.Errorf("%s %s: %w", command, dir, err)
}

// lockedError explains a lock whose holder cannot be asked.
func lockedError(dir string, err error) error {
	by := "another program"
	if who := lockOwner(dir); who != "" {
		by = who
	}
	return hint(reword(err, "the feed in %s is locked by %s, and no node of this home answers for it", dir, by),
		"wait for that program or end it; if it is a hypercore with another home, use the same --home")
}

// local wraps a feed that this command has opened.
func (a *app) local(h *control.Home, f *feed.Feed, dir, command string) control.Feed {
	hold := newHolder(command)
	of := control.OpenFeed{Feed: f, Dir: control.Canonical(dir)}
	hold.add(of)
	kept := guard.NewKeeper(h.Guard())
	kept.Keep(f)
	later := time.AfterFunc(serveAfter, func() { hold.serve(h) })
	return control.NewLocal(of, func() error {
		later.Stop()
		err := hold.Close()
		kept.Close()
		return errors.Join(err, f.Close())
	})
}
