// Package leaktest notices goroutines that a test leaves behind.
//
// Goroutines inherit the profiler labels of the one that starts them. Check gives
// the test's goroutine a label, and looks at the end of the test whether others
// still have it: so tests that run in parallel do not answer for each other, and
// a goroutine that a library started is found as well as one of ours.
package leaktest

import (
	"context"
	"fmt"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// label is the key of the label that goroutines of a test have.
const label = "leaktest"

// patience is how long goroutines may take to end after the test.
var patience = 10 * time.Second

// shared are functions of goroutines that the libraries start once for the whole
// process, on behalf of whoever comes first.
var shared = []string{
	"go.opencensus.io/stats/view.(*worker).start",
	"github.com/libp2p/go-netroute", "github.com/pion/transport", "net/http.(*persistConn)", // idle connections of the default client
}

// checked has the names of the tests that Check was called for.
var checked sync.Map

// Check fails the test if goroutines that it started, directly or not, are left
// some seconds after its end. It belongs at the begin, before cleanups are
// registered: they run in the reverse order. More calls in a test do nothing.
// Inside testing/synctest it is not needed: there every goroutine has to end.
func Check(t testing.TB) {
	t.Helper()
	name := t.Name()
	if _, again := checked.LoadOrStore(name, true); again {
		return
	}
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels(label, name)))
	t.Cleanup(func() {
		checked.Delete(name)
		// The cleanup runs on the test's goroutine, which is not to be found.
		pprof.SetGoroutineLabels(context.Background())
		var left []string
		for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
			if left = labelled(name); len(left) == 0 {
				return
			}
			if time.Now().After(end) {
				break
			}
		}
		t.Errorf("%d kinds of goroutines are left:\n\n%s", len(left), strings.Join(left, "\n\n"))
	})
}

// Left returns the stacks of goroutines that run code of this module, after it
// has given them up to wait to end; the caller's own does not count. It is for the
// end of a program: nothing is labelled.
func Left(wait time.Duration) (left []string) {
	const module = "github.com/go-hypercore/hypercore/"
	for end := time.Now().Add(wait); ; time.Sleep(10 * time.Millisecond) {
		buf := make([]byte, 4<<20)
		left = left[:0]
		for i, s := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if i > 0 && strings.Contains(s, module) {
				left = append(left, s)
			}
		}
		if len(left) == 0 || time.Now().After(end) {
			return left
		}
	}
}

// labelled returns the stacks of goroutines with the label of a test, equal ones
// together.
func labelled(name string) []string {
	var b strings.Builder
	if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
		return nil
	}
	want := fmt.Sprintf("%q:%q", label, name)
	var out []string
	for _, s := range strings.Split(b.String(), "\n\n") {
		if strings.Contains(s, want) && !slices.ContainsFunc(shared, func(f string) bool { return strings.Contains(s, f) }) {
			out = append(out, s)
		}
	}
	return out
}
