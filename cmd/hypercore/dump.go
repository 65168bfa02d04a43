package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/store"
)

const dumpHelp = `
Decode each file of a feed and say what disagrees between them: headers, the nodes of
the tree, which lengths are signed and in what form, which blocks and nodes the bitfield
marks, the slots of the journal. It works on directories that are damaged, that were
written by the hypercore package of npm, or that are in use; nothing is changed and
nothing is locked. It does not read the blocks: hypercore verify does.

  hypercore dump notes
  hypercore dump ./broken --nodes 0-30 --signatures 1-10

Without --signatures the first and the last 1024 signatures are checked. The forms are:
"tree hash" (hypercore 6 to 8), "tree hash and length" (hypercore 9), "invalid", and "not
all roots are here", for lengths of which this copy has no proof. Exit code 2 when
something disagrees.

--json: {files, key, discoveryKey, secretKey, static, lengths, tree, signatures, bitfield,
journal, fork, problems, problemCount}; with --nodes before it one line per node,
{"node":{index, depth, hash, size, marked}}, with --signatures one per signature,
{"signature":{length, signature, form}}. Ranges are {start, end}, end not included.`

// dumpOptions are the flags of dump.
type dumpOptions struct {
	nodes, signatures string
	ranges            int
}

func newDump(a *app) *cobra.Command {
	var o dumpOptions
	cmd := &cobra.Command{
		Use:   "dump FEED",
		Short: "Decode the files of a feed and compare them",
		Long:  text(dumpHelp),
		Args:  args(1, 1),
		RunE:  func(c *cobra.Command, args []string) error { return a.dump(c, args[0], &o) },
	}
	cmd.Flags().StringVar(&o.nodes, "nodes", "", "list the nodes A-B of the tree, both included; 0- lists all")
	cmd.Flags().StringVar(&o.signatures, "signatures", "", "list and check the signatures of lengths A-B, both included; 1- lists all")
	cmd.Flags().IntVar(&o.ranges, "ranges", feed.DefaultRanges, "list at most so many ranges of each kind")
	return cmd
}

func (a *app) dump(c *cobra.Command, arg string, o *dumpOptions) error {
	h, err := a.home()
	if err != nil {
		return err
	}
	ref, err := a.resolveDir(h, arg)
	if err != nil {
		return err
	}
	io := feed.InspectOptions{MaxRanges: o.ranges}
	var werr error // of the lists
	var nodes, signatures uint64
	if o.nodes != "" {
		if io.NodeStart, io.NodeEnd, err = span("nodes", o.nodes); err != nil {
			return err
		}
		io.Node = func(n feed.InspectedNode) {
			nodes++
			werr = errors.Join(werr, a.printNode(n))
		}
	}
	if o.signatures != "" {
		if io.SignatureStart, io.SignatureEnd, err = span("signatures", o.signatures); err != nil {
			return err
		}
		io.Signature = func(s feed.InspectedSignature) {
			signatures++
			werr = errors.Join(werr, a.printSignature(s))
		}
	}
	r, err := feed.Inspect(c.Context(), store.Dir(ref.Dir), io)
	if err = errors.Join(err, werr); err != nil {
		return err
	}
	if o.nodes != "" && nodes == 0 {
		a.say("there are no nodes %s in the tree, which has %s of %s entries", o.nodes, countText(r.Tree.Present), countText(r.Tree.Entries))
	}
	if o.signatures != "" && signatures == 0 {
		a.say("there are no signatures of the lengths %s; signed lengths: %s", o.signatures, spansText(r.Signatures.Lengths, r.Signatures.Present))
	}
	if a.json {
		err = a.emit(r)
	} else {
		err = a.table(dumpRows(ref.Dir, r))
	}
	if err == nil && r.Count > 0 {
		err = hint(fmt.Errorf("%s: %s: %w", arg, plural(r.Count, "problem"), errInvalid), "%s checks the blocks too", a.command("verify", arg))
	}
	return err
}

func (a *app) printNode(n feed.InspectedNode) error {
	if a.json {
		return a.emit(struct {
			Node feed.InspectedNode `json:"node"`
		}{n})
	}
	mark := ""
	if !n.Marked {
		mark = "  not marked"
	}
	return a.print("node %d  depth %d  %s  %d bytes%s", n.Index, n.Depth, n.Hash, n.Size, mark)
}

func (a *app) printSignature(s feed.InspectedSignature) error {
	if a.json {
		return a.emit(struct {
			Signature feed.InspectedSignature `json:"signature"`
		}{s})
	}
	return a.print("signature of length %d  %s  %s", s.Length, s.Signature, s.Form)
}

// dumpRows are the summary.
func dumpRows(dir string, r *feed.Inspection) (rows [][2]string) {
	add := func(name, format string, args ...any) {
		rows = append(rows, [2]string{name, fmt.Sprintf(format, args...)})
	}
	add("directory", "%s", dir)
	key := r.Key
	if key == "" {
		key = "missing"
	}
	add("key", "%s", key)
	add("discovery key", "%s", r.Discovery)
	add("secret key", "%s", r.SecretKey)
	if r.Static {
		add("static", "the key is the tree hash")
	}
	for _, f := range r.Files {
		switch {
		case !f.Exists && f.Name == "fork": // as it should be
		case !f.Exists:
			add("file "+f.Name, "missing")
		case f.Header != "":
			add("file "+f.Name, "%s; header: %s", plural(uint64(f.Size), "byte"), f.Header)
		default:
			add("file "+f.Name, "%s", plural(uint64(f.Size), "byte"))
		}
	}
	l := r.Lengths
	says := fmt.Sprintf("bitfield %s, signatures %s, tree %s", countText(l.Bitfield), countText(l.Signatures), countText(l.Tree))
	if l.Journal != nil {
		says = "journal " + countText(*l.Journal) + ", " + says
	}
	add("length", "%s", says)
	t := &r.Tree
	add("nodes", "%s of %s entries, %s not marked, %s marked but blank", countText(t.Present), countText(t.Entries), countText(t.Unmarked), countText(t.Blank))
	add("parents", "%s made of their children, %s not", countText(t.Joined), countText(t.Unjoined))
	for i, n := range []*feed.InspectedNode{t.First, t.Last} {
		if n != nil {
			add([]string{"first node", "last node"}[i], "%d, depth %d, %s, %s", n.Index, n.Depth, n.Hash, plural(n.Size, "byte"))
		}
	}
	s := &r.Signatures
	add("signatures", "%s of %s records; checked %s: %s tree hash, %s tree hash and length, %s invalid, %s without roots here",
		countText(s.Present), countText(s.Records), countText(s.Checked), countText(s.TreeHash), countText(s.Length), countText(s.Invalid), countText(s.Unknown))
	add("signed lengths", "%s", spansText(s.Lengths, s.Present))
	if s.Last != nil {
		add("last signature", "length %d, %s, %s", s.Last.Length, s.Last.Form, s.Last.Signature)
	}
	b := &r.Bitfield
	add("bitfield", "%s of %s", plural(b.Pages, "page"), plural(uint64(b.PageSize), "byte"))
	if b.StaleIndex {
		add("bitfield index", "it claims what is not marked; it is rebuilt by the next writer")
	}
	add("blocks marked", "%s: %s", countText(b.Blocks.Count), spansText(b.Blocks.Ranges, b.Blocks.Count))
	add("nodes marked", "%s: %s", countText(b.Nodes.Count), spansText(b.Nodes.Ranges, b.Nodes.Count))
	for _, j := range r.Journal {
		add(fmt.Sprintf("journal slot %d", j.Slot), "%s", slotText(j))
	}
	add("fork", "%s", r.Fork)
	for _, p := range r.Problems {
		add("problem", "%s", p)
	}
	if r.Count > uint64(len(r.Problems)) {
		add("problem", "and %s more", countText(r.Count-uint64(len(r.Problems))))
	}
	if r.Count == 0 {
		add("problems", "none: the files agree")
	}
	return rows
}

func slotText(j feed.InspectedSlot) string {
	if !j.Valid {
		return "torn: its checksum is wrong"
	}
	s := fmt.Sprintf("sequence %d, length %d, announced %d, %d bytes, bitfield up to %d, tree hash %s", j.Sequence, j.Length, j.Announced, j.ByteLength, j.Bits, j.TreeHash)
	if j.Identity != "" {
		s += fmt.Sprintf(", written by %q", j.Identity)
	}
	if j.Even > 1 {
		s += fmt.Sprintf(", the first %d blocks of %d bytes each", j.Even, j.EvenSize)
	}
	if j.Entries > 0 {
		s += fmt.Sprintf(", and %s after it, up to length %d", plural(uint64(j.Entries), "small commit"), j.EntriesTo)
	}
	if len(j.Links) > 0 {
		s += fmt.Sprintf(", not linked: lengths %v", j.Links)
	}
	if j.Unfinished {
		s += ", static and not finalized"
	}
	if j.Open {
		s += ", not closed"
	}
	if j.Newest {
		s += " (the newest)"
	}
	return s
}
