// Package fileclock is for tests that tell files apart by when they were made.
package fileclock

import (
	"os"
	"runtime"
	"testing"
	"time"
)

// Tick returns when files made in dir from now on have another time than those made
// before: a kernel's clock for files moves a few milliseconds at a time.
func Tick(t testing.TB, dir string) {
	t.Helper()
	made := func() time.Time {
		f, err := os.CreateTemp(dir, "tick")
		if err != nil {
			t.Fatal(err)
		}
		defer os.Remove(f.Name())
		defer f.Close()
		st, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		return st.ModTime()
	}
	for first := made(); made().Equal(first); {
		runtime.Gosched()
	}
}
