package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// errNotRun marks a side that cannot be measured on this machine: no Node, no
// packages. It is said in the report and is no failure.
var errNotRun = errors.New("not run")

// child is one process of a run.
type child struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	err   *tail
	label string
}

// start begins a process for a system: this program again, or node.
func (e *env) start(ctx context.Context, name, label string) (*child, error) {
	var cmd *exec.Cmd
	if strings.HasPrefix(name, "npm") {
		if err := e.npm(); err != nil {
			return nil, err
		}
		cmd = exec.CommandContext(ctx, e.node, "bench.mjs", name)
		cmd.Dir = e.js
	} else {
		cmd = exec.CommandContext(ctx, e.self, "-role", name, "-profile", e.profile(label))
	}
	c := &child{cmd: cmd, err: &tail{}, label: label}
	// Nothing a rival offers to tell its makers leaves the machine, and no
	// library logs into the report.
	cmd.Env = append(os.Environ(), "GOLOG_LOG_LEVEL=error")
	cmd.Stderr = c.err
	dieWithParent(cmd)
	var err error
	if c.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewReaderSize(out, 1<<16)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", label, err)
	}
	return c, nil
}

// ask sends a request and waits for its reply.
func (c *child) ask(r request) (reply, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return reply{}, err
	}
	if _, err := c.in.Write(append(b, '\n')); err != nil {
		return reply{}, c.died(r.Op, err)
	}
	line, err := c.out.ReadBytes('\n')
	if err != nil {
		return reply{}, c.died(r.Op, err)
	}
	var rep reply
	if err := json.Unmarshal(line, &rep); err != nil {
		return reply{}, fmt.Errorf("%s: %s: reply %.80q: %w", c.label, r.Op, line, err)
	}
	if rep.Error != "" {
		return reply{}, fmt.Errorf("%s: %s: %s", c.label, r.Op, rep.Error)
	}
	return rep, nil
}

func (c *child) died(op string, err error) error {
	c.cmd.Process.Kill()
	c.cmd.Wait()
	if t := c.err.String(); t != "" {
		return fmt.Errorf("%s: %s: process ended (%v): %s", c.label, op, err, t)
	}
	return fmt.Errorf("%s: %s: process ended: %w", c.label, op, err)
}

// end closes the process's input and waits for it, killing it if it lingers.
func (c *child) end() {
	if c == nil {
		return
	}
	c.in.Close()
	kill := time.AfterFunc(5*time.Second, func() { c.cmd.Process.Kill() })
	c.cmd.Wait()
	kill.Stop()
}

// npm finds out once whether the npm packages can be run.
func (e *env) npm() error {
	e.npmOnce.Do(func() {
		node, err := exec.LookPath("node")
		if err != nil {
			e.npmErr = fmt.Errorf("%w: no node in PATH", errNotRun)
			return
		}
		if _, err := os.Stat(filepath.Join(e.js, "node_modules", "hypercore6")); err != nil {
			e.npmErr = fmt.Errorf("%w: npm packages missing; run `npm ci --ignore-scripts` in %s", errNotRun, filepath.Base(filepath.Dir(e.js))+"/js")
			return
		}
		e.node = node
	})
	return e.npmErr
}

// tail keeps the end of what a process wrote to stderr.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if n := len(t.b) - 2048; n > 0 {
		t.b = t.b[n:]
	}
	return len(p), nil
}

// String must not be called before the process has been waited for.
func (t *tail) String() string { return strings.TrimSpace(string(t.b)) }
