package interop

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const byCommand = "The command line"

// built makes the command once.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "hypercore-interop")
	if err != nil {
		return "", err
	}
	removeLater = append(removeLater, dir)
	file := filepath.Join(dir, "hypercore")
	out, err := exec.Command("go", "build", "-o", file, "github.com/go-hypercore/hypercore/cmd/hypercore").CombinedOutput()
	if err != nil {
		os.Stderr.Write(out)
	}
	return file, err
})

// removeLater are directories that live as long as the test process.
var removeLater []string

// homes are the HYPERCORE_HOME of each test, by its name.
var homes sync.Map

// command prepares the binary; all commands of a test have the same home.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	file, err := built()
	if err != nil {
		t.Fatal(err)
	}
	home, ok := homes.Load(t.Name())
	if !ok {
		// Not t.TempDir: a unix socket's name must be short.
		dir, err := os.MkdirTemp("", "hc")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			homes.Delete(t.Name())
			os.RemoveAll(dir)
		})
		home = dir
		homes.Store(t.Name(), dir)
	}
	cmd := exec.Command(file, args...)
	cmd.Env = append(os.Environ(), "HYPERCORE_HOME="+home.(string), "HYPERCORE_NETWORK=none")
	return cmd
}

// run runs a command that must succeed and returns what it prints.
func run(t *testing.T, stdin []byte, args ...string) []byte {
	t.Helper()
	cmd := command(t, args...)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(stdin), &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("hypercore %q: %v\n%s", args, err, stderr.Bytes())
	}
	return out
}

func runJSON(t *testing.T, v any, args ...string) {
	t.Helper()
	out := run(t, nil, append(args, "--json")...)
	if err := json.Unmarshal(out, v); err != nil {
		t.Fatalf("hypercore %q: %q: %v", args, out, err)
	}
}

// TestCommands runs the binary on directories of npm and against npm over TCP.
func TestCommands(t *testing.T) {
	d := js(t)

	cases(t, byCommand, "info, verify, cat and append on a directory of npm", versions, func(t *testing.T, v string) {
		dir := t.TempDir()
		n := d.open(t, v, dir, npmOpts{})
		n.generate(t, small, 100, 9)
		n.refresh(t)
		sum := n.digest(t)
		n.close(t)

		var info struct {
			Key                string
			Length, ByteLength uint64
			Downloaded         uint64
			Writable           bool
		}
		runJSON(t, &info, "info", dir)
		if info.Key != n.Key || info.Length != 100 || info.ByteLength != n.ByteLength || !info.Writable || info.Downloaded != 100 {
			t.Fatalf("info: %+v", info)
		}
		var verify struct {
			Length, Present, Missing, Invalid uint64
			Signature, SHA256                 string
		}
		runJSON(t, &verify, "verify", dir)
		if verify.Present != 100 || verify.Invalid != 0 || verify.Signature != "valid" || verify.SHA256 != sum.SHA256 {
			t.Fatalf("verify: %+v", verify)
		}
		if want := bytes.Join(small.blocks(0, 100), nil); !bytes.Equal(run(t, nil, "cat", dir), want) {
			t.Fatal("cat differs")
		}
		run(t, []byte("one\ntwo\n"), "append", dir, "--lines")
		n = d.open(t, v, dir, npmOpts{})
		n.audit(t)
		n.verify(t)
		sameDigest(t, "npm", n.digest(t), modelDigest(append(small.blocks(0, 100), []byte("one\n"), []byte("two\n"))))
		n.close(t)
	})

	cases(t, byCommand, "dump of a directory of npm", versions, func(t *testing.T, v string) {
		dir := t.TempDir()
		n := d.open(t, v, dir, npmOpts{})
		n.generate(t, small, 100, 9)
		n.close(t)
		var dump struct {
			Key          string
			Lengths      map[string]uint64
			ProblemCount int
		}
		runJSON(t, &dump, "dump", dir)
		if dump.Key != n.Key || dump.ProblemCount != 0 || dump.Lengths["bitfield"] != 100 || dump.Lengths["signatures"] != 100 || dump.Lengths["tree"] != 100 {
			t.Fatalf("dump: %+v", dump)
		}
	})

	cases(t, byCommand, "wire-dump of a recorded stream of npm", wireVersions, func(t *testing.T, v string) {
		s := d.open(t, v, t.TempDir(), npmOpts{})
		s.generate(t, small, 20, 9)
		c := d.open(t, v, t.TempDir(), npmOpts{Key: s.Key})
		record := filepath.Join(t.TempDir(), "stream")
		var server struct{ Server, Port, Conn int }
		d.call(t, "listen", obj{"feeds": []int{s.Feed}, "opts": obj{"live": false}}, &server)
		d.call(t, "dial", obj{"port": server.Port, "feeds": []int{c.Feed}, "opts": obj{"live": false}, "record": record}, &server)
		d.call(t, "ended", obj{"conn": server.Conn}, nil)
		for direction, want := range map[string]map[string]int{
			".in":  {"Feed": 1, "Handshake": 1, "Data": 20},
			".out": {"Feed": 1, "Handshake": 1, "Request": 20, "Want": 1},
		} {
			got := map[string]int{}
			for line := range bytes.Lines(run(t, nil, "wire-dump", record+direction, "--key", s.Key, "--json")) {
				var f struct{ Message, Error string }
				if err := json.Unmarshal(line, &f); err != nil || f.Error != "" {
					t.Fatalf("%s: %v", line, err)
				}
				got[f.Message]++
			}
			for name, n := range want {
				if got[name] != n {
					t.Fatalf("stream%s: %v, want %d %s", direction, got, n, name)
				}
			}
		}
	})

	cases(t, byCommand, "seed --tcp-listen: npm dials and downloads two feeds, then what append adds", wireVersions, func(t *testing.T, v string) {
		parent := t.TempDir()
		a, b := filepath.Join(parent, "a"), filepath.Join(parent, "b")
		var clones []*npmFeed
		var handles []int
		for _, dir := range []string{a, b} {
			key := string(bytes.TrimSpace(run(t, nil, "create", dir)))
			run(t, bytes.Repeat([]byte("a line\n"), 500), "append", dir, "--lines")
			c := d.open(t, v, t.TempDir(), npmOpts{Key: key})
			clones, handles = append(clones, c), append(handles, c.Feed)
		}
		seed := startCommand(t, "seed", a, b, "--together", "--listen", "/ip4/127.0.0.1/tcp/0", "--tcp-listen", "127.0.0.1:0")
		d.call(t, "dial", obj{"port": seed.port(t), "feeds": handles, "opts": obj{"live": true}}, nil)
		for _, c := range clones {
			c.until(t, 500, 500)
		}
		run(t, []byte("one\ntwo\nthree\n"), "append", a, "--lines")
		clones[0].until(t, 503, 503)
		for _, c := range clones {
			c.audit(t)
			c.verify(t)
		}
	})

	cases(t, byCommand, "seed --tcp: npm listens and downloads", wireVersions, func(t *testing.T, v string) {
		dir := filepath.Join(t.TempDir(), "feed")
		key := string(bytes.TrimSpace(run(t, nil, "create", dir)))
		run(t, bytes.Repeat([]byte("a line\n"), 500), "append", dir, "--lines")
		c := d.open(t, v, t.TempDir(), npmOpts{Key: key})
		startCommand(t, "seed", dir, "--listen", "/ip4/127.0.0.1/tcp/0", "--tcp", listenNpm(t, d, c))
		c.until(t, 500, 500)
		c.audit(t)
		c.verify(t)
	})

	cases(t, byCommand, "clone --tcp: npm listens and seeds", wireVersions, func(t *testing.T, v string) {
		s := d.open(t, v, t.TempDir(), npmOpts{})
		s.generate(t, small, 500, 50)
		dir := filepath.Join(t.TempDir(), "copy")
		run(t, nil, "clone", s.Key, dir, "--listen", "/ip4/127.0.0.1/tcp/0", "--tcp", listenNpm(t, d, s), "--timeout", patience.String())
		readClone(t, d, v, dir, s)
	})

	cases(t, byCommand, "clone --tcp-listen: npm dials and seeds", wireVersions, func(t *testing.T, v string) {
		s := d.open(t, v, t.TempDir(), npmOpts{})
		s.generate(t, small, 500, 50)
		dir := filepath.Join(t.TempDir(), "copy")
		clone := startCommand(t, "clone", s.Key, dir, "--listen", "/ip4/127.0.0.1/tcp/0", "--tcp-listen", "127.0.0.1:0", "--timeout", patience.String())
		d.call(t, "dial", obj{"port": clone.port(t), "feeds": []int{s.Feed}, "opts": obj{"live": true}}, nil)
		if err := clone.wait(); err != nil {
			t.Fatalf("clone: %v", err)
		}
		readClone(t, d, v, dir, s)
	})
}

// listenNpm lets npm replicate a feed with whoever connects.
func listenNpm(t *testing.T, d *driver, n *npmFeed) string {
	t.Helper()
	var server struct{ Port int }
	d.call(t, "listen", obj{"feeds": []int{n.Feed}, "opts": obj{"live": true}}, &server)
	return "127.0.0.1:" + strconv.Itoa(server.Port)
}

// readClone opens with npm what a command cloned.
func readClone(t *testing.T, d *driver, v, dir string, source *npmFeed) {
	t.Helper()
	n := d.open(t, v, dir, npmOpts{})
	n.audit(t)
	n.verify(t)
	sameDigest(t, "the clone", n.digest(t), source.digest(t))
}

var listening = regexp.MustCompile(`listening for JavaScript peers on 127\.0\.0\.1:(\d+)`)

// background is a command that runs; it is interrupted when the test ends.
type background struct {
	cmd   *exec.Cmd
	ports chan int // where it listens for JavaScript peers
	wait  func() error
}

func startCommand(t *testing.T, args ...string) *background {
	t.Helper()
	b := &background{cmd: command(t, args...), ports: make(chan int, 1)}
	stderr, err := b.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			said.WriteString(lines.Text() + "\n")
			if m := listening.FindStringSubmatch(lines.Text()); m != nil {
				port, _ := strconv.Atoi(m[1])
				b.ports <- port
			}
		}
	}()
	b.wait = sync.OnceValue(func() error {
		<-read
		return b.cmd.Wait()
	})
	t.Cleanup(func() {
		b.cmd.Process.Signal(syscall.SIGINT)
		b.wait()
		if t.Failed() {
			t.Logf("hypercore %q said:\n%s", args, said.String())
		}
	})
	return b
}

func (b *background) port(t *testing.T) int {
	t.Helper()
	select {
	case port := <-b.ports:
		return port
	case <-time.After(patience):
		t.Fatal("the command does not say where it listens")
		return 0
	}
}
