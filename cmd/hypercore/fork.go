package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/feed/merkle"
)

const forkHelp = `
A feed is forked when two different histories were signed with its key: by two machines
that both wrote, a restored backup that went on, or a writer who wanted to deceive. Who
meets both keeps the evidence in the file fork of the feed's directory and stops.

  hypercore fork explain ./copy/fork`

const forkExplainHelp = `
Check the evidence of a fork and say in plain words what it proves. The file is portable:
it can be sent to anybody, and nothing else is needed to check it, neither the feed nor
a network. FILE "-" is standard input. Exit code 2 if the file proves nothing.

  hypercore fork explain ./copy/fork

--json: {proven, key, node, blocks: {start, end}, lengths, signatures, hashes, reason}: the
histories differ in blocks start to end-1; each list has the values of both sides; reason
is why nothing is proven`

func newFork(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fork explain FILE",
		Short: "Check the evidence that a feed has two histories",
		Long:  text(forkHelp),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 && args[0] != "explain" {
				return usagef("%q: it is called as hypercore fork explain FILE", args[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "explain FILE",
		Short: "Check the evidence that a feed has two histories",
		Long:  text(forkExplainHelp),
		Args:  args(1, 1),
		RunE:  func(_ *cobra.Command, args []string) error { return a.forkExplain(args[0]) },
	})
	return cmd
}

// forkJSON is what a file proves.
type forkJSON struct {
	Proven     bool       `json:"proven"`
	Key        string     `json:"key,omitempty"`
	Node       *uint64    `json:"node,omitempty"`
	Blocks     *feed.Span `json:"blocks,omitempty"`
	Lengths    []uint64   `json:"lengths,omitempty"`
	Signatures []string   `json:"signatures,omitempty"`
	Hashes     []string   `json:"hashes,omitempty"`
	Reason     string     `json:"reason,omitempty"`
}

// maxEvidence bounds what is read: a real file has some tens of KiB.
const maxEvidence = 1 << 20

func (a *app) forkExplain(name string) error {
	in := a.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxEvidence+1))
	if err != nil {
		return err
	}
	var e feed.ForkEvidence
	if len(b) > maxEvidence {
		err = fmt.Errorf("it has more than %d bytes", maxEvidence)
	} else if err = json.Unmarshal(b, &e); err == nil {
		err = e.Verify()
	}
	if err != nil {
		if a.json {
			if err := a.emit(forkJSON{Reason: message(err)}); err != nil {
				return err
			}
		}
		return fmt.Errorf("%s proves nothing: %s: %w", name, message(err), errInvalid)
	}
	n := e.Ours.Node.Index
	blocks := feed.Span{Start: merkle.LeftSpan(n) / 2, End: merkle.RightSpan(n)/2 + 1}
	if a.json {
		return a.emit(forkJSON{
			Proven: true, Key: e.Key.String(), Node: &n, Blocks: &blocks, Lengths: []uint64{e.Ours.Length, e.Theirs.Length},
			Signatures: []string{fmt.Sprintf("%x", e.Ours.Signature), fmt.Sprintf("%x", e.Theirs.Signature)},
			Hashes:     []string{fmt.Sprintf("%x", e.Ours.Node.Hash), fmt.Sprintf("%x", e.Theirs.Node.Hash)},
		})
	}
	what := fmt.Sprintf("in block %d", blocks.Start)
	if blocks.End > blocks.Start+1 {
		what = fmt.Sprintf("somewhere in blocks %d to %d", blocks.Start, blocks.End-1)
	}
	return a.print(`This file proves a fork: whoever holds the secret key of the feed
  %s
signed two histories of it that cannot both be true.

  one has %s, signature %x
  the other has %s, signature %x

Both signatures are right for that key, and the two histories differ %s:
node %d of the tree is %x (%s)
in the one, and %x (%s) in the other.

How it happens: two machines wrote with the same secret key, a directory that was
restored from a backup went on, or the writer wants to show different things to
different readers. Blocks before %d are not put in doubt by this file.

What to do: a forked feed cannot be mended, because readers who have the one history
refuse the other. The writer begins a new feed, publishes its key, and keeps this file to
show why. Directories that a backup may restore are made safe with hypercore recover.`,
		e.Key, plural(e.Ours.Length, "block"), e.Ours.Signature, plural(e.Theirs.Length, "block"), e.Theirs.Signature,
		what, n, e.Ours.Node.Hash, plural(e.Ours.Node.Size, "byte"), e.Theirs.Node.Hash, plural(e.Theirs.Node.Size, "byte"), blocks.Start)
}
