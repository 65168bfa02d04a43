package interop

import (
	"fmt"
	"os"
	"strings"
)

// sayAlthoughPassing tells something to who runs the tests, although they pass: go
// test ./... shows nothing of what a passing package prints. It looks for one line,
// and then says [no tests to run] behind the package; what was skipped, and why, is
// said on the standard error of the go command itself, where that can be reached.
func sayAlthoughPassing(text string) {
	fmt.Printf("%s\ntesting: warning: no tests to run\n", text)
	proc := fmt.Sprintf("/proc/%d/", os.Getppid())
	if name, err := os.ReadFile(proc + "comm"); err != nil || strings.TrimSpace(string(name)) != "go" {
		return
	}
	// A file that takes the standard output as well would be overwritten: its
	// position is not shared by opening it again.
	stderr, err := os.Stat(proc + "fd/2")
	if err != nil {
		return
	}
	if stdout, err := os.Stat(proc + "fd/1"); err == nil && stderr.Mode().IsRegular() && os.SameFile(stdout, stderr) {
		return
	}
	if w, err := os.OpenFile(proc+"fd/2", os.O_WRONLY|os.O_APPEND, 0); err == nil {
		fmt.Fprintln(w, text)
		w.Close()
	}
}
