package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func readme(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The table of commands says what the help texts say.
func TestReadmeCommands(t *testing.T) {
	root := newRoot(&app{out: io.Discard, err: io.Discard})
	want := "| command | what it does |\n|---|---|\n"
	for _, c := range root.Commands() {
		if c.GroupID != "" && c.Name() != "help" && c.Name() != "completion" {
			want += fmt.Sprintf("| `hypercore %s` | %s |\n", c.Use, c.Short)
		}
	}
	if !strings.Contains(readme(t), want) {
		t.Errorf("README.md should have this table of commands:\n\n%s", want)
	}
}

// Exactly two commands set it up, and they are near the top.
func TestReadmeSetUp(t *testing.T) {
	_, rest, _ := strings.Cut(readme(t), "```sh\n")
	block, _, _ := strings.Cut(rest, "```")
	var cmds []string
	for line := range strings.Lines(block) {
		cmd, _, _ := strings.Cut(line, "#")
		cmds = append(cmds, strings.TrimSpace(cmd))
	}
	if got := strings.Join(cmds, ", "); got != "go run ./cmd/hypercore demo, go test ./..." {
		t.Errorf("the first block of README.md is: %s", got)
	}
}

// Every hypercore command line in the README makes sense to the parser.
func TestReadmeCommandLines(t *testing.T) {
	n := 0
	for _, line := range regexp.MustCompile(`(?m)^(?:echo .*\| |.*&& )?hypercore ([a-z].*)$`).FindAllStringSubmatch(readme(t), -1) {
		cmd, _, _ := strings.Cut(line[1], "#")
		checkCommandLine(t, cmd)
		n++
	}
	if n < 12 {
		t.Errorf("only %d command lines found", n)
	}
}

// Every example in a help text does, too.
func TestHelpExamples(t *testing.T) {
	root := newRoot(&app{out: io.Discard, err: io.Discard})
	for _, c := range append(root.Commands(), root) {
		if c.Long == "" {
			t.Errorf("%s has no help text", c.Name())
		}
		if strings.Contains(c.Long, "\t") {
			t.Errorf("%s: tab in the help text", c.Name())
		}
		for line := range strings.Lines(c.Long) {
			if len(strings.TrimRight(line, "\n")) > 90 {
				t.Errorf("%s: long line in the help text: %s", c.Name(), line)
			}
			if _, cmd, ok := strings.Cut(line, "hypercore "); ok && strings.HasPrefix(line, "  ") && !strings.HasPrefix(line, "   ") {
				cmd, _, _ = strings.Cut(cmd, " # ")
				cmd, _, _ = strings.Cut(cmd, " && ")
				checkCommandLine(t, cmd)
			}
		}
	}
}

// checkCommandLine parses a command line as the shell would and cobra does, without running it.
func checkCommandLine(t *testing.T, line string) {
	t.Helper()
	line, _, _ = strings.Cut(line, " > ")
	line = strings.NewReplacer("$KEY", strings.Repeat("ab", 32), "KEY", strings.Repeat("ab", 32), "9718a1ff...", strings.Repeat("ab", 32),
		"$ADDR", "/ip4/127.0.0.1/tcp/1/p2p/12D3Koo").Replace(line)
	args := strings.Fields(line)
	root := newRoot(&app{out: io.Discard, err: io.Discard})
	c, rest, err := root.Find(args)
	if err == nil && c == root {
		err = fmt.Errorf("no such command")
	}
	if err == nil {
		err = c.ParseFlags(rest)
	}
	if err == nil {
		err = c.ValidateArgs(c.Flags().Args())
	}
	if err != nil {
		t.Errorf("hypercore %s: %v", line, err)
	}
}

// tour returns the commands of a part of the README's tour.
func tour(t *testing.T, readme, part string) []string {
	t.Helper()
	_, rest, ok := strings.Cut(readme, "<!-- tour: "+part+" -->\n```sh\n")
	if !ok {
		t.Fatalf("README.md has no tour part %q", part)
	}
	block, _, _ := strings.Cut(rest, "```")
	return strings.Split(strings.TrimSpace(block), "\n")
}

// The tour of the README, run: as it stands what is local, with a network on
// loopback in place of the public one what is not.
func TestReadmeTour(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the tour needs a shell")
	}
	t.Parallel()
	r := readme(t)
	const net = " --network test --listen /ip4/127.0.0.1/tcp/0 --bootstrap $BOOT"
	var s strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&s, format+"\n", args...) }
	line("exec hypercore bootstrap --network test --listen /ip4/127.0.0.1/tcp/0 &boot&\nrunning BOOT 0")
	for _, c := range tour(t, r, "local") {
		line("exec sh -c '%s'", c)
	}
	line("exec hypercore info notes\nsetenv KEY stdout 1")
	for _, c := range tour(t, r, "seed") {
		line("exec %s &seed&\nrunning SEED 1", c+net)
	}
	for _, c := range tour(t, r, "clone") {
		if strings.HasPrefix(c, "hypercore clone") {
			c += net + " --timeout 60s"
		}
		line("exec %s", c)
	}
	line("stdout '^hello, world$'")
	for i, c := range tour(t, r, "live") {
		if strings.HasPrefix(c, "hypercore clone") {
			c += net
		}
		line("exec %s &live%d&", c, i)
		if i == 0 {
			line("running LIVE 2 1")
		}
	}
	line("stdin more\nexec hypercore append notes --lines\nwaitlength ./copy 2\nexec hypercore cat ./copy\ncmp stdout both")
	line("kill -INT live0\nwait live0\nkill -INT seed\nwait seed\nstdout '^hypercore clone '$KEY' --network test --bootstrap '\nkill -INT boot\nwait boot")
	line("-- more --\nagain\n-- both --\nhello, world\nagain")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "tour.txtar"), []byte(s.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, params(dir))
}

// The Go snippet of the README is code that is compiled and run.
func TestReadmeSnippet(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "examples", "quickstart", "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	_, code, ok := strings.Cut(string(b), "// README\n")
	if !ok {
		t.Fatal("examples/quickstart has no part for the README")
	}
	code, _, _ = strings.Cut(code, "// end\n")
	var want strings.Builder
	for l := range strings.Lines(code) {
		want.WriteString(strings.TrimPrefix(l, "\t"))
	}
	if !strings.Contains(readme(t), "```go\n"+strings.TrimRight(want.String(), "\t\n ")+"\n```") {
		t.Errorf("README.md should have this snippet:\n\n```go\n%s```", want.String())
	}
}
