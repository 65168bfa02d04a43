package interop

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// obj is the arguments or the answer of a command.
type obj = map[string]any

// callTimeout ends a command that nobody answers. Commands that wait have shorter
// ones of their own; an audit of the largest feeds takes npm minutes.
const callTimeout = 40 * time.Minute

// driver is one process of js/driver.mjs.
type driver struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser

	// mu guards what follows.
	mu      sync.Mutex
	next    int
	waiting map[int]chan answer
	err     error // the process has ended
}

type answer struct {
	ID     int             `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  string          `json:"error"`
	Fatal  string          `json:"fatal"`
}

// unavailable says why the JavaScript side cannot run here; empty if it can.
var unavailable = sync.OnceValue(func() string {
	if _, err := exec.LookPath("node"); err != nil {
		return "node is not installed"
	}
	// This file exists once npm has finished.
	if _, err := os.Stat(filepath.Join("node_modules", ".package-lock.json")); err != nil {
		return "run npm ci --ignore-scripts in interop/"
	}
	return ""
})

// js starts a driver for the test and stops it with it.
func js(t *testing.T) *driver {
	t.Helper()
	if why := unavailable(); why != "" {
		if os.Getenv("INTEROP_REQUIRED") == "1" {
			t.Fatalf("interop is required: %s", why)
		}
		t.Skipf("interop skipped: %s", why)
	}
	d, err := startDriver()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.close)
	return d
}

func startDriver() (*driver, error) {
	cmd := exec.Command("node", filepath.Join("js", "driver.mjs"))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start node: %w", err)
	}
	d := &driver{cmd: cmd, stdin: stdin, waiting: map[int]chan answer{}}
	go d.read(stdout)
	return d, nil
}

func (d *driver) read(r io.Reader) {
	err := errors.New("the driver has ended")
	in := bufio.NewReader(r)
	for {
		line, rerr := in.ReadBytes('\n')
		if rerr != nil {
			break
		}
		var a answer
		if jerr := json.Unmarshal(line, &a); jerr != nil {
			err = fmt.Errorf("driver: %q: %w", line, jerr)
			break
		}
		if a.Fatal != "" {
			err = fmt.Errorf("driver: uncaught: %s", a.Fatal)
			continue
		}
		d.mu.Lock()
		ch := d.waiting[a.ID]
		delete(d.waiting, a.ID)
		d.mu.Unlock()
		if ch != nil {
			ch <- a
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
	for id, ch := range d.waiting {
		delete(d.waiting, id)
		close(ch)
	}
}

func (d *driver) close() {
	d.stdin.Close()
	done := make(chan struct{})
	go func() { d.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		d.cmd.Process.Kill()
		<-done
	}
}

// start sends a command; the returned function waits for its answer.
func (d *driver) start(cmd string, args obj) func() (json.RawMessage, error) {
	ch := make(chan answer, 1)
	d.mu.Lock()
	d.next++
	id := d.next
	err := d.err
	if err == nil {
		d.waiting[id] = ch
	}
	d.mu.Unlock()
	if err != nil {
		return func() (json.RawMessage, error) { return nil, err }
	}
	line := obj{}
	for k, v := range args {
		line[k] = v
	}
	line["id"], line["cmd"] = id, cmd
	b, err := json.Marshal(line)
	if err == nil {
		_, err = d.stdin.Write(append(b, '\n'))
	}
	if err != nil {
		return func() (json.RawMessage, error) { return nil, fmt.Errorf("driver: %s: %w", cmd, err) }
	}
	return func() (json.RawMessage, error) {
		select {
		case a, ok := <-ch:
			if !ok {
				d.mu.Lock()
				defer d.mu.Unlock()
				return nil, fmt.Errorf("%s: %w", cmd, d.err)
			}
			if a.Error != "" {
				return nil, &jsError{cmd, a.Error}
			}
			return a.Result, nil
		case <-time.After(callTimeout):
			return nil, fmt.Errorf("driver: %s: no answer", cmd)
		}
	}
}

// jsError is what a command failed with on the JavaScript side.
type jsError struct{ cmd, text string }

func (e *jsError) Error() string { return fmt.Sprintf("npm: %s: %s", e.cmd, e.text) }

// try runs a command and returns its error.
func (d *driver) try(cmd string, args obj, result any) error {
	raw, err := d.start(cmd, args)()
	if err != nil || result == nil {
		return err
	}
	return json.Unmarshal(raw, result)
}

// call runs a command that must succeed.
func (d *driver) call(t testing.TB, cmd string, args obj, result any) {
	t.Helper()
	if err := d.try(cmd, args, result); err != nil {
		t.Fatal(err)
	}
}

func decode(t testing.TB, raw json.RawMessage, v any) {
	t.Helper()
	if err := json.Unmarshal(raw, v); err != nil {
		t.Fatal(err)
	}
}
