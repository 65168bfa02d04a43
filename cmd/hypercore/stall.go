package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-hypercore/hypercore/node/diagnosis"
)

// Why a clone stands still, and why it ended before it was complete.

// alone tells whether all that peers have told of is here, and nobody may know of more.
func (s cloneState) alone() bool { return s.peers == 0 && s.stats.Length > 0 && s.want <= s.have }

func (s cloneState) aloneText() string {
	if s.lacks() {
		return fmt.Sprintf("%s of the %s that were announced are here, nobody is connected who may have the rest", countText(s.stats.Length), plural(s.announced, "block"))
	}
	return fmt.Sprintf("all %s known so far are here, nobody is connected who may know of more", plural(s.stats.Length, "block"))
}

// lacks tells whether more of the feed was announced from here once than anybody has told of.
func (s cloneState) lacks() bool { return s.announced > s.length }

// share says how much of what is wanted is here.
func (s cloneState) share() string {
	return fmt.Sprintf("%s of %s are here", countText(s.have), plural(s.total, "block"))
}

// judge says how it stands: with the node, the network, the peers, the blocks.
func (cl *cloning) judge(ctx context.Context) diagnosis.Verdict {
	return cl.n.judge(ctx, cl.o.key, cl.name)
}

// explain says why nothing moves, and what can be done; the same thing when again is over.
func (cl *cloning) explain(ctx context.Context, s cloneState, again time.Duration) error {
	v := cl.judge(ctx)
	text := v.Text
	switch {
	case v.State == diagnosis.OK:
		text = fmt.Sprintf("nothing has come for %s: %s", durationText(stallAfter), strings.TrimPrefix(v.Text, "healthy: "))
	case s.alone():
		text = s.aloneText() + ": " + v.Text
	}
	// Counts of looks and attempts differ each time.
	if what := withoutDigits(text); what == cl.said && time.Since(cl.saidAt) < again {
		return nil
	} else {
		cl.said, cl.saidAt = what, time.Now()
	}
	if cl.a.json {
		return cl.a.emit(event{Event: "waiting", Key: cl.o.key.String(), Text: text, Do: v.Do})
	}
	cl.a.say("%s", text)
	if v.Do != "" {
		cl.a.say("  → %s", v.Do)
	}
	return nil
}

// withoutDigits is s without its numbers, to tell whether it says the same.
func withoutDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, s)
}

// stopped is the error of a clone that ended before it was complete.
func (cl *cloning) stopped(ctx context.Context, s cloneState) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, errTimeout) {
		v := cl.judge(context.WithoutCancel(ctx))
		how := s.share()
		switch {
		case s.stats.Length == 0 && s.told == 0:
			how = "nobody who has the feed was reached"
		case s.alone():
			how = s.aloneText()
		}
		return hint(fmt.Errorf("%w after %s: %s: %s", errTimeout, cl.o.timeout, how, strings.TrimPrefix(v.Text, "healthy: ")), "%s", cmp.Or(v.Do, "run the same command again to go on"))
	}
	if errors.Is(cause, errInterrupted) && !(cl.finished && s.have >= s.want) { // who followed has all that there was
		if s.stats.Length == 0 && s.told == 0 {
			cl.a.say("nobody who has the feed was reached so far")
		} else {
			cl.a.say("%s; the same command goes on", s.share())
		}
	}
	return cause
}
