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
	"strings"
	"sync"
	"testing"
	"time"
)

// obj is the arguments or the answer of a command.
type obj = map[string]any

// driver is js/driver.mjs in a process, one for all cases of a test and then for the
// next: loading npm takes longer than most cases. It is started when a test asks for
// it, and anew when it has ended.
type driver struct {
	mu   sync.Mutex // guards proc
	proc *process
}

// drivers are all there are, as many as tests run at a time.
var drivers struct {
	sync.Mutex
	all, free []*driver
	of        map[string]*driver // by the name of the test
}

// process is one run of the driver.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser

	// mu guards what follows.
	mu      sync.Mutex
	next    int
	waiting map[int]chan answer
	err     error // why it has ended
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

// js returns the driver of a test, running. A test asks for it before its subtests do,
// and until then may wait for others: most of the time of one is spent waiting. The
// rows of a table that is to be written come in the order of the tests.
func js(t *testing.T) *driver {
	t.Helper()
	name, _, sub := strings.Cut(t.Name(), "/")
	if !sub && !*updateTable {
		t.Parallel()
	}
	if why := unavailable(); why != "" {
		if os.Getenv("INTEROP_REQUIRED") == "1" {
			t.Fatalf("interop is required: %s", why)
		}
		t.Skipf("interop skipped: %s", why)
	}
	drivers.Lock()
	d := drivers.of[name]
	if d == nil {
		d = takeDriver()
		if drivers.of == nil {
			drivers.of = map[string]*driver{}
		}
		drivers.of[name] = d
	}
	drivers.Unlock()
	if !sub {
		t.Cleanup(func() {
			drivers.Lock()
			defer drivers.Unlock()
			delete(drivers.of, name)
			drivers.free = append(drivers.free, d)
		})
	}
	d.revive(t)
	return d
}

// takeDriver returns one that no test has. drivers is locked.
func takeDriver() *driver {
	if n := len(drivers.free); n > 0 {
		d := drivers.free[n-1]
		drivers.free = drivers.free[:n-1]
		return d
	}
	d := new(driver)
	drivers.all = append(drivers.all, d)
	return d
}

// revive starts the driver unless it runs.
func (d *driver) revive(t testing.TB) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.proc != nil && d.proc.ended() == nil {
		return
	}
	p, err := startProcess()
	if err != nil {
		t.Fatal(err)
	}
	d.proc = p
}

// reset ends connections and closes feeds that a case left behind.
func (d *driver) reset() { d.try("reset", nil, nil) }

// end stops the driver; who waits for an answer is told why.
func (d *driver) end(why error) {
	d.mu.Lock()
	p := d.proc
	d.mu.Unlock()
	if p != nil {
		p.end(why)
	}
}

func startProcess() (*process, error) {
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
	p := &process{cmd: cmd, stdin: stdin, waiting: map[int]chan answer{}}
	go p.read(stdout)
	return p, nil
}

func (p *process) ended() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

func (p *process) read(r io.Reader) {
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
		p.mu.Lock()
		ch := p.waiting[a.ID]
		delete(p.waiting, a.ID)
		p.mu.Unlock()
		if ch != nil {
			ch <- a
		}
	}
	p.end(err)
}

// end closes the input of the process and, if that does not help, kills it.
func (p *process) end(why error) {
	p.mu.Lock()
	first := p.err == nil
	if first {
		p.err = why
	}
	for id, ch := range p.waiting {
		delete(p.waiting, id)
		close(ch)
	}
	p.mu.Unlock()
	if !first {
		return
	}
	p.stdin.Close()
	done := make(chan struct{})
	go func() { p.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		p.cmd.Process.Kill()
		<-done
	}
}

// start sends a command; the returned function waits for its answer. The limit of
// the test case ends that wait.
func (d *driver) start(cmd string, args obj) func() (json.RawMessage, error) {
	d.mu.Lock()
	p := d.proc
	d.mu.Unlock()
	ch := make(chan answer, 1)
	p.mu.Lock()
	p.next++
	id, err := p.next, p.err
	if err == nil {
		p.waiting[id] = ch
	}
	p.mu.Unlock()
	if err != nil {
		return func() (json.RawMessage, error) { return nil, fmt.Errorf("%s: %w", cmd, err) }
	}
	line := obj{}
	for k, v := range args {
		line[k] = v
	}
	line["id"], line["cmd"] = id, cmd
	b, err := json.Marshal(line)
	if err == nil {
		_, err = p.stdin.Write(append(b, '\n'))
	}
	if err != nil {
		return func() (json.RawMessage, error) { return nil, fmt.Errorf("driver: %s: %w", cmd, err) }
	}
	return func() (json.RawMessage, error) {
		a, ok := <-ch
		if !ok {
			return nil, fmt.Errorf("%s: %w", cmd, p.ended())
		}
		if a.Error != "" {
			return nil, &jsError{cmd, a.Error}
		}
		return a.Result, nil
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
