// Command hypercore makes, shares and follows hypercore feeds: signed
// append-only logs, found on a DHT by their discovery key and replicated over
// libp2p. Each command is in the file of its name, with its help text (that of demo
// also in demotail.go, that of clone in clonestate.go, stall.go and path.go, that of seed
// in seedwatch.go). What they share is in
//
//	app.go                  streams, home, data as lines, tables and JSON
//	feedarg.go, guard.go    what FEED means, who has it, who may write it
//	netflags.go, joins.go   what NET means; a feed on the network
//	running.go, holder.go   a node of this process; what it answers to other commands
//	ranges.go, units.go, timeout.go  ranges, sizes, times: as flags and as text
//	exit.go                 exit codes, error messages and hints
//	cmdline.go, suggest.go  command lines to copy; names that mean nothing
//	help.go, topics.go      how help reads; its topics
//	progress.go, meter.go   progress bars
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is main without the process: it returns the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	done := make(chan struct{})
	defer close(done)
	sig := make(chan os.Signal, 2)
	signal.Notify(sig, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(sig)
	// The terminal is gone. The kernel and the shell both say so, so a second one is no
	// hurry, also at the very end: it is caught until the process is gone. nohup has it ignored.
	gone := make(chan os.Signal, 1)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(gone, syscall.SIGHUP)
	}
	go func() {
		select {
		case <-gone:
			cancel(errInterrupted)
		case <-sig:
			cancel(errInterrupted)
		case <-ctx.Done():
			return
		}
		select {
		case <-sig: // a second one does not wait for anything
			os.Exit(exitInterrupted)
		case <-ctx.Done():
		}
		select {
		case <-sig:
			os.Exit(exitInterrupted)
		case <-done:
		}
	}()

	a := &app{in: stdin, out: stdout, err: stderr}
	root := newRoot(a)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil && errors.Is(context.Cause(ctx), errInterrupted) && (errors.Is(err, context.Canceled) || errors.Is(err, errInterrupted)) {
		err = errInterrupted
	}
	return a.exit(cmd, err)
}

const about = `hypercore makes, shares and follows feeds: signed append-only logs with one writer
and any number of readers. A feed is named by its public key; nodes announce it on a
DHT under its discovery key, find each other there and copy blocks over encrypted
libp2p connections, each block checked against the writer's signature.

Try it on this machine alone:

  hypercore demo

Or for real:

  hypercore create notes
  echo "hello" | hypercore append notes --lines
  hypercore seed notes                    # prints the command for the other side
  hypercore clone KEY && hypercore cat KEY`

func newRoot(a *app) *cobra.Command {
	cobra.EnableCommandSorting = false // the order below is the one in which they are needed
	showVersion := false
	root := &cobra.Command{
		Use:           "hypercore",
		Short:         "Signed append-only logs, shared peer to peer",
		Long:          about,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return unknownCommand(c, args[0])
		},

		RunE: func(c *cobra.Command, _ []string) error {
			if showVersion {
				return printVersion(a)
			}
			return c.Help()
		},
	}
	root.Flags().BoolVar(&showVersion, "version", false, "print the version, as hypercore version does")
	root.SetFlagErrorFunc(flagError)
	p := root.PersistentFlags()
	p.StringVar(&a.homeDir, "home", "", "directory of your feeds and nodes (default $HYPERCORE_HOME, else "+homeHelp()+")")
	p.BoolVar(&a.json, "json", false, "write results to stdout as JSON")
	p.BoolVarP(&a.quiet, "quiet", "q", false, "say only what is wrong")
	root.SetHelpTemplate(helpTemplate)
	root.SetUsageTemplate(usageTemplate)
	root.AddGroup(
		&cobra.Group{ID: groupStart, Title: "Start here:"},
		&cobra.Group{ID: groupFeed, Title: "Feeds on this machine:"},
		&cobra.Group{ID: groupNet, Title: "Feeds on the network:"},
		&cobra.Group{ID: groupOther, Title: "Other:"},
	)
	root.SetHelpCommand(newHelp())
	root.SetCompletionCommandGroupID(groupOther)
	for _, c := range commands {
		cmd := c.make(a)
		cmd.GroupID = c.group
		if cmd.Args == nil {
			cmd.Args = args(0, 0)
		}
		if strings.Contains(cmd.Use, " FEED") && cmd.Name() != "create" {
			cmd.ValidArgsFunction = a.completeFeed
		}
		root.AddCommand(cmd)
	}
	for _, t := range topics {
		root.AddCommand(&cobra.Command{Use: t.name, Short: t.short, Long: t.text})
	}
	root.InitDefaultHelpCmd()
	tellShells(root)
	return root
}

const (
	groupStart = "start"
	groupFeed  = "feed"
	groupNet   = "net"
	groupOther = "other"
)

// commands are all of them, in the order of the help.
var commands = []struct {
	group string
	make  func(*app) *cobra.Command
}{
	{groupStart, newDemo},
	{groupFeed, newCreate},
	{groupFeed, newAppend},
	{groupFeed, newGet},
	{groupFeed, newCat},
	{groupFeed, newInfo},
	{groupFeed, newList},
	{groupFeed, newVerify},
	{groupFeed, newDump},
	{groupFeed, newRepair},
	{groupNet, newSeed},
	{groupNet, newClone},
	{groupNet, newRecover},
	{groupNet, newBootstrap},
	{groupNet, newDoctor},
	{groupNet, newPeers},
	{groupOther, newFork},
	{groupOther, newWireDump},
	{groupOther, newID},
	{groupOther, newVersion},
}

// text trims the newline that a raw string begins with.
func text(s string) string { return strings.Trim(s, "\n") }

// usageError says that a command line makes no sense.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// flagError makes a usageError of what the parser of flags says. A negative
// number looks like a flag to it.
func flagError(c *cobra.Command, err error) error {
	if _, arg, ok := strings.Cut(err.Error(), "shorthand flag: "); ok {
		if _, arg, ok = strings.Cut(arg, " in -"); ok && arg != "" && arg[0] >= '0' && arg[0] <= '9' {
			return usagef("-%s: there are no negative numbers here; the first block has index 0", arg)
		}
	}
	if what, _, ok := strings.Cut(err.Error(), ": strconv."); ok { // a Go function
		return usagef("%s", what)
	}
	return unknownFlag(c, err)
}

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }
