package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// kind is how one run of a side goes.
type kind func(ctx context.Context, e *env, rw *row, s *side) (sample, error)

// data is the data set of a side: the same for all, except that --quick gives
// sides marked slow a smaller one, so that all finish in like time.
func (e *env) data(rw *row, s *side) (dataset, error) {
	d := dataset{Block: rw.block, Count: e.count(rw, s)}
	return d, d.make(filepath.Join(e.dir, "data"))
}

func (e *env) count(rw *row, s *side) int {
	switch {
	case s.count > 0:
		return s.count
	case e.quick && s.slow && rw.slow > 0:
		return rw.slow
	case e.quick && rw.quick > 0:
		return rw.quick
	}
	return rw.count
}

// request starts what every request of a run has in common.
func (e *env) request(rw *row, s *side, d dataset) request {
	r := request{Data: d, Batch: rw.batch, Limit: rw.limit, Rate: rw.rate, Options: s.options}
	if e.quick {
		r.Limit /= 3
	}
	return r
}

// source makes what a sender of this system starts from, once per data set.
func (e *env) source(ctx context.Context, s *side, r request) (string, error) {
	dir := filepath.Join(e.dir, s.system, fmt.Sprintf("%dx%d", r.Data.Block, r.Data.Count))
	if n := r.option("feeds", 1); n > 1 {
		dir += fmt.Sprintf("-%d", n)
	}
	if r.Op == "grow" {
		dir += "-grow" // it is written to
	}
	done := dir + ".done"
	if _, err := os.Stat(done); err == nil {
		return dir, nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	c, err := e.start(ctx, s.system, s.label)
	if err != nil {
		return "", err
	}
	defer c.end()
	r.Op, r.Dir = "prepare", dir
	if _, err := c.ask(r); err != nil {
		return "", err
	}
	return dir, os.WriteFile(done, nil, 0o644)
}

// scratch is an empty directory for one run.
func (e *env) scratch(s *side) (dir string, remove func(), err error) {
	if err := os.MkdirAll(filepath.Join(e.dir, s.system), 0o755); err != nil {
		return "", nil, err
	}
	dir, err = os.MkdirTemp(filepath.Join(e.dir, s.system), "run-")
	return dir, func() { os.RemoveAll(dir) }, err
}

// transfer: a sender and a receiver, from files to verified files.
func transfer(ctx context.Context, e *env, rw *row, s *side) (sample, error) {
	d, err := e.data(rw, s)
	if err != nil {
		return sample{}, err
	}
	r := e.request(rw, s, d)
	source, err := e.source(ctx, s, r)
	if err != nil {
		return sample{}, err
	}
	if err := e.keepCached(rw, source, d); err != nil {
		return sample{}, err
	}
	dest, remove, err := e.scratch(s)
	if err != nil {
		return sample{}, err
	}
	defer remove()
	sender, err := e.start(ctx, s.system, s.label+" sender")
	if err != nil {
		return sample{}, err
	}
	defer sender.end()
	receiver, err := e.start(ctx, s.system, s.label+" receiver")
	if err != nil {
		return sample{}, err
	}
	defer receiver.end()

	r.Op, r.Dir = "serve", source
	rep, err := sender.ask(r)
	if err != nil {
		return sample{}, err
	}
	if _, err := receiver.ask(request{Op: "usage"}); err != nil { // it is up
		return sample{}, err
	}
	settle(e.dir)
	before, err := sender.ask(request{Op: "usage"})
	if err != nil {
		return sample{}, err
	}
	r.Op, r.Dir, r.Offer = "fetch", dest, rep.Offer
	got, err := receiver.ask(r)
	if err != nil {
		return sample{}, err
	}
	after, err := sender.ask(request{Op: "usage"})
	if err != nil {
		return sample{}, err
	}
	r.Op = "check"
	if err := e.readBack(rw, s, receiver, r, func() (string, error) { return d.Sum, nil }); err != nil {
		return sample{}, err
	}
	after.Usage.CPU -= before.Usage.CPU
	return sample{figures: got.Figures, send: after.Usage, recv: got.Usage, two: true}, nil
}

// readBack compares what a side holds with the data set. The npm packages take minutes
// to read what they have written in seconds: they do it in their first round only.
func (e *env) readBack(rw *row, s *side, c *child, r request, sum func() (string, error)) error {
	if name := rw.name + " " + s.label; s.group == "npm" {
		if e.wasRead[name] {
			return nil
		}
		if e.wasRead == nil {
			e.wasRead = map[string]bool{}
		}
		e.wasRead[name] = true
	}
	want, err := sum()
	if err != nil {
		return err
	}
	rep, err := c.ask(r)
	if err != nil {
		return err
	}
	if rep.Sum != want {
		return fmt.Errorf("%s: holds sha256 %s, sent was %s", c.label, rep.Sum, want)
	}
	return nil
}

// local: one process. Rows named append-… write into an empty directory and
// are checked afterwards; others read what the sender of a transfer would.
func local(ctx context.Context, e *env, rw *row, s *side) (sample, error) {
	d, err := e.data(rw, s)
	if err != nil {
		return sample{}, err
	}
	r := e.request(rw, s, d)
	r.Op, _, _ = strings.Cut(rw.name, "-")
	writes := r.Op != "get" && r.Op != "read"
	if writes {
		dir, remove, err := e.scratch(s)
		if err != nil {
			return sample{}, err
		}
		defer remove()
		r.Dir = dir
	} else {
		if r.Dir, err = e.source(ctx, s, r); err == nil {
			err = e.keepCached(rw, r.Dir, d)
		}
		if err != nil {
			return sample{}, err
		}
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
	rep, err := c.ask(r)
	if err != nil {
		return sample{}, err
	}
	if n := int(rep.Figures["blocks"]); writes && n > 0 {
		r.Op, r.Data.Count = "check", n
		if err := e.readBack(rw, s, c, r, func() (string, error) { return d.prefixSum(n) }); err != nil {
			return sample{}, err
		}
	}
	return sample{figures: rep.Figures, send: rep.Usage}, nil
}

// live: a writer and a reader that is always one block behind.
func live(ctx context.Context, e *env, rw *row, s *side) (sample, error) {
	d := dataset{Block: rw.block, Count: e.count(rw, s)}
	r := e.request(rw, s, d)
	var dirs [2]string
	var ends [2]*child
	for i, what := range []string{" writer", " reader"} {
		dir, remove, err := e.scratch(s)
		if err != nil {
			return sample{}, err
		}
		defer remove()
		c, err := e.start(ctx, s.system, s.label+what)
		if err != nil {
			return sample{}, err
		}
		defer c.end()
		dirs[i], ends[i] = dir, c
	}
	writer, reader := ends[0], ends[1]
	r.Op, r.Dir = "live-serve", dirs[0]
	rep, err := writer.ask(r)
	if err != nil {
		return sample{}, err
	}
	r.Op, r.Dir, r.Offer = "live-join", dirs[1], rep.Offer
	if _, err := reader.ask(r); err != nil {
		return sample{}, err
	}
	time.Sleep(500 * time.Millisecond) // for systems that cannot say when the two are in step

	var wrote reply
	var wroteErr error
	done := make(chan struct{})
	go func() {
		defer close(done)
		w := r
		w.Op = "live-write"
		wrote, wroteErr = writer.ask(w)
	}()
	r.Op = "live-read"
	read, err := reader.ask(r)
	<-done
	if err := errors.Join(wroteErr, err); err != nil {
		return sample{}, err
	}
	if len(read.Latencies) != d.Count {
		return sample{}, fmt.Errorf("%s: %d of %d blocks arrived", s.label, len(read.Latencies), d.Count)
	}
	f := figures{"p50": percentile(read.Latencies, 0.50), "p99": percentile(read.Latencies, 0.99)}
	return sample{figures: f, send: wrote.Usage, recv: read.Usage, two: true}, nil
}
