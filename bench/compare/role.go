package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"
)

// request is one line to a process, in JSON. js/bench.mjs reads the same.
type request struct {
	// Op is usage, prepare, serve, fetch, check, live-serve, live-join,
	// live-write, live-read, or the name of a local job (append, get, read …).
	Op string `json:"op"`
	// Dir is the directory of this side.
	Dir string `json:"dir,omitempty"`
	// Data is the data set to send, append, read or expect.
	Data dataset `json:"data"`
	// Offer is what Serve returned.
	Offer string `json:"offer,omitempty"`
	// Batch is how many blocks one append takes; Rate how many appends a second.
	Batch int `json:"batch,omitempty"`
	Rate  int `json:"rate,omitempty"`
	// Limit ends a local job after this many seconds even if data is left.
	Limit float64 `json:"limit,omitempty"`
	// Options tell variants of one system apart.
	Options map[string]string `json:"options,omitempty"`
}

// deadline is when a local job that starts now is to end.
func (r *request) deadline() time.Time {
	return time.Now().Add(time.Duration(r.Limit * float64(time.Second)))
}

// pace sleeps until block i is to be appended, Rate of them a second since start.
func (r *request) pace(start time.Time, i int) {
	time.Sleep(time.Until(start.Add(time.Duration(i) * time.Second / time.Duration(r.Rate))))
}

// option is a number among the options, or def.
func (r *request) option(name string, def int) int {
	if n, err := strconv.Atoi(r.Options[name]); err == nil {
		return n
	}
	return def
}

// figures are what a run measured by itself: seconds, synced (seconds until
// durable), blocks, bytes, and whatever else a row's metrics ask for.
type figures map[string]float64

// usage is what a process has used.
type usage struct {
	CPU    float64 `json:"cpu"`    // seconds, user and system; since the request began, or since the start for Op usage
	Memory float64 `json:"memory"` // high-water mark of the resident set, bytes
}

// reply is the line that answers a request.
type reply struct {
	Error     string    `json:"error,omitempty"`
	Offer     string    `json:"offer,omitempty"`
	Sum       string    `json:"sum,omitempty"`
	Figures   figures   `json:"figures,omitempty"`
	Latencies []float64 `json:"latencies,omitempty"`
	Usage     usage     `json:"usage"`
}

// serveRole answers requests for one system until its input ends.
func serveRole(ctx context.Context, name, profile string, in io.Reader, out io.Writer) error {
	newSystem := systems[name]
	if newSystem == nil {
		return fmt.Errorf("no system %q in this program", name)
	}
	s := newSystem()
	defer s.Close()
	prof := profiler{name: profile}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	enc := json.NewEncoder(out)
	for lines.Scan() {
		var r request
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return err
		}
		if err := prof.before(r.Op); err != nil {
			return err
		}
		before := processUsage()
		rep, err := answer(ctx, s, &r)
		if err != nil {
			rep = reply{Error: err.Error()}
		}
		rep.Usage = processUsage()
		if r.Op != "usage" {
			rep.Usage.CPU -= before.CPU
		}
		if err := prof.after(); err != nil {
			return err
		}
		if err := enc.Encode(rep); err != nil {
			return err
		}
	}
	return lines.Err()
}

func answer(ctx context.Context, s system, r *request) (rep reply, err error) {
	switch r.Op {
	case "usage":
	case "prepare":
		err = s.Prepare(ctx, r)
	case "serve":
		rep.Offer, err = s.Serve(ctx, r)
	case "fetch":
		rep.Figures, err = s.Fetch(ctx, r)
	case "check":
		rep.Sum, err = s.Check(ctx, r)
	case "live-serve", "live-join", "live-write", "live-read":
		f, ok := s.(follower)
		if !ok {
			return rep, fmt.Errorf("this system has no live rows")
		}
		switch r.Op {
		case "live-serve":
			rep.Offer, err = f.LiveServe(ctx, r)
		case "live-join":
			err = f.LiveJoin(ctx, r)
		case "live-write":
			err = f.LiveWrite(ctx, r)
		case "live-read":
			rep.Latencies, err = f.LiveRead(ctx, r)
		}
	default:
		w, ok := s.(worker)
		if !ok {
			return rep, fmt.Errorf("this system does not know %q", r.Op)
		}
		rep.Figures, err = w.Work(ctx, r)
	}
	return rep, err
}
