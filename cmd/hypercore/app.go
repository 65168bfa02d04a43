package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"

	"golang.org/x/term"

	"github.com/go-hypercore/hypercore/node/control"
)

// app is what all commands share: the streams and the flags before the
// command. Data goes to out, talk goes to err.
type app struct {
	in       io.Reader
	out, err io.Writer
	homeDir  string // --home
	json     bool   // --json
	quiet    bool   // --quiet
	feed     string // the FEED of the command line that is worked on, for hints; empty: none
	typed    bool   // the input is typed at a terminal: a bar would be drawn over it

	mu  sync.Mutex // held while one message is written to err
	bar *bar       // under mu: the progress bar that is on the screen; nil: none
}

// home opens the home of the user.
func (a *app) home() (*control.Home, error) { return control.OpenHome(a.homeDir) }

// homeHelp is the default home as help texts show it: without a user's name.
func homeHelp() string {
	switch runtime.GOOS {
	case "windows":
		return `%LocalAppData%\hypercore`
	case "darwin":
		return "~/Library/Application Support/hypercore"
	}
	return "~/.local/share/hypercore"
}

// say talks to the user on stderr; not with --quiet.
func (a *app) say(format string, args ...any) {
	if !a.quiet {
		a.warn(format, args...)
	}
}

// warn talks to the user on stderr, also with --quiet.
func (a *app) warn(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.bar != nil {
		a.bar.erase()
		defer a.bar.draw()
	}
	fmt.Fprintf(a.err, format+"\n", args...)
}

// print writes a line of data to stdout.
func (a *app) print(format string, args ...any) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.bar != nil {
		a.bar.erase()
		defer a.bar.draw()
	}
	_, err := fmt.Fprintf(a.out, format+"\n", args...)
	return err
}

// emit writes v to stdout as one line of JSON.
func (a *app) emit(v any) error {
	b, err := marshalLine(v)
	if err != nil {
		return err
	}
	return a.print("%s", b[:len(b)-1])
}

// marshalLine is v as JSON with a newline, < and > left as they are.
func marshalLine(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// table prints names and values in two columns.
func (a *app) table(rows [][2]string) error {
	width := 0
	for _, r := range rows {
		width = max(width, len(r[0]))
	}
	for _, r := range rows {
		if r[1] == "" {
			continue
		}
		if err := a.print("%-*s  %s", width, r[0], r[1]); err != nil {
			return err
		}
	}
	return nil
}

// terminal tells whether talk goes to a person's screen, and how wide it is.
func (a *app) terminal() (width int, ok bool) {
	f, isFile := a.err.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) || os.Getenv("TERM") == "dumb" {
		return 0, false
	}
	w, _, err := term.GetSize(int(f.Fd()))
	if err != nil || w < 20 {
		w = 80
	}
	return w, true
}
