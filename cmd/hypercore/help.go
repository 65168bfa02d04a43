package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// The help of a command reads from the usual to the rare: how to call it, what
// it does with examples, its own flags. Flags of all commands are told once.
const helpTemplate = `{{with .Long}}{{.}}

{{end}}{{.UsageString}}`

const usageTemplate = `{{if .Runnable}}{{if .HasParent}}Usage: {{.UseLine}}
{{end}}{{end}}{{if not .HasParent}}Usage: hypercore COMMAND [flags]
{{range $group := .Groups}}
{{.Title}}
{{range $.Commands}}{{if and (eq .GroupID $group.ID) .IsAvailableCommand}}  {{rpad .Name .NamePadding}} {{.Short}}
{{end}}{{end}}{{end}}
More to read, with hypercore help TOPIC:
{{range .Commands}}{{if .IsAdditionalHelpTopicCommand}}  {{rpad .Name .NamePadding}} {{.Short}}
{{end}}{{end}}{{end}}{{if and .HasAvailableLocalFlags (or .Runnable (not .HasParent))}}
Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}
{{end}}{{if .HasParent}}{{if .Runnable}}
And --home, --json, --quiet, as everywhere: hypercore help. Exit codes: hypercore help exit-codes
{{end}}{{end}}`

// args checks the number of arguments: from min to max, or any more if max < 0.
func args(min, max int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) < min && len(args) == 0:
			return usagef("something is missing; it is called as %s", call(c))
		case len(args) < min:
			return usagef("something is missing after %q; it is called as %s", args[len(args)-1], call(c))
		case max == 0 && len(args) > 0:
			return usagef("%q is too much; it is called as %s", args[0], call(c))
		case max >= 0 && len(args) > max:
			return usagef("%q is too much; it is called as %s", args[max], call(c))
		}
		return nil
	}
}

// call is how a command is called, without its flags.
func call(c *cobra.Command) string {
	return strings.TrimSuffix(c.UseLine(), " [flags]")
}

// oneOf checks that at most one of some flags is given.
func oneOf(c *cobra.Command, flags ...string) error {
	var have []string
	for _, f := range flags {
		if c.Flags().Changed(f) {
			have = append(have, "--"+f)
		}
	}
	if len(have) > 1 {
		return &usageError{fmt.Errorf("%s: only one of them makes sense", strings.Join(have, " and "))}
	}
	return nil
}

// completeFeed offers the names in the home for FEED, and files for the rest.
func (a *app) completeFeed(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 && c.Name() != "seed" {
		return nil, cobra.ShellCompDirectiveDefault
	}
	h, err := a.home()
	if err != nil {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return h.Names(), cobra.ShellCompDirectiveDefault
}
