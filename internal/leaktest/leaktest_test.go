package leaktest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/internal/leaktest"
)

// fake is a test whose end is called for.
type fake struct {
	testing.TB
	cleanups []func()
	said     string
}

func (f *fake) Helper()                   {}
func (f *fake) Name() string              { return "Fake" }
func (f *fake) Cleanup(fn func())         { f.cleanups = append(f.cleanups, fn) }
func (f *fake) Errorf(_ string, a ...any) { f.said = a[1].(string) }

func (f *fake) end() {
	for i := len(f.cleanups) - 1; i >= 0; i-- {
		f.cleanups[i]()
	}
}

func TestCheck(t *testing.T) {
	leaktest.SetPatience(500 * time.Millisecond)
	for _, leak := range []bool{false, true} {
		f := &fake{TB: t}
		stop := make(chan struct{})
		done := make(chan struct{})
		go func() { // a goroutine of the fake test, with its label
			defer close(done)
			leaktest.Check(f)
			leaktest.Check(f)
			go func() { go wait(stop) }()
			if !leak {
				time.AfterFunc(50*time.Millisecond, func() { close(stop) })
			}
			f.end()
		}()
		<-done
		if leak != strings.Contains(f.said, "leaktest_test.wait") {
			t.Errorf("leak %v: said %q", leak, f.said)
		}
		if leak {
			close(stop)
		}
	}
}

func wait(stop chan struct{}) { <-stop }
