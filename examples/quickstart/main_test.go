package main

import (
	"strings"
	"testing"

	"github.com/go-hypercore/hypercore/internal/leaktest"
)

func TestRun(t *testing.T) {
	leaktest.Check(t)
	args := []string{"-dir", t.TempDir(), "-network", "none", "-local"}
	for i, want := range []string{"block 0: hello\nblock 1: world\n", "block 0: hello\nblock 1: world\nblock 2: hello\nblock 3: world\n"} {
		var out strings.Builder
		if err := run(t.Context(), args, &out); err != nil {
			t.Fatal(err)
		}
		key, blocks, _ := strings.Cut(out.String(), "\n")
		if !strings.HasPrefix(key, "key: ") || blocks != want {
			t.Errorf("run %d: %s", i, out.String())
		}
	}
}
