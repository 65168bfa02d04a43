//go:build linux

package lab

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
)

var update = flag.Bool("update", false, "write the tables of docs/networks.md")

// docs is the document with the tables, each between <!-- NAME --> and
// <!-- end of NAME -->.
const docs = "../docs/networks.md"

// docsMu is held while docs is read and written.
var docsMu sync.Mutex

// table is one of the document.
type table struct {
	name  string
	heads []string

	mu   sync.Mutex
	rows map[int][]string
}

func newTable(name string, heads ...string) *table {
	return &table{name: name, heads: heads, rows: map[int][]string{}}
}

// add sets the row at a place.
func (t *table) add(at int, cells ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows[at] = cells
}

// String is the table in Markdown.
func (t *table) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	row := func(cells []string) {
		for _, c := range cells {
			fmt.Fprintf(&b, "| %s ", strings.ReplaceAll(c, "|", "\\|"))
		}
		b.WriteString("|\n")
	}
	row(t.heads)
	b.WriteString(strings.Repeat("|---", len(t.heads)) + "|\n")
	for i, n := 0, len(t.rows); n > 0; i++ {
		if cells, ok := t.rows[i]; ok {
			row(cells)
			n--
		}
	}
	return b.String()
}

// write logs the table, and with -update puts it into the document unless a
// case failed or was left out.
func (t *table) write(tb testing.TB) {
	if len(t.rows) == 0 {
		return
	}
	tb.Logf("%s\n%s", t.name, t)
	if !*update || tb.Failed() {
		return
	}
	docsMu.Lock()
	defer docsMu.Unlock()
	old, err := os.ReadFile(docs)
	if err != nil {
		tb.Fatal(err)
	}
	begin, end := "<!-- "+t.name+" -->\n", "<!-- end of "+t.name+" -->\n"
	head, rest, ok := strings.Cut(string(old), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		tb.Fatalf("%s has no place for the table %s", docs, t.name)
	}
	if err := os.WriteFile(docs, []byte(head+begin+t.String()+end+tail), 0o644); err != nil {
		tb.Fatal(err)
	}
}

// told picks from what a command wrote what is particular to a case, and
// shortens it.
func told(lines []string) string {
	var out []string
	for _, l := range lines {
		l = strings.TrimSpace(l)
		switch {
		case l == "", strings.HasPrefix(l, "cloning into "), strings.HasPrefix(l, "next: "), strings.HasPrefix(l, "hypercore "),
			strings.HasPrefix(l, "moved: "), strings.HasPrefix(l, "clone: "), strings.HasPrefix(l, "listening on "):
			continue
		}
		out = append(out, l)
	}
	return strings.Join(out, " / ")
}

// transport names the last transport of a multiaddr.
func transport(addr string) string {
	name := "TCP"
	for _, p := range []struct{ part, name string }{{"/quic-v1", "QUIC"}, {"/ws", "WebSocket"}, {"/webtransport", "WebTransport"}, {"/webrtc-direct", "WebRTC"}} {
		if strings.Contains(addr, p.part) {
			name = p.name
		}
	}
	if strings.HasPrefix(addr, "/ip6/") {
		name += " over IPv6"
	}
	return name
}
