package main

import (
	"bufio"
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/go-hypercore/hypercore/node/control"
)

const catHelp = `
Write blocks to stdout, one after the other, nothing between them. What was appended
with any cut comes out as the bytes that went in.

With --live it goes on: new blocks are written as they are appended here or arrive from
the network, until Ctrl-C. Blocks that are not on this machine are fetched when a
running node seeds or clones the feed; otherwise reading stops there with an error.

  hypercore cat notes
  hypercore cat ./log --tail 10 --live
  hypercore cat archive --range 1000-1010 > part

--json: one line per block: {index, bytes, text} or {index, bytes, base64}`

// catFlush is how long bytes may wait for more before they are written out.
const catFlush = 2 * time.Millisecond

func newCat(a *app) *cobra.Command {
	var o control.CatOptions
	var ranges []string
	cmd := &cobra.Command{
		Use:   "cat FEED",
		Short: "Write blocks to stdout, also as they come",
		Long:  text(catHelp),
		Args:  args(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := oneOf(c, "start", "tail"); err != nil {
				return err
			}
			if o.Live && c.Flags().Changed("end") {
				return usagef("--live has no end; leave out --end")
			}
			if len(ranges) > 0 {
				return a.catRanges(c, args[0], ranges)
			}
			if c.Flags().Changed("end") && o.End <= o.Start {
				if o.End == o.Start {
					return nil
				}
				return usagef("--end %d is before --start %d", o.End, o.Start)
			}
			return a.cat(c, args[0], []control.CatOptions{o})
		},
	}
	cmd.Flags().Uint64Var(&o.Start, "start", 0, "index of the first block")
	cmd.Flags().Uint64Var(&o.End, "end", 0, "index after the last block (default: all that there are)")
	cmd.Flags().StringArrayVar(&ranges, "range", nil, "only blocks A-B, both included, as for clone; repeat for more")
	cmd.Flags().Uint64Var(&o.Tail, "tail", 0, "only the last N blocks, instead of --start; 0 with --live: only new ones")
	cmd.Flags().BoolVar(&o.Live, "live", false, "go on with new blocks until interrupted")
	return cmd
}

// catRanges is cat with --range.
func (a *app) catRanges(c *cobra.Command, arg string, in []string) error {
	for _, f := range []string{"start", "end", "tail", "live"} {
		if err := oneOf(c, "range", f); err != nil {
			return err
		}
	}
	ranges, err := parseRanges(in)
	if err != nil {
		return err
	}
	var os []control.CatOptions
	for _, r := range ranges {
		os = append(os, control.CatOptions{Start: r.Start, End: r.End})
	}
	return a.cat(c, arg, os)
}

// cat writes blocks as options say, one after the other.
func (a *app) cat(c *cobra.Command, arg string, options []control.CatOptions) error {
	f, _, err := a.openToRead(c.Context(), arg, c.Name())
	if err != nil {
		return err
	}
	defer f.Close()
	for _, o := range options {
		if err := a.catOne(c, arg, f, o); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) catOne(c *cobra.Command, arg string, f control.Feed, o control.CatOptions) error {
	if c.Flags().Changed("tail") && o.Tail == 0 { // none of those that there are
		i, err := f.Info(c.Context())
		if err != nil {
			return err
		}
		if o.Start = i.Length; o.End != 0 {
			o.Start = o.End
		}
	}
	if err := a.sayBeyond(c.Context(), f, o); err != nil {
		return err
	}
	w := newLazyWriter(a)
	var next uint64 // after what was written
	err := f.Cat(c.Context(), o, func(index uint64, data []byte) error {
		next = index + 1
		return w.block(index, data)
	})
	if err == nil && next == 0 && !o.Live && o.Start == 0 && o.End == 0 {
		if i, err := f.Info(c.Context()); err == nil {
			a.sayEmpty(i)
		}
	}
	if errors.Is(err, control.ErrNodeEnded) && o.Live {
		if next == 0 && o.Tail == 0 {
			next = o.Start
		}
		err = hint(err, "go on with: %s", a.command("cat", arg, "--start", strconv.FormatUint(next, 10), "--live"))
	}
	if ferr := w.close(); err == nil {
		err = ferr
	}
	if o.Live {
		err = untilInterrupted(c.Context(), err)
	}
	return err
}

// sayBeyond says that a feed ends before what is asked for: others may have it, so it is no
// error, and reading up to an end, or live, waits for it.
func (a *app) sayBeyond(ctx context.Context, f control.Feed, o control.CatOptions) error {
	if !o.Live && o.Start == 0 && o.End == 0 {
		return nil
	}
	i, err := f.Info(ctx)
	switch {
	case err != nil:
		return err
	case receivedNothing(i) && i.Networked && (o.Live || o.End > 0):
		a.say("nothing of this feed was received yet; waiting for it")
	case receivedNothing(i):
		a.sayEmpty(i)
	case o.Live && (i.Length == 0 || o.Start > i.Length):
		a.say("the feed has %s so far; waiting for block %d", plural(i.Length, "block"), o.Start)
	case o.Live, !i.Networked, i.Writable:
	case o.End > i.Length:
		a.say("the feed has %s so far; waiting for block %d", plural(i.Length, "block"), o.End-1)
	case o.Start > i.Length:
		a.say("the feed has %s so far, none of them from %d on", plural(i.Length, "block"), o.Start)
	}
	return nil
}

// sayEmpty says why there is nothing to be written.
func (a *app) sayEmpty(i control.FeedInfo) {
	switch {
	case i.Length > 0:
	case !receivedNothing(i):
		a.say("the feed is empty")
	default:
		a.say("nothing of this feed was received yet")
		if !i.Networked {
			a.say("  → %s", a.fetch(i))
		}
	}
}

// lazyWriter gathers small blocks before they are written, and never holds
// them longer than catFlush: fast for millions, prompt for one.
type lazyWriter struct {
	a *app

	mu    sync.Mutex
	w     *bufio.Writer
	err   error // of a write; final
	timer *time.Timer
}

func newLazyWriter(a *app) *lazyWriter {
	w := &lazyWriter{a: a, w: bufio.NewWriterSize(a.out, 64<<10)}
	w.timer = time.AfterFunc(time.Hour, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if err := w.w.Flush(); w.err == nil {
			w.err = err
		}
	})
	w.timer.Stop()
	return w
}

func (w *lazyWriter) block(index uint64, data []byte) error {
	if w.a.json {
		b, err := marshalLine(blockJSON(index, data))
		if err != nil {
			return err
		}
		data = b
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	if w.w.Buffered() == 0 {
		w.timer.Reset(catFlush)
	}
	_, w.err = w.w.Write(data)
	return w.err
}

func (w *lazyWriter) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer.Stop()
	if w.err != nil {
		return w.err
	}
	return w.w.Flush()
}
