package interop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/protocol"
)

// How long things may take. They are for a machine that is busy with everything
// else a CI run does at the same time: nothing here comes near them when it works.
const (
	// patience is for one thing that somebody waits for, or while nothing moves.
	// js/patience.mjs has the same for commands that wait.
	patience = time.Minute
	// caseLimit is for one case with one version, largeLimit for one with -large.
	caseLimit  = 3 * time.Minute
	largeLimit = 40 * time.Minute
)

// limit is how long a case may take.
func limit() time.Duration {
	if *large {
		return largeLimit
	}
	return caseLimit
}

// ctx is for calls on a feed here.
func ctx(t testing.TB) context.Context {
	t.Helper()
	c, cancel := context.WithTimeout(context.Background(), limit())
	t.Cleanup(cancel)
	return c
}

// within ends the test when it takes longer than a case may: it tells what both
// sides were doing and stops the driver, so that whoever waits for npm goes on.
// The next case starts another one.
func within(t *testing.T, d *driver, limit time.Duration) {
	t.Helper()
	told := make(chan struct{})
	timer := time.AfterFunc(limit, func() {
		defer close(told)
		t.Errorf("not done after %v\n%s\n%s", limit, d.doing(), doingHere(t.Name()))
		d.end(errors.New("the driver was stopped: the case took too long"))
	})
	t.Cleanup(func() {
		if !timer.Stop() {
			<-told
		}
	})
}

// doing asks the driver what it is doing.
func (d *driver) doing() string {
	got := make(chan string, 1)
	go func() {
		raw, err := d.start("doing", nil)()
		if err != nil {
			got <- err.Error()
			return
		}
		got <- string(raw)
	}()
	select {
	case s := <-got:
		return "npm: " + s
	case <-time.After(10 * time.Second):
		return "npm: the driver answers nothing: its event loop is busy"
	}
}

// engines are those that run, by test, for doingHere.
var engines struct {
	sync.Mutex
	list []running
}

type running struct {
	test  string
	e     *protocol.Engine
	feeds []*feed.Feed
}

// track remembers an engine until the test has ended.
func track(t testing.TB, e *protocol.Engine, feeds ...*feed.Feed) {
	engines.Lock()
	engines.list = append(engines.list, running{t.Name(), e, feeds})
	engines.Unlock()
	t.Cleanup(func() {
		engines.Lock()
		defer engines.Unlock()
		for i, r := range engines.list {
			if r.e == e {
				engines.list = append(engines.list[:i:i], engines.list[i+1:]...)
				return
			}
		}
	})
}

// doingHere describes the engines of a test and the goroutines of this process that
// are in the project's code.
func doingHere(test string) string {
	var b strings.Builder
	engines.Lock()
	for _, r := range engines.list {
		if r.test != test {
			continue
		}
		for _, f := range r.feeds {
			fmt.Fprintf(&b, "here: feed of %d blocks, %d of them here\n", f.Len(), f.Downloaded(0, 0))
			for _, p := range r.e.Peers(f.DiscoveryKey()) {
				fmt.Fprintf(&b, "here:   peer %+v\n", p)
			}
		}
		for _, s := range r.e.Streams() {
			fmt.Fprintf(&b, "here:   stream %+v\n", s.Stats())
		}
	}
	engines.Unlock()
	stacks := make([]byte, 4<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for _, s := range bytes.Split(stacks, []byte("\n\n")) {
		if bytes.Contains(s, []byte("go-hypercore/hypercore/")) {
			fmt.Fprintf(&b, "%s\n\n", s)
		}
	}
	return b.String()
}

// TestLimit holds that a case that hangs is ended and told about.
func TestLimit(t *testing.T) {
	if os.Getenv("INTEROP_HANG") == "" {
		t.Skip("set INTEROP_HANG=1 to see what a case that hangs prints; it fails")
	}
	d := js(t)
	p := newPair(t, d, "6", true, false, small, 3)
	within(t, d, 2*time.Second)
	e := engineOf(t, p.go_)
	connect(t, d, []*npmFeed{p.npm}, e, wire{here: protocol.StreamOptions{Feeds: keysOf(p.go_)}})
	p.npm.until(t, 4, 4)
}
