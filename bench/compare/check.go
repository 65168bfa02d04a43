package main

import (
	"context"
	"fmt"
	"slices"
)

// checkFloor is the part of its goal that a ratio to a limit must reach.
const checkFloor = 2.0 / 3

// checkTries is how often a row is measured before it counts as too slow. The
// machine may be busy with other things for a while.
const checkTries = 2

// check measures the rows that have a goal beside a limit, and of them only the
// systems those goals name. The best pair of a row decides: something that made
// hypercore slow would make it slow in all of them, other work on the machine
// does not. It is what CI runs.
func (e *env) check(ctx context.Context, rows []row) (*report, int) {
	rep := &report{Machine: describeMachine(e), Rounds: e.rounds, Quick: e.quick}
	code := 0
	for i := range rows {
		rw := rows[i]
		if !e.only.row(rw.name) || !rw.keepLimits() {
			continue
		}
		var res *result
		for try := 1; ; try++ {
			more := e.runRow(ctx, &rw)
			if res = res.join(more); ctx.Err() != nil || res.failed() {
				rep.add(res)
				return rep, 1
			}
			slow := res.below(checkFloor)
			if len(slow) == 0 {
				break
			}
			if try == checkTries {
				for _, g := range slow {
					fmt.Fprintf(e.log, "%s: %v: the best pair is below %.2f of the goal\n", rw.name, g, checkFloor)
				}
				code = 3
				break
			}
		}
		rep.add(res)
	}
	return rep, code
}

// keepLimits leaves the goals beside limits and the sides they name. False if
// there are none.
func (rw *row) keepLimits() bool {
	var goals []goal
	for _, g := range rw.goals {
		if g.than == "limit" && g.value > 0 {
			goals = append(goals, g)
		}
	}
	var sides []side
	for _, s := range rw.sides {
		if slices.ContainsFunc(goals, func(g goal) bool { return s.label == g.side || s.label == g.than }) {
			sides = append(sides, s)
		}
	}
	rw.goals, rw.sides = goals, sides
	return len(goals) > 0
}

// join is the rounds of both; r may be nil.
func (r *result) join(more *result) *result {
	if r == nil {
		return more
	}
	for i := range more.sides {
		more.sides[i].samples = append(r.sides[i].samples, more.sides[i].samples...)
	}
	more.rounds += r.rounds
	return more
}

func (r *result) failed() bool {
	return slices.ContainsFunc(r.sides, func(s sideResult) bool { return s.failed != nil })
}

// below returns the goals of which not even the best pair reaches the floor.
func (r *result) below(floor float64) (slow []goalReport) {
	for _, g := range r.row.goals {
		if got := r.judge(g); got.Got == nil || got.Got.Max < floor*g.value {
			slow = append(slow, got)
		}
	}
	return slow
}
