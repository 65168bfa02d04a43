package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/go-hypercore/hypercore/node/control"
)

const getHelp = `
Write one block to stdout, byte for byte. The first block has index 0.

If the block is not on this machine and a running node seeds or clones the feed, the
node fetches it; --timeout bounds the wait.

  hypercore get notes 0

--json: {index, bytes, text} or, when the block is not UTF-8, {index, bytes, base64}`

func newGet(a *app) *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "get FEED INDEX",
		Short: "Write one block to stdout",
		Long:  text(getHelp),
		Args:  args(2, 2),
		RunE: func(c *cobra.Command, args []string) error {
			i, err := parseIndex(args[1])
			if err != nil {
				return a.feedFirst(err, c.Name(), args[0], args[1:])
			}
			ctx, cancel := withTimeout(c.Context(), timeout)
			defer cancel()
			f, _, err := a.openToRead(ctx, args[0], c.Name())
			if err != nil {
				return err
			}
			defer f.Close()
			slow := time.AfterFunc(getSlow, func() { a.sayGetWaits(ctx, f, i) })
			b, err := f.Get(ctx, i)
			slow.Stop()
			if err != nil && errors.Is(context.Cause(ctx), errTimeout) {
				err = hint(fmt.Errorf("%w after %s: block %d did not come", errTimeout, timeout, i), "%s says who has the feed", a.command("doctor", args[0]))
			}
			if err != nil {
				return err
			}
			if a.json {
				return a.emit(blockJSON(i, b))
			}
			_, err = a.out.Write(b)
			return err
		},
	}
	timeoutFlag(cmd, &timeout, "give up after this time, such as 10s (default: wait)")
	return cmd
}

// getSlow is how long a block may take before it is said that it is waited for.
const getSlow = time.Second

// sayGetWaits says what get waits for.
func (a *app) sayGetWaits(ctx context.Context, f control.Feed, index uint64) {
	i, err := f.Info(ctx)
	switch {
	case err != nil: // the block came, or Get says what is wrong
	case receivedNothing(i):
		a.say("nothing of this feed was received yet; waiting for block %d", index)
	case index >= i.Length:
		a.say("the feed has %s so far; waiting for block %d", plural(i.Length, "block"), index)
	default:
		a.say("block %d is not here; waiting for a peer that has it (%s connected)", index, plural(uint64(i.Peers), "peer"))
	}
}

func parseIndex(s string) (uint64, error) {
	i, err := strconv.ParseUint(s, 10, 53)
	if err != nil {
		return 0, usagef("%q is not an index: 0 is the first block", s)
	}
	return i, nil
}

// withTimeout bounds ctx by d, if d is not 0. The cause is errTimeout.
func withTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if d <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, d, errTimeout)
}

// block is a block as JSON: text when that loses nothing, else base64.
type block struct {
	Index  uint64  `json:"index"`
	Bytes  int     `json:"bytes"`
	Text   *string `json:"text,omitempty"`
	Base64 *string `json:"base64,omitempty"`
}

func blockJSON(index uint64, data []byte) block {
	b := block{Index: index, Bytes: len(data)}
	s := string(data)
	if utf8.Valid(data) {
		b.Text = &s
	} else {
		s = base64.StdEncoding.EncodeToString(data)
		b.Base64 = &s
	}
	return b
}
