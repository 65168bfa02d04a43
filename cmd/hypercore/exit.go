package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node/control"
	"github.com/go-hypercore/hypercore/node/guard"
)

// Exit codes. They are a promise to scripts: a code keeps its meaning.
const (
	exitOK          = 0
	exitFailed      = 1
	exitInvalid     = 2
	exitUsage       = 3
	exitTimeout     = 4
	exitLocked      = 5
	exitGuarded     = 6
	exitInterrupted = 130
)

const exitCodesHelp = `Exit codes of every command:

  0    done; for what runs until it is ended (seed, bootstrap, clone --live, cat --live)
       also: ended by Ctrl-C, SIGTERM or SIGHUP
  1    it failed; stderr says why. Also: doctor found what keeps the feed or the node from
       being reached
  2    the data is wrong: verify, repair or dump found what is invalid or disagrees,
       wire-dump a message that cannot be read; fork explain was given a file that
       proves nothing; demo found a reader whose bytes differ
  3    the command line makes no sense: no such command, flag or kind of argument
  4    the time of --timeout ended before the work was done
  5    the feed is locked by a program that cannot be asked
  6    the feed was restored from a backup, copied, or written elsewhere: appending
       could fork it; hypercore recover is the way out
  130  interrupted by Ctrl-C, SIGTERM or SIGHUP before the work was done`

var (
	errInterrupted = errors.New("interrupted")
	errTimeout     = errors.New("timed out")
	errInvalid     = errors.New("the data is wrong")
	errTold        = errors.New("something is wrong") // and it was said what: nothing to report
)

// hinted is an error with what the user can do about it.
type hinted struct {
	err  error
	hint string
}

func (h *hinted) Error() string { return h.err.Error() }
func (h *hinted) Unwrap() error { return h.err }

// hint adds a hint to err.
func hint(err error, format string, args ...any) error {
	return &hinted{err, fmt.Sprintf(format, args...)}
}

// exitCode maps an error to the table above.
func exitCode(err error) int {
	var ue *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errInterrupted):
		return exitInterrupted
	case errors.As(err, &ue), errors.Is(err, control.ErrBadName):
		return exitUsage
	case errors.Is(err, errInvalid):
		return exitInvalid
	case errors.Is(err, errTimeout), errors.Is(err, context.DeadlineExceeded):
		return exitTimeout
	case errors.Is(err, feed.ErrLocked):
		return exitLocked
	case errors.Is(err, feed.ErrBehind), errors.Is(err, feed.ErrOtherWriter):
		return exitGuarded
	}
	return exitFailed
}

// untilInterrupted is the error of a command that an interrupt is the right way to end.
func untilInterrupted(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errInterrupted) && (errors.Is(err, context.Canceled) || errors.Is(err, errInterrupted)) {
		return nil
	}
	return err
}

// exit reports err, if there is something to report, and returns the code.
func (a *app) exit(cmd *cobra.Command, err error) int {
	code := exitCode(err)
	switch {
	case err == nil || readEnough(err):
		return exitOK
	case errors.Is(err, errInterrupted):
		a.say("interrupted")
		return code
	}
	if errors.Is(err, errTold) {
		return code
	}
	a.warn("%s: %s", cmd.CommandPath(), message(err))
	h := a.hintOf(err, cmp.Or(a.feed, "FEED"))
	if code == exitUsage && h == "" {
		h = helpLine(cmd)
	}
	if h != "" {
		a.warn("  → %s", h)
	}
	return code
}

// hintOf is what the user can do about err, which came of the feed that is called arg.
func (a *app) hintOf(err error, arg string) string {
	var hi *hinted
	if errors.As(err, &hi) {
		return hi.hint
	}
	return a.hintFor(err, arg)
}

// helpLine is the command line that explains how cmd is called.
func helpLine(cmd *cobra.Command) string {
	root, rest, _ := strings.Cut(cmd.CommandPath(), " ")
	if rest == "" || rest == "help" {
		return root + " help"
	}
	return root + " help " + rest
}

// readEnough reports that whoever reads our output has ended, as in cat FEED |
// head. A connection to another program that breaks is something else.
func readEnough(err error) bool { return ofOutput(err) && errors.Is(err, syscall.EPIPE) }

// ofOutput tells whether err came of writing to stdout.
func ofOutput(err error) bool {
	var pe *fs.PathError
	return errors.As(err, &pe) && pe.Path == os.Stdout.Name()
}

// message is err as a user reads it: without the name of a Go package before it,
// and without what only a programmer can do about it.
func message(err error) string { return plainText(err.Error()) }

// plainText is the text of an error as a user reads it, see message.
func plainText(s string) string {
	for _, p := range []string{"feed: ", "store: ", "control: ", "node: ", "guard: ", "discovery: "} {
		s = strings.TrimPrefix(s, p)
	}
	s = strings.TrimSuffix(s, ": "+feed.ErrOutOfBounds.Error())
	return strings.NewReplacer(": feed: ", ": ", ": control: ", ": ", ": node: ", ": ").Replace(s)
}

// worded is an error in words of its own, which keeps what the original is.
type worded struct {
	text string
	err  error
}

func (w *worded) Error() string { return w.text }
func (w *worded) Unwrap() error { return w.err }

// reword says err in other words.
func reword(err error, format string, args ...any) error {
	return &worded{fmt.Sprintf(format, args...), err}
}

// explainFork says what shows the evidence in the directory of the feed that is called arg.
func (a *app) explainFork(arg string) string {
	file := "FILE"
	if h, err := a.home(); err == nil {
		if ref, err := h.Resolve(arg); err == nil && ref.Dir != "" {
			file = filepath.Join(ref.Dir, "fork")
		}
	}
	return elsewhere("fork explain", file) + " says what its file fork proves"
}

// hintFor knows a way out for errors that several commands meet. arg is the feed.
func (a *app) hintFor(err error, arg string) string {
	var ce *feed.CorruptError
	var unknown *control.UnknownFeedError
	switch {
	case ofOutput(err):
		return "" // nothing is wrong with the feed
	case errors.As(err, &unknown):
		return a.command("create", unknown.Arg) + " makes it, " + a.command("clone", "KEY") + " fetches one; hypercore help feeds says what FEED can be"
	case errors.Is(err, control.ErrNodeEnded):
		return "run the command again: the directory itself is used when no node holds the feed"
	case errors.Is(err, feed.ErrNotFeed):
		return "nothing was changed there; a feed has a directory to itself, name another one"
	case errors.Is(err, feed.ErrNotFound):
		return "a create that was ended in the middle leaves such a directory; " + a.command("create", arg) + " makes the feed there, or remove the directory"
	case errors.As(err, &ce):
		return "nothing was changed; keep a copy of the directory before you try anything; " + a.command("verify", arg) + " says what is wrong, " + a.command("repair", arg) + " rebuilds"
	case errors.Is(err, guard.ErrIdentity):
		return "restore it from a backup, or remove it: a new one is made, and feeds that were written from this home before ask for hypercore recover"
	case errors.Is(err, guard.ErrRecord):
		return "restore it from a backup, or remove it and then ask the readers of the feed: " + a.command("recover", arg)
	case errors.Is(err, feed.ErrBehind), errors.Is(err, feed.ErrOtherWriter):
		return a.command("recover", arg) + " asks peers for the newest blocks, fetches them and then allows appending here"
	case errors.Is(err, feed.ErrFrozen):
		return "nothing can be appended to a forked feed; " + a.explainFork(arg)
	case errors.Is(err, feed.ErrNotWritable):
		return "only the machine with the secret key can append to a feed"
	case errors.Is(err, feed.ErrKeyMismatch):
		return "the directory holds a different feed; use another one"
	case errors.Is(err, syscall.ENOSPC):
		return "the disk is full; what was appended before is safe. Free some space and run the command again"
	case errors.Is(err, syscall.EIO):
		return "the disk reports an error; look at it before you go on. What was acknowledged is kept; " + a.command("verify", arg) + " checks it"
	case errors.Is(err, syscall.EADDRINUSE):
		return "end the program that listens there, or name another port; 0 takes any that is free"
	case errors.Is(err, feed.ErrNotLocal):
		return "the block was not downloaded; " + a.fetchText(arg)
	case errors.Is(err, syscall.EROFS):
		return a.command("cat", arg) + " and the like read what is there; for anything else copy the directory to a disk that can be written"
	case errors.Is(err, fs.ErrPermission):
		return "check the owner and the mode of the directory"
	}
	return ""
}
