package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// onSource: one process works on what the sender of a transfer would have.
func onSource(ctx context.Context, e *env, rw *row, s *side) (sample, error) {
	d, err := e.data(rw, s)
	if err != nil {
		return sample{}, err
	}
	r := e.request(rw, s, d)
	r.Op = rw.op
	if r.Dir, err = e.source(ctx, s, r); err != nil {
		return sample{}, err
	}
	c, err := e.start(ctx, s.system, s.label)
	if err != nil {
		return sample{}, err
	}
	defer c.end()
	if _, err := c.ask(request{Op: "usage"}); err != nil {
		return sample{}, err
	}
	settle(e.dir)
	r.Op = rw.op
	rep, err := c.ask(r)
	return sample{figures: rep.Figures, send: rep.Usage}, err
}

// onData: one process that works on the data set itself.
func onData(ctx context.Context, e *env, rw *row, s *side) (sample, error) {
	d, err := e.data(rw, s)
	if err != nil {
		return sample{}, err
	}
	c, err := e.start(ctx, s.system, s.label)
	if err != nil {
		return sample{}, err
	}
	defer c.end()
	if _, err := c.ask(request{Op: "usage"}); err != nil {
		return sample{}, err
	}
	settle(e.dir)
	r := e.request(rw, s, d)
	r.Op = rw.op
	rep, err := c.ask(r)
	return sample{figures: rep.Figures, send: rep.Usage}, err
}

// product is the hypercore command, built once, with a home and a feed to use it on.
type product struct {
	once                   sync.Once
	err                    error
	bin, home, feed, block string
}

func (p *product) build(ctx context.Context, e *env) error {
	p.once.Do(func() {
		dir := filepath.Join(e.dir, "command")
		p.bin, p.home, p.feed, p.block = filepath.Join(dir, "hypercore"), filepath.Join(dir, "home"), filepath.Join(dir, "feed"), filepath.Join(dir, "block")
		if p.err = os.RemoveAll(dir); p.err != nil {
			return
		}
		if p.err = os.MkdirAll(dir, 0o755); p.err != nil {
			return
		}
		if p.err = os.WriteFile(p.block, make([]byte, 512), 0o644); p.err != nil {
			return
		}
		build := exec.CommandContext(ctx, "go", "build", "-o", p.bin, "./cmd/hypercore")
		build.Dir = filepath.Dir(e.module)
		if out, err := build.CombinedOutput(); err != nil {
			p.err = fmt.Errorf("building the command: %w: %s", err, out)
			return
		}
		_, p.err = p.run(ctx, "create", p.feed)
	})
	return p.err
}

func (p *product) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.bin, args...)
	cmd.Env = append(os.Environ(), "HYPERCORE_HOME="+p.home)
	dieWithParent(cmd)
	return cmd
}

// run runs the command to its end and returns how long it took.
func (p *product) run(ctx context.Context, args ...string) (time.Duration, error) {
	start := time.Now()
	out, err := p.command(ctx, args...).CombinedOutput()
	took := time.Since(start)
	if err != nil {
		return 0, fmt.Errorf("hypercore %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return took, nil
}

// seed runs the command until it says that it listens.
func (p *product) seed(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	cmd := p.command(ctx, "seed", p.feed, "--json", "--listen", "/ip4/127.0.0.1/tcp/0", "--network", "none")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	said := &tail{}
	cmd.Stderr = said
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.Contains(lines.Text(), `"listening"`) {
			took := time.Since(start)
			cmd.Process.Signal(os.Interrupt)
			for lines.Scan() {
			}
			cmd.Wait()
			return took, nil
		}
	}
	cmd.Wait()
	return 0, fmt.Errorf("hypercore seed ended without listening: %s", said)
}

// repeats is how often a command is started for one value, their median.
const repeats = 10

// command: the hypercore command, from exec to its end.
func command(ctx context.Context, e *env, rw *row, s *side) (sample, error) {
	p := &e.product
	if err := p.build(ctx, e); err != nil {
		return sample{}, err
	}
	var ms []float64
	for range repeats {
		var took time.Duration
		var err error
		switch s.label {
		case "version":
			took, err = p.run(ctx, "version")
		case "info":
			took, err = p.run(ctx, "info", p.feed)
		case "append":
			took, err = p.run(ctx, "append", p.feed, p.block)
		case "seed":
			took, err = p.seed(ctx)
		}
		if err != nil {
			return sample{}, err
		}
		ms = append(ms, took.Seconds()*1e3)
	}
	return sample{figures: figures{"ms": spreadOf(ms).Median}}, nil
}
