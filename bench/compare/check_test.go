package main

import (
	"context"
	"errors"
	"io"
	"testing"
)

// TestCheck: a row is measured again when all of its pairs are too slow, and
// fails when they still are; one good pair is enough, a failed side is not.
func TestCheck(t *testing.T) {
	for _, tc := range []struct {
		name   string
		speeds []float64 // of hypercore, run by run; the limit's is 100
		broken bool
		runs   int
		code   int
	}{
		{"all fast", []float64{90, 90}, false, 2, 0},
		{"one good pair", []float64{10, 60}, false, 2, 0},
		{"good the second time", []float64{10, 20, 30, 60}, false, 4, 0},
		{"slow", []float64{10, 20, 30, 50}, false, 4, 3},
		{"broken", []float64{90, 90}, true, 0, 1},
	} {
		runs := 0
		rows := []row{{
			name: "r", metrics: []metric{speed}, count: 1,
			sides: []side{{label: "limit"}, {label: "hypercore"}, {label: "npm6"}},
			goals: []goal{{side: "hypercore", than: "limit", value: 0.8}, {side: "hypercore", than: "npm6", value: 4}},
			kind: func(_ context.Context, _ *env, _ *row, s *side) (sample, error) {
				v := 100.0
				switch s.label {
				case "npm6":
					t.Errorf("%s: measured npm6", tc.name)
				case "hypercore":
					if tc.broken {
						return sample{}, errors.New("broken")
					}
					v = tc.speeds[runs]
					runs++
				}
				return sample{figures: figures{"bytes": v * 1e6, "seconds": 1}}, nil
			},
		}, {name: "other", metrics: []metric{speed}, goals: []goal{{side: "hypercore", than: "npm6", value: 1}}}}
		e := &env{rounds: 2, log: io.Discard}
		rep, code := e.check(context.Background(), rows)
		if runs != tc.runs || code != tc.code || len(rep.Rows) != 1 {
			t.Errorf("%s: %d runs, code %d, %d rows; want %d, %d, 1", tc.name, runs, code, len(rep.Rows), tc.runs, tc.code)
		}
	}
}
