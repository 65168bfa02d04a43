package control

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/store"
)

// Ref is what a FEED argument means. Dir or Key is set, often both.
type Ref struct {
	Arg  string   // as given
	Dir  string   // absolute directory; empty: no directory of this home has the key
	Key  feed.Key // zero: not known without opening the directory
	Name string   // its name in the home; empty for a directory elsewhere
	Note string   // something the user should know about the choice; mostly empty
}

// Refers explains FEED, for help texts.
const Refers = `FEED is one of
  a key        64 hex digits, also as dat://... or hyper://...: the feed in the home,
               or in a running node, that has this key
  a directory  anything with a slash in it, . and ..: ./notes, /srv/feeds/a
  a name       anything else: ./NAME if that directory holds a feed, otherwise the
               feed of this name in the home (--home, $HYPERCORE_HOME)`

// Names in a home are shorter than a key in hex and than any file system's limit.
const maxName = 63

// UnknownFeedError says that a FEED argument refers to nothing. It is feed.ErrNotFound.
type UnknownFeedError struct {
	Arg  string
	Why  string   // what was looked for and where
	Near []string // names in the home that look alike, best first
}

func (e *UnknownFeedError) Error() string {
	s := fmt.Sprintf("no feed %q: %s", e.Arg, e.Why)
	if len(e.Near) > 0 {
		s += "; did you mean " + strings.Join(e.Near, " or ") + "?"
	}
	return s
}

func (e *UnknownFeedError) Unwrap() error { return feed.ErrNotFound }

// Resolve finds the existing feed that arg refers to (see Refers). A key that
// no directory of the home has is returned without Dir: a running node may
// have it. Errors: *UnknownFeedError, fs.ErrPermission, or what is wrong with arg.
func (h *Home) Resolve(arg string) (Ref, error) {
	r, err := h.resolve(arg)
	if err != nil {
		return r, err
	}
	switch {
	case r.Dir == "" || IsFeedDir(r.Dir):
		return r, nil
	case unreadable(r.Dir) != nil:
		return r, fmt.Errorf("control: feed %q: %w", arg, unreadable(r.Dir))
	case r.Name == "":
		why := "the directory " + r.Dir + " holds no feed"
		if _, err := os.Stat(r.Dir); err != nil {
			why = "there is no directory " + r.Dir
		}
		return r, &UnknownFeedError{Arg: arg, Why: why}
	}
	return r, &UnknownFeedError{Arg: arg, Why: "neither a directory here nor a name in " + h.feedsDir(), Near: h.near(r.Name)}
}

// ResolveNew says where a feed that is to be created as arg goes. It does not
// tell whether one is there already.
func (h *Home) ResolveNew(arg string) (Ref, error) { return h.resolve(arg) }

func (h *Home) resolve(arg string) (Ref, error) {
	r := Ref{Arg: arg}
	if arg == "" {
		return r, badNamef("FEED is empty")
	}
	if LooksLikeKey(arg) {
		k, err := ParseKey(arg)
		if err != nil {
			return r, err
		}
		r.Key = k
		r.Dir, r.Name, err = h.findKey(k)
		return r, err
	}
	if arg == "." || arg == ".." || strings.ContainsRune(arg, '/') || strings.ContainsRune(arg, filepath.Separator) {
		abs, err := filepath.Abs(arg)
		if err != nil {
			return r, fmt.Errorf("directory %s: %w", arg, err)
		}
		r.Dir = abs
		return r, nil
	}
	if err := CheckName(arg); err != nil {
		return r, err
	}
	if abs, err := filepath.Abs(arg); err == nil && IsFeedDir(abs) {
		r.Dir = abs
		if d := h.FeedDir(arg); d != abs && IsFeedDir(d) {
			r.Note = fmt.Sprintf("%s is the directory here; the home has another feed of this name, %s", arg, d)
		}
		return r, nil
	}
	r.Dir, r.Name = h.FeedDir(arg), arg
	return r, nil
}

// CheckName tells whether name may name a feed in a home.
func CheckName(name string) error {
	switch {
	case name == "":
		return badNamef("FEED is empty")
	case len(name) > maxName:
		return badNamef("name %.20s… has %d bytes; a name has at most %d", name, len(name), maxName)
	case !utf8.ValidString(name):
		return badNamef("name %q: a name is text in UTF-8", name)
	case strings.ContainsAny(name, "\x00\n"):
		return badNamef("name %q: a name is one line", name)
	case strings.ContainsAny(name, "/\\:"):
		return badNamef("name %q: a name has no slash, backslash or colon", name)
	case name[0] == '.' || name[0] == '-':
		return badNamef("name %q: a name does not begin with %c", name, name[0])
	}
	return nil
}

// IsFeedDir tells whether dir holds a feed, whole or damaged, see feed.Holds.
func IsFeedDir(dir string) bool {
	fi, err := os.Stat(filepath.Join(dir, "key")) // a home may have thousands
	return err == nil && fi.Mode().IsRegular() && fi.Size() == int64(len(feed.Key{})) || feed.Holds(store.Dir(dir))
}

// unreadable says why nobody can tell whether dir holds a feed; nil: it does not.
func unreadable(dir string) error {
	for _, f := range []string{"key", "bitfield", "tree"} {
		h, err := os.Open(filepath.Join(dir, f))
		if errors.Is(err, fs.ErrPermission) {
			return err
		}
		if err == nil {
			h.Close()
		}
	}
	return nil
}

// findKey looks for the feed with key k in the home: under its hex first, then
// among the named ones.
func (h *Home) findKey(k feed.Key) (dir, name string, err error) {
	hex := k.String()
	if d := h.FeedDir(hex); IsFeedDir(d) {
		return d, hex, nil
	}
	ents, err := h.readFeeds()
	for _, e := range ents {
		if b, err := os.ReadFile(filepath.Join(h.FeedDir(e.Name()), "key")); err == nil && string(b) == string(k[:]) {
			return h.FeedDir(e.Name()), e.Name(), nil
		}
	}
	return "", "", err
}

// readFeeds reads the directory of the feeds; without one there are none.
func (h *Home) readFeeds() ([]os.DirEntry, error) {
	ents, err := os.ReadDir(h.feedsDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("control: the feeds of the home: %w", err)
	}
	return ents, nil
}

// Names lists the feeds of the home, sorted, and what may not be looked into and may be
// one. Its error says why nobody can tell what there is.
func (h *Home) Names() ([]string, error) {
	ents, err := h.readFeeds()
	var out []string
	for _, e := range ents {
		if d := h.FeedDir(e.Name()); IsFeedDir(d) || unreadable(d) != nil {
			out = append(out, e.Name())
		}
	}
	return out, err
}

// near lists the names of the home that look like name, best first.
func (h *Home) near(name string) []string {
	type cand struct {
		name string
		d    int
	}
	var cands []cand
	names, _ := h.Names() // it is a guess only
	for _, n := range names {
		d := distance(strings.ToLower(name), strings.ToLower(n))
		if d <= 1+len(name)/4 || len(name) >= 3 && strings.HasPrefix(n, name) {
			cands = append(cands, cand{n, d})
		}
	}
	slices.SortStableFunc(cands, func(a, b cand) int { return a.d - b.d })
	var out []string
	for _, c := range cands[:min(len(cands), 3)] {
		out = append(out, c.name)
	}
	return out
}

// distance is the Levenshtein distance of two names.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diag := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diag, row[j+1] = row[j+1], min(row[j]+1, row[j+1]+1, diag+cost)
		}
	}
	return row[len(b)]
}
