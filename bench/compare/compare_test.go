package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary be the processes that rows start.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-role" {
		os.Exit(run())
	}
	os.Exit(m.Run())
}

// tiny makes the rows so small that each side runs in a moment.
func tiny(rows []row) []row {
	for i := range rows {
		rw := &rows[i]
		rw.limit, rw.rounds = min(rw.limit, 0.1), 1
		for _, n := range []*int{&rw.count, &rw.quick, &rw.slow} {
			*n = 256
		}
		if rw.name == "live" {
			rw.count, rw.quick = 5, 5
		}
		for j := range rw.sides {
			s := &rw.sides[j]
			if s.count > 0 {
				s.count = 200
			}
			if s.options["feeds"] != "" {
				s.options["feeds"] = "4"
			}
		}
	}
	return rows
}

// TestEverySide runs each side of each row once, all results verified.
func TestEverySide(t *testing.T) {
	if testing.Short() {
		t.Skip("starts about a hundred processes")
	}
	e := &env{rounds: 1, log: testLog{t}, dir: t.TempDir(), patience: time.Minute}
	var err error
	if e.self, err = os.Executable(); err != nil {
		t.Fatal(err)
	}
	e.module, e.js = "..", "../js"
	rep := report{Machine: describeMachine(e)}
	rows := tiny(table())
	for i := range rows {
		if rows[i].name == "start" { // builds the command
			continue
		}
		res := e.runRow(t.Context(), &rows[i])
		for _, sr := range res.sides {
			switch {
			case sr.notRun != "":
				if !strings.HasPrefix(sr.side.system, "npm") {
					t.Errorf("%s %s: %s", rows[i].name, sr.side.label, sr.notRun)
				}
			case sr.failed != nil:
				t.Errorf("%s: %v", rows[i].name, sr.failed)
			}
		}
		rep.add(res)
	}
	var text, raw bytes.Buffer
	if err := errors.Join(rep.text(&text), rep.json(&raw)); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + text.String())
	var back report
	if err := json.Unmarshal(raw.Bytes(), &back); err != nil || len(back.Rows) != len(rep.Rows) {
		t.Errorf("%d rows of %d in the JSON form: %v", len(back.Rows), len(rep.Rows), err)
	}
}

type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// TestCheckFindsDamage makes sure that a run whose result is wrong has no figure.
func TestCheckFindsDamage(t *testing.T) {
	rows := tiny(table())
	e := &env{rounds: 1, log: testLog{t}, dir: t.TempDir()}
	var err error
	if e.self, err = os.Executable(); err != nil {
		t.Fatal(err)
	}
	d, err := e.data(&rows[0], &rows[0].sides[0])
	if err != nil {
		t.Fatal(err)
	}
	// The sum is that of the data set; the sender's file changes afterwards.
	f, err := os.OpenFile(d.File, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{1, 2, 3}, 1000); err != nil {
		t.Fatal(err)
	}
	if _, err := transfer(t.Context(), e, &rows[0], &rows[0].sides[0]); err == nil || !strings.Contains(err.Error(), "sha256") {
		t.Errorf("damage not found: %v", err)
	}
}

func TestGoals(t *testing.T) {
	side := func(label, group string, v ...float64) sideResult {
		r := sideResult{side: &side{label: label, group: group}}
		for _, x := range v {
			r.samples = append(r.samples, sample{figures: figures{"x": x}})
		}
		return r
	}
	res := &result{
		row: &row{metrics: []metric{figure("x", "x", 1, false)}},
		sides: []sideResult{
			side("hypercore", "", 8, 10, 6), side("limit", "", 10, 10, 10),
			side("npm6", "npm", 1, 3, 1), side("npm9", "npm", 2, 2, 2),
		},
	}
	for _, c := range []struct {
		goal goal
		got  float64
		met  bool
	}{
		{goal{side: "hypercore", than: "limit", value: 0.8}, 0.8, true},
		{goal{side: "hypercore", than: "limit", value: 0.9}, 0.8, false},
		{goal{side: "hypercore", than: "npm", value: 3}, 10.0 / 3, true},               // 8/2, 10/3, 6/2
		{goal{side: "hypercore", minus: "npm6", than: "limit", value: 0.7}, 0.7, true}, // 7/10, 7/10, 5/10
		{goal{side: "hypercore", atMost: true, value: 8}, 8, true},
		{goal{side: "hypercore", atMost: true, value: 7}, 8, false},
	} {
		g := res.judge(c.goal)
		if g.Got == nil || g.Got.Median != c.got || g.Met != c.met {
			t.Errorf("%v: %+v, got %+v", c.goal, g, g.Got)
		}
	}
	if g := res.judge(goal{side: "hypercore", than: "torrent", value: 1}); g.Got != nil || g.Met {
		t.Errorf("compared with nothing: %+v", g)
	}
}
