package feed

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/go-hypercore/hypercore/feed/merkle"
	"github.com/go-hypercore/hypercore/store"
)

// InspectOptions of Inspect. The zero value gives a summary.
type InspectOptions struct {
	// Node is called for the nodes NodeStart to NodeEnd-1 that are not blank.
	Node               func(InspectedNode)
	NodeStart, NodeEnd uint64
	// Signature is called for the signatures of lengths SignatureStart to
	// SignatureEnd-1 that are not blank.
	Signature                    func(InspectedSignature)
	SignatureStart, SignatureEnd uint64
	// MaxRanges is how many ranges of a bitfield, or of signatures, are listed; 0
	// means DefaultRanges.
	MaxRanges int
}

// Limits of Inspect.
const (
	// DefaultRanges is how many ranges are listed unless more are asked for.
	DefaultRanges = 32
	// CheckedSignatures is how many signatures at each end of the file are checked
	// if no range is asked for: each takes about 50 µs.
	CheckedSignatures = 1024
)

// Span is the range Start to End-1.
type Span struct {
	Start uint64 `json:"start"`
	End   uint64 `json:"end"`
}

// InspectedFile is one file.
type InspectedFile struct {
	Name   string `json:"name"`
	Exists bool   `json:"exists"`
	Size   int64  `json:"size"`
	Header string `json:"header,omitempty"` // what it says, in words
}

// InspectedNode is an entry of tree.
type InspectedNode struct {
	Index  uint64 `json:"index"`
	Depth  uint   `json:"depth"`
	Hash   string `json:"hash"` // hex
	Size   uint64 `json:"size"` // bytes below it
	Marked bool   `json:"marked"`
}

// InspectedTree is the file tree.
type InspectedTree struct {
	Entries  uint64         `json:"entries"` // room for so many
	Present  uint64         `json:"present"` // not blank
	Unmarked uint64         `json:"unmarked"`
	Blank    uint64         `json:"markedButBlank"`
	Joined   uint64         `json:"joined"`   // parents that are made of their children
	Unjoined uint64         `json:"unjoined"` // parents that are not
	First    *InspectedNode `json:"first,omitempty"`
	Last     *InspectedNode `json:"last,omitempty"`
}

// Forms of a signature.
const (
	FormTreeHash  = "tree hash"            // 32 bytes are signed: hypercore 6 to 8
	FormLength    = "tree hash and length" // 40 bytes are signed: hypercore 9
	FormInvalid   = "invalid"
	FormRootsGone = "not all roots are here"
)

// InspectedSignature is a record of signatures.
type InspectedSignature struct {
	Length    uint64 `json:"length"` // the signed one
	Signature string `json:"signature"`
	Form      string `json:"form"`
}

// InspectedSignatures is the file signatures.
type InspectedSignatures struct {
	Records  uint64              `json:"records"` // room for so many
	Present  uint64              `json:"present"` // not blank
	Lengths  []Span              `json:"lengths"` // that are signed, at most MaxRanges
	Checked  uint64              `json:"checked"`
	TreeHash uint64              `json:"treeHash"` // of those checked, by form
	Length   uint64              `json:"treeHashAndLength"`
	Invalid  uint64              `json:"invalid"`
	Unknown  uint64              `json:"rootsMissing"`
	First    *InspectedSignature `json:"first,omitempty"`
	Last     *InspectedSignature `json:"last,omitempty"`
}

// InspectedBits is one half of bitfield.
type InspectedBits struct {
	Count  uint64 `json:"count"`
	End    uint64 `json:"end"`    // after the highest bit
	Ranges []Span `json:"ranges"` // at most MaxRanges
}

// InspectedBitfield is the file bitfield.
type InspectedBitfield struct {
	PageSize   int           `json:"pageSize"`
	Pages      uint64        `json:"pages"`
	Whole      bool          `json:"whole"` // a valid header, and no page is cut
	Blocks     InspectedBits `json:"blocks"`
	Nodes      InspectedBits `json:"nodes"`
	StaleIndex bool          `json:"staleIndex"` // its index claims what is not marked
}

// InspectedSlot is a slot of journal.
type InspectedSlot struct {
	Slot       int      `json:"slot"`
	Valid      bool     `json:"valid"`
	Newest     bool     `json:"newest,omitempty"`
	Sequence   uint64   `json:"sequence"`
	Length     uint64   `json:"length"`
	Announced  uint64   `json:"announced"`
	ByteLength uint64   `json:"byteLength"`
	Bits       uint64   `json:"bitfieldUpTo"`
	Unfinished bool     `json:"unfinished,omitempty"`
	Open       bool     `json:"open,omitempty"`
	Key        string   `json:"key,omitempty"`
	TreeHash   string   `json:"treeHash,omitempty"`
	Links      []uint64 `json:"links,omitempty"`
	Identity   string   `json:"identity,omitempty"`
	Even       uint64   `json:"even,omitempty"`      // so many blocks, from the first on, have one size
	EvenSize   uint64   `json:"evenSize,omitempty"`  // in bytes
	Entries    int      `json:"entries,omitempty"`   // small commits that follow the newest slot (redo.go)
	EntriesTo  uint64   `json:"entriesTo,omitempty"` // the length with them
}

// InspectedLengths is what each file says the length is, in blocks.
type InspectedLengths struct {
	Journal    *uint64 `json:"journal,omitempty"`
	Bitfield   uint64  `json:"bitfield"`
	Signatures uint64  `json:"signatures"` // the highest that is signed
	Tree       uint64  `json:"tree"`       // that the last node reaches to
}

// Inspection is what Inspect found.
type Inspection struct {
	Files      []InspectedFile     `json:"files"`
	Key        string              `json:"key,omitempty"`
	Discovery  string              `json:"discoveryKey,omitempty"`
	SecretKey  string              `json:"secretKey"` // in words; never the key
	Static     bool                `json:"static,omitempty"`
	Lengths    InspectedLengths    `json:"lengths"`
	Tree       InspectedTree       `json:"tree"`
	Signatures InspectedSignatures `json:"signatures"`
	Bitfield   InspectedBitfield   `json:"bitfield"`
	Journal    []InspectedSlot     `json:"journal,omitempty"`
	Fork       string              `json:"fork,omitempty"`
	// Problems are what disagrees, at most 1000; Count is how many there are.
	Problems []Problem `json:"problems,omitempty"`
	Count    uint64    `json:"problemCount"`
}

// inspector is one inspection. It uses a Feed that is not open, for its readers.
type inspector struct {
	ctx context.Context
	f   *Feed
	o   InspectOptions
	r   *Inspection
	s   *found

	promised uint64 // the length with the entries of the journal; 0 if there are none
}

// Inspect decodes the files of a directory one by one, whatever their state, and
// compares them. It changes nothing and takes no lock: of a feed that is being
// written it sees what happens to be there. It does not read the blocks, see
// Audit. It fails with ErrNotFound if there is no file, or with an error of the
// storage.
func Inspect(ctx context.Context, st store.Storage, o InspectOptions) (*Inspection, error) {
	if o.MaxRanges <= 0 {
		o.MaxRanges = DefaultRanges
	}
	if r, ok := st.(store.Reader); ok {
		st = r.Reading()
	}
	i := &inspector{ctx: ctx, f: &Feed{st: st, opts: Options{ReadOnly: true}}, o: o, r: &Inspection{}, s: &found{sizes: map[string]int64{}}}
	defer i.f.files.close()
	for _, step := range []func() error{i.files, i.keys, i.journal, i.bitfield, i.tree, i.signatures, i.compare, i.fork} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return i.r, nil
}

func (i *inspector) problem(file string, off int64, format string, args ...any) {
	if i.r.Count++; len(i.r.Problems) < maxProblems {
		i.r.Problems = append(i.r.Problems, Problem{file, off, fmt.Sprintf(format, args...)})
	}
}

// files opens what there is and looks at the headers.
func (i *inspector) files() error {
	f, any := i.f, false
	err := f.files.each(func(name string, file *store.File) (err error) {
		x := InspectedFile{Name: name}
		if *file, err = openIf(f.st, name); err != nil {
			return f.fileError("open", name, err)
		}
		if *file != nil {
			any, x.Exists = true, true
			if x.Size, err = (*file).Size(); err != nil {
				return f.fileError("size of", name, err)
			}
			i.s.sizes[name] = x.Size
			if x.Header, err = i.header(name, *file); err != nil {
				return err
			}
		}
		i.r.Files = append(i.r.Files, x)
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range []string{keyName, secretName, forkName} {
		file, err := openIf(f.st, name)
		if err != nil {
			return f.fileError("open", name, err)
		}
		x := InspectedFile{Name: name}
		if file != nil {
			any, x.Exists = true, true
			x.Size, err = file.Size()
			file.Close()
			if err != nil {
				return f.fileError("size of", name, err)
			}
		}
		i.r.Files = append(i.r.Files, x)
	}
	if !any {
		return fmt.Errorf("%w: %s", ErrNotFound, f.st)
	}
	return nil
}

// header says what the header of a file is.
func (i *inspector) header(name string, file store.File) (string, error) {
	if headerOf(name, 0) == nil {
		return "", nil
	}
	var h [headerSize]byte
	n, err := readFull(file, h[:], 0)
	if err != nil {
		return "", i.f.fileError("read", name, err)
	}
	if n < headerSize {
		i.problem(name, 0, "it has no room for a header")
		return "missing", nil
	}
	want := headerOf(name, int(h[5])<<8|int(h[6]))
	if at := firstDifference(h[:], want); at >= 0 {
		i.problem(name, int64(at), "the header is not what it should be")
	}
	if [3]byte(h[:]) != [3]byte{5, 2, 0x57} {
		return fmt.Sprintf("not one of a hypercore: % x", h[:8]), nil
	}
	s := fmt.Sprintf("type %d, version %d, entries of %d bytes", h[3], h[4], int(h[5])<<8|int(h[6]))
	if l := min(int(h[7]), headerSize-8); l > 0 {
		s += fmt.Sprintf(", %q", h[8:8+l])
	}
	return s, nil
}

// keys looks at key and secret_key.
func (i *inspector) keys() error {
	f := i.f
	key, err := readSmall(f.st, keyName, keySize)
	if err != nil {
		return f.fileError("read", keyName, err)
	}
	secret, err := readSmall(f.st, secretName, secretSize)
	if err != nil {
		return f.fileError("read", secretName, err)
	}
	if len(key) == keySize && !isZero(key) {
		f.key = Key(key)
		i.s.key = key
		i.r.Key, i.r.Discovery = f.key.String(), f.key.Discovery().String()
	}
	switch k, serr := checkSecret(secret); {
	case len(secret) == 0:
		i.r.SecretKey = "missing"
	case len(secret) < secretSize:
		i.r.SecretKey = fmt.Sprintf("only %d bytes", len(secret))
		i.problem(secretName, int64(len(secret)), "it has %d bytes, not %d", len(secret), secretSize)
	case serr != nil:
		i.r.SecretKey = "malformed"
		i.problem(secretName, 0, "%v", serr)
	case i.s.key == nil:
		i.r.SecretKey = "of the key " + k.String()
	case k != f.key:
		i.r.SecretKey = "of another key: " + k.String()
		i.problem(secretName, keySize, "it belongs to the key %v, not to the one in %s", k, keyName)
	default:
		i.r.SecretKey = "of this key"
	}
	return nil
}

// journal decodes both slots.
func (i *inspector) journal() error {
	f := i.f
	if f.files.journal == nil {
		return nil
	}
	var err error
	if i.s.journal, i.s.hasJournal, err = readJournal(f.files.journal); err != nil && !i.s.hasJournal {
		return f.fileError("read", journalName, err)
	}
	for k := range 2 {
		var b [slotSize]byte
		if _, err := readFull(f.files.journal, b[:], int64(k)*slotStride); err != nil {
			i.problem(journalName, int64(k)*slotStride, "slot %d cannot be read: %v", k, err)
			continue
		}
		if isZero(b[:]) {
			continue
		}
		x := InspectedSlot{Slot: k}
		if r, ok := parseSlot(b[:]); ok {
			x = InspectedSlot{
				Slot: k, Valid: true, Newest: r.seq == i.s.journal.seq, Sequence: r.seq, Length: r.length, Announced: r.announced,
				ByteLength: r.byteLen, Bits: r.bits, Unfinished: r.unfinished, Open: r.open, Key: r.key.String(),
				TreeHash: hex.EncodeToString(r.hash[:]), Links: r.links, Identity: r.identity, Even: r.even.blocks, EvenSize: r.even.size,
			}
			entries, err := f.readEntries(&r)
			if err != nil && x.Newest {
				i.problem(journalName, redoStart, "an entry cannot be read: %v", err)
			}
			if x.Newest && len(entries) > 0 {
				x.Entries, x.EntriesTo = len(entries), entriesEnd(&r, entries)
				i.promised = x.EntriesTo
			}
		}
		i.r.Journal = append(i.r.Journal, x)
	}
	if !i.s.hasJournal && i.s.sizes[journalName] > 0 {
		i.problem(journalName, 0, "no slot is valid")
	}
	if i.s.hasJournal {
		j := &i.s.journal
		f.draft = j.unfinished
		i.r.Lengths.Journal = &j.length
		if i.s.key != nil && !j.unfinished && j.key != f.key {
			i.problem(journalName, 56, "it belongs to the key %v, not to the one in %s", j.key, keyName)
		}
	}
	return nil
}

// fork looks at the evidence of a fork.
func (i *inspector) fork() error {
	b, err := readSmall(i.f.st, forkName, maxForkFile)
	if err != nil {
		return i.f.fileError("read", forkName, err)
	}
	if isZero(b) {
		return nil
	}
	var e ForkEvidence
	if err := json.Unmarshal(b, &e); err != nil {
		i.r.Fork = "not readable"
		i.problem(forkName, 0, "%v", err)
		return nil
	}
	switch err := e.Verify(); {
	case err != nil:
		i.r.Fork = "proves nothing"
		i.problem(forkName, 0, "%v", err)
	case e.Key != i.f.key:
		i.r.Fork = "of another feed"
		i.problem(forkName, 0, "it is about the feed %v", e.Key)
	default:
		i.r.Fork = fmt.Sprintf("proves that two histories are signed, of %d and %d blocks", e.Ours.Length, e.Theirs.Length)
	}
	return nil
}

// roots reads the roots of a length.
func (i *inspector) roots(length uint64) (c candidate, err error) {
	c = candidate{length: length, acc: new(merkle.Accumulator), state: rootsMissing}
	if length > MaxLength {
		return c, nil
	}
	var buf [merkle.MaxRoots]uint64
	var roots []merkle.Node
	for _, n := range merkle.Roots(buf[:0], length) {
		node, ok, err := i.f.rawNode(n)
		if err != nil || !ok {
			return c, err
		}
		roots = append(roots, node)
	}
	if acc, err := merkle.NewAccumulator(roots); err == nil {
		c.acc, c.hash, c.state = acc, acc.TreeHash(), sigValid
	}
	return c, nil
}
