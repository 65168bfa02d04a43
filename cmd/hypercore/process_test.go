package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// world is a directory with the homes of users whose processes a test runs.
type world struct {
	t   *testing.T
	dir string
}

// process is one that runs in the background.
type process struct {
	w      *world
	cmd    *exec.Cmd
	lines  chan string
	stderr bytes.Buffer
	done   chan struct{}
	err    error
}

// command makes a command with a home of its own.
func (w *world) command(home string, stdin io.Reader, args ...string) *exec.Cmd {
	c := exec.Command("hypercore", args...)
	c.Dir = filepath.Join(w.dir, home)
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		w.t.Fatal(err)
	}
	c.Env = append(os.Environ(), "HYPERCORE_HOME="+filepath.Join(c.Dir, "home"), "HYPERCORE_NETWORK=none")
	c.Stdin = stdin
	return c
}

// run runs a command to its end, which must be good.
func (w *world) run(home string, stdin io.Reader, args ...string) string {
	w.t.Helper()
	c := w.command(home, stdin, args...)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		w.t.Fatalf("hypercore %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.Bytes())
	}
	return string(out)
}

// start starts a process that the test ends.
func (w *world) start(home string, stdin io.Reader, args ...string) *process {
	w.t.Helper()
	p := &process{w: w, cmd: w.command(home, stdin, args...), lines: make(chan string, 1024), done: make(chan struct{})}
	p.cmd.Stderr = &p.stderr
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		s := bufio.NewScanner(out)
		s.Buffer(nil, 1<<20)
		for s.Scan() {
			select {
			case p.lines <- s.Text():
			default: // nobody reads any more
			}
		}
		p.err = p.cmd.Wait()
	}()
	w.t.Cleanup(p.kill)
	return p
}

// kill kills the process and waits until it is gone.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.done
}

// listening waits for the event with the addresses.
func (p *process) listening() event { return p.event("listening") }

func (p *process) event(name string) event {
	p.w.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case line := <-p.lines:
			var e event
			if err := json.Unmarshal([]byte(line), &e); err == nil && e.Event == name {
				return e
			}
		case <-p.done:
			p.w.t.Fatalf("%v ended: %v\n%s", p.cmd.Args, p.err, p.stderr.Bytes())
		case <-timeout:
			p.w.t.Fatalf("%v: no event %s in %v", p.cmd.Args, name, patience)
		}
	}
}

// report is what verify says.
type report struct {
	Length, Present, Missing, Invalid uint64
	Signature, SHA256                 string
	Problems                          []string
}

// verify has a feed of a user verified, in which nothing may be wrong.
func (w *world) verify(home, feed string) report {
	w.t.Helper()
	var r report
	out := w.run(home, nil, "verify", feed, "--json")
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		w.t.Fatalf("verify: %v: %s", err, out)
	}
	if r.Invalid > 0 || len(r.Problems) > 0 || r.Signature != "valid" && r.Length > 0 {
		w.t.Fatalf("verify %s of %s: %s", feed, home, out)
	}
	return r
}

// feedSize is what info says of a feed.
type feedSize struct{ Length, Downloaded uint64 }

func (w *world) info(home, feed string) (s feedSize) {
	w.t.Helper()
	if err := json.Unmarshal([]byte(w.run(home, nil, "info", feed, "--json")), &s); err != nil {
		w.t.Fatal(err)
	}
	return s
}
