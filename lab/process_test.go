//go:build linux

package lab

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-hypercore/hypercore/feed"
	"github.com/go-hypercore/hypercore/node/control"
)

// patience is how long the lab waits for what must come.
const patience = 90 * time.Second

// command builds the command once.
var command = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "labbin")
	if err != nil {
		return "", err
	}
	cleanups = append(cleanups, func() { os.RemoveAll(dir) })
	bin := filepath.Join(dir, "hypercore")
	if err := run(nil, "go", "build", "-o", bin, "../cmd/hypercore"); err != nil {
		return "", err
	}
	return bin, nil
})

// cleanups are called when all tests have run.
var cleanups []func()

func TestMain(m *testing.M) {
	playRole()
	flag.Parse()
	if os.Getenv(labEnv) != "" && missing() == "" {
		sweepSpaces()
		// Networks mostly wait; a number given with -parallel stands.
		if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
			_ = f.Value.Set("6")
		}
	}
	code := m.Run()
	for _, f := range cleanups {
		f()
	}
	os.Exit(code)
}

// process is a program that runs in a space.
type process struct {
	s              *space
	name           string
	cmd            *exec.Cmd
	began          time.Time
	stdout, stderr *text
	ended          chan struct{}
	err            error // of Wait; read after ended
	home           string
}

// text is what a process wrote.
type text struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (t *text) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.Write(p)
}

func (t *text) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}

// lines returns the lines that are whole.
func (t *text) lines() []string {
	s := t.String()
	end := strings.LastIndexByte(s, '\n')
	if end < 0 {
		return nil
	}
	return strings.Split(s[:end], "\n")
}

// start runs a program in the space until it ends or the test does.
func (s *space) start(name string, env []string, bin string, args ...string) *process {
	s.w.t.Helper()
	p := &process{s: s, name: name, stdout: new(text), stderr: new(text), ended: make(chan struct{})}
	p.cmd = exec.Command("ip", append([]string{"netns", "exec", s.full, bin}, args...)...)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.began = time.Now()
	if err := p.cmd.Start(); err != nil {
		s.w.t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	s.w.t.Cleanup(p.stop)
	s.w.t.Cleanup(func() {
		keep(s.w.t, s.w.id+name, p)
	})
	return p
}

// keep shows what a process wrote when the test failed, and stores it in
// $HYPERCORE_LAB_KEEP.
func keep(t testing.TB, name string, p *process) {
	all := fmt.Sprintf("%s\n--- stdout\n%s--- stderr\n%s", strings.Join(p.cmd.Args, " "), p.stdout, p.stderr)
	if dir := os.Getenv(labEnv + "_KEEP"); dir != "" {
		if err := os.MkdirAll(dir, 0o755); err == nil {
			_ = os.WriteFile(filepath.Join(dir, name), []byte(t.Name()+"\n"+all), 0o644)
		}
	}
	if t.Failed() {
		if len(all) > 8<<10 {
			all = all[:4<<10] + "\n...\n" + all[len(all)-4<<10:]
		}
		t.Logf("%s: %s", name, all)
	}
}

// hypercore runs our command with a home of its own, named name.
func (s *space) hypercore(name string, args ...string) *process {
	s.w.t.Helper()
	bin, err := command()
	if err != nil {
		s.w.t.Fatal(err)
	}
	home := s.w.path(name)
	p := s.start(name, []string{control.HomeEnv + "=" + home, "HYPERCORE_NETWORK="}, bin, args...)
	p.home = home
	return p
}

// stop ends a process, by force if need be.
func (p *process) stop() {
	select {
	case <-p.ended:
		return
	default:
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(3 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// running tells whether the process has not ended.
func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// waitFor waits until cond holds while the process runs.
func (p *process) waitFor(what string, cond func() bool) {
	p.s.w.t.Helper()
	for deadline := time.Now().Add(patience); !cond(); time.Sleep(5 * time.Millisecond) {
		if !p.running() {
			p.s.w.t.Fatalf("%s ended (%v) before %s", p.name, p.err, what)
		}
		if time.Now().After(deadline) {
			p.s.w.t.Fatalf("%s: %s did not come in %s", p.name, what, patience)
		}
	}
}

// end waits until the process ends by itself, without an error.
func (p *process) end() {
	p.s.w.t.Helper()
	select {
	case <-p.ended:
		if p.err != nil {
			p.s.w.t.Fatalf("%s: %v\n%s", p.name, p.err, p.stderr)
		}
	case <-time.After(patience):
		p.s.w.t.Fatalf("%s did not end in %s", p.name, patience)
	}
}

// info asks the process about a feed through its control socket.
func (p *process) info(k feed.Key) (info control.FeedInfo, peers []control.PeerInfo, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	h, err := control.OpenHome(p.home)
	if err != nil {
		return info, nil, err
	}
	c, _, err := h.Find(ctx, "", k)
	if err != nil {
		return info, nil, err
	}
	defer c.Close()
	f := c.Feed(k)
	info, err = f.Info(ctx)
	if err != nil {
		return info, nil, err
	}
	peers, err = f.Peers(ctx)
	return info, peers, err
}

// path is that of a file of this world.
func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) write(path, content string) {
	w.t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// local runs the command to its end without any network and returns what it
// printed.
func (w *world) local(home string, args ...string) (string, error) {
	bin, err := command()
	if err != nil {
		return "", err
	}
	cmd := exec.Command(bin, args...)
	cmd.Env = append(os.Environ(), control.HomeEnv+"="+w.path(home), "HYPERCORE_NETWORK=none")
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("hypercore %s: %w\n%s", strings.Join(args, " "), err, exit.Stderr)
	}
	return strings.TrimSpace(string(out)), err
}
