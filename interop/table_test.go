package interop

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

var (
	updateTable = flag.Bool("update-table", false, "write the table of results into README.md")
	large       = flag.Bool("large", os.Getenv("INTEROP_LARGE") == "1", "also run what takes minutes: feeds of 1 GiB and of 1,200,000 blocks, 100,000 blocks with every version")
	roundCount  = flag.Int("rounds", 200, "random rounds between npm and this on one directory")
)

// The npm versions, by the names js/hypercores.mjs gives them.
var versions = []string{"6", "6.22", "7", "9"}

// wireVersions are those that speak hypercore-protocol 6.
var wireVersions = []string{"6", "6.22", "7"}

// results is what the table is made of.
var results struct {
	sync.Mutex
	themes []string
	rows   map[string][]string          // theme → cases in order
	cells  map[string]map[string]string // theme + case → version → text
}

// cases runs one case for each version, as subtest CASE/VERSION, and records
// what came out. A subtest that has nothing to check says why with t.Skip.
func cases(t *testing.T, theme, name string, list []string, run func(t *testing.T, version string)) {
	t.Helper()
	defer others(theme, name, list)
	t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
		for _, v := range list {
			t.Run(v, func(t *testing.T) {
				defer func() {
					switch {
					case t.Failed():
						record(theme, name, v, "**fails**")
					case !t.Skipped():
						record(theme, name, v, "pass")
					}
				}()
				d := js(t)
				t.Cleanup(d.reset)
				within(t, d, limit())
				run(t, v)
			})
		}
	})
}

// others fills the cells of versions that a case is not about.
func others(theme, name string, list []string) {
	for _, v := range versions {
		switch {
		case slices.Contains(list, v):
		case v == "9" && slices.Equal(list, wireVersions):
			record(theme, name, v, "another wire")
		case slices.Equal(list, []string{"9"}):
			record(theme, name, v, "about 9.12.0")
		}
	}
}

// record sets a cell; the first text stays.
func record(theme, name, version, text string) {
	results.Lock()
	defer results.Unlock()
	if results.rows == nil {
		results.rows = map[string][]string{}
		results.cells = map[string]map[string]string{}
	}
	if !slices.Contains(results.themes, theme) {
		results.themes = append(results.themes, theme)
	}
	if !slices.Contains(results.rows[theme], name) {
		results.rows[theme] = append(results.rows[theme], name)
	}
	row := results.cells[theme+"\x00"+name]
	if row == nil {
		row = map[string]string{}
		results.cells[theme+"\x00"+name] = row
	}
	if row[version] == "" {
		row[version] = text
	}
}

// reason ends a subtest whose case cannot hold with this version of npm; the
// text becomes the cell. What it says was checked before by the subtest.
func reason(t *testing.T, theme, name, version, text string) {
	t.Helper()
	if !t.Failed() {
		record(theme, name, version, text)
		t.Skip(text)
	}
}

const (
	tableBegin = "<!-- table: written by go test ./interop -update-table -large -->"
	tableEnd   = "<!-- end of table -->"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if why := unavailable(); why != "" && os.Getenv("INTEROP_REQUIRED") != "1" && !testing.Verbose() {
		sayAlthoughPassing("interop skipped: " + why)
		return
	}
	code := m.Run()
	for _, d := range drivers.all {
		d.end(errors.New("the tests are over"))
	}
	for _, dir := range removeLater {
		os.RemoveAll(dir)
	}
	if *updateTable {
		if err := writeTable("README.md"); err != nil {
			fmt.Fprintln(os.Stderr, "interop:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// writeTable replaces the table in the README by what this run found. If it was not
// a run of everything, the cells that it did not reach stay as they are.
func writeTable(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	begin, end := strings.Index(string(text), tableBegin), strings.Index(string(text), tableEnd)
	if begin < 0 || end < begin {
		return fmt.Errorf("%s: no place for the table", file)
	}
	names, err := releases()
	if err != nil {
		return err
	}
	if whole := *large && flag.Lookup("test.run").Value.String() == ""; !whole {
		keep(string(text[begin:end]))
	}
	var b strings.Builder
	b.Write(text[:begin])
	b.WriteString(tableBegin + "\n")
	results.Lock()
	defer results.Unlock()
	for _, theme := range results.themes {
		fmt.Fprintf(&b, "\n### %s\n\n| case |", theme)
		for _, v := range versions {
			fmt.Fprintf(&b, " %s |", names[v])
		}
		b.WriteString("\n|---|" + strings.Repeat("---|", len(versions)) + "\n")
		for _, name := range results.rows[theme] {
			fmt.Fprintf(&b, "| %s |", name)
			for _, v := range versions {
				cell := results.cells[theme+"\x00"+name][v]
				if cell == "" {
					cell = "–"
				}
				fmt.Fprintf(&b, " %s |", cell)
			}
			b.WriteString("\n")
		}
	}
	b.WriteString("\n")
	b.Write(text[end:])
	return os.WriteFile(file, []byte(b.String()), 0o644)
}

// keep records the cells of an earlier table, and keeps its order.
func keep(table string) {
	var themes []string
	rows := map[string][]string{}
	theme := ""
	for line := range strings.Lines(table) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "### "); ok {
			theme = name
			themes = append(themes, theme)
			continue
		}
		cells := strings.Split(line, " | ")
		if theme == "" || len(cells) != 1+len(versions) || strings.HasPrefix(line, "| case") {
			continue
		}
		name := strings.TrimPrefix(cells[0], "| ")
		rows[theme] = append(rows[theme], name)
		for i, v := range versions {
			if cell := strings.TrimSuffix(cells[i+1], " |"); cell != "–" {
				record(theme, name, v, cell)
			}
		}
	}
	results.Lock()
	defer results.Unlock()
	for _, theme := range themes {
		results.rows[theme] = union(rows[theme], results.rows[theme])
	}
	results.themes = union(themes, results.themes)
}

// union is a, and what b has more.
func union(a, b []string) []string {
	for _, s := range b {
		if !slices.Contains(a, s) {
			a = append(a, s)
		}
	}
	return a
}

// releases reads the exact versions from package.json.
func releases() (map[string]string, error) {
	text, err := os.ReadFile("package.json")
	if err != nil {
		return nil, err
	}
	var p struct{ Dependencies map[string]string }
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, err
	}
	names := map[string]string{}
	for v, pkg := range map[string]string{"6": "hypercore6", "6.22": "hypercore622", "7": "hypercore7", "9": "hypercore9"} {
		names[v] = strings.TrimPrefix(p.Dependencies[pkg], "npm:hypercore@")
	}
	return names, nil
}
