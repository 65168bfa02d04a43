package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
)

// report is everything that was measured; its JSON form is the --json output.
type report struct {
	Machine machine     `json:"machine"`
	Rounds  int         `json:"rounds"`
	Quick   bool        `json:"quick"`
	Rows    []rowReport `json:"rows"`
}

type rowReport struct {
	Name   string       `json:"name"`
	Title  string       `json:"title"`
	Rounds int          `json:"rounds"`
	Filled bool         `json:"pageCacheFilled"` // before each run
	Sides  []sideReport `json:"systems"`
	Goals  []goalReport `json:"goals"`
	metric []string
}

type sideReport struct {
	Name       string               `json:"name"`
	Durability string               `json:"durability"`
	Blocks     int                  `json:"blocks,omitempty"`
	NotRun     string               `json:"notRun,omitempty"`
	Failed     string               `json:"failed,omitempty"`
	Metrics    map[string]spread    `json:"metrics,omitempty"`
	Values     map[string][]float64 `json:"values,omitempty"`
}

type goalReport struct {
	Side   string  `json:"system"`
	Minus  string  `json:"minus,omitempty"`
	Metric string  `json:"metric"`
	Than   string  `json:"than,omitempty"`
	AtMost bool    `json:"atMost,omitempty"`
	Value  float64 `json:"goal"`
	Got    *spread `json:"got,omitempty"` // absent: a side was not run
	Met    bool    `json:"met"`
}

func (r *report) add(res *result) {
	rw := res.row
	out := rowReport{Name: rw.name, Title: rw.title, Rounds: res.rounds, Filled: res.filled}
	for _, m := range rw.metrics {
		out.metric = append(out.metric, m.name)
	}
	for i := range res.sides {
		sr := &res.sides[i]
		s := sideReport{
			Name: sr.side.label, Durability: sr.side.durability, Blocks: sr.count, NotRun: sr.notRun,
			Metrics: map[string]spread{}, Values: map[string][]float64{},
		}
		if sr.failed != nil {
			s.Failed = sr.failed.Error()
		}
		for _, m := range rw.metrics {
			if v := present(sr.values(m)); len(v) > 0 {
				s.Values[m.name], s.Metrics[m.name] = v, spreadOf(v)
			}
		}
		out.Sides = append(out.Sides, s)
	}
	for _, g := range rw.goals {
		out.Goals = append(out.Goals, res.judge(g))
	}
	r.Rows = append(r.Rows, out)
}

// judge works out one goal.
func (res *result) judge(g goal) goalReport {
	m := res.row.metrics[0]
	for _, c := range res.row.metrics {
		if c.name == g.metric {
			m = c
		}
	}
	out := goalReport{Side: g.side, Minus: g.minus, Metric: m.name, Than: g.than, AtMost: g.atMost, Value: g.value}
	var own, minus []float64
	var others [][]float64
	for i := range res.sides {
		sr := &res.sides[i]
		if sr.side.label == g.side {
			own = sr.values(m)
		}
		if g.minus != "" && sr.side.label == g.minus {
			minus = sr.values(m)
		}
		if g.than != "" && (sr.side.label == g.than || sr.side.group == g.than) {
			others = append(others, sr.values(m))
		}
	}
	if g.minus != "" {
		own = less(own, minus)
	}
	got := present(own)
	if g.than != "" {
		got = pairs(own, best(m.lower, others...))
	}
	if len(got) > 0 {
		s := spreadOf(got)
		out.Got = &s
		out.Met = s.Median >= g.value
		if g.atMost {
			out.Met = s.Median <= g.value
		}
	}
	return out
}

func (r *report) json(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

func (r *report) text(w io.Writer) error {
	m := r.Machine
	fmt.Fprintf(w, "%s, %d cores, %s, %s, %s", m.CPU, m.Cores, m.OS, m.Filesystem, m.Go)
	if m.Node != "" {
		fmt.Fprintf(w, ", node %s", m.Node)
	}
	fmt.Fprintf(w, "; %s", m.Date)
	if r.Quick {
		fmt.Fprint(w, "; quick")
	}
	fmt.Fprint(w, "\nmedian [min .. max]\n")
	for i := range r.Rows {
		if err := r.Rows[i].text(w); err != nil {
			return err
		}
	}
	return nil
}

func (rw *rowReport) text(w io.Writer) error {
	fmt.Fprintf(w, "\n%s: %s, %d rounds", rw.Name, rw.Title, rw.Rounds)
	if rw.Filled {
		fmt.Fprint(w, ", page cache filled before each run")
	}
	fmt.Fprintln(w)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	used := map[string]bool{}
	for _, s := range rw.Sides {
		for name := range s.Metrics {
			used[name] = true
		}
	}
	fmt.Fprint(tw, "  system")
	for _, name := range rw.metric {
		if used[name] {
			fmt.Fprint(tw, "\t", name)
		}
	}
	fmt.Fprint(tw, "\tdurability\n")
	for _, s := range rw.Sides {
		fmt.Fprint(tw, "  ", s.Name)
		for i, name := range rw.metric {
			if !used[name] {
				continue
			}
			v, ok := s.Metrics[name]
			switch {
			case !ok:
				fmt.Fprint(tw, "\t-")
			case i < 2:
				fmt.Fprintf(tw, "\t%s [%s .. %s]", number(v.Median), number(v.Min), number(v.Max))
			default:
				fmt.Fprintf(tw, "\t%s", number(v.Median))
			}
		}
		note := s.Durability
		if s.NotRun != "" {
			note = s.NotRun
		}
		if s.Failed != "" {
			note = "FAILED: " + strings.ReplaceAll(s.Failed, "\n", " ")
		}
		fmt.Fprintf(tw, "\t%s\n", note)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, g := range rw.Goals {
		if _, err := fmt.Fprintf(w, "  %s\n", g); err != nil {
			return err
		}
	}
	return nil
}

func (g goalReport) String() string {
	side := g.Side
	if g.Minus != "" {
		side = fmt.Sprintf("(%s - %s)", g.Side, g.Minus)
	}
	what := side + " " + g.Metric
	if g.Than != "" {
		what = fmt.Sprintf("%s / %s (%s)", side, g.Than, g.Metric)
	}
	op, verdict := ">=", "met"
	if g.AtMost {
		op = "<="
	}
	if g.Got == nil {
		return fmt.Sprintf("%s: not compared (goal %s %.3g)", what, op, g.Value)
	}
	if g.Value == 0 {
		return fmt.Sprintf("%s: %s [%s .. %s]", what, number(g.Got.Median), number(g.Got.Min), number(g.Got.Max))
	}
	if !g.Met {
		verdict = "NOT MET"
	}
	return fmt.Sprintf("%s: %s [%s .. %s], goal %s %.3g: %s", what, number(g.Got.Median), number(g.Got.Min), number(g.Got.Max), op, g.Value, verdict)
}

// exitCode is 1 if a side failed.
func (r *report) exitCode() int {
	for _, rw := range r.Rows {
		for _, s := range rw.Sides {
			if s.Failed != "" {
				return 1
			}
		}
	}
	return 0
}

// print writes the report to stdout.
func (r *report) print(asJSON bool) error {
	if asJSON {
		return r.json(os.Stdout)
	}
	return r.text(os.Stdout)
}

// number prints three or four significant digits without an exponent.
func number(v float64) string {
	a := math.Abs(v)
	switch {
	case math.IsNaN(v):
		return "-"
	case a >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case a >= 0.1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'g', 2, 64)
}

func printList(w io.Writer, rows []row) {
	for _, rw := range rows {
		fmt.Fprintf(w, "%s: %s", rw.name, rw.title)
		if rw.block > 0 {
			fmt.Fprintf(w, " (%d x %d bytes)", rw.count, rw.block)
		}
		if rw.long {
			fmt.Fprint(w, "; not with --quick unless named")
		}
		fmt.Fprintln(w)
		for _, s := range rw.sides {
			fmt.Fprintf(w, "    %-18s %s\n", s.label, s.durability)
		}
		for _, g := range rw.goals {
			fmt.Fprintf(w, "    goal: %s\n", g)
		}
	}
}
