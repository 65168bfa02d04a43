package main

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node/control"
)

const verifyHelp = `
Read every block that is on this machine and check it against the tree, and the tree
against the signature. Nothing is changed. Exit code 2 when anything is invalid; blocks
that are missing are not invalid. It is 2 also when a file is so damaged that the feed
cannot be read at all: then there is no report.

  hypercore verify notes

--json: {length, present, missing, invalid, signature, sha256, bytes} and, if there are
any, {problems, notes, wrong}: signature is "valid", "missing" or "invalid", sha256 is
over the present blocks in order, wrong lists the first invalid blocks, notes are
leftovers that do not matter, such as of an append that failed.`

func newVerify(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "verify FEED",
		Short: "Check every block, the tree and the signature",
		Long:  text(verifyHelp),
		Args:  args(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			f, _, err := a.openFeedWith(c.Context(), args[0], c.Name(), feed.Options{ReadOnly: true})
			if ce := (*feed.CorruptError)(nil); errors.As(err, &ce) {
				// Too damaged to be read at all.
				return hint(&invalidError{err}, "nothing was changed; %s shows the files, %s rebuilds what can be", a.command("dump", args[0]), a.command("repair", args[0]))
			}
			if err != nil {
				return err
			}
			defer f.Close()
			var done, total atomic.Uint64
			p := a.progress("verify", blocksUnit, func() (uint64, uint64, string) { return done.Load(), total.Load(), "" })
			r, err := f.Verify(c.Context(), func(d, t uint64) {
				done.Store(d)
				total.Store(t)
			})
			p.end()
			if err != nil {
				return err
			}
			if a.json {
				err = a.emit(r)
			} else {
				err = a.printReport(r)
			}
			if err == nil && !r.OK() {
				err = fmt.Errorf("%s: %w", args[0], errInvalid)
			}
			return err
		},
	}
}

// invalidError is an error that says the data is wrong: its exit code is that of
// errInvalid.
type invalidError struct{ error }

func (e *invalidError) Unwrap() []error { return []error{e.error, errInvalid} }

func (a *app) printReport(r control.Report) error {
	invalid := "none"
	if r.Invalid > 0 {
		s := make([]string, len(r.Wrong))
		for i, w := range r.Wrong {
			s[i] = countText(w)
		}
		invalid = fmt.Sprintf("%s: %s", countText(r.Invalid), strings.Join(s, ", "))
		if uint64(len(r.Wrong)) < r.Invalid {
			invalid += ", ..."
		}
	}
	rows := [][2]string{
		{"length", plural(r.Length, "block")},
		{"present", fmt.Sprintf("%s, %s", countText(r.Present), bytesText(r.Bytes))},
		{"missing", countText(r.Missing)},
		{"invalid", invalid},
		{"signature", r.Signature},
	}
	for _, p := range r.Problems {
		rows = append(rows, [2]string{"problem", p})
	}
	for _, p := range r.Notes {
		rows = append(rows, [2]string{"note", p + " (harmless)"})
	}
	return a.table(append(rows, [2]string{"sha256", r.SHA256}))
}
