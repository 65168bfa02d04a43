//go:build linux

package lab

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// labEnv asks for the lab.
const labEnv = "HYPERCORE_LAB"

// tools are the commands that the lab runs.
var tools = []string{"ip", "nft", "conntrack", "miniupnpd"}

// missing says what the lab lacks on this machine; empty if it can run.
func missing() string {
	var lacks []string
	if os.Geteuid() != 0 {
		lacks = append(lacks, "root")
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		lacks = append(lacks, "/dev/net/tun")
	}
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			lacks = append(lacks, tool)
		}
	}
	return strings.Join(lacks, ", ")
}

// world is the network of one test.
type world struct {
	t   testing.TB
	id  string // prefix of its namespaces
	dir string // short enough for unix sockets below it
}

var worlds atomic.Int64

// newWorld makes a network without anything in it, or skips the test.
func newWorld(t testing.TB) *world {
	t.Helper()
	if os.Getenv(labEnv) == "" {
		t.Skipf("not run: set %s=1; the lab needs root, %s", labEnv, strings.Join(tools, ", "))
	}
	if lacks := missing(); lacks != "" {
		t.Fatalf("%s is set, but the lab lacks: %s", labEnv, lacks)
	}
	dir, err := os.MkdirTemp("", "lab")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, id: fmt.Sprintf("hclab%d-%d-", os.Getpid(), worlds.Add(1)), dir: dir}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return w
}

// space is one network namespace.
type space struct {
	w    *world
	name string // in the world
	full string // of the namespace
}

// space makes a namespace with its loopback interface up.
func (w *world) space(name string) *space {
	w.t.Helper()
	s := &space{w: w, name: name, full: w.id + name}
	w.must("ip", "netns", "add", s.full)
	w.t.Cleanup(func() { deleteSpace(s.full) })
	s.ip("link set lo up")
	return s
}

// must runs a command that has no reason to fail.
func (w *world) must(name string, args ...string) {
	w.t.Helper()
	if err := run(nil, name, args...); err != nil {
		w.t.Fatal(err)
	}
}

// ip runs ip commands in the space, one per line.
func (s *space) ip(lines ...string) {
	s.w.t.Helper()
	if err := run([]byte(strings.Join(lines, "\n")+"\n"), "ip", "-n", s.full, "-batch", "-"); err != nil {
		s.w.t.Fatal(err)
	}
}

// exec runs a command in the space to its end.
func (s *space) exec(stdin string, name string, args ...string) {
	s.w.t.Helper()
	if err := run([]byte(stdin), "ip", append([]string{"netns", "exec", s.full, name}, args...)...); err != nil {
		s.w.t.Fatal(err)
	}
}

// sysctl sets kernel parameters of the space, each NAME=VALUE.
func (s *space) sysctl(settings ...string) {
	s.w.t.Helper()
	err := inSpace(s.full, func() error {
		for _, set := range settings {
			name, value, _ := strings.Cut(set, "=")
			path := "/proc/sys/" + strings.ReplaceAll(name, ".", "/")
			if err := os.WriteFile(path, []byte(value), 0); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.w.t.Fatal(err)
	}
}

// cable joins two spaces by a pair of interfaces.
func (w *world) cable(a *space, devA string, b *space, devB string) {
	w.t.Helper()
	w.must("ip", "link", "add", devA, "netns", a.full, "type", "veth", "peer", "name", devB, "netns", b.full)
	a.ip("link set " + devA + " up")
	b.ip("link set " + devB + " up")
}

// run runs a command; its error holds what it wrote.
func run(stdin []byte, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, stdin, out)
	}
	return nil
}

// inSpace calls f on a thread that is in the namespace for so long.
func inSpace(full string, f func() error) (err error) {
	there, err := os.Open("/run/netns/" + full)
	if err != nil {
		return err
	}
	defer there.Close()
	runtime.LockOSThread()
	here, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer here.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("entering %s: %w", full, err)
	}
	defer func() {
		if back := unix.Setns(int(here.Fd()), unix.CLONE_NEWNET); back != nil {
			err = errors.Join(err, back) // the thread stays locked: nobody else may run on it
			return
		}
		runtime.UnlockOSThread()
	}()
	return f()
}

// deleteSpace ends the processes of a namespace and removes it with all its
// interfaces.
func deleteSpace(full string) {
	if out, err := exec.Command("ip", "netns", "pids", full).Output(); err == nil {
		for _, f := range strings.Fields(string(out)) {
			if pid, err := strconv.Atoi(f); err == nil && pid != os.Getpid() {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	}
	_ = run(nil, "ip", "netns", "del", full)
}

var labSpace = regexp.MustCompile(`^hclab(\d+)-\d+-`)

// sweepSpaces removes the namespaces of labs whose process is gone.
func sweepSpaces() {
	names, _ := filepath.Glob("/run/netns/hclab*")
	for _, path := range names {
		name := filepath.Base(path)
		m := labSpace.FindStringSubmatch(name)
		if m == nil {
			continue
		}
		pid, err := strconv.Atoi(m[1])
		if err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			deleteSpace(name)
		}
	}
}
