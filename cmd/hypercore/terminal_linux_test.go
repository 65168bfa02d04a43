package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// newTerminal makes a terminal: what a person has, and what a program has.
func newTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no terminals here:", err)
	}
	t.Cleanup(func() { person.Close() })
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return person, program
}

// TestNoBarWhileTyping: a bar shows on a terminal, but not over what is typed there.
func TestNoBarWhileTyping(t *testing.T) {
	t.Parallel()
	w := &world{t, t.TempDir()}
	w.run("a", nil, "create", "log", "-q")
	for _, x := range []struct {
		name string
		args []string
		pipe bool // the input is not typed
	}{
		{"piped", nil, true},
		{"typed", nil, false},
		{"typed for -", []string{"-"}, false},
	} {
		person, program := newTerminal(t)
		cmd := w.command("a", program, append([]string{"append", "log", "--lines"}, x.args...)...)
		cmd.Env = append(cmd.Env, "TERM=xterm")
		cmd.Stderr = program
		keys, end := io.Writer(person), func() { person.Write([]byte{4}) } // Ctrl-D
		if x.pipe {
			r, p, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			cmd.Stdin, keys, end = r, p, func() { p.Close(); r.Close() }
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		program.Close()
		screen := make(chan string, 1)
		go func() {
			var b bytes.Buffer
			io.Copy(&b, person) // until nobody has the terminal any more, which is an error
			screen <- b.String()
		}()
		fmt.Fprintln(keys, "one")
		time.Sleep(barDelay + 5*barEvery)
		fmt.Fprintln(keys, "two")
		end()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", x.name, err)
		}
		s := <-screen
		if !strings.Contains(s, "appended 2 blocks") || strings.Contains(s, "Ctrl-D ends") == x.pipe {
			t.Errorf("%s: it says:\n%s", x.name, s)
		}
		if bar := strings.Contains(s, "\x1b[K"); bar != x.pipe {
			t.Errorf("%s: a bar shows: %v:\n%q", x.name, bar, s)
		}
	}
}

// TestFollowingShows: on a terminal a clone that follows shows what has come.
func TestFollowingShows(t *testing.T) {
	t.Parallel()
	w := &world{t, t.TempDir()}
	key := strings.TrimSpace(w.run("a", nil, "create", "log"))
	w.run("a", strings.NewReader("one\ntwo\n"), "append", "log", "--lines")
	seed := w.start("a", nil, "seed", "log", "--network", "none", "--listen", "/ip4/127.0.0.1/tcp/0", "--json")
	addr := seed.listening().Addrs[0]
	person, program := newTerminal(t)
	cmd := w.command("b", nil, "clone", key, "./copy", "--live", "--network", "none", "--listen", "/ip4/127.0.0.1/tcp/0", "--peer", addr)
	cmd.Env = append(cmd.Env, "TERM=xterm")
	cmd.Stderr = program
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	program.Close()
	watch := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer watch.Stop()
	var seen bytes.Buffer
	until := func(text string) {
		t.Helper()
		b := make([]byte, 4096)
		for !strings.Contains(seen.String(), text) {
			n, err := person.Read(b)
			if seen.Write(b[:n]); err != nil {
				t.Fatalf("%q does not show: %v\n%q", text, err, seen.String())
			}
		}
	}
	until("2 blocks, 0 new, 1 peer")
	w.run("a", strings.NewReader("three\n"), "append", "log", "--lines")
	until("3 blocks, 1 new, 1 peer")
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, person)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// TestNothingTypedForNobody: who would type for a feed that does not exist is told so first.
func TestNothingTypedForNobody(t *testing.T) {
	t.Parallel()
	w := &world{t, t.TempDir()}
	for _, name := range []string{"nobody", strings.Repeat("ab", 32)} {
		_, program := newTerminal(t)
		cmd := w.command("a", program, "append", name)
		var said bytes.Buffer
		cmd.Stderr = &said
		err := cmd.Run()
		if err == nil || !strings.Contains(said.String(), "no feed") || strings.Contains(said.String(), "terminal") {
			t.Errorf("%s: %v: it says:\n%s", name, err, said.String())
		}
		program.Close()
	}
}
