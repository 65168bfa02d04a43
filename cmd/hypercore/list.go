package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node/control"
)

const listHelp = `
List the feeds of your home, one in a line: its key, its name, and how much of it there
is. A feed in another directory is shown by hypercore info DIRECTORY.

  hypercore list

--json: for each feed one line with its name and what hypercore info says, or {name,
error}. One that cannot be read does not keep the others from being listed; then the exit
code is 1.`

func newList(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List your feeds",
		Long:  text(listHelp),
		RunE: func(c *cobra.Command, _ []string) error {
			h, err := a.home()
			if err != nil {
				return err
			}
			names, err := h.Names()
			if err != nil {
				return err
			}
			if len(names) == 0 {
				a.say("there are no feeds in %s", h.Dir())
				a.say("  → %s", a.command("create", "NAME"))
			}
			width := 0
			for _, n := range names {
				width = max(width, len(nameText(n)))
			}
			unread := 0
			for _, n := range names {
				i, err := a.infoOf(c.Context(), h.FeedDir(n))
				switch {
				case c.Context().Err() != nil:
					return context.Cause(c.Context())
				case err != nil:
					unread++
					err = a.listUnread(n, err)
				case a.json:
					err = a.emit(listed{Name: n, FeedInfo: &i})
				default:
					err = a.print("%s  %-*s  %s", i.Key, width, nameText(n), howMuch(i))
				}
				if err != nil {
					return err
				}
			}
			if unread > 0 {
				return errTold
			}
			return nil
		},
	}
}

// listed is a line of list --json.
type listed struct {
	Name string `json:"name"`
	*control.FeedInfo
	Error string `json:"error,omitempty"`
}

// infoOf is what info says about the feed in a directory.
func (a *app) infoOf(ctx context.Context, dir string) (control.FeedInfo, error) {
	f, _, err := a.openToRead(ctx, dir, "list")
	if err != nil {
		return control.FeedInfo{}, err
	}
	defer f.Close()
	return f.Info(ctx)
}

// listUnread says why a feed is not in the list.
func (a *app) listUnread(name string, err error) error {
	if a.json {
		return a.emit(listed{Name: name, Error: message(err)})
	}
	a.warn("%s: %s", name, message(err))
	if h := a.hintOf(err, name); h != "" {
		a.warn("  → %s", h)
	}
	return nil
}

// nameText is the name of a feed in the list: one that is called by its key has none.
func nameText(name string) string {
	if _, err := feed.ParseKey(name); err == nil {
		return "-"
	}
	return name
}

// howMuch tells the length of a feed, what is missing of it and whose it is.
func howMuch(i control.FeedInfo) string {
	s := plural(i.Length, "block") + ", " + bytesText(i.ByteLength)
	if i.Downloaded < i.Length {
		s += fmt.Sprintf(", %s missing", countText(i.Length-i.Downloaded))
	}
	s += "; " + kindText(i)
	if i.Networked {
		s += "; held by a running node, " + plural(uint64(i.Peers), "peer")
	}
	return s
}
