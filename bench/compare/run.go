package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"time"
)

// env is what all runs share.
type env struct {
	self, js string // this program; the directory of the JavaScript side
	dir      string // work directory
	module   string // the bench module's directory
	quick    bool
	rounds   int
	only     filter
	log      io.Writer // progress
	profiles string    // directory for CPU profiles; empty: none
	patience time.Duration
	ballast  *ballast        // nil: the page cache is left as it is
	fillAll  bool            // ballast is for each row, not only for those with fill
	wasRead  map[string]bool // npm sides, with their row, that have read back what they hold

	npmOnce sync.Once
	npmErr  error
	node    string
	product product
}

// filter is what --only names: rows, sides, or both. Empty takes all.
type filter struct{ rows, sides map[string]bool }

func parseFilter(list string, rows []row) (filter, error) {
	f := filter{map[string]bool{}, map[string]bool{}}
	isRow, isSide := map[string]bool{}, map[string]bool{}
	for _, rw := range rows {
		isRow[rw.name] = true
		for _, s := range rw.sides {
			isSide[s.label] = true
		}
	}
	for name := range strings.SplitSeq(list, ",") {
		switch name = strings.TrimSpace(name); {
		case name == "":
		case isRow[name]:
			f.rows[name] = true
		case isSide[name]:
			f.sides[name] = true
		default:
			return f, fmt.Errorf("no row or system is named %q; --list shows them", name)
		}
	}
	return f, nil
}

func (f filter) row(name string) bool   { return len(f.rows) == 0 || f.rows[name] }
func (f filter) side(label string) bool { return len(f.sides) == 0 || f.sides[label] }

// result is a measured row.
type result struct {
	row    *row
	rounds int
	filled bool // the page cache, before each run
	sides  []sideResult
}

// sideResult is one side's runs, one entry per round; a failed run has no figures.
type sideResult struct {
	side    *side
	count   int // blocks of its data set
	samples []sample
	notRun  string
	failed  error
}

// values is one metric of a side, round by round, NaN where there is none.
func (r *sideResult) values(m metric) []float64 {
	v := make([]float64, len(r.samples))
	for i, s := range r.samples {
		v[i] = math.NaN()
		if s.figures != nil {
			v[i] = m.of(s)
		}
	}
	return v
}

// fills reports whether the page cache is filled before each run of a row.
func (e *env) fills(rw *row) bool { return e.ballast != nil && (rw.fill || e.fillAll) }

// runRow measures one row.
func (e *env) runRow(ctx context.Context, rw *row) *result {
	res := &result{row: rw, rounds: e.rounds, filled: e.fills(rw)}
	if rw.rounds > 0 {
		res.rounds = min(res.rounds, rw.rounds)
	}
	for i := range rw.sides {
		if s := &rw.sides[i]; e.only.side(s.label) {
			res.sides = append(res.sides, sideResult{side: s, count: e.count(rw, s)})
		}
	}
	for round := range res.rounds {
		for i := range res.sides {
			// Each round begins with another side.
			sr := &res.sides[(i+round)%len(res.sides)]
			var s sample
			if sr.notRun == "" && sr.failed == nil {
				s = e.runSide(ctx, rw, sr, round, res.rounds)
			}
			sr.samples = append(sr.samples, s)
			if ctx.Err() != nil {
				return res
			}
		}
	}
	return res
}

// patience is how long one run may take, preparing its source included, unless
// env.patience says otherwise.
const patience = 15 * time.Minute

func (e *env) runSide(ctx context.Context, rw *row, sr *sideResult, round, rounds int) sample {
	limit := patience
	if e.patience > 0 {
		limit = e.patience
	}
	run, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if e.fills(rw) {
		if err := e.ballast.fill(run); err != nil {
			sr.failed = err
			return sample{}
		}
	} else {
		e.ballast.drop()
	}
	k := rw.kind
	if sr.side.kind != nil {
		k = sr.side.kind
	}
	s, err := k(run, e, rw, sr.side)
	at := fmt.Sprintf("%-14s round %d/%d  %-18s", rw.name, round+1, rounds, sr.side.label)
	switch {
	case errors.Is(err, errNotRun):
		sr.notRun = err.Error()
		fmt.Fprintf(e.log, "%s %v\n", at, err)
		return sample{}
	case err != nil:
		if run.Err() != nil && ctx.Err() == nil {
			err = fmt.Errorf("not done after %v: %w", limit, err)
		}
		sr.failed = err
		fmt.Fprintf(e.log, "%s failed: %v\n", at, err)
		return sample{}
	}
	m := rw.metrics[0]
	fmt.Fprintf(e.log, "%s %s %s\n", at, number(m.of(s)), m.name)
	return s
}
