package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/go-hypercore/hypercore/internal/leaktest"
	"github.com/go-hypercore/hypercore/internal/port"
	"github.com/go-hypercore/hypercore/node/control"
)

// The scripts run the real main in processes of its own, which then look whether
// anything is left running.
func TestMain(m *testing.M) {
	testscript.Main(waiting{m}, map[string]func(){"hypercore": func() {
		code := run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
		if left := leaktest.Left(leakPatience); len(left) > 0 {
			fmt.Fprintf(os.Stderr, "%d goroutines are left:\n\n%s\n", len(left), strings.Join(left, "\n\n"))
			code = exitLeaks
		}
		os.Exit(code)
	}})
}

// waiting runs more tests at a time than there are cores, for they mostly wait. A number
// given with -parallel stands.
type waiting struct{ *testing.M }

func (w waiting) Run() int {
	flag.Parse()
	if signal.Ignored(syscall.SIGHUP) { // under nohup; the scripts send it
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = f.Value.Set(strconv.Itoa(2 * runtime.GOMAXPROCS(0)))
	}
	return w.M.Run()
}

const (
	leakPatience = 5 * time.Second
	exitLeaks    = 99
)

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, params("testdata/script"))
}

// params are what all scripts share: a home of their own, no network unless
// they ask for one, and a few commands.
func params(dir string) testscript.Params {
	return testscript.Params{
		Dir: dir,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HYPERCORE_HOME", filepath.Join(env.WorkDir, "home"))
			env.Setenv("HYPERCORE_NETWORK", "none")
			env.Setenv("TMPDIR", filepath.Join(env.WorkDir, ".tmp"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exitcode":   exitCodeIs,
			"flip":       flip,
			"truncate":   truncate,
			"lines":      lines,
			"setenv":     setenv,
			"samehash":   sameHash,
			"lock":       lock,
			"waitfor":    waitFor,
			"running":    runningNode,
			"waitlength": waitInfo("length"),
			"waitblocks": waitInfo("downloaded"),
			"bigfile":    bigFile,
			"sameid":     sameID,
			"emptydir":   emptyDir,
			"copydir":    copyDir,
			"freeport":   freePort,
			"jsonfield":  jsonField,
			"waitpeer":   waitPeer,
			"smalldisk":  smallDisk,
			"waitdoctor": waitDoctor,
			"waitlines":  waitLines,
		},
		Condition:           condition,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	}
}

// exitcode N COMMAND...: the command ends with code N.
func exitCodeIs(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exitcode N COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if err != nil {
		if _, serr := fmt.Sscanf(err.Error(), "exit status %d", &got); serr != nil {
			ts.Fatalf("%v", err)
		}
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// flip FILE OFFSET: one bit of the byte changes.
func flip(ts *testscript.TestScript, _ bool, args []string) {
	name := ts.MkAbs(args[0])
	b, err := os.ReadFile(name)
	ts.Check(err)
	off, err := strconv.Atoi(args[1])
	ts.Check(err)
	b[off] ^= 1
	ts.Check(os.WriteFile(name, b, 0o600))
}

// truncate FILE SIZE
func truncate(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	ts.Check(os.Truncate(ts.MkAbs(args[0]), n))
}

// lines FILE N: a file of N numbered lines.
func lines(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "line %d\n", i)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(b.String()), 0o600))
}

// setenv NAME FILE [FIELD]: the variable becomes what the file holds, or a field of its first line.
func setenv(ts *testscript.TestScript, _ bool, args []string) {
	v := strings.TrimSpace(ts.ReadFile(args[1]))
	if len(args) > 2 {
		n, err := strconv.Atoi(args[2])
		ts.Check(err)
		first, _, _ := strings.Cut(v, "\n")
		v = strings.Fields(first)[n]
	}
	ts.Setenv(args[0], v)
}

// waitfor FILE [TEXT]: until the file exists and contains the text.
func waitFor(ts *testscript.TestScript, _ bool, args []string) {
	eventually(ts, strings.Join(args, " "), func() bool {
		b, err := os.ReadFile(ts.MkAbs(args[0]))
		if fi, serr := os.Stat(ts.MkAbs(args[0])); serr == nil && fi.Mode()&os.ModeSocket != 0 {
			err = nil
		}
		return err == nil && (len(args) == 1 || strings.Contains(string(b), args[1]))
	})
}

// waitlines FILE N TEXT: until the text is in the file N times.
func waitLines(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	eventually(ts, strings.Join(args, " "), func() bool {
		b, err := os.ReadFile(ts.MkAbs(args[0]))
		return err == nil && strings.Count(string(b), args[2]) >= want
	})
}

// patience is how long a script waits for something that should come at once.
const patience = 60 * time.Second

// eventually waits until ok.
func eventually(ts *testscript.TestScript, what string, ok func() bool) {
	for end := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("%s: waited %v", what, patience)
		}
	}
}

// running VAR N [FEEDS]: waits until the node in slot N runs, and has so many feeds;
// VAR becomes its first address.
func runningNode(ts *testscript.TestScript, _ bool, args []string) {
	c := control.NewClient(filepath.Join(ts.Getenv("HYPERCORE_HOME"), "nodes", args[1], "control.sock"))
	defer c.Close()
	feeds := 0
	if len(args) > 2 {
		n, err := strconv.Atoi(args[2])
		ts.Check(err)
		feeds = n
	}
	eventually(ts, "slot "+args[1], func() bool {
		n, err := c.Node(context.Background())
		if err == nil && len(n.Addrs) > 0 && n.Feeds >= feeds {
			ts.Setenv(args[0], n.Addrs[0])
			return true
		}
		return false
	})
}

// waitpeer [!]TEXT: until the list of connected peers has TEXT, or has it no longer.
func waitPeer(ts *testscript.TestScript, _ bool, args []string) {
	text, gone := strings.CutPrefix(args[0], "!")
	c := control.NewClient(filepath.Join(ts.Getenv("HYPERCORE_HOME"), "nodes", "0", "control.sock"))
	defer c.Close()
	eventually(ts, args[0], func() bool {
		list, err := c.Peers(context.Background())
		found := false
		for _, p := range list {
			found = found || p.Connected && p.Stream && p.Feeds > 0 && strings.HasPrefix(p.ID, text)
		}
		return err == nil && found != gone
	})
}

// waitdoctor FEED PATTERN: until the verdict of hypercore doctor matches.
func waitDoctor(ts *testscript.TestScript, _ bool, args []string) {
	want := regexp.MustCompile(args[1])
	eventually(ts, "doctor: "+args[1], func() bool {
		cmd := exec.Command("hypercore", "doctor", args[0])
		cmd.Dir = ts.MkAbs(".")
		cmd.Env = append(os.Environ(), "HYPERCORE_HOME="+ts.Getenv("HYPERCORE_HOME"), "PATH="+ts.Getenv("PATH"))
		out, _ := cmd.Output()
		return want.Match(out)
	})
}

// waitInfo makes a command waitFIELD FEED N [HOME]: waits until hypercore info shows at
// least N.
func waitInfo(field string) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, args []string) {
		want, err := strconv.ParseFloat(args[1], 64)
		ts.Check(err)
		home := ts.Getenv("HYPERCORE_HOME")
		if len(args) > 2 {
			home = ts.MkAbs(args[2])
		}
		eventually(ts, args[0]+" "+field, func() bool {
			cmd := exec.Command("hypercore", "info", args[0], "--json")
			cmd.Dir = ts.MkAbs(".")
			cmd.Env = append(os.Environ(), "HYPERCORE_HOME="+home, "PATH="+ts.Getenv("PATH"))
			out, err := cmd.Output()
			var m map[string]any
			if err != nil || json.Unmarshal(out, &m) != nil {
				return false
			}
			n, _ := m[field].(float64)
			return n >= want
		})
	}
}

// bigfile FILE N: N MiB that do not compress.
func bigFile(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	b := make([]byte, n<<20)
	rand.NewChaCha8([32]byte{}).Read(b)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o600))
}

// sameid ADDR ADDR: the same node at both.
func sameID(ts *testscript.TestScript, _ bool, args []string) {
	if filepath.Base(args[0]) != filepath.Base(args[1]) {
		ts.Fatalf("%s and %s are different nodes", args[0], args[1])
	}
}

// emptydir DIR
func emptyDir(ts *testscript.TestScript, _ bool, args []string) {
	ents, err := os.ReadDir(args[0])
	ts.Check(err)
	if len(ents) > 0 {
		ts.Fatalf("%s is left in %s", ents[0].Name(), args[0])
	}
}

// samehash FILE FILE...: all have the same content.
func sameHash(ts *testscript.TestScript, neg bool, args []string) {
	want := sha256.Sum256([]byte(ts.ReadFile(args[0])))
	for _, f := range args[1:] {
		if same := sha256.Sum256([]byte(ts.ReadFile(f))) == want; same == neg {
			ts.Fatalf("%s and %s: same content is %v", args[0], f, same)
		}
	}
}

// copydir FROM TO
func copyDir(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.CopyFS(ts.MkAbs(args[1]), os.DirFS(ts.MkAbs(args[0]))))
}

// freeport VAR: a TCP port that nobody listens on.
func freePort(ts *testscript.TestScript, _ bool, args []string) {
	p, err := port.Free()
	ts.Check(err)
	ts.Setenv(args[0], strconv.Itoa(p))
}

// jsonfield VAR FILE FIELD
func jsonField(ts *testscript.TestScript, _ bool, args []string) {
	var m map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &m))
	ts.Setenv(args[0], fmt.Sprint(m[args[2]]))
}
