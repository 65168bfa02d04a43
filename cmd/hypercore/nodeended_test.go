package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/node/control"
)

// TestNodeKilled: what commands say that use a feed through a node when the node is
// killed: that it has ended, what is not known, and what to do.
func TestNodeKilled(t *testing.T) {
	w := &world{t, t.TempDir()}
	w.run("a", nil, "create", "log", "-q")
	seed := w.start("a", nil, "seed", "log", "--listen", "/ip4/127.0.0.1/tcp/0", "--json")
	seed.listening()
	seed.event("feed")

	cat := w.start("a", nil, "cat", "log", "--live", "--json")
	app := w.command("a", nil, "append", "log", "--lines")
	errs, err := app.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := app.StdinPipe()
	if err == nil {
		err = app.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(out, "one\nhalf")
	select {
	case <-cat.lines: // it has arrived
	case <-time.After(patience):
		t.Fatal("no block in", patience)
	}
	seed.kill()

	var said strings.Builder
	for s := bufio.NewScanner(errs); s.Scan(); {
		fmt.Fprintln(&said, s.Text())
		if strings.Contains(s.Text(), "→") {
			out.Close() // it does not wait for more, but for whoever reads it
		}
	}
	var exit *exec.ExitError
	if err := app.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitFailed {
		t.Errorf("append: %v", err)
	}
	<-cat.done
	for _, c := range []struct{ name, said, want string }{
		{"append", said.String(), "the node that holds the feed was sent 1 block, and no one knows how much of that it has appended; before you append them again see hypercore info log"},
		{"append", said.String(), "append: standard input: " + strings.TrimPrefix(control.ErrNodeEnded.Error(), "control: ")},
		{"append", said.String(), "→ see what has arrived with hypercore info log, and append only the rest"},
		{"cat", cat.stderr.String(), "hypercore cat: the node that held the feed has ended\n  → go on with: hypercore cat log --start 1 --live"},
	} {
		if !strings.Contains(c.said, c.want) {
			t.Errorf("%s says\n%s\nwant: %s", c.name, c.said, c.want)
		}
	}
}
