package main

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"

	"github.com/go-hypercore/hypercore/feed"
)

// TestBrokenPipe: it is no failure if nobody reads the output any more, and one if
// the node that was asked is gone.
func TestBrokenPipe(t *testing.T) {
	for _, x := range []struct {
		err  error
		code int
	}{
		{fmt.Errorf("cat: %w", &fs.PathError{Op: "write", Path: os.Stdout.Name(), Err: syscall.EPIPE}), exitOK},
		{&net.OpError{Op: "write", Net: "unix", Err: os.NewSyscallError("write", syscall.EPIPE)}, exitFailed},
		{&fs.PathError{Op: "write", Path: "file", Err: syscall.EPIPE}, exitFailed},
	} {
		var stderr bytes.Buffer
		a := &app{err: &stderr}
		if code := a.exit(&cobra.Command{Use: "append"}, x.err); code != x.code {
			t.Errorf("%v: exit code %d, want %d", x.err, code, x.code)
		}
		if said := strings.Contains(stderr.String(), "broken pipe"); said != (x.code != exitOK) {
			t.Errorf("%v: stderr %q", x.err, stderr.String())
		}
	}
}

// TestForkHint: the evidence that the hint leads to is that of the feed in question.
func TestForkHint(t *testing.T) {
	a := &app{homeDir: t.TempDir(), in: strings.NewReader(""), out: io.Discard, err: io.Discard}
	dir := filepath.Join(t.TempDir(), "x")
	if code := run([]string{"create", dir, "--home", a.homeDir}, a.in, a.out, a.err); code != exitOK {
		t.Fatalf("create: exit code %d", code)
	}
	want := elsewhere("fork explain", filepath.Join(dir, "fork"))
	if h := a.hintFor(feed.ErrFrozen, dir); !strings.Contains(h, want) {
		t.Errorf("the hint is %q, without %q", h, want)
	}
}
