package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// What somebody means who types a name that means nothing here.

// otherNames are what other programs call what our commands do.
var otherNames = map[string][]string{
	"add": {"append"}, "write": {"append"}, "push": {"append"},
	"init": {"create"}, "new": {"create"},
	"key": {"info"}, "stat": {"info"}, "status": {"info", "doctor"},
	"log": {"cat"}, "read": {"cat", "get"}, "show": {"cat", "info"}, "head": {"cat --end"}, "tail": {"cat --tail"},
	"follow": {"cat --live", "clone --live"}, "watch": {"cat --live"},
	"ls": {"list"}, "feeds": {"list"},
	"check": {"verify"}, "fsck": {"verify"}, "fix": {"repair"},
	"share": {"seed"}, "serve": {"seed"}, "publish": {"seed"}, "announce": {"seed"},
	"fetch": {"clone"}, "get-feed": {"clone"}, "download": {"clone"}, "pull": {"clone"}, "sync": {"clone --live"},
	"ping": {"doctor"}, "diagnose": {"doctor"}, "node": {"id", "peers"}, "nodes": {"id", "peers"},
}

// removers are names of a command that does not exist under any name.
var removers = []string{"rm", "remove", "delete", "destroy"}

// otherFlags are what other programs call our flags.
var otherFlags = map[string]string{"follow": "live", "f": "live", "n": "tail", "last": "tail", "from": "start", "to": "end"}

// unknown is the usage error about a name that means nothing, with those that look alike.
func unknown(what string, near []string) error {
	if len(near) > 0 {
		what += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return usagef("%s", what)
}

// unknownCommand is the error about a command that does not exist.
func unknownCommand(c *cobra.Command, name string) error {
	err := unknown(fmt.Sprintf("there is no command %q", name), near(c, name))
	if slices.Contains(removers, name) {
		err = hint(err, "a feed is removed with its directory; hypercore info FEED says which that is")
	}
	return err
}

// unknownFlag is err about the flags of c, as a usage error.
func unknownFlag(c *cobra.Command, err error) error {
	name, long := strings.CutPrefix(err.Error(), "unknown flag: --")
	if _, short, ok := strings.Cut(err.Error(), "unknown shorthand flag: '"); ok {
		name, _, _ = strings.Cut(short, "'")
	} else if !long {
		return &usageError{err}
	}
	var flags []string
	c.Flags().VisitAll(func(f *pflag.Flag) { flags = append(flags, f.Name) })
	var meant []string
	if other := otherFlags[name]; slices.Contains(flags, other) {
		meant = []string{"--" + other}
	} else if long {
		for _, f := range alike(flags, name) {
			meant = append(meant, "--"+f)
		}
	}
	return unknown(err.Error(), meant)
}

// near lists the names below c that name may stand for.
func near(c *cobra.Command, name string) []string {
	if !c.HasParent() {
		switch other := otherNames[name]; {
		case slices.Contains(removers, name):
			return nil
		case other != nil:
			return other
		}
	}
	return alike(names(c), name)
}

// alike lists the names that look like name: two letters are different, or one of a
// short name, or they begin so.
func alike(names []string, name string) []string {
	all := &cobra.Command{SuggestionsMinimumDistance: 2}
	if len(name) <= 2 {
		all.SuggestionsMinimumDistance = 1
	}
	for _, n := range names {
		all.AddCommand(&cobra.Command{Use: n, Run: func(*cobra.Command, []string) {}})
	}
	return all.SuggestionsFor(name)
}
