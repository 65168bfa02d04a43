package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/go-hypercore/hypercore/node/control"
)

const infoHelp = `
Show what is known about a feed without reading its blocks.

  hypercore info notes

--json: {key, discoveryKey, length, byteLength, downloaded, downloadedBytes, writable,
static, directory}, and from a running node {networked, peers}. length and downloaded
count blocks; downloaded are those on this machine. Of a copy that is not whole runs has
the first 64 ranges that are here: [{start, end}], end not included. A feed that is yours
and cannot be appended to is writable and has readOnlyCause, in words, and readOnlyCode:
behind, other_writer (hypercore recover), frozen (hypercore fork), corrupt (hypercore
repair), unwritable (its directory cannot be written).`

func newInfo(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "info FEED",
		Short: "Show key, length and state of a feed",
		Long:  text(infoHelp),
		Args:  args(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			f, _, err := a.openToRead(c.Context(), args[0], c.Name())
			if err != nil {
				return err
			}
			defer f.Close()
			i, err := f.Info(c.Context())
			if err != nil {
				return err
			}
			if a.json {
				return a.emit(i)
			}
			cause := i.ReadOnly()
			here := "all blocks are here"
			switch {
			case receivedNothing(i):
				here = "nothing was received yet"
			case i.Downloaded < i.Length:
				here = fmt.Sprintf("%s here (%s), %s missing", plural(i.Downloaded, "block"), bytesText(i.DownloadedBytes), countText(i.Length-i.Downloaded))
			}
			rows := [][2]string{
				{"key", i.Key},
				{"discovery key", i.DiscoveryKey},
				{"length", plural(i.Length, "block") + ", " + bytesText(i.ByteLength)},
				{"blocks", here},
				{"here", runsText(i)},
				{"kind", kindText(i)},
				{"directory", i.Directory},
			}
			if i.Networked {
				rows = append(rows, [2]string{"network", "held by a running node, " + plural(uint64(i.Peers), "peer")})
			}
			if err := a.table(rows); err != nil {
				return err
			}
			if receivedNothing(i) && !i.Networked {
				a.say("  → %s", a.fetch(i))
			}
			if cause == nil {
				return nil
			}
			if h := a.hintFor(cause, args[0]); h != "" {
				a.say("  → %s", h)
			}
			return nil
		},
	}
}

// shownRuns is how many runs of blocks fit a line that people read.
const shownRuns = 8

// runsText says which blocks of a copy that is not whole are here, as --range takes them.
func runsText(i control.FeedInfo) string {
	var parts []string
	var n uint64
	for _, r := range i.Runs[:min(len(i.Runs), shownRuns)] {
		parts = append(parts, rangeText(r.Start, r.End))
		n += r.End - r.Start
	}
	if n < i.Downloaded && n > 0 {
		parts = append(parts, "…")
	}
	return strings.Join(parts, ", ")
}

// receivedNothing tells whether a feed is a copy for which nobody was found so far: it is
// not known how long the feed is, or whether there is one with its key.
func receivedNothing(i control.FeedInfo) bool {
	return i.Length == 0 && !i.Writable && !i.Static
}

// fetch is the command that fetches a copy.
func (a *app) fetch(i control.FeedInfo) string {
	if i.Directory == "" || filepath.Base(i.Directory) == i.Key {
		return a.command("clone", i.Key)
	}
	return a.command("clone", i.Key, i.Directory)
}

// kindText says whose a feed is, and why it takes nothing if it is ours.
func kindText(i control.FeedInfo) string {
	switch cause := i.ReadOnly(); {
	case cause != nil:
		return "read-only: " + message(cause)
	case i.Static:
		return "static: finished, nobody can append"
	case i.Writable:
		return "yours: this machine can append"
	case receivedNothing(i):
		return "a copy; nothing was received yet"
	}
	return "a copy; the writer is elsewhere"
}
