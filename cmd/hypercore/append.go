package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node/control"
)

const appendHelp = `
Append files, or standard input, to a feed of yours. The input is cut into blocks, the
unit that readers fetch and that is checked: chunks of 64 KiB, or one block per line
(its newline included), or one block per file. Lines and chunks are appended as they
arrive. When the command ends with exit code 0, everything is on disk.

A running node that seeds the feed is used, and its readers get the blocks at once.

  hypercore append notes article.txt
  tail -f /var/log/syslog | hypercore append ./log --lines
  hypercore append photos *.jpg --whole

--json: {first, blocks, bytes, length}; first is the index of the first new block`

func newAppend(a *app) *cobra.Command {
	var cut control.Cut
	var lines, whole bool
	chunk := size(control.DefaultChunk)
	cmd := &cobra.Command{
		Use:   "append FEED [FILE...]",
		Short: "Append files or standard input to a feed",
		Long:  text(appendHelp),
		Args:  args(1, -1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := oneOf(c, "lines", "whole", "chunk"); err != nil {
				return err
			}
			switch {
			case lines:
				cut.By = control.CutLines
			case whole:
				cut.By = control.CutWhole
			default:
				if chunk < 1 || chunk > control.MaxBlock {
					return usagef("--chunk %d: a block has from 1 to %d bytes", int64(chunk), control.MaxBlock)
				}
				cut.Size = int(chunk)
			}
			return a.append(c, args[0], args[1:], cut)
		},
	}
	cmd.Flags().BoolVar(&lines, "lines", false, "one block per line")
	cmd.Flags().BoolVar(&whole, "whole", false, "one block per file")
	cmd.Flags().Var(&chunk, "chunk", "blocks of this many bytes")
	return cmd
}

// input is one thing to append.
type input struct {
	name string
	r    io.Reader
	size int64 // -1: not known
}

// openInputs opens all files before anything is appended: a name that is
// wrong must not be found out in the middle.
func (a *app) openInputs(files []string) (ins []input, closeAll func(), err error) {
	closeAll = func() {
		for _, in := range ins {
			if f, ok := in.r.(*os.File); ok && in.r != a.in {
				f.Close()
			}
		}
	}
	if len(files) == 0 {
		return []input{a.stdin()}, closeAll, nil
	}
	for _, name := range files {
		if name == "-" {
			ins = append(ins, a.stdin())
			continue
		}
		f, err := os.Open(name)
		if err == nil {
			ins = append(ins, input{name, f, sizeOf(f)})
			if fi, serr := f.Stat(); serr == nil && fi.IsDir() {
				err = hint(fmt.Errorf("%s is a directory", name), "append its files, or a tar of it: tar c %s | %s", shellWord(name), a.command("append", cmp.Or(a.feed, "FEED")))
			}
		}
		if err != nil {
			closeAll()
			return nil, nil, err
		}
	}
	return ins, closeAll, nil
}

// stdin is standard input as a thing to append.
func (a *app) stdin() input {
	if f, ok := a.in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		a.typed = true
	}
	return input{"standard input", a.in, sizeOf(a.in)}
}

// sayTyped asks for the input, if it is typed.
func (a *app) sayTyped() {
	if a.typed {
		a.say("reading from the terminal; Ctrl-D ends")
	}
}

// sizeOf is how much a regular file has left to read; -1 when nobody knows.
func sizeOf(r io.Reader) int64 {
	f, ok := r.(*os.File)
	if !ok {
		return -1
	}
	fi, err := f.Stat()
	if err != nil || !fi.Mode().IsRegular() {
		return -1
	}
	if at, err := f.Seek(0, io.SeekCurrent); err == nil {
		return fi.Size() - at
	}
	return fi.Size()
}

// counted counts what is read.
type counted struct {
	r io.Reader
	n *atomic.Uint64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(uint64(n))
	return n, err
}

func (a *app) append(c *cobra.Command, arg string, files []string, cut control.Cut) error {
	h, ref, err := a.lookUp(arg)
	if err != nil {
		return a.feedFirst(err, c.Name(), arg, files)
	}
	ins, closeAll, err := a.openInputs(files)
	if err != nil {
		return err
	}
	defer closeAll()
	f, err := a.openRef(c.Context(), h, ref, c.Name(), feed.Options{MustExist: true})
	if err != nil {
		return err
	}
	a.sayTyped()
	var read atomic.Uint64
	var total uint64
	for _, in := range ins {
		if in.size < 0 {
			total = 0
			break
		}
		total += uint64(in.size)
	}
	p := a.progress("append", bytesUnit, func() (uint64, uint64, string) { return read.Load(), total, "" })
	var sum control.Appended
	for i, in := range ins {
		var ap control.Appended
		ap, err = f.Append(c.Context(), counted{in.r, &read}, cut)
		if i == 0 || sum.Blocks == 0 {
			sum.First = ap.First
		}
		sum.Blocks += ap.Blocks
		sum.Bytes += ap.Bytes
		sum.Uncertain, sum.Unanswered = ap.Uncertain, ap.Unanswered
		sum.Length = max(sum.Length, ap.Length)
		if errors.Is(err, feed.ErrNotWritable) {
			err = notWritable(ref.Dir, arg, err)
			break
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", in.name, err)
			rest := "see what has arrived with " + a.command("info", arg) + ", and append only the rest"
			switch {
			case errors.Is(err, control.ErrNodeEnded):
				err = hint(err, "%s", rest)
			case errors.Is(err, control.ErrTooLong) && sum.Blocks+sum.Uncertain == 0:
				err = hint(err, "%s cuts it into chunks", a.command("append", append(append([]string{arg}, files...), "--chunk", "64KiB")...))
			case errors.Is(err, control.ErrTooLong):
				err = hint(err, "%s, with --chunk", rest)
			case errors.Is(err, syscall.ENOSPC) && sum.Blocks+sum.Uncertain > 0: // the whole again would be there twice
				err = hint(err, "the disk is full; free some space, %s", rest)
			}
			break
		}
	}
	p.end()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		if sum.Blocks > 0 {
			a.warn("%s (%s) were appended before it stopped: %d to %d", plural(sum.Blocks, "block"), bytesText(sum.Bytes), sum.First, sum.First+sum.Blocks-1)
		}
		switch {
		case sum.Uncertain > 0 && sum.Unanswered:
			a.warn("the node that holds the feed was sent %s, and no one knows how much of that it has appended; before you append them again see %s", plural(sum.Uncertain, "block"), a.command("info", arg))
		case sum.Uncertain > 0:
			a.warn("of %s no one knows: %d to %d reached the disk or not; before you append them again see %s", plural(sum.Uncertain, "block"), sum.First+sum.Blocks, sum.First+sum.Blocks+sum.Uncertain-1, a.command("info", arg))
		}
		return err
	}
	if a.json {
		return a.emit(sum)
	}
	if sum.Blocks == 0 {
		a.say("nothing to append; the feed has %s", plural(sum.Length, "block"))
		return nil
	}
	a.say("appended %s, %s, from index %d; the feed has %s", plural(sum.Blocks, "block"), bytesText(sum.Bytes), sum.First, plural(sum.Length, "block"))
	return nil
}
