// Package layers holds the import graph of ARCHITECTURE.md as a test.
package layers

import (
	"errors"
	"go/build"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/go-hypercore/hypercore/"

// layers lists, for each package, every package of this module that it imports
// outside its tests. The graph is a statement of policy: an import that is not
// here is a question for ARCHITECTURE.md, not a line to add; one that is here and
// not made any more is deleted, and its arrow in ARCHITECTURE.md with it.
var layers = map[string][]string{
	"store":                 {},
	"store/storetest":       {"store"},
	"feed/merkle/lanes":     {},
	"feed/merkle":           {"feed/merkle/lanes"},
	"feed/bitfield":         {},
	"feed":                  {"store", "feed/merkle", "feed/bitfield"},
	"protocol/wire":         {},
	"protocol/wire/dump":    {"protocol/wire"},
	"protocol/schedule":     {"feed/bitfield"},
	"protocol":              {"feed", "feed/merkle", "feed/bitfield", "protocol/wire", "protocol/schedule"},
	"protocol/protocoltest": {},
	"discovery":             {},
	"node/diagnosis":        {},
	"node/guard":            {"feed", "store"},
	"node/control":          {"feed", "store", "node/diagnosis", "node/guard"},
	"node":                  {"discovery", "protocol", "feed", "store", "node/diagnosis", "node/guard"},
	"cmd/hypercore":         {"node", "node/control", "node/diagnosis", "node/guard", "protocol/wire/dump", "discovery", "feed", "feed/merkle", "store"},
	"examples/quickstart":   {"node", "feed", "store"},
	"examples/follow":       {"node", "feed", "store"},
	"examples/byohost":      {"node", "feed", "store"},
	"interop":               {},
	"lab":                   {},
	"internal/bubble":       {},                  // for tests of all packages
	"internal/fileclock":    {},                  // for tests of node and below it
	"internal/leaktest":     {},                  // for tests of all packages
	"internal/simtest":      {"internal/bubble"}, // for tests of discovery and node
	"internal/port":         {},                  // for tests of discovery, node and the command
	"internal/transcript":   {},                  // for tests of the command
}

// mayUse lists who may import what lies outside the module. A trailing slash
// means the path and everything below it.
var mayUse = map[string][]string{
	"github.com/libp2p/":     {"discovery", "node", "cmd/hypercore", "examples/byohost", "examples/follow", "internal/simtest"},
	"github.com/spf13/cobra": {"cmd/hypercore"},
	"testing":                {"store/storetest", "internal/simtest", "internal/leaktest", "internal/bubble", "internal/fileclock"},
	"flag":                   {"examples/quickstart", "examples/follow"},
}

func TestLayers(t *testing.T) {
	used := map[[2]string]bool{} // edges: package and what it imports, or a key of mayUse
	err := filepath.WalkDir(root, func(dir string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		switch n := d.Name(); {
		case n == "testdata", n == "node_modules", n == "bench", len(n) > 1 && n[0] == '.' && n != "..":
			return fs.SkipDir // bench is a module of its own
		}
		p, err := build.ImportDir(dir, 0)
		var none *build.NoGoError
		if errors.As(err, &none) || p != nil && len(p.GoFiles) == 0 {
			return nil // no Go files, or tests only
		} else if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, dir)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		allowed, known := layers[rel]
		if !known {
			t.Errorf("%s: not in the layer table", rel)
		}
		used[[2]string{rel}] = true
		for _, imp := range p.Imports {
			if in, ok := strings.CutPrefix(imp, module); ok {
				used[[2]string{rel, in}] = true
				if !slices.Contains(allowed, in) {
					t.Errorf("%s imports %s; it may import only %v", rel, in, allowed)
				}
			}
			for prefix, users := range mayUse {
				below := strings.HasSuffix(prefix, "/") && strings.HasPrefix(imp, prefix)
				if imp != prefix && !below {
					continue
				}
				used[[2]string{rel, prefix}] = true
				if !slices.Contains(users, rel) {
					t.Errorf("%s imports %s; only %v may", rel, imp, users)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for p, allowed := range layers {
		if !used[[2]string{p}] {
			t.Errorf("%s is in the layer table, and no package", p)
			continue
		}
		for _, in := range allowed {
			if !used[[2]string{p, in}] {
				t.Errorf("%s may import %s and does not: delete it from the table", p, in)
			}
		}
	}
	for prefix, users := range mayUse {
		for _, p := range users {
			if !used[[2]string{p, prefix}] {
				t.Errorf("%s may import %s and does not: delete it from the table", p, prefix)
			}
		}
	}
}

// maxLines is where a file asks to be split by concern.
const maxLines = 600

func TestFileLength(t *testing.T) {
	sources(t, func(path, text string) {
		if n := strings.Count(text, "\n"); n > maxLines {
			t.Errorf("%s has %d lines; split it by concern (limit %d)", path, n, maxLines)
		}
	})
}

// TestBubbles holds that virtual time is entered where the race detector is
// taken care of. The benchmarks, which do not run under it, are free.
func TestBubbles(t *testing.T) {
	const call = "synctest." + "Test("
	door := filepath.Join("internal", "bubble", "bubble.go")
	sources(t, func(path, text string) {
		in, _ := filepath.Rel(root, path)
		if strings.Contains(text, call) && in != door && !strings.HasPrefix(in, "bench") {
			t.Errorf("%s calls %s...); use internal/bubble", path, call)
		}
	})
}

var root = filepath.Join("..", "..")

// sources calls f for each Go file of the repository.
func sources(t *testing.T, f func(path, text string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if n := d.Name(); n == "node_modules" || len(n) > 1 && n[0] == '.' && n != ".." {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f(path, string(b))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
