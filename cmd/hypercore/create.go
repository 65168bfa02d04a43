package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node/control"
	"github.com/go-hypercore/hypercore/store"
)

const createHelp = `
Create an empty feed and print its public key, which is what others need to read it.
The secret key stays in the directory of the feed; who has it can append. A create that
was ended in the middle is made up for by the next one.

A FEED with a slash in it is a directory; a plain name is a feed in the home.

  hypercore create notes
  hypercore create ./measurements

--json: {key, discoveryKey, directory}`

func newCreate(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "create FEED",
		Short: "Create a feed and print its public key",
		Long:  text(createHelp),
		Args:  args(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			h, err := a.home()
			if err != nil {
				return err
			}
			if control.LooksLikeKey(args[0]) {
				return usagef("a new feed has no key yet; give it a name or a directory")
			}
			a.feed = args[0]
			ref, err := h.ResolveNew(args[0])
			if err != nil {
				return err
			}
			switch half := halfMade(c.Context(), ref.Dir); {
			case !control.IsFeedDir(ref.Dir):
			case half && hasSecretKey(ref.Dir):
				// A key pair that was made a moment ago, or what is left of a feed:
				// one that begins again from nothing would fork.
				return hint(fmt.Errorf("%s holds the secret key of a feed and no feed", ref.Dir),
					"restore its other files from a backup; if nothing was ever appended with it, remove the directory")
			case !half:
				return hint(fmt.Errorf("there is a feed in %s already", ref.Dir), "%s", a.command("info", args[0]))
			}
			if err := ownDirectory(ref.Dir); err != nil {
				return err
			}
			id, err := h.Guard().Identity()
			if err != nil {
				return err
			}
			f, err := feed.Open(c.Context(), store.Dir(ref.Dir), feed.Options{Identity: id})
			if err != nil {
				return fmt.Errorf("create %s: %w", ref.Dir, err)
			}
			k, dk := f.Key(), f.DiscoveryKey()
			if err := f.Close(); err != nil {
				return fmt.Errorf("create %s: %w", ref.Dir, err)
			}
			if a.json {
				err = a.emit(struct {
					Key          string `json:"key"`
					DiscoveryKey string `json:"discoveryKey"`
					Directory    string `json:"directory"`
				}{k.String(), dk.String(), ref.Dir})
			} else {
				err = a.print("%s", k)
			}
			a.say("created in %s\nnext: %s     (or from a pipe; --lines for one block per line)\n      %s", ref.Dir, a.command("append", args[0], "FILE"), a.command("seed", args[0]))
			return err
		},
	}
}

// ownDirectory refuses to make a feed among other things: it has a directory to itself.
func ownDirectory(dir string) error {
	ents, _ := os.ReadDir(dir) // whatever else is wrong with it, Open will say
	if len(ents) == 0 || control.IsFeedDir(dir) {
		return nil
	}
	return hint(fmt.Errorf("%s is not empty, and holds no feed", dir),
		"a feed has a directory to itself; name one that is empty or is to be made, such as %s", filepath.Join(dir, "feed"))
}

// halfMade tells whether dir holds what a create leaves that was ended before it had
// made the key: files of a feed, none of which says anything.
func halfMade(ctx context.Context, dir string) bool {
	f, err := feed.Open(ctx, store.Dir(dir), feed.Options{ReadOnly: true})
	if err == nil {
		f.Close()
	}
	return errors.Is(err, feed.ErrNotFound) && control.IsFeedDir(dir)
}
