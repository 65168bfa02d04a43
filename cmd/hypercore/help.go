package main

import (
	"fmt"
	"slices"
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
{{end}}{{end}}{{end}}{{if and .HasParent .HasAvailableSubCommands}}
Followed by:
{{range .Commands}}{{if .IsAvailableCommand}}  {{rpad .Name .NamePadding}} {{.Short}}
{{end}}{{end}}{{end}}{{if and .HasAvailableLocalFlags (or .Runnable (not .HasParent))}}
Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}
{{end}}{{if .HasParent}}{{if .Runnable}}
And --home, --json, --quiet, as everywhere: hypercore help. Exit codes: hypercore help exit-codes
{{end}}{{end}}`

const helpHelp = `
Say what a command does and how it is called, or explain a topic. hypercore help alone
lists both.

  hypercore help append
  hypercore help peers block
  hypercore help exit-codes`

// newHelp is the help command. That of cobra takes a topic that does not exist for none.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND or TOPIC]",
		Short:   "Say what a command does, or explain a topic",
		Long:    text(helpHelp),
		GroupID: groupOther,
		RunE: func(c *cobra.Command, args []string) error {
			about, err := helpAbout(c.Root(), args)
			if err != nil {
				return err
			}
			about.InitDefaultHelpFlag() // so that it is shown
			return about.Help()
		},
		ValidArgsFunction: func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			about, err := helpAbout(c.Root(), args)
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return names(about), cobra.ShellCompDirectiveNoFileComp
		},
	}
}

const completionHelp = `
Write a script that makes a shell complete commands, flags and names of feeds. Each
shell has its own; its help says where the script goes.

  hypercore help completion bash
  hypercore completion zsh`

// tellShells makes the completion command of cobra say which shells there are: of an
// unknown one it says nothing, and its help would be taken for a script.
func tellShells(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() != "completion" {
			continue
		}
		c.Use, c.Short, c.Long = "completion SHELL", "Write a script that completes command lines", text(completionHelp)
		c.Args = cobra.ArbitraryArgs
		c.RunE = func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("something is missing; after hypercore completion comes %s", strings.Join(names(c), ", "))
			}
			return usagef("%q: after hypercore completion comes %s", args[0], strings.Join(names(c), ", "))
		}
	}
}

// helpAbout is the command or topic with the names in path, one below the other.
func helpAbout(c *cobra.Command, path []string) (*cobra.Command, error) {
	for _, name := range path {
		i := slices.IndexFunc(c.Commands(), func(sub *cobra.Command) bool { return sub.Name() == name })
		if i < 0 {
			what := "about"
			if c.HasParent() {
				what = "below " + c.CommandPath() + " about"
			}
			return nil, unknown(fmt.Sprintf("there is no help %s %q", what, name), near(c, name))
		}
		c = c.Commands()[i]
	}
	return c, nil
}

// names are those of the commands and topics below c.
func names(c *cobra.Command) []string {
	var out []string
	for _, sub := range c.Commands() {
		if !sub.Hidden {
			out = append(out, sub.Name())
		}
	}
	return out
}

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
	feeds, _ := h.Names()
	return feeds, cobra.ShellCompDirectiveDefault
}
